"""What the pages about moves show: where hostnames are, the plan, and a move while it runs."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Q, QuerySet
from django.utils import timezone

from dnsops.lifecycle import ACTIVE, OperationState, StepKind, StepState
from dnsops.models import FailoverOperation, SiteMove, SiteMoveMember
from dnsops.move_models import MemberState, MoveState
from dnsops.pages import STATE_WORDS, duration
from dnsops.site_plan import Direction
from pools.models import DedicatedHostname, FrontEndPool, Site

_ACTIVE = [state.value for state in ACTIVE]

MOVE_WORDS = {
    MoveState.RUNNING.value: ("Running", "switching"),
    MoveState.STOPPED.value: ("Stopped", "degraded"),
    MoveState.ENDED.value: ("Ended", "up"),
}
MEMBER_WORDS = {
    MemberState.WAITING.value: ("Not begun", "neutral"),
    MemberState.LEFT_OUT.value: ("Left out", "down"),
}


@dataclass(frozen=True, slots=True)
class Place:
    """A site or a front-end pool. ``active``: hostnames that point there; ``away``: its own that point elsewhere."""

    query: str
    name: str
    note: str
    active: int
    away: int


def places() -> tuple[list[Place], list[Place]]:
    """Sites and front-end pools with what points into them, by the standing checks, in four queries."""
    fep = "server__trusted_application_pool__front_end_pool"
    active: Counter[int] = Counter()
    away: Counter[int] = Counter()
    hostnames = DedicatedHostname.objects.filter(targets__order=1).values_list(
        "status__active_server__trusted_application_pool__front_end_pool",
        f"targets__{fep}",
        "status__on_primary",
        "status__active_server",
    )
    for now, home, on_primary, known in hostnames:
        if now is not None:
            active[now] += 1
        if known is not None and on_primary is False and home is not None:
            away[home] += 1
    pools = list(FrontEndPool.objects.select_related("site", "paired_with"))
    sites = []
    for site in Site.objects.all():
        own = [pool for pool in pools if pool.site_id == site.pk]
        note = ", ".join(pool.fqdn for pool in own) or "no front-end pool"
        counts = sum(active[p.pk] for p in own), sum(away[p.pk] for p in own)
        sites.append(Place(f"site={site.pk}", site.name, note, *counts))
    return sites, [
        Place(f"pool={p.pk}", p.fqdn, f"in {p.site}{f', paired with {p.paired_with}' if p.paired_with else ''}",
              active[p.pk], away[p.pk])
        for p in pools
    ]  # fmt: skip


def find_moves() -> QuerySet[SiteMove]:
    """Moves, newest first."""
    return SiteMove.objects.select_related("site", "front_end_pool").order_by("-created_at")


@dataclass(frozen=True, slots=True)
class MemberLine:
    """One hostname of a move."""

    member: SiteMoveMember
    operation: FailoverOperation | None
    word: str
    status: str
    sentence: str
    elapsed: str


@dataclass(frozen=True, slots=True)
class MovePage:
    """Everything that a move's page shows."""

    move: SiteMove
    word: str
    status: str
    lines: Sequence[MemberLine]
    counts: Sequence[tuple[str, int, str]]
    moved: int
    mark: str
    verified: str

    @property
    def total(self) -> int:
        """How many hostnames it has."""
        return len(self.lines)

    @property
    def percent(self) -> int:
        """How many of a hundred have the new answer on the writer."""
        return round(100 * self.moved / self.total) if self.total else 0

    @property
    def running(self) -> bool:
        """Whether more will begin."""
        return self.move.state == MoveState.RUNNING

    @property
    def can_resume(self) -> bool:
        """Whether something is left that has not begun."""
        stopped = self.move.state == MoveState.STOPPED
        return stopped and any(line.member.state == MemberState.WAITING for line in self.lines)

    @property
    def back_direction(self) -> str:
        """The direction of the move that would undo this one."""
        return (Direction.BACK if self.move.direction == Direction.AWAY else Direction.AWAY).value

    @property
    def scope_query(self) -> str:
        """The query that names the scope; "" where it is no longer in the estate."""
        if self.move.site_id:
            return f"site={self.move.site_id}"
        return f"pool={self.move.front_end_pool_id}" if self.move.front_end_pool_id else ""

    @property
    def sentence(self) -> str:
        """What is going on, in one sentence."""
        if self.move.result:
            return self.move.result
        return f"{self.moved} of {self.total} hostnames have the new answer."


_WRONG = frozenset({"down", "degraded", "unknown"})  # comes first: nobody finds one in two hundred


def move_page(move: SiteMove) -> MovePage:
    """Gather a move's page, in three queries however many hostnames there are."""
    members = list(
        move.members.select_related("operation", "hostname").prefetch_related("operation__steps").order_by("order")
    )
    lines = sorted((_line(member) for member in members), key=lambda line: line.status not in _WRONG)
    counts = Counter((line.word, line.status) for line in lines)
    word, status = MOVE_WORDS[move.state]
    if move.state == MoveState.ENDED and any(line.status != "up" for line in lines):
        status = "degraded"
    return MovePage(
        move=move,
        word=word,
        status=status,
        lines=lines,
        counts=[(word, count, status) for (word, status), count in counts.items()],
        moved=sum(line.operation is not None and line.operation.written_at is not None for line in lines),
        mark=move_mark(move, members),
        verified=_verified_after(move, members),
    )


def _line(member: SiteMoveMember) -> MemberLine:
    operation = member.operation
    if operation is None:
        word, status = MEMBER_WORDS[member.state]
        return MemberLine(member, None, word, status, member.sentence, "")
    word, status = STATE_WORDS[operation.state]
    running = next((s for s in operation.steps.all() if s.state == StepState.RUNNING), None)
    if operation.state == OperationState.RUNNING and running and running.kind in {StepKind.WAIT_TTL, StepKind.PROBE}:
        word = "Moved, clients follow"
    sentence = operation.result or (running.sentence if running else "")
    until = operation.written_at
    elapsed = duration((until - operation.created_at).total_seconds()) if until else ""
    return MemberLine(member, operation, word, status, sentence, elapsed)


def _verified_after(move: SiteMove, members: Iterable[SiteMoveMember]) -> str:
    """How long after the click the last DNS server gave the last new answer; "" while one is missing."""
    ends = []
    for member in members:
        steps = member.operation.steps.all() if member.operation else ()
        verify = next((s for s in steps if s.kind == StepKind.VERIFY), None)
        if verify is None or verify.state != StepState.DONE or verify.ended_at is None:
            return ""
        ends.append(verify.ended_at)
    return duration((max(ends) - move.created_at).total_seconds()) if ends else ""


def move_mark(move: SiteMove, members: Iterable[SiteMoveMember]) -> str:
    """A short text that changes whenever something that the page shows has changed."""
    parts = [move.state, move.result]
    for member in members:
        operation = member.operation
        parts += [member.state, operation.state if operation else "", operation.result if operation else ""]
        parts += [s.state for s in operation.steps.all()] if operation else []
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:12]


def move_marks(ids: Iterable[str] | None = None) -> dict[str, str]:
    """Marks by id: of those of ``ids`` that are moves, or of all that are active or ended in the last two minutes."""
    moves = SiteMove.objects.all()
    if ids is not None:
        moves = moves.filter(pk__in=list(ids))
    else:
        recent = timezone.now() - timedelta(minutes=2)
        moves = moves.filter(~Q(state=MoveState.ENDED.value) | Q(ended_at__gte=recent))
    return {
        str(move.pk): move_mark(
            move, move.members.select_related("operation").prefetch_related("operation__steps").order_by("order")
        )
        for move in moves[:20]
    }


def active_moves() -> list[SiteMove]:
    """Moves that have not ended."""
    return list(SiteMove.objects.exclude(state=MoveState.ENDED.value).order_by("-created_at")[:5])
