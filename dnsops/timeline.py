"""What happened to a hostname: changes of state and what people did, merged."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from dnsops.drift import DriftKind, Resolution
from dnsops.drifting import RESOLUTION_WORDS
from dnsops.models import Drift, FailoverOperation
from dnsops.pages import KIND_NOUN, STATE_WORDS
from dnsops.plan import RRset
from pools.history.reading import Switch
from pools.models import DedicatedHostname, HealthTransition
from pools.pages import recent_transitions


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """A change of state, or something that somebody did."""

    at: datetime
    status: str
    what: str
    detail: str
    url: str = ""
    who: str = ""


def timeline(hostname: DedicatedHostname, *, limit: int = 40) -> list[TimelineEntry]:
    """Changes of state, operations and drift of a hostname, merged, newest first."""
    operations = FailoverOperation.objects.filter(hostname=hostname).order_by("-created_at")[:limit]
    entries = [_operation_entry(operation) for operation in operations]
    drifts = hostname.drifts.select_related("operation").order_by("-opened_at")[:limit]
    entries += [entry for drift in drifts for entry in _drift_entries(drift)]
    entries += [_transition_entry(transition) for transition in recent_transitions(hostname=hostname, limit=limit)]
    return sorted(entries, key=lambda entry: entry.at, reverse=True)[:limit]


def switches_of(hostname_id: int, since: datetime) -> list[Switch]:
    """When DNS of a hostname was changed by an operation since then, the earliest first."""
    operations = FailoverOperation.objects.filter(hostname_id=hostname_id, written_at__gte=since).order_by("written_at")
    return [
        Switch(
            operation.written_at,
            f"{KIND_NOUN[operation.kind]} to {operation.to_text}, by {operation.requested_by_name}",
            operation.get_absolute_url(),
        )
        for operation in operations
        if operation.written_at is not None
    ]


def _operation_entry(operation: FailoverOperation) -> TimelineEntry:
    word, status = STATE_WORDS[operation.state]
    what = f"{KIND_NOUN[operation.kind]} to {operation.to_text}: {word.lower()}"
    detail = operation.result or operation.reason
    return TimelineEntry(
        operation.created_at, status, what, detail, operation.get_absolute_url(), operation.requested_by_name
    )


def _drift_entries(drift: Drift) -> list[TimelineEntry]:
    found, expected = RRset.from_dict(drift.found), RRset.from_dict(drift.expected)
    status = "degraded" if drift.kind == DriftKind.ONE_SERVER else "down"
    what = "Drift: the record has vanished" if found.is_absent else f"Drift: DNS says {found}"
    detail = f"{drift.servers}; expected was {expected}."
    entries = [TimelineEntry(drift.opened_at, status, what, detail)]
    if drift.closed_at is not None:
        words = RESOLUTION_WORDS[Resolution(drift.resolution)]
        url = drift.operation.get_absolute_url() if drift.operation else ""
        entries.append(TimelineEntry(drift.closed_at, "up", "Drift ended", words, url, drift.closed_by_name))
    return entries


def _transition_entry(transition: HealthTransition) -> TimelineEntry:
    return TimelineEntry(
        transition.at,
        "maintenance" if transition.planned else transition.new,
        transition.title,
        f"In maintenance. {transition.sentence}" if transition.planned else transition.sentence,
    )
