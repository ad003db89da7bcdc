"""Drills: start one, carry it on, end it truly. The two operations of a drill are ordinary ones, by the same rules."""

from __future__ import annotations

import logging
import time
import uuid
from datetime import datetime, timedelta
from typing import Any

from django.db import DatabaseError, IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from a365admin.accounts.models import User
from a365admin.accounts.permissions import Capability, may
from a365admin.audit import services as audit
from a365admin.audit.context import Acting, act_as, acting
from a365admin.audit.models import Outcome as AuditOutcome
from dnsops import gathering, requesting, wiring
from dnsops.drill_client import Client, client_of
from dnsops.drill_models import RUNNING, Drill, DrillState
from dnsops.lifecycle import ACTIVE, OperationKind, OperationState
from dnsops.models import FailoverOperation
from dnsops.outages import Outages
from dnsops.requesting import RequestRefused
from pools import live
from pools.models import DedicatedHostname

log = logging.getLogger(__name__)

STAYS_S = (10, 30, 60, 300)
PROBE_EVERY_S = 0.3
SAVE_EVERY_S = 1.0
GO_S = 20.0  # below the broker's visibility timeout
LEASE_S = 12.0
BACK_PATIENCE_S = 600.0
DRILLS_AT_ONCE = 3  # each keeps a thread of the operations worker busy, which has others to do
ASK_BACK_EVERY_S = 5.0
_RUNNING = sorted(state.value for state in RUNNING)
_ACTIVE = {state.value for state in ACTIVE}


def start_drill(
    *,
    user: User,
    hostname: DedicatedHostname,
    to_server_id: int,
    to_virtual_service_id: int = 0,
    digest: str,
    stay_s: int,
    reason: str,
    ticket: str = "",
    idempotency_key: str,
) -> Drill:
    """Ask for the failover by the ordinary rules (nothing can be forced in a drill), and measure from now on.

    Raises RequestRefused.
    """
    if not may(user, Capability.FAILOVER):
        raise RequestRefused("not_permitted", "You may not start a drill. Ask an operator.")
    if stay_s not in STAYS_S:
        raise RequestRefused("stale", f"A stay of {stay_s} s is not offered. Open the page again.")
    running = Drill.objects.filter(hostname=hostname, state__in=_RUNNING).select_related("there").first()
    if running is not None and running.there.idempotency_key != idempotency_key:
        raise RequestRefused("active_operation", f"{running.requested_by_name} is drilling {hostname} already.")
    if running is None and Drill.objects.filter(state__in=_RUNNING).count() >= DRILLS_AT_ONCE:
        raise RequestRefused("plan", f"{DRILLS_AT_ONCE} drills are running: wait until one of them has ended.")
    operation = requesting.request_failover(
        user=user, hostname=hostname, kind=OperationKind.FAILOVER, to_server_id=to_server_id,
        to_virtual_service_id=to_virtual_service_id, digest=digest, reason=f"Drill: {reason}" if reason.strip() else "",
        ticket=ticket, idempotency_key=idempotency_key,
    )  # fmt: skip
    try:
        with transaction.atomic():
            drill = Drill.objects.create(
                hostname=hostname, hostname_fqdn=hostname.fqdn, there=operation, stay_s=stay_s, reason=reason.strip(),
                requested_by=user, requested_by_name=str(user)[:150], request_id=acting().request_id,
            )  # fmt: skip
            audit.record(action="drill.started", object=drill, object_name=hostname.fqdn, reason=reason.strip())
    except IntegrityError:
        return Drill.objects.get(there=operation)  # the other half of a double click
    return drill


def go_back_now(*, drill: Drill, user: User) -> None:
    """End the stay on the standby. Raises RequestRefused (not_permitted, too_late)."""
    if not may(user, Capability.FAILOVER):
        raise RequestRefused("not_permitted", "You may not do this. Ask an operator.")
    staying = Drill.objects.filter(pk=drill.pk, state=DrillState.STAYING.value)
    with transaction.atomic():
        if staying.update(stay_until=timezone.now()) != 1:
            raise RequestRefused("too_late", "It is not staying on the standby at this moment.")
        audit.record(action="drill.back_now", object=drill, object_name=drill.hostname_fqdn)


def due_drills(now: datetime) -> list[str]:
    """Drills that are to be carried on, and that nobody works on."""
    unattended = Q(lease_until__isnull=True) | Q(lease_until__lte=now)
    return [str(pk) for pk in Drill.objects.filter(unattended, state__in=_RUNNING).values_list("pk", flat=True)]


def carry_on(drill_id: uuid.UUID | str, *, owner: str, for_s: float = GO_S) -> bool:
    """Probe and lead the drill on for a while. Returns whether to come again. Never raises for what a network does."""
    now = timezone.now()
    free = Q(lease_until__isnull=True) | Q(lease_until__lte=now)
    taken = Drill.objects.filter(free, pk=drill_id, state__in=_RUNNING)
    if taken.update(lease_owner=owner[:64], lease_until=now + timedelta(seconds=LEASE_S)) != 1:
        return False
    drill = Drill.objects.select_related("hostname", "requested_by", "there", "back").get(pk=drill_id)
    with act_as(Acting(drill.requested_by_id, drill.requested_by_name, None, drill.request_id)):
        try:
            return _Drilling(drill, owner[:64]).go(for_s)
        except DatabaseError:
            log.exception("Drill %s lost its database; it is taken up again.", drill_id)
    return False


class _Drilling:
    """One worker's go at one drill."""

    def __init__(self, drill: Drill, owner: str) -> None:
        self.drill = drill
        self.owner = owner
        self.seen = Outages.from_dict(drill.seen)
        self.client: Client | None = None
        if drill.hostname is not None:
            zone = wiring.zone_for(drill.hostname_fqdn)
            self.client = client_of(drill.hostname, wiring.endpoints_of(zone))
        self.ask_back_at = 0.0

    def go(self, for_s: float) -> bool:
        """Probe a few times a second; each second, save what was seen and look how far the operations are."""
        until = time.monotonic() + for_s
        while True:
            second_ends = time.monotonic() + SAVE_EVERY_S
            while time.monotonic() < second_ends:
                self._probe()
            if not self._save():
                return False
            self._advance()
            if self.drill.state not in _RUNNING:
                return False
            if time.monotonic() >= until:
                Drill.objects.filter(pk=self.drill.pk, lease_owner=self.owner).update(lease_owner="", lease_until=None)
                return True

    def _probe(self) -> None:
        started = time.monotonic()
        problem = self.client.probe() if self.client else "the hostname is no longer in the estate"
        self.seen = self.seen.note(time.time(), problem)
        time.sleep(max(PROBE_EVERY_S - (time.monotonic() - started), 0.01))

    def _save(self, **fields: Any) -> bool:
        """Store what was seen. False where somebody else has the drill now."""
        fields.setdefault("lease_until", timezone.now() + timedelta(seconds=LEASE_S))
        ours = Drill.objects.filter(pk=self.drill.pk, lease_owner=self.owner)
        saved = ours.update(seen=self.seen.as_dict(), **fields) == 1
        self.drill.refresh_from_db()
        live.bump_and_publish(hostname_ids=set(), operations={str(self.drill.pk)})
        return saved

    def _advance(self) -> None:
        state = DrillState(self.drill.state)
        if state is DrillState.THERE:
            self._there()
        elif state is DrillState.STAYING:
            self._staying()
        else:
            self._back()

    def _there(self) -> None:
        there = FailoverOperation.objects.get(pk=self.drill.there_id)
        if there.state in _ACTIVE:
            return
        if there.state == OperationState.SUCCEEDED:
            until = timezone.now() + timedelta(seconds=self.drill.stay_s)
            self._save(state=DrillState.STAYING.value, stay_until=until)
            return
        where = "" if there.written_at is None else " Nothing more is done by itself: look at it, then fail back."
        self._end(DrillState.FAILED, f"The failover did not succeed: {there.result}{where}")

    def _staying(self) -> None:
        now = timezone.now()
        until = self.drill.stay_until or now
        if now < until or time.monotonic() < self.ask_back_at:
            return
        self.ask_back_at = time.monotonic() + ASK_BACK_EVERY_S
        try:
            back = self._request_back()
        except RequestRefused as refused:
            if now - until > timedelta(seconds=BACK_PATIENCE_S):
                self._end(DrillState.FAILED, f"It could not be failed back by itself: {refused.sentence} Fail back.")
            else:
                self._save(result=f"Waiting to fail back: {refused.sentence}")
            return
        self._save(state=DrillState.BACK.value, back=back, result="")

    def _request_back(self) -> FailoverOperation:
        """By the same rules as a click. Coming twice, it is the same operation: the key says so."""
        drill = self.drill
        if drill.hostname is None or drill.requested_by is None:
            raise RequestRefused("plan", "The hostname, or who started the drill, is no longer here.")
        found = gathering.gather(hostname=drill.hostname, kind=OperationKind.FAILBACK)
        return requesting.request_failover(
            user=drill.requested_by, hostname=drill.hostname, kind=OperationKind.FAILBACK, to_server_id=0,
            digest=found.digest, reason=f"Drill, back: {drill.reason}", ticket=drill.there.ticket,
            idempotency_key=f"drill-{drill.pk.hex}",
        )  # fmt: skip

    def _back(self) -> None:
        back = FailoverOperation.objects.filter(drill_back=self.drill).first()
        if back is None or back.state in _ACTIVE:
            return
        if back.state == OperationState.SUCCEEDED:
            self._end(DrillState.SUCCEEDED, f"There and back. {outage_sentence(self.seen)}")
        else:
            self._end(DrillState.FAILED, f"The failback did not succeed: {back.result}")

    def _end(self, state: DrillState, sentence: str) -> None:
        outcome = AuditOutcome.OK if state is DrillState.SUCCEEDED else AuditOutcome.FAILED
        with transaction.atomic():
            if not self._save(state=state.value, result=sentence, ended_at=timezone.now(), lease_until=None):
                return
            audit.record(
                action="drill.ended",
                outcome=outcome,
                object=self.drill,
                object_name=self.drill.hostname_fqdn,
                reason=sentence,
                after={"longest_outage_s": round(self.seen.longest_s, 1), "probes": self.seen.probes},
            )


def outage_sentence(seen: Outages) -> str:
    """What a client saw, in one or two sentences."""
    if not seen.probes:
        return "No client was measured."
    gap = f" For {seen.not_measured_s:.0f} s nobody measured." if seen.not_measured_s else ""
    if not seen.failed:
        return f"A client that probed {seen.probes} times saw no outage.{gap}"
    share = f"{seen.failed} of {seen.probes} probes failed"
    return f"The longest outage that a client saw was {seen.longest_s:.1f} s ({share}).{gap}"
