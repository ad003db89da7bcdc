"""All addresses of the product."""

from django.conf import settings
from django.urls import URLPattern, URLResolver, include, path

from a365admin import health_views

urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", health_views.healthz, name="healthz"),
    path("", include("pools.urls")),
    path("", include("dnsops.urls")),
    path("", include("a365admin.accounts.urls")),
    path("audit/", include("a365admin.audit.urls")),
    path("live/", include("a365admin.stream_urls")),
]
if settings.LAB_CONFIG:
    urlpatterns.append(path("lab/", include("a365admin.lab.urls")))
