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

from a365admin.prepared import Prepared
from dnsops.conf import conf
from dnsops.lifecycle import OperationState, StepKind, StepState, may_follow, step_may_follow
from dnsops.models import DnsChange, FailoverOperation, OperationStep

STEP_FIELDS = ("state", "started_at", "ended_at", "sentence", "evidence")
CLOCKS_APART_S = 60.0
"""By how much two machines' clocks may differ, in seconds: what is further off is a clock that was set."""


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
        change_step(self.steps[kind], state, sentence, evidence)
        self.steps[kind].save(update_fields=STEP_FIELDS)


def change_step(
    step: OperationStep, state: StepState, sentence: str = "", evidence: dict[str, Any] | None = None
) -> None:
    """Change a step in memory (``STEP_FIELDS``). Raises ValueError for what ``lifecycle`` does not allow."""
    old = StepState(step.state)
    if old is not state and not step_may_follow(old, state):
        raise ValueError(f"step {step.kind}: {old} -> {state}")
    now = timezone.now()
    step.state = state.value
    step.started_at = step.started_at or now
    step.ended_at = None if state is StepState.RUNNING else now
    step.sentence = sentence or step.sentence
    step.evidence = evidence if evidence is not None else step.evidence


def claim(operation_id: UUID | str, *, owner: str) -> Claim | None:
    """Take the operation if it is pending, or if nobody's lease on it runs; None where it is not to be had.

    In the caller's transaction where there is one, so that the first step's rows come with it.
    """
    now = timezone.now()
    lease_s = conf().lease_s
    ends = time.monotonic() + lease_s
    wanted = FailoverOperation.objects.filter(pk=operation_id)
    free = Q(state=OperationState.PENDING.value) | _let_go(now)
    free &= Q(together=False) | Q(written_at__isnull=False)  # all or nothing: only ``together`` may write it
    taking: dict[str, Any] = {
        "state": OperationState.RUNNING.value,
        "lease_owner": owner[:64],
        "lease_until": now + timedelta(seconds=lease_s),
        "fence": F("fence") + 1,
        "started_at": Coalesce("started_at", now),
        "result": "",
    }
    with transaction.atomic(savepoint=False):
        # The usual case first, by itself: its query is short, and a click waits for it.
        new = wanted.filter(state=OperationState.PENDING.value, together=False)
        if not (new.update(**taking) or wanted.filter(free).update(**taking)):
            return None
        (operation,) = _operation(operation_id)
        steps = {StepKind(step.kind): step for step in _steps_of(operation.pk)}
        changes = list(operation.dns_changes.all()) if operation.fence > 1 else []
    return Claim(operation, steps, changes, operation.fence, ends)


_operation = Prepared(lambda pk: FailoverOperation.objects.filter(pk=pk), UUID)
_steps_of = Prepared(lambda operation: OperationStep.objects.filter(operation=operation).order_by("order"), UUID)


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


def _let_go(now: datetime) -> Q:
    """Running, and nobody's: the lease has ended, or ends later than any lease can.

    The latter is one from before a clock was set back; nobody must wait for that clock to catch up. Who holds it still,
    if anybody, is stopped by the fence.
    """
    longest_s = max(conf().lease_s, conf().max_ttl_wait_s) + CLOCKS_APART_S
    ended = Q(lease_until__lte=now) | Q(lease_until__gt=now + timedelta(seconds=longest_s))
    return Q(state=OperationState.RUNNING.value) & ended


def due(now: datetime, *, pending_for_s: float) -> list[str]:
    """The ids of operations that nobody works on although somebody should; also after the clock was set back."""
    waited = Q(created_at__lte=now - timedelta(seconds=pending_for_s))
    waited |= Q(created_at__gt=now + timedelta(seconds=CLOCKS_APART_S))
    found = FailoverOperation.objects.filter(Q(state=OperationState.PENDING.value) & waited | _let_go(now)).exclude(
        together=True, written_at__isnull=True
    )
    return [str(pk) for pk in found.values_list("pk", flat=True)]


def assert_may_end(state: OperationState) -> None:
    """A mistake of ours, not the world's: an operation never ends in a state that is no end."""
    if not may_follow(OperationState.RUNNING, state):
        raise ValueError(f"running -> {state}")
