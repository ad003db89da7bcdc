"""The pages of drills: start one, watch it, read its report; and fragments for the pages of the estate."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from a365admin.accounts.decorators import require
from a365admin.accounts.permissions import Capability, may
from dnsops import drill_pages, drill_tasks, drilling, pages, services
from dnsops.drill_models import Drill
from dnsops.lifecycle import OperationKind
from dnsops.outages import Outages
from dnsops.requesting import RequestRefused
from pools.models import DedicatedHostname
from pools.pages import find_hostname

PAGE_SIZE = 50
DEFAULT_STAY_S = 30


def _wants_part(request: HttpRequest) -> bool:
    return "HX-Request" in request.headers and "HX-History-Restore-Request" not in request.headers


@require_http_methods(["GET", "HEAD", "POST"])
@require(Capability.FAILOVER)
def new(request: HttpRequest, fqdn: str) -> HttpResponse:
    """GET: what a drill would do, and whether it is safe. POST: start it."""
    hostname, refused = find_hostname(fqdn), None
    if request.method == "POST":
        try:
            return redirect(_start(request, hostname))
        except RequestRefused as error:
            refused = error
    seen = services.preflight(hostname=hostname, kind=OperationKind.FAILOVER)
    context = {
        "hostname": hostname, "seen": seen, "plan": seen.plan, "refused": refused, "posted": request.POST,
        "to_value": pages.to_of_plan(seen.plan), "stays": drilling.STAYS_S, "default_stay": DEFAULT_STAY_S,
        "idempotency_key": uuid.uuid4().hex,
    }  # fmt: skip
    return render(request, "dnsops/drills/new.html", context, status=409 if refused else 200)


def _start(request: HttpRequest, hostname: DedicatedHostname) -> Drill:
    server_id, service_id = pages.ids_of(request.POST.get("to", ""))
    stay = request.POST.get("stay", "")
    drill = drilling.start_drill(
        user=request.user,  # type: ignore[arg-type]  # require() lets only a signed-in User through
        hostname=hostname,
        to_server_id=server_id,
        to_virtual_service_id=service_id,
        digest=request.POST.get("digest", ""),
        stay_s=int(stay) if stay.isdecimal() and len(stay) < 6 else 0,
        reason=request.POST.get("reason", ""),
        ticket=request.POST.get("ticket", "")[:60],
        idempotency_key=request.POST.get("idempotency_key", "")[:64],
    )
    drill_tasks.nudge_drill(str(drill.pk))
    return drill


@require_safe
@require(Capability.VIEW)
def drill(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """One drill: live while it runs, then its report, kept for ever."""
    page = drill_pages.drill_page(get_object_or_404(drill_pages.find_drills(), pk=pk))
    context = {"page": page, "may_fail_over": may(request.user, Capability.FAILOVER)}
    return render(request, f"dnsops/drills/drill.html{'#live-part' if _wants_part(request) else ''}", context)


@require_POST
@require(Capability.FAILOVER)
def back_now(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """End the stay on the standby."""
    found = get_object_or_404(Drill, pk=pk)
    try:
        drilling.go_back_now(drill=found, user=request.user)  # type: ignore[arg-type]
    except RequestRefused as refused:
        messages.warning(request, refused.sentence)
    else:
        messages.success(request, "It is failed back now.")
    return redirect(found)


@require_safe
@require(Capability.VIEW)
def drills(request: HttpRequest) -> HttpResponse:
    """All drills, newest first, and what has not been rehearsed for too long."""
    paged = Paginator(drill_pages.find_drills(), PAGE_SIZE).get_page(request.GET.get("page"))
    lines = [(found, *drill_pages.DRILL_WORDS[found.state], Outages.from_dict(found.seen)) for found in paged]
    context = {
        "paged": paged, "lines": lines, "overdue": drill_pages.overdue(), "may": may(request.user, Capability.FAILOVER)
    }  # fmt: skip
    return render(request, "dnsops/drills/drills.html", context)


@require_safe
@require(Capability.VIEW)
def of_hostname(request: HttpRequest, fqdn: str) -> HttpResponse:
    """Fragment: when this hostname was last rehearsed."""
    hostname = find_hostname(fqdn)
    targets = hostname.targets.all()
    context = {
        "hostname": hostname, "rehearsed": drill_pages.rehearsed(hostname),
        "may": may(request.user, Capability.FAILOVER) and len(targets) > 1,
    }  # fmt: skip
    return render(request, "dnsops/drills/of_hostname.html", context)


@require_safe
@require(Capability.VIEW)
def summary(request: HttpRequest) -> HttpResponse:
    """Fragment for the overview: how many hostnames have not been rehearsed for too long."""
    context = {"overdue": drill_pages.overdue(), "any": DedicatedHostname.objects.exists()}
    return render(request, "dnsops/drills/summary.html", context)
