"""Pure: on which servers each UCC runs, and whether that is as it should be, in a sentence for each.

Exactly one server of a pair that runs a UCC is normal; none is an outage; two are, unless the site or the pool says
that it is normal there, a fault that makes calls disappear from screens.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pools.health import Health


class Run(StrEnum):
    """What is known of a UCC's port on one server."""

    RUNNING = "running"
    REFUSED = "refused"
    SILENT = "silent"
    FAILING = "failing"
    UNKNOWN = "unknown"
    ABSENT = "absent"  # no trusted application of that server's pool


_OFF = frozenset({Run.REFUSED, Run.SILENT, Run.FAILING, Run.ABSENT})
_SILENT = frozenset({"timeout", "no_route"})


def run_of(*, health: str, cause: str, stale: bool) -> Run:
    """Return what a check of the port says. ``cause``: a ``pools.probing.result.Cause``; stale is not known."""
    if stale or health == Health.UNKNOWN:
        return Run.UNKNOWN
    if health != Health.DOWN:
        return Run.RUNNING
    return Run.REFUSED if cause == "refused" else Run.SILENT if cause in _SILENT else Run.FAILING


@dataclass(frozen=True, slots=True)
class Cell:
    """A UCC on one server."""

    server_id: int
    server: str
    run: Run
    port: int = 0
    age_s: float | None = None
    sentence: str = ""
    in_maintenance: bool = False


class Pattern(StrEnum):
    """Where a UCC runs, as a kind of situation."""

    RUNS = "runs"
    BOTH_NORMAL = "both_normal"
    BOTH = "both"
    NEITHER = "neither"
    ELSEWHERE = "elsewhere"
    STANDBY_MISSING = "standby_missing"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class UccLine:
    """One UCC with its servers, in the order of the targets."""

    name: str
    cells: Sequence[Cell]
    pattern: Pattern
    health: Health
    sentence: str
    planned: bool = False

    @property
    def status(self) -> str:
        """The word that the page shows: what is wrong on a server in maintenance is planned, and no alarm."""
        return "maintenance" if self.planned else self.health.value


def ucc_line(name: str, cells: Sequence[Cell], active: Collection[int], *, both_normal: bool) -> UccLine:
    """Judge one UCC. ``active``: ids of the servers that DNS leads clients to, empty where that is not known."""
    pattern, health, sentence = _judge(cells, active, both_normal=both_normal)
    out = any(cell.in_maintenance for cell in cells if cell.server_id in active)
    return UccLine(name, tuple(cells), pattern, health, sentence, out and health in {Health.DOWN, Health.DEGRADED})


_Judgement = tuple[Pattern, Health, str]


def _judge(cells: Sequence[Cell], active: Collection[int], *, both_normal: bool) -> _Judgement:
    running = [cell for cell in cells if cell.run is Run.RUNNING]
    if len(running) > 1:
        if both_normal:
            return Pattern.BOTH_NORMAL, Health.UP, f"Runs on {_names(running)}, as is normal here."
        return Pattern.BOTH, Health.DEGRADED, f"Runs on {_names(running)}: only one of them should run it."
    if running:
        return _judge_one(running[0], cells, active, both_normal=both_normal)
    unknown = [cell for cell in cells if cell.run is Run.UNKNOWN]
    if unknown:
        return Pattern.UNKNOWN, Health.UNKNOWN, f"Whether it runs on {_names(unknown)} is not known."
    return Pattern.NEITHER, Health.DOWN, "Runs nowhere: its clients get no data."


def _judge_one(running: Cell, cells: Sequence[Cell], active: Collection[int], *, both_normal: bool) -> _Judgement:
    """It runs on exactly one server: is that where DNS leads clients to, and should it be the only one?"""
    there = running.server
    here = [cell for cell in cells if cell.server_id in active]
    if here and running not in here:
        points = _names(here)
        if all(cell.run in _OFF for cell in here):
            said = f"Runs on {there}, but DNS points at {points}: its clients get no data."
            return Pattern.ELSEWHERE, Health.DOWN, said
        return Pattern.UNKNOWN, Health.UNKNOWN, f"Runs on {there}; whether it runs on {points} is not known."
    missing = [cell for cell in cells if cell.run in _OFF and not cell.in_maintenance]
    if both_normal and missing:
        said = f"Runs on {there}, and not on {_names(missing)}, where it should run too."
        return Pattern.STANDBY_MISSING, Health.DEGRADED, said
    return Pattern.RUNS, Health.UP, f"Runs on {there}."


def _names(cells: Sequence[Cell]) -> str:
    names = [cell.server for cell in cells]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


_COUNTED = {
    Pattern.NEITHER: ("runs nowhere", "run nowhere"),
    Pattern.ELSEWHERE: ("runs where DNS does not point", "run where DNS does not point"),
    Pattern.BOTH: ("runs on two servers at once", "run on two servers at once"),
    Pattern.STANDBY_MISSING: ("does not run on the standby, and should", "do not run on the standby, and should"),
    Pattern.UNKNOWN: ("is not known", "are not known"),
}


def summary(lines: Sequence[UccLine]) -> str:
    """Return one sentence about all of them."""
    if not lines:
        return "No UCC is entered for these servers."
    counts = Counter(line.pattern for line in lines)
    said = [f"{counts[p]} {words[counts[p] > 1]}" for p, words in _COUNTED.items() if counts[p]]
    well = len(lines) - sum(counts[p] for p in _COUNTED)
    if not said:
        return "It runs as it should." if well == 1 else f"All {well} run as they should."
    return f"{'; '.join(said)}; {well} of {len(lines)} as it should be."


_RANK = {Health.DOWN: 0, Health.UNKNOWN: 1, Health.DEGRADED: 2, Health.UP: 3}


def worst_first(lines: Sequence[UccLine]) -> list[UccLine]:
    """Sort: what is wrong first, then by name."""
    return sorted(lines, key=lambda line: (_RANK[line.health], line.name.lower()))
