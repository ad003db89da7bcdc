"""The product's addresses with the demo's page, which settings leave out where no demo is configured."""

from django.urls import URLPattern, URLResolver, include, path

from a365admin.urls import urlpatterns as product

urlpatterns: list[URLPattern | URLResolver] = [path("lab/", include("a365admin.lab.urls")), *product]
