"""Keeps the bundle: written when the estate changes, after each operation, and every minute by whoever sweeps."""

from __future__ import annotations

import logging
import socket
import time
from dataclasses import asdict

from django.conf import settings
from django.db import DatabaseError
from django.db.models import Max
from django.utils import timezone

from dnsops import wiring
from dnsops.breakglass import files
from dnsops.breakglass.bundle import Bundle, BundledHostname, BundledTarget, BundledZone, BundleError
from dnsops.conf import conf
from dnsops.gathering import target_of
from dnsops.models import FailoverOperation, Zone
from pools.estate import estate_version, read_estate
from pools.maintenance.reads import attach_covering
from pools.models import DedicatedHostname, FailoverTarget

log = logging.getLogger(__name__)

REWRITTEN_AFTER_S = 60.0
_kept: tuple[int, float] = (-1, float("-inf"))


def collect() -> Bundle:
    """What the bundle says now, in a constant number of queries."""
    written = dict(
        FailoverOperation.objects.filter(written_at__isnull=False)
        .values_list("hostname_id")
        .annotate(last=Max("written_at"))
    )
    targets = _targets()
    estate = read_estate()
    return Bundle(
        written_at=timezone.now().isoformat(),
        written_by=socket.gethostname(),
        policy=asdict(conf()),
        ca_file=settings.POOLS["ca_file"],
        zones=tuple(map(_zone, Zone.objects.select_related("key", "next_key").prefetch_related("name_servers"))),
        servers=estate.servers,
        applications=estate.applications,
        virtual_services=estate.virtual_services,
        hostnames=tuple(
            BundledHostname(
                id=hostname.pk,
                fqdn=hostname.fqdn,
                service_name=hostname.service_name,
                record_type=hostname.record_type,
                ttl_s=hostname.ttl_s,
                pool_id=hostname.trusted_application_pool_id,
                pool=hostname.trusted_application_pool.fqdn,
                targets=tuple(targets.get(hostname.pk, ())),
                last_written_at=written[hostname.pk].isoformat() if hostname.pk in written else "",
            )
            for hostname in DedicatedHostname.objects.select_related("trusted_application_pool")
        ),
    )


def write() -> Bundle:
    """Write the bundle now. Raises BundleError, DatabaseError."""
    key = files.ensure_key(settings.BREAKGLASS["key"])
    bundle = collect()
    files.write_bundle(settings.BREAKGLASS["bundle"], bundle, key)
    return bundle


def refresh() -> None:
    """Write the bundle; what stands in the way is logged and is not the caller's trouble."""
    global _kept  # noqa: PLW0603 (what this process has written)
    try:
        version = estate_version()
        write()
        _kept = (version, time.monotonic())
    except (BundleError, DatabaseError) as error:
        log.error("The break-glass bundle could not be written: %s", error)


def keep_fresh() -> None:
    """For the sweeper: write it where the estate has changed, here or elsewhere, and once a minute anyway."""
    version, at = _kept
    if estate_version() != version or time.monotonic() - at > REWRITTEN_AFTER_S:
        refresh()


def _zone(zone: Zone) -> BundledZone:
    writer = wiring.writer_of(wiring.endpoints_of(zone))
    return BundledZone(zone.name, zone.provider, wiring.setup_of(zone, writer) if writer else None)


def _targets() -> dict[int, list[BundledTarget]]:
    """Every hostname's targets, the primary first."""
    rows = list(FailoverTarget.objects.with_aims().order_by("hostname_id", "order"))
    attach_covering(server for row in rows for server in row.servers)
    targets: dict[int, list[BundledTarget]] = {}
    for row in rows:
        server_ids = tuple(server.pk for server in row.servers)
        found = BundledTarget(target_of(row), server_ids, row.aim.maintenance_reason)
        targets.setdefault(row.hostname_id, []).append(found)
    return targets
