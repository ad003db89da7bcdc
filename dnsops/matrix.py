"""What an operation's page shows of DNS servers and resolvers: who says what, since when, and who is late."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone

from dnsops import resolving
from dnsops.conf import conf
from dnsops.lifecycle import OperationState, Seen, StepKind, StepState
from dnsops.models import FailoverOperation, OperationStep
from dnsops.turning import SHARE, ResolverRow, clients_moved_by, is_late, within_lag


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """One authoritative server's answer: what it says, for how long, and whether that is the new answer."""

    server: str
    answer: str
    ttl: str
    state: str
    word: str
    since: datetime | None


@dataclass(frozen=True, slots=True)
class ResolverLine:
    """One resolver: what it says. ``turned_at``: since when it is the new answer; ``turns_by``: its old one ends."""

    site: str
    name: str
    where: str
    answer: str
    status: str
    word: str
    turned_at: datetime | None
    turns_by: datetime | None
    asked_at: datetime


@dataclass(frozen=True, slots=True)
class Clients:
    """How clients follow: resolvers, and when 90 % should have moved. ``late``: names of resolvers that are."""

    lines: Sequence[ResolverLine]
    moved_by: datetime | None
    late: str
    open: str
    share: str = SHARE


def time_of(text: Any) -> datetime | None:
    """A time as evidence keeps it; None for what is none."""
    try:
        return datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _answers_in(step: OperationStep | None) -> list[dict[str, Any]]:
    """The answers of authoritative servers among a step's evidence."""
    for value in step.evidence.values() if step else ():
        if isinstance(value, list) and value and all(isinstance(item, dict) and "server" in item for item in value):
            return value
    return []


def matrix(operation: FailoverOperation, steps: Mapping[str, OperationStep]) -> list[MatrixRow]:
    """Each authoritative server's answer, by the latest step that asked them."""
    for kind in (StepKind.VERIFY.value, StepKind.READ_BACK.value, StepKind.CHECK_AGAIN.value):
        if answers := _answers_in(steps.get(kind)):
            return [_matrix_row(answer, operation) for answer in answers]
    return []


_SEEN_WORDS = {
    Seen.NEW.value: ("up", "New answer"),
    Seen.OLD.value: ("neutral", "Old answer"),
    Seen.OTHER.value: ("down", "Something else"),
    Seen.SILENT.value: ("unknown", "No answer"),
    Seen.ERROR.value: ("unknown", "Error"),
}


def _matrix_row(answer: dict[str, Any], operation: FailoverOperation) -> MatrixRow:
    rrset = answer.get("rrset") or {}
    seen = answer.get("seen") or _seen(answer, operation.plan.get("change", {}))
    state, word = _SEEN_WORDS[seen]
    if seen == Seen.OLD and operation.written_at is not None:
        lag_s = float(answer.get("lag_s", 0.0))
        normal = within_lag(Seen.OLD, lag_s=lag_s, changed_at=operation.written_at, now=timezone.now())
        state, word = ("switching", "Not yet: old answer") if normal else ("degraded", "Late: old answer")
    values = ", ".join(str(value) for value in rrset.get("values", []))
    return MatrixRow(
        server=str(answer["server"]),
        answer=str(answer.get("text") or f"{rrset.get('rtype', '')} {values}".strip() or answer.get("error") or "–"),
        ttl=f"{rrset['ttl_s']} s" if "ttl_s" in rrset else "–",
        state=state,
        word=word,
        since=time_of(answer.get("since")),
    )


def _seen(answer: dict[str, Any], change: dict[str, Any]) -> str:
    if answer.get("state") != "answered":
        return str(Seen.SILENT if answer.get("state") == "silent" else Seen.ERROR)
    values = list((answer.get("rrset") or {}).get("values", []))
    if values == list(change.get("new", {}).get("values", [])):
        return Seen.NEW.value
    return Seen.OLD.value if values == list(change.get("expected", {}).get("values", [])) else Seen.OTHER.value


def only_lagging(operation: FailoverOperation, rows: Sequence[MatrixRow]) -> bool:
    """Whether nothing is missing but servers that need not have followed yet: no fault, and not the end either."""
    behind = [row for row in rows if row.state != "up"]
    return (
        operation.state == OperationState.INCOMPLETE
        and bool(behind)
        and all(row.state == "switching" for row in behind)
    )


def clients(operation: FailoverOperation, steps: Mapping[str, OperationStep]) -> Clients | None:
    """How clients follow; None before anything was written."""
    if operation.written_at is None:
        return None
    step = steps.get(StepKind.RESOLVERS.value)
    rows = resolving.rows_of(step)
    now, limit = timezone.now(), resolving.limit_of(operation)
    lines = [_line(row, now=now, late=is_late(row, now=now, limit=limit)) for row in rows]
    askable = step is not None and step.state in {StepState.RUNNING, StepState.WARNING}
    return Clients(
        lines=lines,
        moved_by=clients_moved_by(
            changed_at=operation.written_at,
            old_ttl_s=int(operation.plan["change"]["expected"]["ttl_s"]),
            client_cache_s=conf().client_cache_s,
            rows=rows,
        ),
        late=", ".join(row.title for row in rows if is_late(row, now=now, limit=limit)),
        open=_names([row.name for row in rows if row.turned_at is None]) if askable else "",
    )


def _names(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) < 3 else f"{len(names)} resolvers"


def still_followed(operation: FailoverOperation, step: OperationStep) -> bool:
    """Whether what has not turned in this step need not have yet: then it is followed on, and warns of nothing."""
    if step.kind != StepKind.RESOLVERS or step.state != StepState.WARNING:
        return False
    now, limit = timezone.now(), resolving.limit_of(operation)
    behind = [row for row in resolving.rows_of(step) if row.turned_at is None]
    return all(row.seen is Seen.OLD and not is_late(row, now=now, limit=limit) for row in behind)


def _line(row: ResolverRow, *, now: datetime, late: bool) -> ResolverLine:
    status, word = _SEEN_WORDS[row.seen.value]
    if row.turned_at is not None:
        status, word = "up", "Turned"
    elif late:
        status, word = "degraded", "Late: old answer" if row.seen is Seen.OLD else "Late: something else"
    elif row.seen is Seen.OLD:
        status, word = "switching", "Not yet: old answer"
    return ResolverLine(
        site=row.site,
        name=row.name,
        where=row.where,
        answer=row.text,
        status=status,
        word=word,
        turned_at=row.turned_at,
        turns_by=row.turns_by if row.turns_by is not None and row.turns_by > now else None,
        asked_at=row.asked_at,
    )
