"""The pages that people look at: overview, hostname, server, helpdesk."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from a365admin.accounts.decorators import require
from a365admin.accounts.permissions import Capability, may
from pools import helpdesk as helpdesk_words, overview, pages, place_pages, service_pages, ucc_pages
from pools.history import reading as history_reading
from pools.models import DedicatedHostname
from pools.place_pages import PlacePage
from pools.server_pages import server_page

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


def _ages_of(hostnames: Iterable[tuple[DedicatedHostname, Any]]) -> dict[str, Any]:
    """Which of these are too old to be believed, and what the browser needs to go on saying so."""
    ids, age, now = {hostname.pk for hostname, _ in hostnames}, overview.ages.get(), overview.clock()
    return {
        "stale_ids": {pk for pk in ids if age.is_stale(pk, now)},
        "fresh": json.dumps(overview.fresh_json(only=ids), separators=(",", ":")),
    }


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
        "fresh": json.dumps(overview.fresh_json(only={page.hostname.pk})),
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
        remark=seen.remarks.get(own.pk, ""),
    )
    return HttpResponse(html)


@require_safe
@require(Capability.VIEW)
def helpdesk(request: HttpRequest) -> HttpResponse:
    """One sentence for each service, and what to tell callers."""
    query = request.GET.get("q", "").strip()[:100]
    seen, notes = overview.overview_for(request), overview.operation_notes()
    context = {"fresh": json.dumps(overview.fresh_json(), separators=(",", ":"))}
    context |= {"q": query, "list": helpdesk_words.list_html(seen, notes, query=query)}
    return render(request, f"pools/helpdesk.html{'#list-part' if _wants_part(request) else ''}", context)


@require_safe
@require(Capability.VIEW)
def server(request: HttpRequest, name: str) -> HttpResponse:
    """One server: its checks, what points at it, and maintenance."""
    page = server_page(name)
    context = _ages_of(page.hostnames) | {"page": page, "may_edit": may(request.user, Capability.EDIT_ESTATE)}
    return render(request, f"pools/server.html{'#live-part' if _wants_part(request) else ''}", context)


def _place(request: HttpRequest, page: PlacePage) -> HttpResponse:
    context = _ages_of(page.hostnames) | {
        "page": page,
        "may_edit": may(request.user, Capability.EDIT_ESTATE),
        "may_move": page.move_query and may(request.user, Capability.FAILOVER),
    }
    return render(request, f"pools/place.html{'#live-part' if _wants_part(request) else ''}", context)


@require_safe
@require(Capability.VIEW)
def trusted_application_pool(request: HttpRequest, fqdn: str) -> HttpResponse:
    """One trusted application pool, rolled up: which servers run its UCCs, and how its hostnames are."""
    return _place(request, place_pages.pool_page(fqdn))


@require_safe
@require(Capability.VIEW)
def front_end_pool(request: HttpRequest, fqdn: str) -> HttpResponse:
    """One front-end pool, rolled up, with its pair."""
    return _place(request, place_pages.front_end_pool_page(fqdn))


@require_safe
@require(Capability.VIEW)
def site(request: HttpRequest, name: str) -> HttpResponse:
    """One site, rolled up."""
    return _place(request, place_pages.site_page(name))


@require_safe
@require(Capability.VIEW)
def virtual_service(request: HttpRequest, name: str) -> HttpResponse:
    """One virtual service: its VIP, its real servers, what its load balancer says, and what leads to it."""
    page = service_pages.virtual_service_page(name)
    context = _ages_of(page.hostnames) | {"page": page, "may_edit": may(request.user, Capability.EDIT_ESTATE)}
    return render(request, f"pools/virtual_service.html{'#live-part' if _wants_part(request) else ''}", context)
