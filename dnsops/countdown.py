"""The wait for clients' old answers to expire: when it ends, and how much is left where a clock was set meanwhile.

A stored time of day is all that another machine can go by. On the machine that began the wait, and while that is up,
its uptime counts, which nobody can set.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Uptime(NamedTuple):
    """Which boot of which machine, and for how many seconds it has been up, sleep included."""

    boot: str
    seconds: float


class Left(NamedTuple):
    """Seconds that are left, below 0 where it is over. ``sure``: by uptime; else by a clock that may have been set."""

    seconds: float
    sure: bool


def uptime() -> Uptime | None:
    """This machine's; None where the system does not tell (it is Linux that does)."""
    try:
        return Uptime(BOOT_ID.read_text(encoding="ascii").strip(), time.clock_gettime(time.CLOCK_BOOTTIME))
    except (OSError, AttributeError):
        return None


def begin(*, wait_s: float, old_ttl_s: int, now: datetime) -> dict[str, Any]:
    """What a step keeps of a wait that begins now."""
    evidence = {
        "until": (now + timedelta(seconds=wait_s)).isoformat(),
        "old_ttl_s": old_ttl_s,
        "waited_s": round(wait_s, 1),
    }
    here = uptime()
    return evidence | ({"uptime": here._asdict()} if here else {})


def words(*, wait_s: float, old_ttl_s: int) -> str:
    """What the step says while it waits."""
    capped = f" It waits for {wait_s:.0f} s of these." if wait_s < old_ttl_s else ""
    return f"Clients may keep the old answer for up to {old_ttl_s} s.{capped}"


def left(evidence: Mapping[str, Any], *, now: datetime) -> Left:
    """How much of the wait is left that a step keeps."""
    began, here = evidence.get("uptime"), uptime()
    if began and here and began["boot"] == here.boot:
        return Left(float(evidence["waited_s"]) - (here.seconds - began["seconds"]), sure=True)
    return Left((datetime.fromisoformat(evidence["until"]) - now).total_seconds(), sure=False)
