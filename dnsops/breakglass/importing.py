"""What was done without a database becomes operations, history and audit entries; each attempt once, however often."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction

from a365admin.audit import services as audit
from a365admin.audit.context import Acting, act_as
from a365admin.audit.models import AuditEntry, ChainHead
from dnsops.breakglass import files, journal
from dnsops.breakglass.bundle import BundleError
from dnsops.breakglass.journal import JournalError, Line
from dnsops.ending import AUDIT_OUTCOMES
from dnsops.lifecycle import STEP_ORDER, OperationState, StepKind, StepState
from dnsops.models import DnsChange, FailoverOperation, OperationStep
from dnsops.plan import Plan
from dnsops.providers.base import OutcomeKind
from pools import live
from pools.models import DedicatedHostname, Server, VirtualService

log = logging.getLogger(__name__)

TAKEN_IN = "breakglass.taken_in"
BROKE_OFF = {
    False: "It broke off before anything was sent. This operation changed nothing.",
    True: "It broke off after the change had been sent, so it may or may not have been made. Ask again here.",
}
_seen: tuple[int, int] = (0, 0)


@dataclass(slots=True)
class Run:
    """One attempt, as the journal has it."""

    run: str
    began: Line
    sent: list[Line] = field(default_factory=list)
    answered: dict[int, Line] = field(default_factory=dict)
    ended: Line | None = None

    @property
    def last_at(self) -> datetime:
        """When its last line was written."""
        lines = [self.began, *self.sent, *self.answered.values(), *([self.ended] if self.ended else [])]
        return max(datetime.fromisoformat(line.at) for line in lines)

    @property
    def state(self) -> OperationState:
        """How it ended, as far as the journal knows."""
        if self.ended is not None:
            return OperationState(self.ended.content["state"])
        return OperationState.UNKNOWN if self.sent else OperationState.FAILED

    @property
    def sentence(self) -> str:
        """The sentence that it ended with."""
        return str(self.ended.content["sentence"]) if self.ended else BROKE_OFF[bool(self.sent)]


def runs_of(lines: Iterable[Line]) -> list[Run]:
    """The journal's lines, by attempt, in the order in which the attempts began."""
    runs: dict[str, Run] = {}
    for line in lines:
        if line.event == "began":
            runs[line.run] = Run(line.run, line)
        elif (run := runs.get(line.run)) is not None:
            if line.event == "sending":
                run.sent.append(line)
            elif line.event == "answered":
                run.answered[line.content["attempt"]] = line
            elif line.event == "ended":
                run.ended = line
    return list(runs.values())


def take_in() -> list[FailoverOperation | None]:
    """Take in what the journal has and we do not; None stands for one whose hostname is gone (it is in the log).

    An attempt that is under way is left for later. Raises BundleError, JournalError.
    """
    path = settings.BREAKGLASS["journal"]
    if not path.exists() or journal.in_use(path):
        return []
    taken: list[FailoverOperation | None] = []
    for run in runs_of(journal.read(path, files.read_key(settings.BREAKGLASS["key"]))):
        try:
            with transaction.atomic():
                list(ChainHead.objects.select_for_update())  # two who take it in at once do so one after the other
                if not AuditEntry.objects.filter(action=TAKEN_IN, object_id=run.run).exists():
                    with act_as(Acting(actor_name=str(run.began.content["by"])[:150])):
                        operation = _take_in(run)
                    _record_taking_in(run, operation)
                    taken.append(operation)
        except IntegrityError:
            log.warning("Break-glass attempt %s was taken in by somebody else at the same time.", run.run)
    operations = [operation for operation in taken if operation is not None]
    if operations:
        live.bump_and_publish(
            hostname_ids={operation.hostname_id for operation in operations},
            operations={str(operation.pk) for operation in operations},
        )
    return taken


def take_in_new() -> None:
    """For the sweeper: look only where the journal has grown; what is wrong with it is logged, once."""
    global _seen  # noqa: PLW0603 (what this process has looked at)
    try:
        found = settings.BREAKGLASS["journal"].stat()
    except OSError:
        return
    now = (found.st_size, found.st_mtime_ns)
    if now == _seen or journal.in_use(settings.BREAKGLASS["journal"]):
        return
    try:
        for operation in take_in():
            log.warning("Taken in from the break-glass journal: %s", operation or "an attempt on a lost hostname")
    except (BundleError, JournalError) as error:
        log.error("The break-glass journal could not be taken in: %s", error)
    _seen = now


def _take_in(run: Run) -> FailoverOperation | None:
    plan = Plan.from_dict(run.began.content["plan"])
    hostname = DedicatedHostname.objects.filter(fqdn=plan.hostname).first()
    operation = _operation(run, plan, hostname) if hostname else None
    change = plan.change
    target: dict[str, Any] = {"object": operation} if operation else {"object_type": "failover operation"}
    forced = bool(run.began.content["forced"])
    audit.record(
        action=f"{plan.kind}.{'forced' if forced else 'requested'}",
        **target,
        object_name=plan.hostname,
        reason=run.began.content["reason"],
        before={"answer": str(change.expected), "ttl_s": change.expected.ttl_s, "server": plan.from_server},
        after={
            "answer": str(change.new),
            "ttl_s": change.new.ttl_s,
            "server": plan.to_server,
            "ticket": run.began.content["ticket"],
            "overridden": run.began.content["forced"],
            "done_at": run.began.at,
            "how": "break-glass",
        },
    )
    audit.record(
        action="operation.ended",
        outcome=AUDIT_OUTCOMES[run.state],
        **target,
        object_name=plan.hostname,
        reason=run.sentence,
        after={"state": run.state.value, "server": plan.to_server, "done_at": run.last_at.isoformat()},
    )
    return operation


def _record_taking_in(run: Run, operation: FailoverOperation | None) -> None:
    """What makes the next taking in leave this attempt out."""
    audit.record(
        action=TAKEN_IN,
        object_type="break-glass attempt",
        object_id=run.run,
        object_name=run.began.content["plan"]["hostname"],
        reason="" if operation else "The hostname is no longer in the estate, so there is no operation to show.",
        after={"operation": str(operation.pk) if operation else "", "bundle": run.began.content["bundle_written_at"]},
    )


def _operation(run: Run, plan: Plan, hostname: DedicatedHostname) -> FailoverOperation:
    began = run.began.content
    at = datetime.fromisoformat(run.began.at)
    changed = run.state in {OperationState.SUCCEEDED, OperationState.INCOMPLETE}
    names = [plan.from_server, plan.to_server]
    servers = {server.name: server for server in Server.objects.filter(name__in=names)}
    services = {service.name: service for service in VirtualService.objects.filter(name__in=names)}
    operation = FailoverOperation.objects.create(
        hostname=hostname,
        hostname_fqdn=hostname.fqdn,
        kind=plan.kind,
        state=run.state.value,
        from_server=servers.get(plan.from_server),
        from_virtual_service=services.get(plan.from_server),
        from_text=plan.from_server,
        to_server=servers.get(plan.to_server) if plan.to_server_id else None,
        to_virtual_service=services.get(plan.to_server) if plan.to_virtual_service_id else None,
        to_text=plan.to_server,
        plan=began["plan"],
        digest=began["digest"],
        findings=began["findings"],
        reason=began["reason"],
        ticket=began["ticket"][:60],
        forced=bool(began["forced"]),
        overridden=began["forced"],
        requested_by_name=str(began["by"])[:150],
        idempotency_key=f"breakglass:{run.run}",
        created_at=at,
        started_at=at,
        written_at=_written_at(run) if changed else None,
        ended_at=run.last_at,
        result=f"Done by break-glass. {run.sentence}",
    )
    OperationStep.objects.bulk_create(_steps(run, operation))
    DnsChange.objects.bulk_create(_changes(run, operation, plan))
    return operation


def _written_at(run: Run) -> datetime:
    applied = [line.at for line in run.answered.values() if line.content["outcome"] == OutcomeKind.APPLIED]
    return datetime.fromisoformat(applied[-1]) if applied else run.last_at


def _steps(run: Run, operation: FailoverOperation) -> Iterable[OperationStep]:
    """What of the steps was done; the wait for old answers was not ours to wait."""
    ended = run.ended.content if run.ended else {}
    answers = ended.get("answers", [])
    good = run.state is OperationState.SUCCEEDED
    last = max(run.answered.items(), default=(0, None))[1]
    problem = ended.get("service_problem", "")
    found: dict[StepKind, tuple[StepState, str, dict[str, Any]]] = {
        StepKind.CHECK_AGAIN: (StepState.DONE, "Looked at before it was confirmed at the terminal.", {}),
        StepKind.WAIT_TTL: (StepState.SKIPPED, "Not waited for.", {}),
    }
    if run.sent:
        applied = last is not None and last.content["outcome"] == OutcomeKind.APPLIED
        sentence = last.content["sentence"] if last else "Sent; its answer was not written down."
        state = StepState.DONE if applied or good else StepState.WARNING if last is None else StepState.FAILED
        found[StepKind.WRITE] = (state, sentence, last.content["evidence"] if last else {})
    if answers:
        all_new = all(answer["seen"] == "new" for answer in answers)
        sentence = f"{sum(a['seen'] == 'new' for a in answers)} of {len(answers)} DNS servers give the new answer."
        found[StepKind.READ_BACK] = (StepState.DONE, "Read back.", {})
        found[StepKind.VERIFY] = (StepState.DONE if all_new else StepState.WARNING, sentence, {"answers": answers})
        if all_new:
            found[StepKind.PROBE] = (StepState.WARNING if problem else StepState.DONE, problem or "Working.", {})
    for order, kind in enumerate(STEP_ORDER, 1):
        state, sentence, evidence = found.get(kind, (StepState.SKIPPED, "", {}))
        yield OperationStep(
            operation=operation, order=order, kind=kind.value, state=state.value, sentence=sentence, evidence=evidence,
            started_at=operation.created_at, ended_at=operation.ended_at,
        )  # fmt: skip


def _changes(run: Run, operation: FailoverOperation, plan: Plan) -> Iterable[DnsChange]:
    for line in run.sent:
        answer = run.answered.get(line.content["attempt"])
        yield DnsChange(
            operation=operation,
            attempt=line.content["attempt"],
            writer=line.content["writer"][:120],
            zone=plan.change.zone,
            name=plan.change.name,
            before=plan.change.expected.as_dict(),
            after=plan.change.new.as_dict(),
            sent_at=datetime.fromisoformat(line.at),
            answered_at=datetime.fromisoformat(answer.at) if answer else None,
            outcome=answer.content["outcome"] if answer else "",
            rcode=answer.content["rcode"] if answer else "",
            sentence=answer.content["sentence"] if answer else "",
        )
