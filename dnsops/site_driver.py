"""Carry a move on: begin the next operations, carry them out together, and say how it ended. Killed, it goes on."""

from __future__ import annotations

import logging
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import DatabaseError, IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from a365admin.audit import services as audit
from a365admin.audit.context import Acting, act_as
from a365admin.audit.models import Outcome as AuditOutcome
from dnsops.batch import Batch
from dnsops.claims import end_wait_early
from dnsops.conf import conf
from dnsops.gathering import only_waits
from dnsops.lifecycle import ACTIVE, STEP_ORDER, OperationState, StepState
from dnsops.models import FailoverOperation, OperationStep
from dnsops.move_models import MemberState, MoveState, SiteMove, SiteMoveMember
from dnsops.plan import Plan
from dnsops.together import Together
from pools import live

log = logging.getLogger(__name__)

# Below the broker's visibility timeout: a task that runs longer would be handed out a second time.
LONGEST_GO_S = 25.0
LEASE_S = 12.0
_ACTIVE = [state.value for state in ACTIVE]
WENT_WRONG = frozenset({OperationState.FAILED.value, OperationState.UNKNOWN.value})


def due_moves(now: datetime) -> list[str]:
    """The ids of moves that are to be carried on, and that nobody works on."""
    unattended = Q(lease_until__isnull=True) | Q(lease_until__lte=now)
    active = SiteMove.objects.exclude(state=MoveState.ENDED.value)
    return [str(pk) for pk in active.filter(unattended).values_list("pk", flat=True)]


def carry_on(move_id: uuid.UUID | str, *, owner: str) -> tuple[dict[str, datetime], bool]:
    """Carry a move on for a while. Returns when ``executor`` is to take up each operation, and whether to come again.

    Does nothing where somebody else works on it. Never raises for what DNS or network do; a lost database is logged.
    """
    resume_at: dict[str, datetime] = {}
    again = False
    try:
        move = _take(move_id, owner)
        if move is None:
            return {}, False
        with act_as(Acting(move.requested_by_id, move.requested_by_name, None, move.request_id)):
            again = _Drive(move, owner, resume_at).go()
    except DatabaseError:
        log.exception("Move %s lost its database; it is taken up again.", move_id)
    return resume_at, again


def _take(move_id: uuid.UUID | str, owner: str) -> SiteMove | None:
    now = timezone.now()
    free = Q(lease_until__isnull=True) | Q(lease_until__lte=now)
    taken = (
        SiteMove.objects.filter(free, pk=move_id)
        .exclude(state=MoveState.ENDED.value)
        .update(lease_owner=owner[:64], lease_until=now + timedelta(seconds=LEASE_S))
    )
    return SiteMove.objects.get(pk=move_id) if taken == 1 else None


class _Drive:
    """One worker's go at one move."""

    def __init__(self, move: SiteMove, owner: str, resume_at: dict[str, datetime]) -> None:
        self.move = move
        self.owner = owner
        self.resume_at = resume_at
        self.until = time.monotonic() + LONGEST_GO_S

    def go(self) -> bool:
        """Begin and carry out batch after batch. Returns whether there is more to do at once."""
        try:
            self._finish_what_was_begun()
            while self._may_begin() and (begun := self._begin()):
                self._carry_out(begun)
                if time.monotonic() > self.until:
                    return True
            self._stop_after_failure()
            self._end_if_all_ended()
        finally:
            SiteMove.objects.filter(pk=self.move.pk, lease_owner=self.owner[:64]).update(
                lease_owner="", lease_until=None
            )
        return False

    def _finish_what_was_begun(self) -> None:
        """All or nothing: what a killed worker has begun is carried on together. Otherwise ``executor`` does it."""
        if not self.move.together:
            return
        open_ones = FailoverOperation.objects.filter(
            move_member__move=self.move, state__in=_ACTIVE, written_at__isnull=True
        )
        if ids := list(open_ones.values_list("pk", flat=True)):
            self._carry_out(ids)

    def _keep(self) -> bool:
        """Lengthen the lease. False where somebody else has the move now."""
        ours = SiteMove.objects.filter(pk=self.move.pk, lease_owner=self.owner[:64])
        return ours.update(lease_until=timezone.now() + timedelta(seconds=LEASE_S)) == 1

    def _may_begin(self) -> bool:
        """Read the state anew before each batch: somebody may have stopped it."""
        if not self._keep():
            return False
        now = timezone.now()
        self.move.refresh_from_db()
        if self.move.state != MoveState.RUNNING or self._stop_after_failure():
            return False
        waiting = self.move.members.filter(state=MemberState.WAITING.value).exists()
        if waiting and (now - self.move.planned_at).total_seconds() > conf().pending_max_age_s:
            stop(self.move, "The plan is too old to be still what was wanted. Look again: resume makes a fresh one.")
            return False
        return waiting

    def _stop_after_failure(self) -> bool:
        """Where that was asked for: no new ones begin once an operation has failed, or its result is not known."""
        if not self.move.stop_at_failure or self.move.state != MoveState.RUNNING:
            return False
        wrong = self.move.members.filter(operation__state__in=WENT_WRONG).order_by("order").first()
        if wrong is None or not self.move.members.filter(state=MemberState.WAITING.value).exists():
            return False
        stop(self.move, f"{wrong.hostname_fqdn} did not go well, so no new ones begin. Look at it, then resume.")
        return True

    def _carry_out(self, ids: Sequence[uuid.UUID]) -> None:
        batch = Batch.claim(ids, owner=self.owner)
        batch.also_keep = self._keep
        together = Together(batch, all_or_nothing=self.move.together, planned_at=self.move.planned_at)
        together.go()
        self.resume_at |= together.resume_at
        live.bump_and_publish(hostname_ids=set(), operations={str(self.move.pk)})

    # -------------------------------------------------------------------------------------------------------- begin

    def _begin(self) -> list[uuid.UUID]:
        """Make operations of the next members. One whose hostname is being moved by somebody else is left out."""
        while True:
            waiting = self.move.members.filter(state=MemberState.WAITING.value).select_related("hostname")
            count = waiting.count() if self.move.together else self.move.at_once
            members = list(waiting.order_by("order")[:count])
            self._leave_out_busy(members)
            members = [member for member in members if member.state == MemberState.WAITING]
            if not members:
                if not self.move.members.filter(state=MemberState.WAITING.value).exists():
                    return []
                continue
            try:
                return self._insert(members)
            except IntegrityError:  # an operation began for one of them at this very moment: look who it is
                log.info("Move %s: an operation began elsewhere at the same moment; looking again.", self.move.pk)

    def _leave_out_busy(self, members: Sequence[SiteMoveMember]) -> None:
        ids = [member.hostname_id for member in members]
        active = FailoverOperation.objects.filter(hostname_id__in=ids, state__in=_ACTIVE).prefetch_related("steps")
        in_the_way: dict[int, FailoverOperation] = {}
        for operation in active:
            if only_waits(operation):
                sentence = f"Every DNS server answered {operation.to_text}. Ended early: the move {self.move} began."
                with transaction.atomic():
                    if end_wait_early(operation, sentence=sentence):
                        continue
            in_the_way[operation.hostname_id] = operation
        busy = [member for member in members if member.hostname_id in in_the_way]
        for member in members if busy and self.move.together else busy:
            own = in_the_way.get(member.hostname_id)
            first = in_the_way[busy[0].hostname_id]
            member.sentence = (
                f"{own.requested_by_name} was already moving it to {own.to_text}."
                if own
                else f"All or nothing: {first.requested_by_name} was already moving {first.hostname_fqdn}."
            )
            member.state = MemberState.LEFT_OUT.value
            member.save(update_fields=["state", "sentence"])

    def _insert(self, members: Sequence[SiteMoveMember]) -> list[uuid.UUID]:
        """One transaction: operations, steps, audit entries, who has which. Nothing where we have lost the move."""
        with transaction.atomic():
            if not self._keep():  # the row stays locked until the end of this transaction
                return []
            operations = [self._operation(member) for member in members]
            FailoverOperation.objects.bulk_create(operations, batch_size=200)
            OperationStep.objects.bulk_create(
                [
                    OperationStep(operation=op, order=order, kind=kind.value, state=StepState.WAITING.value)
                    for op in operations
                    for order, kind in enumerate(STEP_ORDER, 1)
                ],
                batch_size=200,
            )
            for member, operation in zip(members, operations, strict=True):
                member.state, member.operation = MemberState.BEGUN.value, operation
            SiteMoveMember.objects.bulk_update(members, ["state", "operation"], batch_size=200)
            live.mark_changed({member.hostname_id for member in members})
            audit.record_many([_begin_entry(operation, self.move) for operation in operations])
        return [operation.pk for operation in operations]

    def _operation(self, member: SiteMoveMember) -> FailoverOperation:
        plan = Plan.from_dict(member.plan)
        return FailoverOperation(
            hostname=member.hostname,
            hostname_fqdn=member.hostname_fqdn,
            kind=plan.kind,
            from_text=plan.from_server,
            to_server_id=plan.to_server_id or None,
            to_virtual_service_id=plan.to_virtual_service_id or None,
            to_text=plan.to_server,
            plan=member.plan,
            digest=member.digest,
            findings=member.findings,
            reason=self.move.reason,
            ticket=self.move.ticket,
            forced=bool(member.overridden),
            overridden=member.overridden,
            together=self.move.together,
            requested_by_id=self.move.requested_by_id,
            requested_by_name=self.move.requested_by_name,
            request_id=self.move.request_id,
            idempotency_key=uuid.uuid4().hex,
        )

    # ---------------------------------------------------------------------------------------------------------- end

    def _end_if_all_ended(self) -> None:
        members = self.move.members.all()
        if members.filter(state=MemberState.WAITING.value).exists():
            return
        states = list(members.values_list("state", "operation__state"))
        if any(operation in _ACTIVE for _, operation in states):
            return
        outcome, sentence = how_it_ended(states)
        with transaction.atomic():
            ended = SiteMove.objects.filter(pk=self.move.pk).exclude(state=MoveState.ENDED.value)
            if ended.update(state=MoveState.ENDED.value, ended_at=timezone.now(), result=sentence) != 1:
                return
            audit.record(
                action="site_move.ended",
                outcome=outcome,
                object=self.move,
                object_type="site move",
                object_name=str(self.move),
                reason=sentence,
            )
        live.bump_and_publish(hostname_ids=set(), operations={str(self.move.pk)})


def _begin_entry(operation: FailoverOperation, move: SiteMove) -> dict[str, Any]:
    change: dict[str, Any] = operation.plan["change"]
    return {
        "action": f"{operation.kind}.{'forced' if operation.forced else 'requested'}",
        "object": operation,
        "object_name": operation.hostname_fqdn,
        "reason": operation.reason,
        "before": {"answer": change["expected"], "server": operation.from_text},
        "after": {
            "answer": change["new"],
            "server": operation.to_text,
            "ticket": operation.ticket,
            "overridden": operation.overridden,
            "digest": operation.digest,
            "move": str(move.pk),
        },
    }


def stop(move: SiteMove, sentence: str) -> bool:
    """No new ones begin; those that run go on to their true end. False where it was not running."""
    running = SiteMove.objects.filter(pk=move.pk, state=MoveState.RUNNING.value)
    with transaction.atomic():
        if running.update(state=MoveState.STOPPED.value, result=sentence) != 1:
            return False
        audit.record(
            action="site_move.stopped", object=move, object_type="site move", object_name=str(move), reason=sentence
        )
    move.state, move.result = MoveState.STOPPED.value, sentence
    live.bump_and_publish(hostname_ids=set(), operations={str(move.pk)})
    return True


def how_it_ended(states: Sequence[tuple[str, str | None]]) -> tuple[AuditOutcome, str]:
    """Say how a move ended, from each member's state and its operation's."""
    left_out = sum(state == MemberState.LEFT_OUT for state, _ in states)
    counts = Counter(operation for _, operation in states if operation)
    good = counts[OperationState.SUCCEEDED.value]
    total = len(states)
    if good == total:
        return AuditOutcome.OK, f"All {total} hostnames have moved." if total > 1 else "The hostname has moved."
    parts = [f"{good} of {total} hostnames have moved"]
    words = {
        OperationState.INCOMPLETE.value: "incomplete",
        OperationState.UNKNOWN.value: "not known",
        OperationState.FAILED.value: "failed, nothing changed",
        OperationState.CANCELLED.value: "cancelled",
    }
    parts += [f"{counts[state]} {word}" for state, word in words.items() if counts[state]]
    parts += [f"{left_out} left out"] if left_out else []
    worst = next(
        (outcome for state, outcome in (
            (OperationState.UNKNOWN.value, AuditOutcome.UNKNOWN),
            (OperationState.INCOMPLETE.value, AuditOutcome.INCOMPLETE),
        ) if counts[state]),
        AuditOutcome.FAILED,
    )  # fmt: skip
    return worst, f"{'; '.join(parts)}."
