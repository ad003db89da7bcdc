"""CPU for each check: ours beside the peers, all probing the same targets in the same windows of time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks.health import peers
from tests.benchmarks.health.ours import Ours, ours
from tests.benchmarks.health.spent import cpu_s, memory_mib
from tests.benchmarks.health.targets import RunningTargets
from tests.waiting import wait_until

INTERVAL_S = 10
ROUNDS, ROUND_S = 4, 15.0
FULL, HALF, HAPROXY, PROMETHEUS = "full connect", "half-open", "HAProxy", "Prometheus + blackbox"


@dataclass
class Cost:
    """Microseconds of CPU for each check by subject (the median of the rounds), and MiB of memory."""

    us: dict[str, float] = field(default_factory=dict)
    mib: dict[str, float] = field(default_factory=dict)
    parts: dict[str, dict[str, float]] = field(default_factory=dict)


def measure(folder: Path, targets: RunningTargets, *, with_prometheus: bool) -> Cost:
    """Run everybody at once, so that whatever the machine does hits all alike; Prometheus afterwards, by itself.

    It takes a whole core at 10,000 checks, and beside it nobody else would be measured.
    """
    folder.mkdir()
    places = list(targets.places())
    cost = Cost()
    with ExitStack() as stack:
        subjects: dict[str, Callable[[], list[int]]] = {}
        if peers.HAPROXY:
            haproxy = stack.enter_context(peers.haproxy(folder / "haproxy", places, check=f"inter {INTERVAL_S}s"))
            subjects[HAPROXY] = lambda: haproxy.pids
        installations = {}
        for name, half_open in ((FULL, ""), (HALF, "1")):
            settings = {"BENCH_INTERVAL_S": str(INTERVAL_S)} | ({"A365_HALF_OPEN": half_open} if half_open else {})
            made = stack.enter_context(ours(folder / name.replace(" ", "-"), targets, settings=settings))
            installations[name] = made
            subjects[name] = made.pids
        for made in installations.values():
            wait_until(lambda made=made: made.count("up") == len(places), timeout_s=300, message=made.tail)  # type: ignore[misc]
        time.sleep(INTERVAL_S / 2)
        _rounds(cost, subjects, installations, len(places))
        for name, made in installations.items():
            cost.mib[name] = memory_mib(made.pids("probes"))
    if with_prometheus and peers.PROMETHEUS and peers.BLACKBOX:
        with peers.prometheus(folder / "prometheus", places, interval_s=INTERVAL_S) as prometheus:
            time.sleep(1.5 * INTERVAL_S)
            _rounds(cost, {PROMETHEUS: lambda: prometheus.pids}, {}, len(places))
            cost.mib[PROMETHEUS] = memory_mib(prometheus.pids)
    return cost


def _rounds(
    cost: Cost, subjects: dict[str, Callable[[], list[int]]], installations: dict[str, Ours], checks: int
) -> None:
    spent: dict[str, list[float]] = {name: [] for name in subjects}
    parts_before = dict(_parts(installations))
    began = time.monotonic()
    for _ in range(ROUNDS):
        before = {name: cpu_s(pids()) for name, pids in subjects.items()}
        started = time.monotonic()
        time.sleep(ROUND_S)
        asked = (time.monotonic() - started) * checks / INTERVAL_S
        for name, pids in subjects.items():
            spent[name].append((cpu_s(pids()) - before[name]) / asked * 1e6)
    cost.us |= {name: statistics.median(values) for name, values in spent.items()}
    asked = (time.monotonic() - began) * checks / INTERVAL_S
    for (name, part), seconds in _parts(installations):
        cost.parts.setdefault(name, {})[part] = (seconds - parts_before[name, part]) / asked * 1e6


def _parts(installations: dict[str, Ours]) -> Iterator[tuple[tuple[str, str], float]]:
    for name, made in installations.items():
        for part in made.processes:
            yield (name, part), cpu_s(made.pids(part))
