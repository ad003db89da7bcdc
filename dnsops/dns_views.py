"""What DNS says of a hostname, and drift: fragments of its page, and the click on *Adopt*."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from a365admin.accounts.decorators import require
from a365admin.accounts.permissions import Capability, may
from dnsops import readying, services
from dnsops.dns_page import dns_page, drift_page
from dnsops.pages import only_virtual_service
from dnsops.readiness_page import readiness_page
from pools.pages import find_hostname


@require_safe
@require(Capability.VIEW)
def dns(request: HttpRequest, fqdn: str) -> HttpResponse:
    """Fragment: each authoritative server's answer, its TTL, and since when."""
    return render(request, "dnsops/dns.html", {"page": dns_page(find_hostname(fqdn))})


@require_safe
@require(Capability.VIEW)
def drift(request: HttpRequest, fqdn: str) -> HttpResponse:
    """Fragment: the open drift and its ways out; empty where DNS says what is expected."""
    context = {
        "page": drift_page(find_hostname(fqdn)),
        "may_fail_over": may(request.user, Capability.FAILOVER),
        "may_edit": may(request.user, Capability.EDIT_ESTATE),
    }
    return render(request, "dnsops/drift.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@require(Capability.VIEW)
def readiness(request: HttpRequest, fqdn: str) -> HttpResponse:
    """Fragment: “Can we fail over now?” GET: what was found last. POST: look now, changing nothing in effect."""
    hostname = find_hostname(fqdn)
    may_look = may(request.user, Capability.FAILOVER)
    if request.method == "POST":
        if not may_look:
            raise PermissionDenied
        readying.check(hostname)
    context = {
        "page": readiness_page(hostname),
        "hostname": hostname,
        "may_look": may_look,
        "balanced": only_virtual_service(hostname),
    }
    return render(request, "dnsops/readiness.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@require(Capability.FAILOVER)
def adopt(request: HttpRequest, fqdn: str) -> HttpResponse:
    """GET: what adopting would mean. POST: our records follow what DNS says; DNS is not changed."""
    hostname = find_hostname(fqdn)
    if request.method != "POST":
        part = "#dialog" if "HX-Request" in request.headers else ""
        return render(request, f"dnsops/adopt.html{part}", {"page": drift_page(hostname), "hostname": hostname})
    try:
        services.adopt_drift(
            hostname=hostname,
            user=request.user,  # type: ignore[arg-type]  # require() lets only a signed-in User through
            digest=request.POST.get("digest", ""),
            reason=request.POST.get("reason", "")[:2000],
        )
    except services.RequestRefused as refused:
        messages.warning(request, f"Nothing was adopted. {refused.sentence}")
    else:
        messages.success(request, "Adopted: what DNS says is what is expected from now on. DNS was not changed.")
    return redirect(hostname)
