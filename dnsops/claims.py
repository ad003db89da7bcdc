"""Who may work on an operation: a conditional UPDATE takes it, a lease keeps it, a fence refuses whoever is late."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Coalesce
from django.utils import timezone

from dnsops.conf import conf
from dnsops.lifecycle import OperationState, StepKind, StepState, may_follow, step_may_follow
from dnsops.models import DnsChange, FailoverOperation, OperationStep


class LeaseLostError(Exception):
    """Somebody else has this operation now, or it was cancelled. Stop at once and write nothing."""


@dataclass(slots=True)
class Claim:
    """An operation that is ours until ``lease_ends`` (``time.monotonic()``). Every write of ours renews the lease."""

    operation: FailoverOperation
    steps: dict[StepKind, OperationStep]
    changes: list[DnsChange]
    fence: int
    lease_ends: float

    def renew(self, **fields: Any) -> None:
        """Write ``fields`` to the operation. Raises LeaseLostError where it is no longer ours."""
        lease_s = conf().lease_s
        fields.setdefault("lease_until", timezone.now() + timedelta(seconds=lease_s))
        ends = time.monotonic() + lease_s
        ours = FailoverOperation.objects.filter(
            pk=self.operation.pk, state=OperationState.RUNNING.value, fence=self.fence
        )
        if ours.update(**fields) != 1:
            raise LeaseLostError(str(self.operation.pk))
        self.lease_ends = ends
        for name, value in fields.items():
            setattr(self.operation, name, value)

    def step(self, kind: StepKind) -> OperationStep:
        """The row of a step."""
        return self.steps[kind]

    def ended(self, kind: StepKind) -> bool:
        """Whether a step is over."""
        return self.steps[kind].state not in {StepState.WAITING, StepState.RUNNING}

    def set_step(
        self, kind: StepKind, state: StepState, sentence: str = "", evidence: dict[str, Any] | None = None
    ) -> None:
        """Write a step's state; only what ``lifecycle`` allows. Belongs in a transaction with ``renew()``."""
        step = self.steps[kind]
        old = StepState(step.state)
        if old is not state and not step_may_follow(old, state):
            raise ValueError(f"step {kind}: {old} -> {state}")
        now = timezone.now()
        step.state = state.value
        step.started_at = step.started_at or now
        step.ended_at = None if state is StepState.RUNNING else now
        step.sentence = sentence or step.sentence
        step.evidence = evidence if evidence is not None else step.evidence
        step.save(update_fields=["state", "started_at", "ended_at", "sentence", "evidence"])


def claim(operation_id: UUID | str, *, owner: str) -> Claim | None:
    """Take the operation if it is pending, or if nobody's lease on it runs; None where it is not to be had.

    In the caller's transaction where there is one, so that the first step's rows come with it.
    """
    now = timezone.now()
    lease_s = conf().lease_s
    ends = time.monotonic() + lease_s
    free = Q(state=OperationState.PENDING.value) | Q(state=OperationState.RUNNING.value, lease_until__lte=now)
    free &= Q(together=False) | Q(written_at__isnull=False)  # all or nothing: only ``together`` may write it
    with transaction.atomic(savepoint=False):
        taken = FailoverOperation.objects.filter(free, pk=operation_id).update(
            state=OperationState.RUNNING.value,
            lease_owner=owner[:64],
            lease_until=now + timedelta(seconds=lease_s),
            fence=F("fence") + 1,
            started_at=Coalesce("started_at", now),
            result="",
        )
        if taken != 1:
            return None
        operation = FailoverOperation.objects.get(pk=operation_id)
        steps = {StepKind(step.kind): step for step in operation.steps.all()}
        changes = list(operation.dns_changes.all()) if operation.fence > 1 else []
    return Claim(operation, steps, changes, operation.fence, ends)


def end_wait_early(operation: FailoverOperation, *, sentence: str) -> bool:
    """End an operation that only waits for the old TTL. False where it has gone on meanwhile. In a transaction."""
    waiting = FailoverOperation.objects.filter(
        pk=operation.pk,
        state=OperationState.RUNNING.value,
        lease_owner="",
        steps__kind=StepKind.WAIT_TTL.value,
        steps__state=StepState.RUNNING.value,
    )
    now = timezone.now()
    ended = waiting.update(
        state=OperationState.SUCCEEDED.value, ended_at=now, result=sentence, fence=F("fence") + 1, lease_until=None
    )
    if not ended:
        return False
    left = [StepState.WAITING.value, StepState.RUNNING.value]
    kinds = [StepKind.RESOLVERS.value, StepKind.WAIT_TTL.value, StepKind.PROBE.value]
    operation.steps.filter(kind__in=kinds, state__in=left).update(
        state=StepState.SKIPPED.value, ended_at=now, sentence="Skipped: the next operation began."
    )
    return True


def due(now: datetime, *, pending_for_s: float) -> list[str]:
    """The ids of operations that nobody works on although somebody should."""
    found = FailoverOperation.objects.filter(
        Q(state=OperationState.PENDING.value, created_at__lte=now - timedelta(seconds=pending_for_s))
        | Q(state=OperationState.RUNNING.value, lease_until__lte=now)
    ).exclude(together=True, written_at__isnull=True)
    return [str(pk) for pk in found.values_list("pk", flat=True)]


def assert_may_end(state: OperationState) -> None:
    """A mistake of ours, not the world's: an operation never ends in a state that is no end."""
    if not may_follow(OperationState.RUNNING, state):
        raise ValueError(f"running -> {state}")
