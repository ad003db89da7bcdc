"""The pages Certificates."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from a365admin.accounts.decorators import require
from a365admin.accounts.permissions import Capability
from pools.certificates import pages


@require_safe
@require(Capability.VIEW)
def matrix(request: HttpRequest) -> HttpResponse:
    """Which server shows what for which hostname, what needs action first."""
    fragment = "HX-Request" in request.headers and "HX-History-Restore-Request" not in request.headers
    template = f"pools/certificates/matrix.html{'#list-part' if fragment else ''}"
    return render(request, template, {"page": pages.certificates_page()})


@require_safe
@require(Capability.VIEW)
def renewal(request: HttpRequest, name: str) -> HttpResponse:
    """One server's certificates, and the request for a new one."""
    return render(request, "pools/certificates/request.html", {"page": pages.request_page(name)})
