"""From rows to things that act: a zone's endpoints and its provider."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

from dnsops.models import FailoverOperation, NameServer, Zone
from dnsops.plan import Change, zone_of
from dnsops.providers.base import Endpoint, Outcome, OutcomeKind, Provider
from dnsops.providers.rfc2136 import Rfc2136
from dnsops.secrets import load_key


def zone_for(fqdn: str) -> Zone | None:
    """The zone that holds ``fqdn`` (the longest), with its key and name servers; None where there is none."""
    labels = fqdn.split(".")
    names = [".".join(labels[first:]) for first in range(len(labels))]
    zones = {
        zone.name: zone
        for zone in Zone.objects.filter(name__in=names).select_related("key").prefetch_related("name_servers")
    }
    return zones.get(zone_of(fqdn, zones))


def endpoint_of(server: NameServer) -> Endpoint:
    """Where a name server is asked."""
    return Endpoint(server.name, server.address, server.port, server.is_writer, float(server.expected_lag_s))


def endpoints_of(zone: Zone | None) -> list[Endpoint]:
    """Every authoritative server of the zone, the writer first."""
    return [endpoint_of(server) for server in zone.name_servers.all()] if zone else []


def writer_of(endpoints: Sequence[Endpoint]) -> Endpoint | None:
    """The one server that changes are sent to."""
    return next((endpoint for endpoint in endpoints if endpoint.is_writer), None)


def provider_for(zone: Zone, writer: Endpoint) -> Provider | None:
    """What changes records of this zone on this writer; None where the zone has no key yet."""
    if zone.key is None:
        return None
    key = partial(load_key, name=zone.key.name, algorithm=zone.key.algorithm, reference=zone.key.secret_reference)
    return Rfc2136(writer, key)


def check_writable(zone: Zone, writer: Endpoint, change: Change, *, timeout_s: float) -> Outcome:
    """Whether the writer accepts our key for this zone; changes nothing."""
    provider = provider_for(zone, writer)
    if provider is None:
        return Outcome(
            OutcomeKind.CONFIG, "", f"Zone {zone.name} has no update key, so nothing can be changed. Choose one for it."
        )
    return provider.check_writable(change, deadline=time.monotonic() + timeout_s)


def wiring_of(operation: FailoverOperation) -> tuple[Zone | None, list[Endpoint]]:
    """The zone and the endpoints that an operation works with."""
    zone = zone_for(operation.hostname_fqdn)
    return zone, endpoints_of(zone)
