"""Adopting a drift: our records follow what DNS says. Nothing is written to DNS."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from a365admin.accounts.models import User
from a365admin.accounts.permissions import Capability, may
from a365admin.audit import services as audit
from a365admin.audit.models import Outcome as AuditOutcome
from dnsops import asking, wiring
from dnsops.conf import conf
from dnsops.drift import DriftKind, Remedy, Resolution, remedy_for
from dnsops.drifting import end_drift, expect
from dnsops.gathering import active_operation, targets_of
from dnsops.models import AnswerSource, Drift
from dnsops.plan import RRset, digest_of
from dnsops.requesting import RequestRefused
from pools import live
from pools.models import DedicatedHostname


def open_drift(hostname: DedicatedHostname) -> Drift | None:
    """The drift of this hostname that is open."""
    return Drift.objects.filter(hostname=hostname, closed_at=None).first()


def remedy_of(drift: Drift, hostname: DedicatedHostname) -> Remedy:
    """The ways out of a drift, by the targets that the hostname has now."""
    return remedy_for(
        DriftKind(drift.kind),
        RRset.from_dict(drift.found),
        expected=RRset.from_dict(drift.expected),
        targets=targets_of(hostname),
        record_type=hostname.record_type,
    )


def drift_digest(drift: Drift) -> str:
    """What a click on *Adopt* is bound to: this drift, and what DNS said in it."""
    return digest_of([drift.pk, drift.kind, drift.found])


def adopt_drift(*, hostname: DedicatedHostname, user: User, digest: str, reason: str) -> Drift:
    """Take what DNS says as what is expected from now on. Asks the writer once more; changes nothing in DNS.

    Raises RequestRefused (not_permitted, reason_missing, stale, blocked, active_operation); a refusal is in the log.
    """
    try:
        drift = _adoptable(hostname, user, digest, reason)
    except RequestRefused as refused:
        denied = refused.code == "not_permitted"
        audit.record_apart(
            action="drift.adopt_denied" if denied else "drift.adopt_refused",
            outcome=AuditOutcome.DENIED if denied else AuditOutcome.REFUSED,
            object=hostname,
            reason=reason,
            after={"code": refused.code, "sentence": refused.sentence},
        )
        raise
    found, now = RRset.from_dict(drift.found), timezone.now()
    with transaction.atomic():
        closed = end_drift(
            drift, Resolution.ADOPTED, now, by_name=str(user)[:150], by_id=user.pk, reason=reason.strip()
        )
        if not closed:
            raise RequestRefused("stale", "It has ended in the meantime. Look again.")
        source = AnswerSource.ADOPTED
        expect(hostname, found, source, since=now, previous=[drift.expected], by_name=str(user)[:150])
        transaction.on_commit(lambda: _publish(hostname.pk))
    return drift


def _adoptable(hostname: DedicatedHostname, user: User, digest: str, reason: str) -> Drift:
    if not may(user, Capability.FAILOVER):
        raise RequestRefused("not_permitted", "You may not adopt what DNS says. Ask an operator.")
    if not reason.strip():
        raise RequestRefused("reason_missing", "Give a reason: it is kept in the audit log.")
    drift = open_drift(hostname)
    if drift is None or drift_digest(drift) != digest:
        raise RequestRefused("stale", "DNS says something else than when you opened this. Look again.")
    active = active_operation(hostname)
    if active is not None:
        raise RequestRefused("active_operation", "An operation is running for this hostname. Wait for its end.", active)
    remedy = remedy_of(drift, hostname)
    if remedy.adopt is None:
        raise RequestRefused("blocked", remedy.why_not_adopt)
    writer = wiring.writer_of(wiring.endpoints_of(wiring.zone_for(hostname.fqdn)))
    said = asking.ask(writer, hostname.fqdn, timeout_s=conf().ask_timeout_s) if writer else None
    if said is None or not RRset.from_dict(drift.found).same_data(said.rrset):
        text = said.text if said else "there is no writer"
        raise RequestRefused("stale", f"The writer does not say so any more ({text}). Look again.")
    return drift


def _publish(hostname_id: int) -> None:
    live.bump_and_publish(hostname_ids={hostname_id})
