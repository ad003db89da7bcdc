"""Asking the resolvers that the administrator names, as their clients do: with recursion, and never otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from dnsops import asking
from dnsops.conf import conf
from dnsops.lifecycle import Seen, StepKind, StepState
from dnsops.models import FailoverOperation, OperationStep, Resolver
from dnsops.plan import Answer, Plan
from dnsops.providers.base import Endpoint
from dnsops.turning import ResolverRow, advance, is_late, late_after, told
from dnsops.wiring import endpoints_of, zone_for

ROWS = "resolvers"


def endpoint_of(resolver: Resolver) -> Endpoint:
    """Where a resolver is asked. Its key is its database id: two sites may use the same short name."""
    return Endpoint(str(resolver.pk), resolver.address, resolver.port, recursive=True)


def resolvers() -> list[Resolver]:
    """All of them, by site."""
    return list(Resolver.objects.select_related("site"))


def ask(found: Sequence[Resolver], name: str, *, timeout_s: float) -> list[Answer]:
    """Ask all of them at once; takes no longer than ``timeout_s``. TTLs are what is left of them."""
    return asking.ask_together([endpoint_of(resolver) for resolver in found], name, timeout_s=timeout_s)


def first_rows(found: Sequence[Resolver], at: datetime) -> list[ResolverRow]:
    """Rows of resolvers that were not asked yet."""
    return [
        ResolverRow(
            key=str(resolver.pk),
            site=resolver.site.name,
            name=resolver.name,
            where=f"{resolver.address}, port {resolver.port}",
            seen=Seen.SILENT,
            text="not asked yet",
            asked_at=at,
        )
        for resolver in found
    ]


def rows_of(step: OperationStep | None) -> list[ResolverRow]:
    """The rows that a step keeps."""
    return [ResolverRow.from_dict(row) for row in (step.evidence.get(ROWS) or [])] if step is not None else []


def limit_of(operation: FailoverOperation) -> datetime:
    """From when on a resolver with the old answer is late."""
    lags = [endpoint.expected_lag_s for endpoint in endpoints_of(zone_for(operation.hostname_fqdn))]
    return limit_from(operation, max(lags, default=0.0))


def limit_from(operation: FailoverOperation, longest_lag_s: float) -> datetime:
    """The same, where the longest expected lag of the authoritative servers is known already."""
    return late_after(
        changed_at=operation.written_at or operation.created_at,
        old_ttl_s=Plan.from_dict(operation.plan).change.expected.ttl_s,
        longest_lag_s=longest_lag_s,
    )


def ask_rows(rows: Sequence[ResolverRow], plan: Plan, *, only: Iterable[str] | None = None) -> list[ResolverRow]:
    """Ask those that have not turned (or only some of them), and return all rows as they are then."""
    wanted = {row.key for row in rows if row.turned_at is None}
    if only is not None:
        wanted &= set(only)
    found = {str(resolver.pk): resolver for resolver in resolvers() if str(resolver.pk) in wanted}
    asked = list(found.values())
    answers = dict(zip(found, ask(asked, plan.hostname, timeout_s=conf().ask_timeout_s), strict=True))
    now, change = timezone.now(), plan.change
    result = []
    for row in rows:
        if row.key in answers:
            result.append(advance(row, answers[row.key], at=now, new=change.new, old=change.expected))
        elif row.key in wanted:
            result.append(replace(row, seen=Seen.ERROR, text="no longer entered here", asked_at=now))
        else:
            result.append(row)
    return result


def evidence_of(rows: Sequence[ResolverRow]) -> dict[str, Any]:
    """The rows as a step keeps them."""
    return {ROWS: [row.as_dict() for row in rows]}


def state_of(rows: Sequence[ResolverRow], *, now: datetime, limit: datetime, over: bool) -> StepState:
    """How far the step is. ``over``: the operation does not wait for them any longer."""
    if all(row.turned_at is not None for row in rows):
        return StepState.DONE
    late = any(is_late(row, now=now, limit=limit) for row in rows)
    return StepState.WARNING if late or over else StepState.RUNNING


def record(step_id: int, asked: Sequence[ResolverRow], *, limit: datetime, over: bool) -> OperationStep:
    """Merge what was asked into the step's rows, in one transaction: another asker's newer rows stay."""
    now = timezone.now()
    with transaction.atomic():
        step = OperationStep.objects.select_for_update().get(pk=step_id)
        rows = merge(rows_of(step), asked)
        before = StepState(step.state)
        if before not in {StepState.RUNNING, StepState.WARNING}:
            return step
        state = state_of(rows, now=now, limit=limit, over=over or before is StepState.WARNING)
        step.state, step.sentence = state.value, told(rows, now=now, limit=limit)
        step.evidence = evidence_of(rows)
        step.ended_at = None if state is StepState.RUNNING else step.ended_at or now
        if state is StepState.DONE:
            step.ended_at = max((row.turned_at for row in rows if row.turned_at), default=now)
        step.save(update_fields=["state", "sentence", "evidence", "ended_at"])
    return step


def merge(kept: Sequence[ResolverRow], asked: Sequence[ResolverRow]) -> list[ResolverRow]:
    """Of each resolver the row that knows more: one that has turned, or else the one that was asked last."""
    newer: Mapping[str, ResolverRow] = {row.key: row for row in asked}
    return [min(row, newer.get(row.key, row), key=_known) for row in kept]


def _known(row: ResolverRow) -> tuple[bool, float]:
    """Sorts what knows more before what knows less: turned, and early; or else asked last."""
    at = row.turned_at.timestamp() if row.turned_at else -row.asked_at.timestamp()
    return (row.turned_at is None, at)


def step_of(operation: FailoverOperation) -> OperationStep | None:
    """The step of the resolvers; operations of an earlier version have none."""
    return operation.steps.filter(kind=StepKind.RESOLVERS.value).first()
