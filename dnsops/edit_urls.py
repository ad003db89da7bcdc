"""Addresses of the pages that edit zones, name servers and update keys (below ``estate/dns/``)."""

from django.urls import path

from dnsops import edit_views

urlpatterns = [
    path("", edit_views.dns_list, name="dns-list"),
    path("guide/", edit_views.guide, name="dns-guide"),
    path("zone/<int:pk>/test/", edit_views.test_zone, name="dns-test"),
    path("resolver/test/", edit_views.test_resolvers, name="resolvers-test"),
    path("<slug:slug>/add/", edit_views.add, name="dns-add"),
    path("<slug:slug>/<int:pk>/", edit_views.edit, name="dns-edit"),
    path("<slug:slug>/<int:pk>/delete/", edit_views.delete, name="dns-delete"),
]
