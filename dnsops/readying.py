"""The standing readiness test: looks at a hostname as a click would, and changes nothing in effect.

The permission test is a change of the record for itself, under the condition that it is exactly what was read: the only
thing that proves the right to write this record. ``Zone.permission_test`` says where it is made.
"""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from typing import cast

from django.db.models import F
from django.utils import timezone

from dnsops import wiring
from dnsops.conf import conf
from dnsops.gathering import Preflight, active_operation, gather
from dnsops.lifecycle import OperationKind
from dnsops.models import Readiness, Zone
from dnsops.plan import Answer, Change, RRset
from dnsops.providers.base import Endpoint, KeepsTickets, Outcome, OutcomeKind, Provider
from dnsops.readiness import ReadinessFacts, Ticket, Tried, judge, overall, summary
from pools import live
from pools.models import DedicatedHostname
from pools.pages import find_hostname

log = logging.getLogger(__name__)

ONE_RUN_S = 8.0
AT_MOST = 300
KEY_PROBLEMS = frozenset({OutcomeKind.AUTH, OutcomeKind.CLOCK, OutcomeKind.CONFIG, OutcomeKind.UNREACHABLE})


def check_due() -> int:
    """Look at the hostnames whose turn it is, the longest ago first, for some seconds. Returns how many."""
    since = timezone.now() - timedelta(seconds=conf().readiness_interval_s)
    due = DedicatedHostname.objects.exclude(readiness__checked_at__gt=since).order_by(
        F("readiness__checked_at").asc(nulls_first=True), "pk"
    )
    ends, done = time.monotonic() + ONE_RUN_S, 0
    for fqdn in list(due.values_list("fqdn", flat=True)[:AT_MOST]):
        if time.monotonic() >= ends:
            break
        try:
            check(find_hostname(fqdn))
        except Exception:
            log.exception("Whether %s could be failed over cannot be said.", fqdn)
        done += 1
    return done


def kind_for(hostname: DedicatedHostname) -> OperationKind:
    """What a click would be: back to the primary where the hostname is away from it, or else away."""
    status = getattr(hostname, "status", None)
    away = status is not None and status.active is not None and not status.on_primary
    return OperationKind.FAILBACK if away else OperationKind.FAILOVER


def check(hostname: DedicatedHostname) -> Readiness:
    """Look once, and keep what was found. Takes at most a few timeouts; never raises for what a network does."""
    kind = kind_for(hostname)
    seen = gather(hostname=hostname, kind=kind, probe=False)
    lines = judge(_facts(hostname, seen))
    level, words = overall(lines), summary(lines)
    before = Readiness.objects.filter(hostname=hostname).values_list("level", "summary").first()
    found, _ = Readiness.objects.update_or_create(
        hostname=hostname,
        defaults={
            "level": level.value,
            "kind": kind.value,
            "to_text": seen.plan.to_server if seen.plan else "",
            "lines": [[line.question.value, line.level.value, line.sentence] for line in lines],
            "summary": words,
            "old_ttl_s": seen.old_ttl_s,
            "checked_at": timezone.now(),
        },
    )
    if before != (found.level, found.summary):
        live.bump_and_publish(hostname_ids={hostname.pk})
    return found


def _facts(hostname: DedicatedHostname, seen: Preflight) -> ReadinessFacts:
    zone = wiring.zone_for(hostname.fqdn)
    endpoints = wiring.endpoints_of(zone)
    writer = wiring.writer_of(endpoints)
    provider = wiring.provider_for(zone, writer) if zone and writer else None
    said = next((answer for answer in seen.answers if writer and answer.server == writer.name), None)
    key, permission, skew_s = _try(hostname, zone, provider, said)
    return ReadinessFacts(
        to_server=seen.plan.to_server if seen.plan else "",
        plan_error=seen.plan_error,
        writer=writer.name if writer else "",
        answers=seen.answers,
        findings=seen.findings,
        key=key,
        permission=permission,
        record_type=hostname.record_type,
        skew_s=skew_s,
        tickets=_tickets(provider, endpoints),
        by_hand=provider is not None and provider.capabilities.by_hand,
    )


def _try(
    hostname: DedicatedHostname, zone: Zone | None, provider: Provider | None, said: Answer | None
) -> tuple[Tried, Tried, float | None]:
    """Whether the key is accepted, whether it may write this record, and how far the clocks are apart."""
    if zone is None or provider is None:
        why = wiring.why_no_provider(zone) if zone else f"No zone here contains {hostname.fqdn}."
        return Tried(False, why), Tried(None, "Not tried."), None
    if provider.capabilities.by_hand:
        return Tried(True, ""), Tried(True, ""), None
    if said is None or not said.answered:
        return Tried(None, "Not tried: the writer does not answer."), Tried(None, "Not tried."), None
    present = said.rrset or RRset.absent(hostname.record_type)
    change = Change(zone.name, hostname.fqdn, expected=present, new=present)
    why_not = _why_not_swapped(hostname, zone, present)
    deadline = time.monotonic() + conf().write_timeout_s
    outcome = (
        provider.check_writable(change, deadline=deadline) if why_not else provider.change(change, deadline=deadline)
    )
    wiring.note_accepted(zone, outcome)
    skew_s = outcome.evidence.get("clock_skew_s")
    return _key(outcome), Tried(None, why_not) if why_not else _permission(outcome, provider.writer), skew_s


def _why_not_swapped(hostname: DedicatedHostname, zone: Zone, present: RRset) -> str:
    if not zone.tests_permission:
        return f"Not tried: the permission test is switched off for zone {zone}."
    if present.is_absent:
        return "Not tried: there is no record."
    if active_operation(hostname) is not None:
        return "Not tried while an operation is under way."
    return ""


def _key(outcome: Outcome) -> Tried:
    label = outcome.evidence.get("key", "our key")
    if outcome.kind in {OutcomeKind.READY, OutcomeKind.APPLIED, OutcomeKind.CONFLICT, OutcomeKind.DENIED}:
        if outcome.authenticated:
            return Tried(True, f"The writer accepts {label}.")
        return Tried(None, "The writer's answer is not signed, so it does not show whether it accepts the key.")
    if outcome.kind in KEY_PROBLEMS:
        return Tried(False, outcome.sentence)
    return Tried(None, outcome.sentence)


def _permission(outcome: Outcome, writer: Endpoint) -> Tried:
    if outcome.kind is OutcomeKind.APPLIED:
        return Tried(True, f"{writer.name} lets us write this record: it was changed for itself, so nothing changed.")
    if outcome.kind is OutcomeKind.CONFLICT:
        return Tried(None, "Not known: the record changed at the very moment of trying.")
    if outcome.kind is OutcomeKind.UNKNOWN:
        return Tried(None, f"Not known: {outcome.evidence.get('problem', 'no answer that can be trusted came')}.")
    if outcome.kind in KEY_PROBLEMS:
        return Tried(None, "Not known: it was not got so far.")
    return Tried(False, outcome.sentence)


def _tickets(provider: Provider | None, endpoints: list[Endpoint]) -> list[Ticket] | None:
    if provider is None or not provider.capabilities.tickets:
        return None
    keeper, now = cast("KeepsTickets", provider), time.time()
    found = [(endpoint.name, keeper.kept_until(endpoint)) for endpoint in endpoints]
    return [Ticket(name, until - now if until is not None else None) for name, until in found]
