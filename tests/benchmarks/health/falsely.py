"""How often something is called down that is well: with random packet loss, or beside a process that takes the CPU.

Run as ``python -m tests.benchmarks.health.falsely loss|load SECONDS``; prints the number. ``loss`` makes a network
namespace of its own, and needs root and nft; nothing outside of it is touched.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks.health.cost import INTERVAL_S
from tests.benchmarks.health.ours import ours
from tests.benchmarks.health.targets import FIRST_PORT, running_targets
from tests.product import ROOT
from tests.waiting import wait_until

SERVERS, PORTS = 500, 20
NETWORK = 94
BUSY_SHARE, SLICE_S = 0.95, 0.1
DOWNS = "SELECT count(*) FROM pools_healthtransition WHERE new = 'down' AND check_key <> ''"
# Of the packets of probes, to the ports and back, one in a hundred is dropped.
LOSS = f"""
add table inet bench
add chain inet bench input {{ type filter hook input priority 0; }}
add rule inet bench input ip daddr 127.{NETWORK}.0.0/16 tcp dport {FIRST_PORT}-{FIRST_PORT + PORTS} numgen random mod 100 == 0 drop
add rule inet bench input ip saddr 127.{NETWORK}.0.0/16 tcp sport {FIRST_PORT}-{FIRST_PORT + PORTS} numgen random mod 100 == 0 drop
"""  # noqa: E501


def can_lose_packets() -> bool:
    """Whether this machine lets us make a namespace and rules in it."""
    return os.geteuid() == 0 and all(shutil.which(name) for name in ("unshare", "ip", "nft"))


def false_downs(what: str, for_s: float) -> int | None:
    """Run it in a process of its own; None where that is not possible here."""
    if what == "loss" and not can_lose_packets():
        return None
    namespace = ["unshare", "--net"] if what == "loss" else []
    done = subprocess.run(
        [*namespace, sys.executable, "-m", "tests.benchmarks.health.falsely", what, str(for_s)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise AssertionError(f"{what}: ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return int(done.stdout.split()[-1])


def _burn() -> None:
    while True:
        until = time.perf_counter() + BUSY_SHARE * SLICE_S
        while time.perf_counter() < until:
            pass
        time.sleep((1 - BUSY_SHARE) * SLICE_S)


@contextmanager
def _cpu_taken() -> Iterator[None]:
    burners = [multiprocessing.Process(target=_burn, daemon=True) for _ in range(os.cpu_count() or 1)]
    for burner in burners:
        burner.start()
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.join()


@contextmanager
def _packets_lost() -> Iterator[None]:
    subprocess.run(["nft", "-f", "-"], input=LOSS, text=True, check=True)
    yield  # the namespace ends with this process, and the rules with it


def main(what: str, for_s: float) -> None:
    """Count."""
    if what == "loss":
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    trouble = {"loss": _packets_lost, "load": _cpu_taken}[what]
    with tempfile.TemporaryDirectory(prefix="a365-bench-") as folder, running_targets(NETWORK, SERVERS, PORTS) as all_:
        settings = {"BENCH_INTERVAL_S": str(INTERVAL_S)}
        with ours(Path(folder) / "ours", all_, settings=settings) as made:
            wait_until(lambda: made.count("up") == SERVERS * PORTS, timeout_s=300, message=made.tail)
            with trouble():
                time.sleep(for_s)
                sys.stdout.write(f"{made.sql(DOWNS)[0][0]}\n")


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
