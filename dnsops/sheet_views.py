"""The offline sheets as pages: how to move a hostname without us, to be printed."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from a365admin.accounts.decorators import require
from a365admin.accounts.permissions import Capability
from dnsops.breakglass import keeping
from dnsops.breakglass.bundle import BundleError
from dnsops.breakglass.sheet import sheet_of


@require_safe
@require(Capability.FAILOVER)
def sheet(request: HttpRequest, fqdn: str) -> HttpResponse:
    """One hostname's sheet, from the estate as it is now."""
    bundle = keeping.collect()
    try:
        hostname = bundle.hostname(fqdn)
    except BundleError as error:
        raise Http404(str(error)) from None
    return render(request, "dnsops/sheets.html", {"sheets": [sheet_of(bundle, hostname)], "one": hostname})


@require_safe
@require(Capability.FAILOVER)
def sheets(request: HttpRequest) -> HttpResponse:
    """Every hostname's sheet, each on a page of its own."""
    bundle = keeping.collect()
    found = [sheet_of(bundle, hostname) for hostname in bundle.hostnames]
    return render(request, "dnsops/sheets.html", {"sheets": found, "one": None})
