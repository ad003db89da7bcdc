"""Many operations as rows: claimed, written and let go together; the number of queries does not grow with them."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Coalesce
from django.utils import timezone

from a365admin.audit import services as audit
from dnsops import verify
from dnsops.claims import STEP_FIELDS, change_step
from dnsops.conf import conf
from dnsops.ending import AUDIT_OUTCOMES, write_of
from dnsops.lifecycle import STEP_ORDER, EndFacts, OperationState, Seen, StepKind, StepState, end_state
from dnsops.models import DnsChange, FailoverOperation, OperationStep
from dnsops.plan import Answer, Plan
from pools import live

BATCH_SIZE = 200


@dataclass(slots=True, eq=False)
class One:
    """One operation of a batch, and what is known of it."""

    operation: FailoverOperation
    plan: Plan
    steps: dict[StepKind, OperationStep]
    changes: list[DnsChange]
    at_writer: Answer | None = None
    rows: dict[str, verify.Row] = field(default_factory=dict)
    dirty: set[StepKind] = field(default_factory=set)

    @property
    def name(self) -> str:
        """The hostname."""
        return self.plan.hostname

    @property
    def sent(self) -> bool:
        """Whether a message for it was, or may have been, sent."""
        return bool(self.changes)

    def compare(self, answer: Answer | None) -> Seen:
        """Which of the two an answer is: the new one or the old one."""
        if answer is None:
            return Seen.SILENT
        return verify.compare(answer, new=self.plan.change.new, old=self.plan.change.expected)

    def seen(self) -> Seen:
        """What the writer said last, compared with the plan."""
        return self.compare(self.at_writer)

    def ended(self, kind: StepKind) -> bool:
        """Whether a step is over."""
        return self.steps[kind].state not in {StepState.WAITING, StepState.RUNNING}

    def set_step(
        self, kind: StepKind, state: StepState, sentence: str = "", evidence: dict[str, Any] | None = None
    ) -> None:
        """Change a step in memory; ``Batch.write()`` stores it. Only what ``lifecycle`` allows."""
        change_step(self.steps[kind], state, sentence, evidence)
        self.dirty.add(kind)

    def skip_rest(self) -> None:
        """Steps that will not be done: skipped where they never began, failed where they were under way."""
        for kind in STEP_ORDER:
            if self.steps[kind].state == StepState.WAITING:
                self.set_step(kind, StepState.SKIPPED)
            elif self.steps[kind].state == StepState.RUNNING:
                self.set_step(kind, StepState.FAILED)


class Batch:
    """Operations that are ours until the lease ends. One that others have taken or cancelled drops out."""

    def __init__(self, ones: list[One], token: str, lease_ends: float) -> None:
        self.ones = ones
        self.token = token
        self.lease_ends = lease_ends
        self.also_keep: Callable[[], object] = bool

    @classmethod
    def claim(cls, operation_ids: Iterable[uuid.UUID], *, owner: str) -> Batch:
        """Take those of them that are pending, or whose worker's lease has run out."""
        now, lease_s = timezone.now(), conf().lease_s
        token, ends = f"{owner[:50]}:{uuid.uuid4().hex[:12]}", time.monotonic() + lease_s
        free = Q(state=OperationState.PENDING.value) | Q(state=OperationState.RUNNING.value, lease_until__lte=now)
        with transaction.atomic():
            FailoverOperation.objects.filter(free, pk__in=list(operation_ids)).update(
                state=OperationState.RUNNING.value,
                lease_owner=token,
                lease_until=now + timedelta(seconds=lease_s),
                fence=F("fence") + 1,
                started_at=Coalesce("started_at", now),
                result="",
            )
            batch = cls(_read(token), token, ends)
            for one in batch.ones:
                if one.steps[StepKind.CHECK_AGAIN].state == StepState.WAITING:
                    one.set_step(StepKind.CHECK_AGAIN, StepState.RUNNING)
            batch._store_steps(batch.ones)
        return batch

    def renew(self, ones: Sequence[One], **fields: Any) -> list[One]:
        """Write ``fields`` to these and lengthen the lease; return those that are no longer ours. In a transaction."""
        lease_s = conf().lease_s
        ends = time.monotonic() + lease_s
        fields.setdefault("lease_until", timezone.now() + timedelta(seconds=lease_s))
        ids = [one.operation.pk for one in ones]
        ours = FailoverOperation.objects.filter(pk__in=ids, state=OperationState.RUNNING.value, lease_owner=self.token)
        kept = set(ours.select_for_update().values_list("pk", flat=True))
        FailoverOperation.objects.filter(pk__in=kept).update(**fields)
        self.lease_ends = ends
        lost = [one for one in ones if one.operation.pk not in kept]
        if lost:
            gone = {one.operation.pk for one in lost}
            self.ones = [one for one in self.ones if one.operation.pk not in gone]
        return lost

    def keep(self) -> None:
        """Lengthen the lease where less than half of it is left."""
        if self.ones and self.lease_ends - time.monotonic() < conf().lease_s / 2:
            with transaction.atomic():
                self.renew(self.ones)
            self.also_keep()

    def write(self, ones: Sequence[One], **fields: Any) -> list[One]:
        """Store the steps that changed, and ``fields``, in one transaction; return those that are no longer ours."""
        with transaction.atomic():
            lost = self.renew(ones, **fields)
            self._store_steps([one for one in ones if one not in lost])
        return lost

    def _store_steps(self, ones: Iterable[One]) -> None:
        steps = [one.steps[kind] for one in ones for kind in one.dirty]
        OperationStep.objects.bulk_create(
            steps, update_conflicts=True, unique_fields=["id"], update_fields=STEP_FIELDS, batch_size=BATCH_SIZE
        )
        for one in ones:
            one.dirty.clear()

    def end(self, one: One, *, refusal: str) -> None:
        """Write the end of one operation from what is known, with its audit entry; it leaves the batch."""
        change = one.plan.change
        end = end_state(
            EndFacts(
                to_server=one.plan.to_server,
                writer=one.plan.writer,
                writes=tuple(write_of(row) for row in one.changes),
                at_writer=one.seen(),
                writer_text=one.at_writer.text if one.at_writer else "",
                refusal=refusal,
            )
        )
        with transaction.atomic():
            one.skip_rest()
            if self.write([one], state=end.state.value, result=end.sentence, ended_at=timezone.now(),
                          lease_until=None, lease_owner=""):  # fmt: skip
                return
            audit.record(
                action="operation.ended",
                outcome=AUDIT_OUTCOMES[end.state],
                object=one.operation,
                object_name=one.name,
                reason=end.sentence,
                before={"answer": str(change.expected), "server": one.plan.from_server},
                after={"answer": one.at_writer.text if one.at_writer else "", "state": end.state.value},
            )
        self.ones = [other for other in self.ones if other is not one]
        live.bump_and_publish(hostname_ids={one.operation.hostname_id}, operations={str(one.operation.pk)})

    def let_go(self, ones: Sequence[One], *, until: datetime | None = None) -> None:
        """Leave them to ``executor.run()``: now, or at ``until``. It resumes from their rows."""
        if ones:
            self.write(ones, lease_until=until or timezone.now(), lease_owner="")
            gone = {one.operation.pk for one in ones}
            self.ones = [one for one in self.ones if one.operation.pk not in gone]


def _read(token: str) -> list[One]:
    operations = (
        FailoverOperation.objects.filter(lease_owner=token)
        .select_related("hostname", "to_server", "to_virtual_service")
        .prefetch_related("steps", "dns_changes", "to_virtual_service__real_servers__server")
        .order_by("created_at", "hostname_fqdn")
    )
    return [
        One(
            operation,
            Plan.from_dict(operation.plan),
            {StepKind(step.kind): step for step in operation.steps.all()},
            list(operation.dns_changes.all()),
        )
        for operation in operations
    ]
