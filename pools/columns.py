"""Pure: the newest result of thousands of checks as columns: cheap to set one by one, and packed as they are.

As a dictionary of tuples, packing 10,000 of them each second cost more than half as much as probing them.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Mapping
from operator import itemgetter

from pools.health import STALE_AFTER_INTERVALS, CheckHealth, Health

HEALTHS = (Health.UNKNOWN, Health.UP, Health.DEGRADED, Health.DOWN)
_CODE = {health: code for code, health in enumerate(HEALTHS)}
STREAK_MAX = 255
NEVER = 0.0
SEPARATOR = "\n"


class Columns:
    """For each check by its number: when it was last seen (epoch), how long it took, its health, its streak."""

    def __init__(self, keys: Iterable[str]) -> None:
        self.keys = tuple(keys)
        self.number = {key: number for number, key in enumerate(self.keys)}
        self.at = array("d", [NEVER]) * len(self.keys)
        self.latency_ms = array("f", [math.nan]) * len(self.keys)
        self.health = bytearray(len(self.keys))
        self.streak = bytearray(len(self.keys))
        self._joined = SEPARATOR.join(self.keys).encode()

    def saw(self, number: int, at: float, latency_ms: float | None) -> None:
        """Set when a check was last seen, and how long it took (None: it did not answer)."""
        self.at[number] = at
        self.latency_ms[number] = math.nan if latency_ms is None else latency_ms

    def became(self, key: str, state: CheckHealth) -> None:
        """Set the health of a check."""
        number = self.number[key]
        self.health[number] = _CODE[state.health]
        self.streak[number] = min(state.streak, STREAK_MAX)

    def take_over(self, before: Columns) -> None:
        """Take over when they were last seen from the columns of another set of checks."""
        for key, number in self.number.items():
            old = before.number.get(key)
            if old is not None:
                self.at[number] = before.at[old]
                self.latency_ms[number] = before.latency_ms[old]

    def packed(self) -> dict[str, bytes]:
        """Everything as bytes; ``unpacked()`` reads it."""
        return {
            "keys": self._joined,
            "at": self.at.tobytes(),
            "latency_ms": self.latency_ms.tobytes(),
            "health": bytes(self.health),
            "streak": bytes(self.streak),
        }


def unpacked(packed: Mapping[str, bytes]) -> Iterator[tuple[str, tuple[float, str, int, float | None]]]:
    """The key of each check that was seen, with its epoch, health, streak and latency (ms)."""
    at, latencies = array("d", packed["at"]), array("f", packed["latency_ms"])
    keys = packed["keys"].decode().split(SEPARATOR) if packed["keys"] else []
    rows = zip(keys, at, packed["health"], packed["streak"], latencies, strict=True)
    for key, seen_at, code, streak, latency_ms in rows:
        if seen_at != NEVER:
            yield key, (seen_at, HEALTHS[code].value, streak, None if math.isnan(latency_ms) else latency_ms)


class OldestOf:
    """Of a fixed set of checks the result that goes stale first; a few numbers for each turn, whatever their count."""

    __slots__ = ("_groups",)

    def __init__(self, numbers: Iterable[tuple[int, float]]) -> None:
        """``numbers``: for each check its number and its interval in seconds."""
        by_interval: dict[float, list[int]] = {}
        for number, interval_s in numbers:
            by_interval.setdefault(interval_s, []).append(number)
        # Each number twice: of a single one itemgetter would give no tuple.
        self._groups = [(interval_s, itemgetter(*found, found[0])) for interval_s, found in by_interval.items()]

    def find(self, at: array[float]) -> tuple[float, float] | None:
        """Return epoch and interval of the result that goes stale first; None while one was never seen."""
        oldest = [(min(pick(at)), interval_s) for interval_s, pick in self._groups]
        if not oldest or any(seen_at == NEVER for seen_at, _ in oldest):
            return None
        return min(oldest, key=lambda one: one[0] + STALE_AFTER_INTERVALS * one[1])
