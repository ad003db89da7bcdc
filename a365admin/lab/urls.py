"""Addresses of the demo's page, below /lab/."""

from django.urls import path

from a365admin.lab import views

app_name = "lab"
urlpatterns = [
    path("", views.page, name="page"),
    path("fault", views.fault, name="fault"),
    path("edit", views.edit, name="edit"),
    path("remove", views.remove, name="remove"),
    path("reset", views.reset, name="reset"),
]
