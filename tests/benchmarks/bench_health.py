"""``bench health``: what a check costs, how soon a fault is shown, and that nothing is called down that is well.

A whole run takes about ten minutes. ``BENCH_FALSE_DOWN_S`` (60): for how long false alarms are looked for, twice; the
goal is meant for 600.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from a365admin.benchmarks import Figure, compare, limit
from a365admin.lab.faults import ServerFault
from pools.health import CheckKind
from pools.probing.asking import knock_once
from pools.probing.result import Cause
from pools.probing.tcp import raise_descriptor_limit
from pools.specs import Check
from tests.benchmarks.health import cost, detection, falsely, peers
from tests.benchmarks.health.targets import running_targets

PORTS = 20
NETWORK = 90
SWEEPS = 3
KILLS, SILENCES = 15, 7
PEER_KILLS = 7
FALSE_DOWN_S = float(os.environ.get("BENCH_FALSE_DOWN_S", "60"))


def run() -> list[Figure]:
    """Measure everything."""
    with tempfile.TemporaryDirectory(prefix="a365-bench-") as folder:
        return [
            *_costs(Path(folder), 10_000),
            *_costs(Path(folder), 1_000),
            _sweep(),
            *_detection(Path(folder)),
            *_false_downs(),
        ]


def _costs(folder: Path, checks: int) -> Iterator[Figure]:
    many = checks >= 10_000
    with running_targets(NETWORK, checks // PORTS, PORTS) as targets:
        found = cost.measure(folder / f"cost-{checks}", targets, with_prometheus=many)
    goals = [(cost.HALF, cost.HAPROXY, 1.0 if many else 1.5), (cost.FULL, cost.HAPROXY, 1.25 if many else 1.5)]
    for subject, peer, goal in goals + ([(cost.FULL, cost.PROMETHEUS, 0.1)] if many else []):
        yield compare(
            bench="health",
            name=f"CPU for each TCP check, {checks:,} every {cost.INTERVAL_S} s, {subject}",
            unit="µs",
            ours=found.us.get(subject),
            peer_name=peer,
            peer=found.us.get(peer),
            goal=goal,
        )
    if many:
        memory = max(found.mib[name] for name in (cost.FULL, cost.HALF))
        yield limit(bench="health", name=f"memory of the probing worker, {checks:,}", unit="MiB", ours=memory, goal=150)


def _sweep() -> Figure:
    """Everything asked at once, each once, by the sweep that a click and the engine use."""
    raise_descriptor_limit()
    servers = 500
    with running_targets(NETWORK + 1, servers, PORTS) as targets:
        for server in range(0, servers, 4):
            for number in range(PORTS):
                targets.tell("silence", server, number)
        checks = [
            Check(f"ucc:{number}:1", CheckKind.UCC, "bench", address, port, timeout_s=2.0)
            for number, (address, port) in enumerate(targets.places())
        ]
        took = []
        for _ in range(SWEEPS):
            started = time.perf_counter()
            results = knock_once(checks, 2.0)
            took.append(time.perf_counter() - started)
            causes = [result.cause for result in results.values()]
            if causes.count(Cause.OK) != len(checks) * 3 // 4 or causes.count(Cause.TIMEOUT) != len(checks) // 4:
                raise AssertionError(f"the sweep found {dict.fromkeys(causes)}")
    name = f"one sweep of {len(checks):,}, a quarter silent, timeout 2 s"
    return limit(bench="health", name=name, unit="s", ours=statistics.median(took), goal=2.5)


def _detection(folder: Path) -> Iterator[Figure]:
    with detection.demo(folder / "demo") as demo:
        killed = statistics.median(demo.time_to_show(ServerFault.UCC_DOWN, times=KILLS))
        silent = statistics.median(demo.time_to_show(ServerFault.SILENT, times=SILENCES))
        demo.use_watch_connections()
        watched = statistics.median(demo.time_to_show(ServerFault.UCC_DOWN, times=KILLS))
    peer: dict[str, float | None] = dict.fromkeys(("close", "silence"))
    if peers.HAPROXY:
        with running_targets(NETWORK + 2, 2, PORTS) as targets:
            for what in peer:
                peer[what] = detection.haproxy_notices(folder / f"haproxy-{what}", targets, what=what, times=PEER_KILLS)
    for name, ours, beside, goal in (
        ("listener killed, shown as down on the page, default settings", killed, peer["close"], 1.0),
        ("the same with watch connections", watched, peer["close"], 0.4),
        ("host silent, shown as down on the page, default settings", silent, peer["silence"], 3.0),
    ):
        ratio = ours / beside if beside else None
        yield Figure(
            bench="health", name=name, unit="s", ours=ours, peer_name="HAProxy, default check", peer=beside,
            ratio=ratio, goal=goal, met=ours <= goal,
        )  # fmt: skip


def _false_downs() -> Iterator[Figure]:
    for what, words in (("loss", "with 1 % random loss"), ("load", "beside 95 % CPU load on each core")):
        found = falsely.false_downs(what, FALSE_DOWN_S)
        name = f"false downs in {FALSE_DOWN_S:g} s at 10,000 checks, {words}"
        yield limit(bench="health", name=name, unit="", ours=found, goal=0)
