"""Pure: how history is packed into few bytes, and how it is added up. No I/O, no Django.

A *minute* of a shard is three bytes for each check: its health at the minute's end, how many results in the minute were
bad, and the latency of the last one. *Totals* (an hour, a day) are minutes by health, bad results, and latencies. The
checks' keys are not repeated: a roster lists them once, in the order of the columns. A *slot* is five minutes of a
hostname: one byte for its state and one for its latency.
"""

from __future__ import annotations

import math
import zlib
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pools.health import Health

MINUTE_S, SLOT_S, HOUR_S, DAY_S = 60, 300, 3600, 86_400
SLOTS_OF_HOUR = HOUR_S // SLOT_S
KNOWN_FROM_S = 56.0
"""A minute counts wholly from so many seconds of probing: between two windows of a worker nothing goes stale."""
UNKNOWN_FROM_S = 30.0
"""For so long a slot must be unknown to be shown as such where nothing worse was seen: a worker's change is not."""

_CODES: Mapping[Health, int] = {Health.UNKNOWN: 0, Health.UP: 1, Health.DEGRADED: 2, Health.DOWN: 3}
HEALTHS: tuple[Health, ...] = (Health.UNKNOWN, Health.UP, Health.DEGRADED, Health.DOWN)
"""Health by its code."""
BAD_MAX = 255
_FINEST_MS, _STEP = 0.05, 1.06
LATENCIES_MS: tuple[float | None, ...] = (None, *(_FINEST_MS * _STEP**n for n in range(255)))
"""Milliseconds by code: steps of 6 % from 0.05 ms to over two minutes; code 0 is none."""
_LOG_STEP = math.log(_STEP)


class DamagedHistory(Exception):  # noqa: N818 (it is a state of the world, and reads as one)
    """A packed row cannot be read; trying again cannot help. Whoever reads goes on without it: it is a gap."""


def code_of(health: Health | str) -> int:
    """Return the number that stands for a health."""
    return _CODES[Health(health)]


def latency_code(ms: float | None) -> int:
    """Return the nearest code for a latency in milliseconds; 0 for none, also for what is no number."""
    if ms is None or not ms >= 0 or math.isinf(ms):
        return 0
    if ms <= _FINEST_MS:
        return 1
    return min(255, 1 + round(math.log(ms / _FINEST_MS) / _LOG_STEP))


def pack_roster(keys: Sequence[str]) -> bytes:
    """Pack the keys of checks, in their order."""
    return zlib.compress("\n".join(keys).encode(), 6)


def unpack_roster(packed: bytes) -> list[str]:
    """Return the keys in their order. Raises DamagedHistory."""
    text = _inflated(packed).decode("utf-8", "replace")
    return text.split("\n") if text else []


class Minute(NamedTuple):
    """One minute of a shard: a byte for each check of its roster in each column."""

    health: bytes
    bad: bytes
    latency: bytes

    def packed(self) -> bytes:
        """Return it in few bytes."""
        return zlib.compress(self.health + self.bad + self.latency, 6)

    def followed_by(self, later: Minute) -> Minute:
        """Return the same minute with its later part, seen by another holder of the shard; both of one roster."""
        return Minute(
            bytes(new or old for old, new in zip(self.health, later.health, strict=True)),
            bytes(min(BAD_MAX, old + new) for old, new in zip(self.bad, later.bad, strict=True)),
            bytes(new or old for old, new in zip(self.latency, later.latency, strict=True)),
        )


def unpack_minute(packed: bytes, checks: int) -> Minute:
    """Return a minute of ``checks`` checks. Raises DamagedHistory."""
    data = _inflated(packed)
    if len(data) != 3 * checks:
        raise DamagedHistory(f"{len(data)} bytes for {checks} checks")
    return Minute(data[:checks], data[checks : 2 * checks], data[2 * checks :])


@dataclass(slots=True)
class Totals:
    """An hour or a day of a shard: for each check minutes up, degraded, down; bad results; latency mean and highest.

    What is missing to the whole hour or day is not known.
    """

    up: array[int]
    degraded: array[int]
    down: array[int]
    bad: array[int]
    latency: bytearray
    highest: bytearray

    @classmethod
    def nothing(cls, checks: int) -> Totals:
        """Nothing was seen of so many checks."""
        columns = [array("H", bytes(2 * checks)) for _ in range(4)]
        return cls(columns[0], columns[1], columns[2], columns[3], bytearray(checks), bytearray(checks))

    def packed(self) -> bytes:
        """Return them in few bytes."""
        columns = (self.up, self.degraded, self.down, self.bad)
        return zlib.compress(b"".join(_little(c) for c in columns) + bytes(self.latency) + bytes(self.highest), 6)


def unpack_totals(packed: bytes, checks: int) -> Totals:
    """Return the totals of ``checks`` checks. Raises DamagedHistory."""
    data = _inflated(packed)
    if len(data) != 10 * checks:
        raise DamagedHistory(f"{len(data)} bytes for {checks} checks")
    size = 2 * checks
    up, degraded, down, bad = (_from_little(data[n * size : (n + 1) * size]) for n in range(4))
    rest = data[4 * size :]
    return Totals(up, degraded, down, bad, bytearray(rest[:checks]), bytearray(rest[checks:]))


@dataclass(slots=True)
class _Sum:
    minutes: list[int] = field(default_factory=lambda: [0, 0, 0, 0])
    bad: int = 0
    latency_ms: float = 0.0
    latencies: int = 0
    highest: int = 0

    def latency(self, code: int, weight: int, highest: int) -> None:
        ms = LATENCIES_MS[code]
        if ms is not None:
            self.latency_ms += ms * weight
            self.latencies += weight
        self.highest = max(self.highest, highest)


def add_up(parts: Iterable[tuple[Sequence[str], Minute | Totals]]) -> tuple[list[str], Totals]:
    """Add minutes (or shorter totals) of any rosters up; return the keys of them all, sorted, and their totals."""
    sums: dict[str, _Sum] = {}
    for keys, part in parts:
        for place, key in enumerate(keys):
            entry = sums.get(key)
            if entry is None:
                entry = sums[key] = _Sum()
            if isinstance(part, Minute):
                entry.minutes[part.health[place] & 3] += 1
                entry.bad += part.bad[place]
                entry.latency(part.latency[place], 1, part.latency[place])
            else:
                seen = (0, part.up[place], part.degraded[place], part.down[place])
                entry.minutes = [old + new for old, new in zip(entry.minutes, seen, strict=True)]
                entry.bad += part.bad[place]
                entry.latency(part.latency[place], sum(seen) or 1, part.highest[place])
    keys = sorted(sums)
    totals = Totals.nothing(len(keys))
    for place, key in enumerate(keys):
        entry = sums[key]
        totals.up[place], totals.degraded[place], totals.down[place] = (min(n, 0xFFFF) for n in entry.minutes[1:])
        totals.bad[place] = min(entry.bad, 0xFFFF)
        totals.latency[place] = latency_code(entry.latency_ms / entry.latencies if entry.latencies else None)
        totals.highest[place] = entry.highest
    return keys, totals


class Change(NamedTuple):
    """A hostname's change of health: when (epoch seconds), from what, to what."""

    at: float
    old: Health
    new: Health


class Seconds(NamedTuple):
    """How long something was up, degraded, down; the rest of the span is not known."""

    up: float = 0.0
    degraded: float = 0.0
    down: float = 0.0

    def __add__(self, other: object) -> Seconds:
        """Add two spans up."""
        if not isinstance(other, Seconds):
            return NotImplemented
        return Seconds(self.up + other.up, self.degraded + other.degraded, self.down + other.down)

    @property
    def known(self) -> float:
        """For how long anything was known."""
        return self.up + self.degraded + self.down

    def scaled(self, share: float) -> Seconds:
        """The same, of which only a share was really seen."""
        return Seconds(self.up * share, self.degraded * share, self.down * share)


def seconds_in(start: float, end: float, now_is: Health, changes: Sequence[Change]) -> Seconds:
    """Return how long a hostname was in each health between two moments.

    ``changes``: those after ``start``, the earliest first; ``now_is``: its health after the last of them.
    """
    health = changes[0].old if changes else now_is
    at = start
    spent = dict.fromkeys(HEALTHS, 0.0)
    for change in changes:
        until = min(max(change.at, at), end)
        spent[health] += until - at
        at, health = until, change.new
        if change.at >= end:
            break
    else:
        spent[health] += end - at
    return Seconds(spent[Health.UP], spent[Health.DEGRADED], spent[Health.DOWN])


def known_share(covered_s: float) -> float:
    """Return which share of a minute counts as seen, where its shards were probed for so many seconds of it."""
    return 1.0 if covered_s >= KNOWN_FROM_S else max(0.0, covered_s / MINUTE_S)


def slot_code(seen: Seconds) -> int:
    """Return the code of a slot's state: the worst that was seen; unknown where it was so for long; else up."""
    if seen.down > 0:
        return _CODES[Health.DOWN]
    if seen.degraded > 0:
        return _CODES[Health.DEGRADED]
    if SLOT_S - seen.known >= UNKNOWN_FROM_S:
        return _CODES[Health.UNKNOWN]
    return _CODES[Health.UP]


def with_slot(slots: bytes, place: int, code: int) -> bytes:
    """Return an hour's slots with one of them set."""
    padded = bytearray(slots.ljust(SLOTS_OF_HOUR, b"\0")[:SLOTS_OF_HOUR])
    padded[place] = code
    return bytes(padded)


def _inflated(packed: bytes) -> bytes:
    try:
        return zlib.decompress(packed)
    except zlib.error as error:
        raise DamagedHistory(str(error)) from error


def _little(column: array[int]) -> bytes:
    if array("H", [1]).tobytes() == b"\1\0":
        return column.tobytes()
    swapped = array("H", column)
    swapped.byteswap()
    return swapped.tobytes()


def _from_little(data: bytes) -> array[int]:
    column = array("H", data)
    if array("H", [1]).tobytes() != b"\1\0":
        column.byteswap()
    return column
