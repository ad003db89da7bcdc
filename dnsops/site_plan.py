"""Pure: moving a whole site, or all that is behind one front-end pool: who goes where, in which order, what forbids it.

A member's plan is an ordinary ``dnsops.plan.Plan``, judged by the ordinary safety rules. This module chooses targets,
puts members in order, and binds everything that was shown into one digest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from dnsops.plan import (
    Aim,
    Plan,
    PlanError,
    PlanFacts,
    active_target,
    build_failback_plan,
    build_failover_plan,
    digest_of,
)
from dnsops.safety import Finding, Level
from pools.next_target import Candidate, NextTarget, next_target

AT_ONCE_CHOICES = (1, 5, 10, 25, 50, 100, 200)
DEFAULT_AT_ONCE = 25


class Direction(StrEnum):
    """AWAY: from where they are, to the best target elsewhere. BACK: to their primaries, which are there."""

    AWAY = "away"
    BACK = "back"


@dataclass(frozen=True, slots=True)
class MemberFacts:
    """A hostname that may have to move. ``down``: whether its clients get no service at this moment."""

    plan_facts: PlanFacts
    candidates: tuple[Candidate, ...]
    service_name: str = ""
    down: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """Where a member would go: a plan, or the sentence that says why there is none. ``why`` names what was skipped."""

    plan: Plan | None
    error: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the plan."""

    hostname: str
    hostname_id: int
    service_name: str
    down: bool
    choice: Choice
    findings: tuple[Finding, ...] = ()

    @property
    def plan(self) -> Plan | None:
        """What would be done."""
        return self.choice.plan

    @property
    def blocking(self) -> tuple[Finding, ...]:
        """What forbids it."""
        return tuple(f for f in self.findings if f.level is Level.BLOCK)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """What should be known, and forbids nothing."""
        return tuple(f for f in self.findings if f.level is Level.WARN)

    @property
    def can_go(self) -> bool:
        """Whether it may move without being forced."""
        return self.plan is not None and not self.blocking

    @property
    def forcible(self) -> bool:
        """Whether it may move if somebody with the right to force says so."""
        return self.plan is not None and bool(self.blocking) and all(f.overridable for f in self.blocking)

    @property
    def digest(self) -> str:
        """Binds this line: what would be done and what forbids it, not ages, latencies and warnings."""
        blocked = sorted([f.rule, f.subject] for f in self.blocking)
        return digest_of([self.plan.digest if self.plan else "", blocked])

    @property
    def token(self) -> str:
        """What a click carries along: which hostname, what would be done to it, and which rules forbade it."""
        return f"{self.hostname_id}:{self.plan.digest if self.plan else ''}:{self._rules}"

    @property
    def _rules(self) -> str:
        return ",".join(sorted({f.rule for f in self.blocking}))

    def changed_since(self, token: str) -> str:
        """What has become otherwise, or worse, since ``token`` was shown; "" where it is the same, or better."""
        _, digest, rules = (*token.split(":", 2), "", "")[:3]
        if self.plan is None:
            return self.choice.error
        if self.plan.digest != digest:
            return f"Since it was shown, it has changed: now {self.plan.from_server} to {self.plan.to_server}."
        new = [f.sentence for f in self.blocking if f.rule not in rules.split(",")]
        return new[0] if new else ""


@dataclass(frozen=True, slots=True)
class SitePlan:
    """The whole move, in the order in which it would be carried out. ``confirm_above``: more at once are confirmed."""

    scope: str
    direction: Direction
    entries: tuple[Entry, ...]
    warnings: tuple[str, ...]
    confirm_above: int
    digest: str

    @property
    def ready(self) -> tuple[Entry, ...]:
        """Those that may move."""
        return tuple(e for e in self.entries if e.can_go)

    @property
    def forcible(self) -> tuple[Entry, ...]:
        """Those that only move when forced."""
        return tuple(e for e in self.entries if e.forcible)

    @property
    def stuck(self) -> tuple[Entry, ...]:
        """Those that cannot move, forced or not."""
        return tuple(e for e in self.entries if not e.can_go and not e.forcible)

    def chosen(self, tokens: Iterable[str]) -> tuple[tuple[Entry, ...], dict[int, str]]:
        """The ticked entries, in order, and, by hostname id, what has changed about some of them since."""
        shown = {token.partition(":")[0]: token for token in tokens}
        found = tuple(entry for entry in self.entries if str(entry.hostname_id) in shown)
        changed = {e.hostname_id: why for e in found if (why := e.changed_since(shown[str(e.hostname_id)]))}
        return found, changed

    def needs_confirmation(self, *, count: int, at_once: int) -> bool:
        """Whether so many hostnames at once have to be confirmed by typing the site's name."""
        return min(count, at_once) > self.confirm_above


def in_scope(candidates: Sequence[Candidate], scope: str) -> Candidate | None:
    """The active candidate, where it is in this site or behind this front-end pool."""
    return next((c for c in candidates if c.active and scope in {c.site, c.front_end_pool}), None)


def choose(member: MemberFacts, *, scope: str, direction: Direction) -> Choice:
    """Say where a member would go: away from ``scope``, or back to its primary."""
    facts = member.plan_facts
    try:
        if direction is Direction.BACK:
            return Choice(build_failback_plan(facts), why="It is the primary.")
        active_target(facts)  # raises where DNS does not point at one of the targets
        found = next_target(member.candidates, lost=[scope])
        return Choice(_away(facts, found), why=found.reason) if found.target else Choice(None, _nowhere(facts, found))
    except PlanError as error:
        return Choice(None, str(error))


def _away(facts: PlanFacts, found: NextTarget) -> Plan:
    assert found.target is not None
    if found.target.order == 1:
        return build_failback_plan(facts)
    order = found.target.order
    to = next(target for target in facts.targets if target.order == order)
    return build_failover_plan(facts, to=Aim(to.server_id, to.virtual_service_id))


def _nowhere(facts: PlanFacts, found: NextTarget) -> str:
    return f"{facts.hostname} has nowhere to go. {found.reason} Add a target elsewhere to the estate."


def order_of(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """First those whose clients have no service now, for they have nothing to lose; then the rest, by name."""
    return tuple(sorted(entries, key=lambda e: (not e.can_go, not e.down, e.hostname)))


def build_site_plan(
    scope: str, direction: Direction, entries: Iterable[Entry], *, confirm_above: int, more_warnings: Iterable[str] = ()
) -> SitePlan:
    """Put the entries in order and bind them. Raises PlanError where there is nothing to move."""
    ordered = order_of(entries)
    if not ordered:
        raise PlanError(_nothing(scope, direction))
    digest = digest_of([scope, direction.value, sorted([e.hostname_id, e.digest] for e in ordered)])
    return SitePlan(
        scope=scope,
        direction=direction,
        entries=ordered,
        warnings=(*_shared(ordered), *more_warnings),
        confirm_above=confirm_above,
        digest=digest,
    )


def _nothing(scope: str, direction: Direction) -> str:
    if direction is Direction.BACK:
        return f"Every hostname whose primary is in {scope} points there already. There is nothing to move back."
    return f"No hostname points into {scope}. There is nothing to move."


def _shared(entries: Sequence[Entry]) -> list[str]:
    """A server that would take over from several: it has to bear them all."""
    to = Counter(entry.plan.to_server for entry in entries if entry.plan is not None)
    return [
        f"{name} would serve {count} of these hostnames: make sure that it can bear them."
        for name, count in sorted(to.items())
        if count > 1
    ]
