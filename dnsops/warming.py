"""Keep what signing needs ready for every zone: Kerberos tickets, for each name server of each zone."""

from __future__ import annotations

import logging
import time
from typing import cast

from dnsops import wiring
from dnsops.models import Zone
from dnsops.providers.base import KeepsTickets
from dnsops.secrets import SecretError

log = logging.getLogger(__name__)

PATIENCE_S = 15.0
_said: dict[int, str] = {}


def keep_warm() -> None:
    """Fetch tickets where they are getting old. What goes wrong is logged when it begins, changes, or ends."""
    for zone in Zone.objects.select_related("key", "next_key").prefetch_related("name_servers"):
        writer = wiring.writer_of(wiring.endpoints_of(zone))
        provider = wiring.provider_for(zone, writer) if writer else None
        if provider is None or not provider.capabilities.tickets:
            continue
        try:
            found = cast("KeepsTickets", provider).keep_warm(deadline=time.monotonic() + PATIENCE_S)
            problem = " ".join(f"{endpoint.name}: {sentence}" for endpoint, sentence in found.items())
        except SecretError as error:
            problem = str(error)
        if problem != _said.get(zone.pk, ""):
            _said[zone.pk] = problem
            if problem:
                log.warning("Tickets for zone %s are not renewed. %s", zone, problem)
            else:
                log.info("Tickets for zone %s are renewed again.", zone)
