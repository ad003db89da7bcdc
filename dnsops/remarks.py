"""What the overview adds to a hostname's line: drift, and what stands in the way of a failover."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from dnsops.conf import conf
from dnsops.drift import DriftKind
from dnsops.models import Drift, Readiness
from dnsops.readiness_page import STALE_AFTER_INTERVALS

_DRIFT = {
    DriftKind.VANISHED: "Drift: its record has vanished from DNS",
    DriftKind.ONE_SERVER: "Drift: one DNS server says something else",
}


def remarks() -> dict[int, str]:
    """A remark by hostname id, for those that have one. Two queries; what is too old to be believed says nothing."""
    since = timezone.now() - timedelta(seconds=STALE_AFTER_INTERVALS * conf().readiness_interval_s)
    ready = Readiness.objects.filter(checked_at__gte=since).exclude(summary="")
    found = {pk: f"Cannot be failed over: {words}" for pk, words in ready.values_list("hostname_id", "summary")}
    for pk, kind in Drift.objects.filter(closed_at=None).values_list("hostname_id", "kind"):
        found[pk] = _DRIFT.get(DriftKind(kind), "Drift: DNS was changed behind our back")
    return found
