"""Pure: whether a port is worth a watch connection, from how its connections have ended. No I/O, no Django.

A watch connection is held open and idle; its end is a reason to probe now, and never a verdict. A server that ends idle
connections although it is well would make us probe for nothing, again and again: it is noticed, and left alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

DROPS_MAX = 3
LONG_HELD_S = 3600.0  # whoever holds a connection for so long does not drop idle ones
REST_S = 6 * 3600.0
FIRST_DELAY_S, LONGEST_DELAY_S = 0.5, 30.0
RECEIVED_MAX = 64 * 1024  # bytes that an idle connection may bring; more is no idle connection


@dataclass(frozen=True, slots=True)
class Watch:
    """What is known of one port. Times are seconds of one monotonic clock.

    ``drops``: how often in a row the connection ended and the port answered again at once. ``failures``: connects in a
    row that failed. ``resting_until``: not watched until then, for ``reason``.
    """

    drops: int = 0
    failures: int = 0
    held_s: float = 0.0
    ended_last: bool = False
    resting_until: float | None = None
    reason: str = ""


def connected(watch: Watch) -> Watch:
    """Return what is known after a connect that succeeded: at once after an end, the server was well all the time."""
    was_well = watch.ended_last and not watch.failures
    return replace(watch, drops=watch.drops + 1 if was_well else 0, failures=0, ended_last=False)


def connect_failed(watch: Watch) -> Watch:
    """Return what is known after a connect that failed: an end before it meant something."""
    return replace(watch, drops=0, failures=watch.failures + 1)


def ended(watch: Watch, *, held_s: float) -> Watch:
    """Return what is known after a connection that ended by itself after ``held_s``."""
    drops = 0 if held_s >= LONG_HELD_S else watch.drops
    return replace(watch, drops=drops, held_s=held_s, ended_last=True)


def judged(watch: Watch, *, now: float) -> Watch:
    """Return the same, resting where the server has shown that it drops idle connections; ask after ``connected``."""
    if watch.drops < DROPS_MAX:
        return watch
    reason = f"it ends idle connections after about {_words(watch.held_s)}, although it is well"
    return Watch(resting_until=now + REST_S, reason=reason)


def talks(*, now: float) -> Watch:
    """Return what is known of a server that sends and sends on a connection that should be idle."""
    return Watch(resting_until=now + REST_S, reason="it sends data on a connection on which nothing was asked")


def is_resting(watch: Watch, *, now: float) -> bool:
    """Whether the port is not watched now."""
    return watch.resting_until is not None and now < watch.resting_until


def delay_s(watch: Watch) -> float:
    """Return for how long to wait before the next connect."""
    return min(FIRST_DELAY_S * 2.0 ** min(watch.failures, 10), LONGEST_DELAY_S)


def _words(seconds: float) -> str:
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    return f"{round(seconds / 60)} min"
