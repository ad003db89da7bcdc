"""What is known about an operation while it runs, and how it ends from that."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

from django.db import connections, transaction
from django.utils import timezone

from a365admin.audit import services as audit
from a365admin.audit.models import Outcome as AuditOutcome
from dnsops import asking, verify, wiring
from dnsops.breakglass import keeping
from dnsops.checkpoints import checkpoint
from dnsops.claims import Claim, assert_may_end
from dnsops.conf import conf
from dnsops.lifecycle import (
    STEP_ORDER,
    EndFacts,
    OperationState,
    Seen,
    StepKind,
    StepState,
    Write,
    end_state,
)
from dnsops.models import DnsChange
from dnsops.plan import Answer, Plan
from dnsops.providers.base import OutcomeKind
from pools import live, services as pools_services

log = logging.getLogger(__name__)

AUDIT_OUTCOMES = {
    OperationState.SUCCEEDED: AuditOutcome.OK,
    OperationState.FAILED: AuditOutcome.FAILED,
    OperationState.INCOMPLETE: AuditOutcome.INCOMPLETE,
    OperationState.UNKNOWN: AuditOutcome.UNKNOWN,
}


_messenger = ThreadPoolExecutor(1, thread_name_prefix="announce")


def _publish(operation_id: str) -> None:
    try:
        live.bump_and_publish(hostname_ids=set(), operations={operation_id})
    except Exception:
        log.exception("The pages were not told of operation %s.", operation_id)
    finally:
        connections.close_all()  # it asks the database only while the broker is lost


class Ending:
    """What the steps find out. ``late``: servers without the new answer; ``refusal``: why nothing was done."""

    def __init__(self, claimed: Claim) -> None:
        self.claim = claimed
        self.operation = claimed.operation
        self.plan = Plan.from_dict(self.operation.plan)
        self.zone, self.endpoints = wiring.wiring_of(self.operation)
        self.writer = wiring.writer_of(self.endpoints)
        self.conf = conf()
        self.at_writer: Answer | None = None
        self.late: list[str] = []
        self.not_yet: list[str] = []
        self.remark = ""
        self.verified = claimed.ended(StepKind.VERIFY)
        self.service_problem = ""
        self.refusal = ""

    def end(self) -> None:
        """Write the end, and the audit entry with it."""
        checkpoint("before_end")
        end = end_state(self._end_facts())
        assert_may_end(end.state)
        with transaction.atomic():
            for kind in STEP_ORDER:
                self.skip(kind, "")
            self.claim.renew(
                state=end.state.value,
                result=end.sentence,
                ended_at=timezone.now(),
                lease_until=None,
                lease_owner="",
            )
            change = self.plan.change
            audit.record(
                action="operation.ended",
                outcome=AUDIT_OUTCOMES[end.state],
                object=self.operation,
                object_name=self.operation.hostname_fqdn,
                reason=end.sentence,
                before={
                    "answer": str(change.expected),
                    "ttl_s": change.expected.ttl_s,
                    "server": self.plan.from_server,
                },
                after={
                    "answer": self.at_writer.text if self.at_writer else "",
                    "ttl_s": change.new.ttl_s,
                    "server": self.plan.to_server,
                    "writer": str(self.writer),
                    "state": end.state.value,
                },
            )
        checkpoint("ended")
        self._announce_end()

    def end_after_mistake(self) -> None:
        """A mistake of ours stopped the work: end with what is known, or leave it to the next worker."""
        self.refusal = "A mistake in a365admin itself stopped the operation; its log has the details."
        try:
            if self.at_writer is None and self.writer is not None and self.claim.changes:
                self.at_writer = asking.ask(self.writer, self.plan.hostname, timeout_s=self.conf.ask_timeout_s)
            self.end()
        except Exception:
            log.exception("Operation %s could not be ended; it is taken up again.", self.operation.pk)

    def _end_facts(self) -> EndFacts:
        verify_step = self.claim.step(StepKind.VERIFY)
        late, not_yet = self.late, self.not_yet
        if not (late or not_yet) and verify_step.state == StepState.WARNING:
            late, not_yet = verify.split_late(
                verify.rows_from(verify_step.evidence), changed_at=self.operation.written_at, now=timezone.now()
            )
        return EndFacts(
            to_server=self.plan.to_server,
            writer=self.writer_name,
            writes=tuple(write_of(row) for row in self.claim.changes),
            at_writer=self.seen(),
            writer_text=self.at_writer.text if self.at_writer else "",
            verified=self.verified and self.claim.ended(StepKind.VERIFY),
            late=tuple(late),
            not_yet=tuple(not_yet),
            remark=self.remark,
            service_problem=self.service_problem or self._recorded_problem(),
            refusal=self.refusal,
            by_hand=self.operation.by_hand,
        )

    def _recorded_problem(self) -> str:
        step = self.claim.step(StepKind.PROBE)
        return step.sentence if step.state == StepState.WARNING else ""

    def skip(self, kind: StepKind, sentence: str) -> None:
        """A step that will not be done: skipped where it never began, failed where it was under way."""
        if kind not in self.claim.steps:
            return  # an operation of an earlier version
        step = self.claim.step(kind)
        if step.state == StepState.WAITING:
            self.claim.set_step(kind, StepState.SKIPPED, sentence)
        elif step.state == StepState.RUNNING:
            self.claim.set_step(kind, StepState.FAILED, sentence)

    @property
    def writer_name(self) -> str:
        """The writer's name, also where it is no longer configured."""
        return self.writer.name if self.writer else self.plan.writer

    def compare(self, answer: Answer) -> Seen:
        """Which of the two an answer is: the new one or the old one."""
        return verify.compare(answer, new=self.plan.change.new, old=self.plan.change.expected)

    def seen(self) -> Seen:
        """What the writer said last, compared with the plan."""
        return self.compare(self.at_writer) if self.at_writer else Seen.SILENT

    def announce(self) -> None:
        """Tell the live pages that this operation has news; in a thread apart, for DNS must not wait for pages."""
        _messenger.submit(_publish, str(self.operation.pk))

    def _announce_end(self) -> None:
        """At the end the hostname's row changes too, and its DNS answers are asked for at once."""
        hostname_id = self.operation.hostname_id
        live.bump_and_publish(hostname_ids={hostname_id}, operations={str(self.operation.pk)})
        servers = self.zone.servers if self.zone else []
        pools_services.ask_now([f"dns:{server.pk}:{hostname_id}" for server in servers])
        keeping.refresh()


def write_of(row: DnsChange) -> Write:
    """What one message means for what is true now."""
    if row.outcome in {OutcomeKind.APPLIED.value, OutcomeKind.ALREADY.value}:
        return Write.ACKNOWLEDGED if row.outcome == OutcomeKind.APPLIED else Write.CONFLICT
    if row.outcome in {"", OutcomeKind.UNKNOWN.value}:
        return Write.UNANSWERED
    return Write.CONFLICT if row.outcome == OutcomeKind.CONFLICT else Write.REFUSED


def evidence_of(answers: list[Answer]) -> dict[str, object]:
    """Answers as a step keeps them."""
    return {"answers": [answer.as_dict() for answer in answers]}
