"""Pure: when a prober doubts itself. No I/O.

It does when nothing answers at its reference targets, or when more than a stated share of the servers fail at once.
While it does, what fails is *not known*; nothing may be done automatically, and one alarm is raised instead of one for
each check. It trusts itself again a moment after the last reason has gone.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import NamedTuple

from pools.health import prober_doubts_itself
from pools.probing.result import SENTENCE_LIMIT, Cause, ProbeResult

RECENT_S = 0.6
TRUSTED_AGAIN_AFTER_S = 3.0
BY_SHARE = "nearly everything failed at once: the prober itself may be cut off"
BY_REFERENCE = "no reference target answers: the prober itself may be cut off"


def parse_reference_targets(text: str) -> tuple[tuple[str, int], ...]:
    """Read "192.0.2.1:53, [2001:db8::1]:53". Raises ValueError, also for names: when cut off, they are not found."""
    found = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        address, _, port = part.rpartition(":")
        try:
            address = str(ipaddress.ip_address(address.removeprefix("[").removesuffix("]")))
        except ValueError:
            raise ValueError(f"“{part}” does not begin with an IP address") from None
        if not port.isdecimal() or not 1 <= int(port) <= 65535:
            raise ValueError(f"“{part}” does not end in a port from 1 to 65535")
        found.append((address, int(port)))
    return tuple(found)


class Doubt(NamedTuple):
    """Since when (epoch seconds) a prober doubts itself, why, and when it last had a reason to."""

    since: float
    why: str
    last: float


def followed_by(doubt: Doubt | None, why: str, at: float) -> Doubt | None:
    """Return the doubt after another look at ``at``; ``why`` is "" where there was no reason."""
    if why:
        return Doubt(doubt.since if doubt else at, why, at)
    return None if doubt is None or at - doubt.last >= TRUSTED_AGAIN_AFTER_S else doubt


def is_bad(result: ProbeResult) -> bool:
    """Whether a result says that something does not work at all."""
    return result.ok is False and not result.degraded


def reason_by_share(
    results: Sequence[ProbeResult],
    seen: Mapping[str, tuple[float, bool | None, float | None]],
    asked: Callable[[str], Hashable],
    share: float,
) -> str:
    """Return why these results, with what was ``seen`` before (epoch, ok, latency), are a reason to doubt; "" if none.

    ``asked``: check key -> the server that was asked. Counted are all newest results, and those of the last moment.
    """
    newest = {key: (at, ok) for key, (at, ok, _) in seen.items()}
    newest |= {result.key: (result.at, result.ok) for result in results}
    recent = max((result.at for result in results), default=0.0) - RECENT_S
    everything = ((asked(key), ok) for key, (_, ok) in newest.items())
    lately = ((asked(key), ok) for key, (at, ok) in newest.items() if at >= recent)
    doubts = prober_doubts_itself(everything, share=share) or prober_doubts_itself(lately, share=share)
    return BY_SHARE if doubts else ""


def as_not_known(results: Iterable[ProbeResult], why: str) -> list[ProbeResult]:
    """Return the results with those that are bad turned into "not known, the prober may be cut off"."""
    return [
        result._replace(ok=None, cause=Cause.CUT_OFF, sentence=f"{why} ({result.sentence})"[:SENTENCE_LIMIT])
        if is_bad(result)
        else result
        for result in results
    ]
