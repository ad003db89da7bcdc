"""Addresses of the page Maintenance (below ``maintenance/``)."""

from django.urls import path

from pools.maintenance import views

urlpatterns = [
    path("", views.page, name="maintenance"),
    path("begin/", views.begin, name="maintenance-begin"),
    path("<int:pk>/move/", views.move, name="maintenance-move"),
    path("<int:pk>/end/", views.end, name="maintenance-end"),
]
