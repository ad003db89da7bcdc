"""All of the product's addresses, and an empty view behind the same middleware."""

from django.http import HttpRequest, HttpResponse
from django.urls import include, path


def empty(request: HttpRequest) -> HttpResponse:
    """Answer nothing; signed in like any other page."""
    return HttpResponse(b"")


urlpatterns = [path("empty", empty), path("", include("a365admin.urls"))]
