"""Addresses of the pages Import and Export (below ``estate/``)."""

from django.urls import path

from pools import import_views

urlpatterns = [
    path("import/", import_views.import_page, name="estate-import"),
    path("import/confirm/", import_views.confirm, name="estate-import-confirm"),
    path("export/", import_views.export_page, name="estate-export"),
]
