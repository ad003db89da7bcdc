"""Addresses of the pages Clients (below ``clients/``)."""

from django.urls import path

from pools.clients import views

urlpatterns = [
    path("", views.values, name="clients"),
    path("values.csv", views.values_file, name="clients-values"),
    path("hostnames/<str:fqdn>/", views.of_hostname, name="clients-hostname"),
    path("hostnames/<str:fqdn>/summary/", views.summary, name="clients-summary"),
    path("uccs/<int:pk>/", views.of_ucc, name="clients-ucc"),
    path("inventory/", views.inventory, name="clients-list"),
    path("inventory.csv", views.inventory_file, name="clients-file"),
    path("inventory/import/", views.import_page, name="clients-import"),
    path("inventory/import/confirm/", views.confirm, name="clients-confirm"),
    path("inventory/<slug:slug>/add/", views.add, name="clients-add"),
    path("inventory/<slug:slug>/<int:pk>/", views.edit, name="clients-edit"),
    path("inventory/<slug:slug>/<int:pk>/delete/", views.delete, name="clients-delete"),
]
