"""Addresses of the pages that edit the estate (below ``estate/``)."""

from django.urls import path

from pools import edit_views

urlpatterns = [
    path("", edit_views.estate, name="estate"),
    path("<slug:slug>/add/", edit_views.add, name="estate-add"),
    path("<slug:slug>/<int:pk>/", edit_views.edit, name="estate-edit"),
    path("<slug:slug>/<int:pk>/delete/", edit_views.delete, name="estate-delete"),
]
