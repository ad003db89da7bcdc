"""What processes have spent: CPU seconds and memory, of any process of this machine."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

CPUCLOCK_SCHED = 2  # clock_getcpuclockid(3): the clock of another process is made from its id


def family(pid: int) -> list[int]:
    """A process and all of its descendants."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += family(int(child))
    return found


def cpu_s(pids: Iterable[int]) -> float:
    """User and system time of these processes so far, threads that have ended included, in seconds."""
    return sum(map(_one_cpu_s, pids))


def _one_cpu_s(pid: int) -> float:
    """By the process's own CPU clock: what /proc/PID/stat says, to the nanosecond instead of in ticks of 10 ms."""
    try:
        return time.clock_gettime((~pid << 3) | CPUCLOCK_SCHED)
    except OSError:
        return 0.0


def memory_mib(pids: Iterable[int]) -> float:
    """Proportional set size of these processes together, in MiB: what they share is counted once."""
    total_kib = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total_kib += int(line.split()[1])
    return total_kib / 1024
