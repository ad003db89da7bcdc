"""Pure: which target a hostname would be moved to next, and why not to an earlier one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Candidate:
    """A target, in its order (1: the primary). ``problem``: what is wrong with it, "" where nothing is known to be.

    ``known`` False: nothing is known of it; it is tried before one that is known to fail, not before one that works.
    ``cold``: a cold standby, all well but for its UCC service, which has to be started first; it keeps its place in
    the order. ``maintenance``: the reason of a maintenance, which may be empty.
    """

    name: str
    order: int
    site: str
    front_end_pool: str = ""
    problem: str = ""
    known: bool = True
    cold: bool = False
    in_maintenance: bool = False
    maintenance: str = ""
    active: bool = False

    @property
    def ready(self) -> bool:
        """Whether clients could be sent to it now, as far as is known."""
        return self.known and not self.problem and not self.in_maintenance and not self.cold


@dataclass(frozen=True, slots=True)
class Skipped:
    """A candidate that was passed over, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class NextTarget:
    """``target`` is None where there is none to go to. ``ready``: whether it could take over at once."""

    target: Candidate | None
    reason: str
    skipped: tuple[Skipped, ...] = ()
    ready: bool = False


def next_target(candidates: Iterable[Candidate], *, lost: Iterable[str] = ()) -> NextTarget:
    """Choose the first that works, in the targets' order; then the first that is not known to fail.

    ``lost``: sites and front-end pools that are being left, so that nothing in them is chosen. Where none works, the
    first that is neither active, in maintenance nor in what is lost is still named, and is not ready: what to mend.
    """
    left = frozenset(lost)
    ordered = sorted(candidates, key=lambda candidate: candidate.order)
    others = [candidate for candidate in ordered if not candidate.active]
    if not others:
        return NextTarget(None, "It has no other target.")
    outside = [c for c in others if c.site not in left and c.front_end_pool not in left]
    usable = [c for c in outside if not c.in_maintenance]
    chosen = (
        next((c for c in usable if c.ready or (c.cold and not c.problem)), None)
        or next((c for c in usable if not c.problem), None)
        or next(iter(usable), None)
    )
    skipped = tuple(_why_not(c, left) for c in others if chosen is None or c.order < chosen.order)
    if chosen is None:
        return NextTarget(None, f"None of its other targets can be used: {_listed(skipped)}.", skipped)
    return NextTarget(chosen, _why(chosen, ordered, skipped), skipped, chosen.ready)


def _why_not(candidate: Candidate, left: frozenset[str]) -> Skipped:
    for place in (candidate.site, candidate.front_end_pool):
        if place in left:
            return Skipped(candidate.name, f"it is in {place}, which is being left")
    if candidate.in_maintenance:
        return Skipped(
            candidate.name, f"in maintenance{f' ({candidate.maintenance})' if candidate.maintenance else ''}"
        )
    if candidate.problem:
        return Skipped(candidate.name, candidate.problem.rstrip("."))
    return Skipped(candidate.name, "not known whether it works")


def _why(chosen: Candidate, ordered: list[Candidate], skipped: tuple[Skipped, ...]) -> str:
    active = next((c for c in ordered if c.active), None)
    where = f", in {chosen.site}" if active is not None and active.site != chosen.site else ""
    if chosen.ready and skipped:
        lead = f"It is the first in the order that works{where}"
    else:
        place = "the primary" if chosen.order == 1 else f"number {chosen.order} in the order"
        lead = f"It is {place}{where}{_not_ready(chosen) or ', and works'}"
    return f"{lead}. Passed over: {_listed(skipped)}." if skipped else f"{lead}."


def _not_ready(chosen: Candidate) -> str:
    if chosen.problem:
        return f"; it is not ready: {chosen.problem.rstrip('.')}"
    if chosen.cold:
        return "; a cold standby: start its UCC service first"
    return "" if chosen.known else "; it is not known whether it works"


def _listed(skipped: Iterable[Skipped]) -> str:
    return "; ".join(f"{one.name}: {one.reason}" for one in skipped)
