"""Editing zones, name servers and update keys, and trying them."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from a365admin.accounts.decorators import require
from a365admin.accounts.permissions import Capability
from a365admin.audit.models import Outcome
from a365admin.audit.services import record
from dnsops import forms, resolving
from dnsops.models import UpdateKey, Zone
from dnsops.plan import zone_of
from dnsops.zone_test import Line, try_resolvers, try_zone
from pools import edit_pages
from pools.kinds import Kind, register
from pools.models import DedicatedHostname


def hostnames_by_zone() -> dict[str, list[DedicatedHostname]]:
    """Zone name -> the dedicated hostnames in it; "" for those that are in no zone of ours."""
    zones = list(Zone.objects.values_list("name", flat=True))
    found: dict[str, list[DedicatedHostname]] = {}
    for hostname in DedicatedHostname.objects.all():
        found.setdefault(zone_of(hostname.fqdn, zones) or "", []).append(hostname)
    return found


KINDS = register(
    [
        Kind(
            "zone",
            "zone",
            forms.ZoneForm,
            "world",
            "A DNS zone that holds dedicated hostnames, and how we may change it.",
            namespace="dnsops:dns",
            more_uses=lambda zone: list(hostnames_by_zone().get(zone.name, [])),
            goes_along=lambda zone: [f"name server {server}" for server in zone.name_servers.all()],
        ),
        Kind(
            "name-server",
            "name server",
            forms.NameServerForm,
            "database",
            "An authoritative server of a zone. Enter all of them: each one's answer is watched and verified.",
            namespace="dnsops:dns",
        ),
        Kind(
            "resolver",
            "resolver",
            forms.ResolverForm,
            "broadcast",
            "A name server that clients of a site ask. Operations follow it until it has the new answer.",
            namespace="dnsops:dns",
        ),
        Kind(
            "key",
            "update key",
            forms.UpdateKeyForm,
            "key",
            "A TSIG key or a Kerberos account. Its secret stays in a file or the environment, and is tried at once.",
            namespace="dnsops:dns",
        ),
    ]
)


def _kind(slug: str) -> Kind:
    try:
        return KINDS[slug]
    except KeyError:
        raise Http404(f"There is no kind of thing called {slug}.") from None


def _list_context(tested: Zone | None = None, lines: list[Line] | None = None) -> dict[str, Any]:
    by_zone = hostnames_by_zone()
    zones = Zone.objects.select_related("key", "next_key", "accepted_key").prefetch_related("name_servers")
    return {
        "zones": [(zone, by_zone.get(zone.name, [])) for zone in zones],
        "elsewhere": by_zone.get("", []),
        "keys": UpdateKey.objects.prefetch_related("zones", "next_zones"),
        "resolvers": resolving.resolvers(),
        "kinds": KINDS,
        "tested": tested,
        "lines": lines or [],
    }


@require(Capability.EDIT_ESTATE)
@require_safe
def dns_list(request: HttpRequest) -> HttpResponse:
    """Every zone with its name servers, its key and its hostnames."""
    return render(request, "dnsops/edit/list.html", _list_context())


@require(Capability.EDIT_ESTATE)
@require_safe
def guide(request: HttpRequest) -> HttpResponse:
    """The first step of entering an estate, as a fragment of the estate's page."""
    zones = Zone.objects.filter(name_servers__is_writer=True).order_by("name")
    zone = next((zone for zone in zones if not zone.needs_key), None)
    started = Zone.objects.exists() or UpdateKey.objects.exists()
    return render(request, "dnsops/edit/guide.html", {"zone": zone, "started": started})


@require(Capability.EDIT_ESTATE)
@require_POST
def test_zone(request: HttpRequest, pk: int) -> HttpResponse:
    """Try a zone's name servers and key; changes nothing in DNS."""
    zone = get_object_or_404(Zone.objects.select_related("key", "next_key"), pk=pk)
    lines = try_zone(zone)
    record(
        action="zone.tested",
        object=zone,
        object_type="zone",
        outcome=Outcome.OK if all(line.ok for line in lines) else Outcome.FAILED,
        after={line.what: line.sentence for line in lines},
    )
    return render(request, "dnsops/edit/list.html", _list_context(zone, lines))


@require(Capability.EDIT_ESTATE)
@require_POST
def test_resolvers(request: HttpRequest) -> HttpResponse:
    """Ask every resolver for one of our hostnames, as a client would."""
    hostname = DedicatedHostname.objects.order_by("fqdn").first()
    name = hostname.fqdn if hostname else "example.com"
    lines = try_resolvers(name)
    record(
        action="resolver.tested",
        object_type="resolver",
        object_name="all resolvers",
        outcome=Outcome.OK if all(line.ok for line in lines) else Outcome.FAILED,
        after={line.what: line.sentence for line in lines},
    )
    context = {**_list_context(), "resolver_lines": lines, "asked_for": name}
    return render(request, "dnsops/edit/list.html", context)


@require(Capability.EDIT_ESTATE)
@require_http_methods(["GET", "POST"])
def add(request: HttpRequest, slug: str) -> HttpResponse:
    """Add one thing."""
    return edit_pages.add_page(request, _kind(slug))


@require(Capability.EDIT_ESTATE)
@require_http_methods(["GET", "POST"])
def edit(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Change one thing."""
    return edit_pages.edit_page(request, _kind(slug), pk)


@require(Capability.EDIT_ESTATE)
@require_http_methods(["GET", "POST"])
def delete(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Delete one thing, or say what uses it."""
    return edit_pages.delete_page(request, _kind(slug), pk)
