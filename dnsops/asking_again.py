"""After an end that left something open: ask every server again, and say what is true now."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from a365admin.accounts.models import User
from a365admin.accounts.permissions import Capability, may
from a365admin.audit import services as audit
from a365admin.audit.models import Outcome as AuditOutcome
from dnsops import resolving, target_health, verify, wiring
from dnsops.conf import conf
from dnsops.ending import AUDIT_OUTCOMES, write_of
from dnsops.lifecycle import (
    ACTIVE,
    VERIFIABLE_AGAIN,
    End,
    EndFacts,
    OperationState,
    Seen,
    StepKind,
    StepState,
    end_state,
    may_follow,
)
from dnsops.models import FailoverOperation
from dnsops.plan import Plan
from dnsops.requesting import RequestRefused
from pools import live


def retry_verification(*, operation: FailoverOperation, user: User | None = None) -> FailoverOperation:
    """Ask every server again, once, and probe the target; can turn INCOMPLETE or UNKNOWN into SUCCEEDED.

    Returns the operation, refreshed; its ``result`` says what was found. Takes at most one timeout of DNS and one of a
    probe. Raises RequestRefused (not_permitted, too_late, superseded).
    """
    _allowed(operation, user)
    plan = Plan.from_dict(operation.plan)
    rows = _ask(operation, plan)
    problem = ""
    if operation.to_target is not None:
        checks = target_health.checks_of(operation.to_target, operation.hostname)
        problem = target_health.problem_of(target_health.probe(checks, timeout_s=conf().probe_timeout_s))
    _record(operation, rows, problem, _end_of(operation, plan, rows, problem))
    operation.refresh_from_db()
    return operation


def ask_resolvers_again(*, operation: FailoverOperation, user: User) -> FailoverOperation:
    """Ask each resolver that has not turned, once, at most one timeout; what they say is in the operation's step.

    Raises RequestRefused (not_permitted, too_late, superseded).
    """
    step = resolving.step_of(operation)
    _may(operation, user)
    if step is None or step.state not in {StepState.RUNNING, StepState.WARNING}:
        raise RequestRefused("too_late", "There is no resolver left to ask.", operation)
    _is_latest(operation)
    rows = resolving.ask_rows(resolving.rows_of(step), Plan.from_dict(operation.plan))
    over = operation.state not in {state.value for state in ACTIVE}
    step = resolving.record(step.pk, rows, limit=resolving.limit_of(operation), over=over)
    audit.record(
        action="operation.resolvers_asked",
        object=operation,
        object_name=operation.hostname_fqdn,
        after={row.title: row.text for row in resolving.rows_of(step)},
    )
    live.bump_and_publish(hostname_ids=set(), operations={str(operation.pk)})
    return operation


def _may(operation: FailoverOperation, user: User | None) -> None:
    if user is not None and not may(user, Capability.FAILOVER):
        audit.record_apart(
            action="operation.ask_again_denied",
            outcome=AuditOutcome.DENIED,
            object=operation,
            object_name=operation.hostname_fqdn,
        )
        raise RequestRefused("not_permitted", "You may not do this. Ask an operator.")


def _allowed(operation: FailoverOperation, user: User | None) -> None:
    _may(operation, user)
    if operation.state not in VERIFIABLE_AGAIN:
        raise RequestRefused("too_late", "There is nothing left to ask: this operation has its end.", operation)
    _is_latest(operation)


def _is_latest(operation: FailoverOperation) -> None:
    later = FailoverOperation.objects.filter(
        hostname_id=operation.hostname_id, created_at__gt=operation.created_at
    ).first()
    if later is not None:
        raise RequestRefused(
            "superseded", "A later operation has moved this hostname since. Look at that one instead.", later
        )


def _ask(operation: FailoverOperation, plan: Plan) -> list[verify.Row]:
    _, endpoints = wiring.wiring_of(operation)
    answers = verify.ask_all(endpoints, plan.hostname, timeout_s=conf().ask_timeout_s)
    now = datetime.now(UTC)
    return [
        verify.Row(
            answer, verify.compare(answer, new=plan.change.new, old=plan.change.expected), now, endpoint.expected_lag_s
        )
        for endpoint, answer in zip(endpoints, answers, strict=True)
    ]


def _end_of(operation: FailoverOperation, plan: Plan, rows: list[verify.Row], problem: str) -> End:
    writers = next((row for row in rows if row.server == plan.writer), None)
    late, not_yet = verify.split_late(rows, changed_at=operation.written_at, now=timezone.now())
    return end_state(
        EndFacts(
            to_server=plan.to_server,
            writer=plan.writer,
            writes=tuple(write_of(row) for row in operation.dns_changes.all()),
            at_writer=writers.state if writers else Seen.SILENT,
            writer_text=writers.answer.text if writers else "",
            verified=bool(rows),
            late=tuple(late),
            not_yet=tuple(not_yet),
            service_problem=problem,
            by_hand=operation.by_hand,
        )
    )


def _record(operation: FailoverOperation, rows: list[verify.Row], problem: str, end: End) -> None:
    """Write what was found; the state changes only where ``lifecycle`` lets it."""
    state = end.state if may_follow(OperationState(operation.state), end.state) else OperationState(operation.state)
    sentence = f"Asked again at {timezone.now():%H:%M:%S} UTC: {end.sentence}"
    with transaction.atomic():
        changed: dict[str, Any] = {"state": state.value, "result": sentence}
        same = FailoverOperation.objects.filter(pk=operation.pk, state=operation.state)
        if same.update(**changed) != 1:
            raise RequestRefused("too_late", "Somebody else has asked at the same time. Look again.", operation)
        _steps(operation, rows, problem)
        audit.record(
            action="operation.asked_again",
            outcome=AUDIT_OUTCOMES[state],
            object=operation,
            object_name=operation.hostname_fqdn,
            reason=sentence,
            before={"state": operation.state},
            after={"state": state.value, "answers": {row.server: row.answer.text for row in rows}},
        )
        operation_id, hostname_id = str(operation.pk), operation.hostname_id
        transaction.on_commit(lambda: _publish(operation_id, hostname_id))


def _steps(operation: FailoverOperation, rows: list[verify.Row], problem: str) -> None:
    behind = verify.split_late(rows, changed_at=operation.written_at, now=timezone.now())
    late = [*behind[0], *behind[1]]
    found = {
        StepKind.VERIFY: "; ".join(late) + "." if late else f"All {len(rows)} DNS servers give the new answer.",
        StepKind.PROBE: problem or "Working.",
    }
    good = {StepKind.VERIFY: bool(rows) and not late, StepKind.PROBE: not problem}
    for step in operation.steps.filter(kind__in=[kind.value for kind in found]):
        kind = StepKind(step.kind)
        step.sentence = found[kind]
        step.ended_at = timezone.now()
        step.state = StepState.DONE.value if good[kind] else StepState.WARNING.value
        if kind is StepKind.VERIFY:
            step.evidence = {"answers": [row.as_dict() for row in rows]}
        step.save(update_fields=["sentence", "state", "ended_at", "evidence"])


def _publish(operation_id: str, hostname_id: int) -> None:
    live.bump_and_publish(hostname_ids={hostname_id}, operations={operation_id})
