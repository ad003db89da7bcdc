"""Addresses of the pages Certificates (below ``certificates/``)."""

from django.urls import path

from pools.certificates import views

urlpatterns = [
    path("", views.matrix, name="certificates"),
    path("servers/<str:name>/", views.renewal, name="certificate-request"),
]
