"""From rows to things that act: a zone's endpoints and its provider."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import cast

from django.conf import settings
from django.utils import timezone

from a365admin.prepared import Prepared
from dnsops.models import FailoverOperation, NameServer, UpdateKey, Zone
from dnsops.plan import Change, zone_of
from dnsops.providers import manual, registry
from dnsops.providers.base import Endpoint, KeepsTickets, KeySetup, Outcome, OutcomeKind, Provider, Setup
from dnsops.secrets import SecretError

# A message with such an outcome was signed with a key that the server accepted.
ACCEPTED = frozenset({OutcomeKind.APPLIED, OutcomeKind.CONFLICT, OutcomeKind.READY, OutcomeKind.DENIED})
FIRST_TICKET_S = 4.0
NOTE_AGAIN_AFTER = timedelta(minutes=10)


def zone_for(fqdn: str) -> Zone | None:
    """The zone that holds ``fqdn`` (the longest), with its key and name servers; None where there is none."""
    labels = fqdn.split(".")
    names = [".".join(labels[first:]) for first in range(len(labels))]
    zones = {zone.name: zone for zone in _zones_named(len(names))(*names)}
    zone = zones.get(zone_of(fqdn, zones))
    if zone is not None:
        zone.servers = _servers_of(zone.pk)
    return zone


@cache
def _zones_named(count: int) -> Prepared[Zone]:
    """The zones of so many names."""
    return Prepared(
        lambda *names: Zone.objects.filter(name__in=names).select_related("key", "next_key"), *[str] * count
    )


_servers_of = Prepared(lambda zone: NameServer.objects.filter(zone=zone).order_by(*NameServer.IN_ZONE), int)


def endpoint_of(server: NameServer) -> Endpoint:
    """Where a name server is asked."""
    lag_s = float(server.expected_lag_s)
    return Endpoint(server.name, server.address, server.port, server.is_writer, lag_s, server.host_name)


def endpoints_of(zone: Zone | None) -> list[Endpoint]:
    """Every authoritative server of the zone, the writer first."""
    return [endpoint_of(server) for server in zone.servers] if zone else []


def writer_of(endpoints: Sequence[Endpoint]) -> Endpoint | None:
    """The one server that changes are sent to."""
    return next((endpoint for endpoint in endpoints if endpoint.is_writer), None)


def provider_for(zone: Zone, writer: Endpoint) -> Provider | None:
    """What changes records of this zone on this writer; None where the zone has no key yet, and needs one."""
    kind = registry.kinds().get(zone.provider)
    if kind is None or (kind.key_kind and zone.key is None):
        return None
    return kind.build(setup_of(zone, writer))


def setup_of(zone: Zone, writer: Endpoint) -> Setup:
    """What the zone's provider is made from: the writer first, and first the key that was accepted last."""
    others = [endpoint for endpoint in endpoints_of(zone) if endpoint != writer]
    keys = [key for key in (zone.key, zone.next_key) if key is not None]
    keys.sort(key=lambda key: key.pk != zone.accepted_key_id)
    return Setup(zone.name, (writer, *others), tuple(map(_key_setup, keys)), Path(settings.VAR) / "kerberos")


def _key_setup(key: UpdateKey) -> KeySetup:
    realm = key.principal.rpartition("@")[2]
    return KeySetup(
        key.name, key.secret_reference, key.algorithm, key.principal, realm, tuple(key.kdcs.replace(",", " ").split())
    )


def is_by_hand(zone: Zone | None) -> bool:
    """Whether a person makes the changes in this zone."""
    return zone is not None and zone.provider == manual.KIND.slug


def check_writable(zone: Zone, writer: Endpoint, change: Change, *, timeout_s: float) -> Outcome:
    """Whether the writer accepts our key for this zone; changes nothing."""
    provider = provider_for(zone, writer)
    if provider is None:
        return Outcome(OutcomeKind.CONFIG, "", f"{why_no_provider(zone)} So nothing can be changed.")
    if not _ready_to_sign(provider, writer):
        timeout_s = max(timeout_s, FIRST_TICKET_S)
    outcome = provider.check_writable(change, deadline=time.monotonic() + timeout_s)
    note_accepted(zone, outcome)
    return outcome


def _ready_to_sign(provider: Provider, writer: Endpoint) -> bool:
    """Whether signing needs nothing to be fetched first."""
    if not provider.capabilities.tickets:
        return True
    try:
        return cast("KeepsTickets", provider).kept_until(writer) is not None
    except SecretError:
        return True  # it will say so by itself, at once


def why_no_provider(zone: Zone) -> str:
    """Why ``provider_for`` gave None."""
    if zone.provider not in registry.kinds():
        return f"Zone {zone.name} is to be changed by “{zone.provider}”, which is not known here. Choose another way."
    return f"Zone {zone.name} has no update key. Choose one for it."


def note_accepted(zone: Zone, outcome: Outcome) -> None:
    """Remember which key the server accepted: it is tried first from now on, and the pages say which it is."""
    label = outcome.evidence.get("key")
    if outcome.kind not in ACCEPTED or not outcome.authenticated or not label:
        return
    for key in (zone.key, zone.next_key):
        if key is None or label not in {key.name, key.principal}:
            continue
        now = timezone.now()
        if zone.accepted_key_id == key.pk and zone.accepted_at and now - zone.accepted_at < NOTE_AGAIN_AFTER:
            return
        zone.accepted_key, zone.accepted_at = key, now
        Zone.objects.filter(pk=zone.pk).update(accepted_key=key, accepted_at=now)
        return


def wiring_of(operation: FailoverOperation) -> tuple[Zone | None, list[Endpoint]]:
    """The zone and the endpoints that an operation works with."""
    zone = zone_for(operation.hostname_fqdn)
    return zone, endpoints_of(zone)
