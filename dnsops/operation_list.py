"""The list of operations. Those of one move are one line, unless they are looked for: 200 would hide the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.db.models import Count, OuterRef, Q, QuerySet, Subquery, prefetch_related_objects

from dnsops.lifecycle import ACTIVE, OperationState
from dnsops.matrix import MatrixRow, matrix
from dnsops.models import FailoverOperation, SiteMove, SiteMoveMember
from dnsops.move_models import MoveState
from dnsops.move_pages import MOVE_WORDS
from dnsops.pages import KIND_NOUN, STATE_WORDS, state_words

_ACTIVE = [state.value for state in ACTIVE]


def list_operations(*, show: str, query: str) -> QuerySet[FailoverOperation]:
    """Operations, newest first, filtered by how they ended and by text; of each move one, where all are asked for."""
    found = FailoverOperation.objects.select_related("move_member__move").order_by("-created_at")
    if show == "active":
        found = found.filter(state__in=_ACTIVE)
    elif show in {state.value for state in OperationState}:
        found = found.filter(state=show)
    if query:
        return found.filter(
            Q(hostname_fqdn__icontains=query) | Q(requested_by_name__icontains=query) | Q(reason__icontains=query)
            | Q(ticket__icontains=query) | Q(to_text__icontains=query)
        )  # fmt: skip
    return found.filter(Q(move_member=None) | Q(pk__in=_newest_of_each_move())) if not show else found


def _newest_of_each_move() -> QuerySet[SiteMove, str]:
    own = SiteMoveMember.objects.filter(move=OuterRef("pk"), operation__isnull=False)
    newest = own.order_by("-operation__created_at", "-order").values("operation")[:1]
    return SiteMove.objects.order_by().annotate(newest=Subquery(newest)).values_list("newest", flat=True)


@dataclass(frozen=True, slots=True)
class OperationLine:
    """One line of the list: of an operation, or of a whole move."""

    operation: FailoverOperation
    word: str
    status: str
    title: str
    url: str
    note: str
    forced: bool
    move: SiteMove | None = None
    """The move that an operation belongs to, where the line is its own."""


def operation_lines(operations: Sequence[FailoverOperation], *, folded: bool) -> list[OperationLine]:
    """Give operations the words for their lines. Only what is incomplete has its steps read: they say who is behind.

    ``folded``: an operation of a move stands for the whole move.
    """
    moves = {move.pk: move for operation in operations if (move := _move_of(operation))} if folded else {}
    members = _states_of(moves)
    alone = [operation for operation in operations if not (folded and _move_of(operation))]
    prefetch_related_objects(
        [operation for operation in alone if operation.state == OperationState.INCOMPLETE], "steps"
    )
    return [
        _line_of_move(operation, move, members[move.pk])
        if folded and (move := _move_of(operation)) is not None
        else _line(operation)
        for operation in operations
    ]


def _move_of(operation: FailoverOperation) -> SiteMove | None:
    member = getattr(operation, "move_member", None)  # a reverse one-to-one says "none" with an AttributeError
    return member.move if member is not None else None


def _line(operation: FailoverOperation) -> OperationLine:
    rows: list[MatrixRow] = []
    if operation.state == OperationState.INCOMPLETE:
        rows = matrix(operation, {step.kind: step for step in operation.steps.all()})
    word, status = state_words(operation, rows)
    return OperationLine(
        operation, word, status,
        title=f"{KIND_NOUN[operation.kind]} of {operation.hostname_fqdn}",
        url=operation.get_absolute_url(),
        note=f"{operation.from_text} → {operation.to_text}",
        forced=operation.forced,
        move=_move_of(operation),
    )  # fmt: skip


def _states_of(moves: Iterable[object]) -> Mapping[object, Counter[str | None]]:
    """How many hostnames of each move have an operation in which state (None: they have no operation)."""
    found: dict[object, Counter[str | None]] = {pk: Counter() for pk in moves}
    rows = SiteMoveMember.objects.filter(move__in=list(found)).order_by().values_list("move", "operation__state")
    for move, state, count in rows.annotate(count=Count("pk")):
        found[move][state] = count
    return found


def _line_of_move(operation: FailoverOperation, move: SiteMove, states: Counter[str | None]) -> OperationLine:
    word, status = MOVE_WORDS[move.state]
    done = states[OperationState.SUCCEEDED.value]
    if move.state == MoveState.ENDED and done < states.total():
        status = "degraded"
    counted = [(STATE_WORDS[state][0].lower(), states[state]) for state in STATE_WORDS if states[state]]
    if states[None]:
        counted.append(("without an operation", states[None]))
    total = states.total()
    return OperationLine(
        operation, word, status,
        title=f"Move {move}",
        url=move.get_absolute_url(),
        note=f"{total} hostname{'s' if total != 1 else ''}: {', '.join(f'{count} {said}' for said, count in counted)}",
        forced=move.forced,
    )  # fmt: skip
