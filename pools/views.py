"""The pages that people look at: overview, hostname, server, helpdesk."""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from a365admin.accounts.decorators import require
from a365admin.accounts.permissions import Capability, may
from pools import helpdesk as helpdesk_words, overview, pages, service_pages, ucc_pages
from pools.history import reading as history_reading

_LABELS = {
    "all": "hostnames",
    "down": "down",
    "degraded": "degraded",
    "switching": "switching",
    "standby": "on standby",
    "unknown": "unknown",
    "maintenance": "in maintenance",
}


def _wants_part(request: HttpRequest) -> bool:
    """Whether htmx asks for a fragment, and not for a whole page (a boosted or a restored one)."""
    return "HX-Request" in request.headers and "HX-History-Restore-Request" not in request.headers


def _summary(seen: overview.Overview, show: str, query: str) -> list[dict[str, Any]]:
    base = reverse("pools:overview")
    items = []
    for key, label in _LABELS.items():
        wanted = {k: v for k, v in (("show", "" if key == "all" else key), ("q", query)) if v}
        word = "hostname" if key == "all" and seen.counts["all"] == 1 else label
        items.append({"key": key, "label": word, "count": seen.counts[key], "current": (show or "all") == key,
                      "url": f"{base}?{urlencode(wanted)}" if wanted else base})  # fmt: skip
    return items


@require_safe
@require(Capability.VIEW)
def overview_page(request: HttpRequest) -> HttpResponse:
    """The front page; ``?show=`` and ``?q=`` filter it, ``?view=wall`` is for a wall screen."""
    show, query = request.GET.get("show", ""), request.GET.get("q", "").strip()[:100]
    show = show if show in overview.FILTERS else ""
    seen = overview.overview_for(request)
    context = {
        "show": show, "q": query, "overview": seen, "summary": _summary(seen, show, query),
        "fresh": json.dumps(overview.fresh_json(), separators=(",", ":")),
    }  # fmt: skip
    if request.GET.get("view") == "wall":
        template, context["problems"] = "pools/wall.html", helpdesk_words.wall_lines(seen)
    else:
        template = "pools/overview.html"
        actions = may(request.user, Capability.FAILOVER)
        context["list"] = overview.list_html(seen, show=show, query=query, actions=actions)
    return render(request, f"{template}#list-part" if _wants_part(request) else template, context)


@require_safe
@require(Capability.VIEW)
def hostname(request: HttpRequest, fqdn: str) -> HttpResponse:
    """One dedicated hostname: where it leads, what was found on the way, what clients are told."""
    page = pages.hostname_page(pages.find_hostname(fqdn))
    notes = overview.operation_notes()
    note = notes.get(page.hostname.pk)
    age = overview.ages.get()
    context = {
        "page": page,
        "note": note if note and note.active else None,
        "may_fail_over": may(request.user, Capability.FAILOVER),
        "stale": age.is_stale(page.hostname.pk, overview.clock()),
        "fresh": json.dumps(overview.fresh_json(only=page.hostname.pk)),
    }
    return render(request, f"pools/hostname.html{'#live-and-checks' if _wants_part(request) else ''}", context)


@require_safe
@require(Capability.VIEW)
def history(request: HttpRequest, fqdn: str) -> HttpResponse:
    """What a hostname was like: the bar of a day, latencies with the failovers marked, availability. A fragment."""
    found = pages.find_hostname(fqdn)
    seen = history_reading.hostname_history(found.pk, time.time())
    return render(request, "pools/history/hostname.html", {"history": seen})


@require_safe
@require(Capability.VIEW)
def bars(request: HttpRequest) -> HttpResponse:
    """Every hostname's history bar by id: an overview that stays open fetches them anew."""
    return JsonResponse({"bars": {str(pk): html for pk, html in history_reading.all_bars().items()}})


@require_safe
@require(Capability.VIEW)
def uccs(request: HttpRequest, fqdn: str) -> HttpResponse:
    """Where each UCC of a hostname runs, as a fragment of its page."""
    found = pages.find_hostname(fqdn)
    return render(request, "pools/uccs.html", {"hostname": found, "table": ucc_pages.ucc_table(found)})


@require_safe
@require(Capability.VIEW)
def row(request: HttpRequest, fqdn: str) -> HttpResponse:
    """One row of the overview, as a fragment."""
    found = pages.find_hostname(fqdn)
    seen = overview.overview_for(request)
    own = next(row for row in seen.rows if row.pk == found.pk)
    html = overview.row_html(
        own,
        note=seen.switching.get(own.pk),
        stale=own.pk in seen.stale,
        actions=may(request.user, Capability.FAILOVER),
    )
    return HttpResponse(html)


@require_safe
@require(Capability.VIEW)
def helpdesk(request: HttpRequest) -> HttpResponse:
    """One sentence for each service, and what to tell callers."""
    query = request.GET.get("q", "").strip()[:100]
    seen, notes = overview.overview_for(request), overview.operation_notes()
    context = {"q": query, "list": helpdesk_words.list_html(seen, notes, query=query)}
    return render(request, f"pools/helpdesk.html{'#list-part' if _wants_part(request) else ''}", context)


@require_safe
@require(Capability.VIEW)
def server(request: HttpRequest, name: str) -> HttpResponse:
    """One server: its checks, what points at it, and maintenance."""
    page = pages.server_page(name)
    context = {"page": page, "may_edit": may(request.user, Capability.EDIT_ESTATE)}
    return render(request, f"pools/server.html{'#live-part' if _wants_part(request) else ''}", context)


@require_safe
@require(Capability.VIEW)
def virtual_service(request: HttpRequest, name: str) -> HttpResponse:
    """One virtual service: its VIP, its real servers, what its load balancer says, and what leads to it."""
    page = service_pages.virtual_service_page(name)
    context = {"page": page, "may_edit": may(request.user, Capability.EDIT_ESTATE)}
    return render(request, f"pools/virtual_service.html{'#live-part' if _wants_part(request) else ''}", context)
