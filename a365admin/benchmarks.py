"""Speed in figures: ours, a peer's, the ratio and the goal, from interleaved rounds of one run.

A bench is a module ``tests/benchmarks/bench_NAME.py`` with ``run() -> list[Figure]``; ``manage.py bench`` finds it by
name.
"""

from __future__ import annotations

import importlib
import json
import math
import re
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

BENCHES = "tests.benchmarks"


class BenchError(Exception):
    """A bench that does not exist, or cannot run here; the text says which."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured figure. ``ratio`` is ours / peer; ``goal`` the largest ratio (or own figure) that is good enough.

    ``peer`` and ``ratio`` are None where the peer is not installed, and ``met`` where there is nothing to judge by:
    never guessed.
    """

    bench: str
    name: str
    unit: str
    ours: float | None
    peer_name: str
    peer: float | None
    ratio: float | None
    goal: float | None
    met: bool | None


def compare(
    *, bench: str, name: str, unit: str, ours: float | None, peer_name: str, peer: float | None, goal: float
) -> Figure:
    """A figure whose goal is a ratio: ours may be at most ``goal`` times the peer's."""
    ratio = None if ours is None or not peer else ours / peer
    met = None if ratio is None else ratio <= goal
    return Figure(
        bench=bench, name=name, unit=unit, ours=ours, peer_name=peer_name, peer=peer, ratio=ratio, goal=goal, met=met
    )


def limit(*, bench: str, name: str, unit: str, ours: float | None, goal: float) -> Figure:
    """A figure without a peer: ours may be at most ``goal``, in its own unit."""
    met = None if ours is None else ours <= goal
    return Figure(bench=bench, name=name, unit=unit, ours=ours, peer_name="", peer=None, ratio=None, goal=goal, met=met)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` (0 to 1) of ``values`` lie, by the nearest rank."""
    if not values:
        raise ValueError("no values")
    ranked = sorted(values)
    return ranked[max(math.ceil(share * len(ranked)), 1) - 1]


def p50(values: Sequence[float]) -> float:
    """The median."""
    return statistics.median(values)


def p95(values: Sequence[float]) -> float:
    """The 95th percentile."""
    return percentile(values, 0.95)


def interleaved(
    subjects: Mapping[str, Callable[[], object]], *, rounds: int, repeat: int = 1, warm_up: int = 1
) -> dict[str, list[float]]:
    """Time subjects in turn, so that whatever else the machine does hits all of them alike.

    Each round calls every subject ``repeat`` times, beginning with another one each time. Returns seconds for each
    call, ``rounds * repeat`` of them for each subject; ``warm_up`` calls come before and do not count.
    """
    names = list(subjects)
    for name in names:
        for _ in range(warm_up):
            subjects[name]()
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            for _ in range(repeat):
                started = time.perf_counter()
                subjects[name]()
                seconds[name].append(time.perf_counter() - started)
    return seconds


def median_of_rounds(seconds: Sequence[float], *, repeat: int, figure: Callable[[Sequence[float]], float]) -> float:
    """``figure`` (p50, p95 …) of each round of ``repeat`` calls, and the median over the rounds."""
    return statistics.median(figure(seconds[i : i + repeat]) for i in range(0, len(seconds), repeat))


def available(root: Path) -> list[str]:
    """The names of all benches."""
    return sorted(path.stem.removeprefix("bench_") for path in (root / "tests" / "benchmarks").glob("bench_*.py"))


def load(name: str, root: Path) -> Callable[[], list[Figure]]:
    """A bench by its name. Raises ``BenchError`` for one that does not exist."""
    if not re.fullmatch(r"[a-z0-9_]+", name) or name not in available(root):
        raise BenchError(f"There is no bench {name!r}. There are: {', '.join(available(root)) or 'none'}.")
    run: Callable[[], list[Figure]] = importlib.import_module(f"{BENCHES}.bench_{name}").run
    return run


def table(figures: Sequence[Figure]) -> str:
    """Figures as text for people."""
    head = ("bench", "figure", "unit", "ours", "peer", "peer's", "ratio", "goal", "met")
    rows = [
        (
            figure.bench,
            figure.name,
            figure.unit,
            _number(figure.ours),
            figure.peer_name or "-",
            _number(figure.peer),
            _number(figure.ratio),
            _number(figure.goal),
            {True: "yes", False: "NO", None: "-"}[figure.met],
        )
        for figure in figures
    ]
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (head, *rows)]
    return "\n".join(line.rstrip() for line in [lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def as_json(figures: Sequence[Figure]) -> str:
    """Figures as the JSON list that other tools read."""
    return json.dumps([asdict(figure) for figure in figures], indent=2, ensure_ascii=False) + "\n"
