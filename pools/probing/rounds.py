"""Pure: when each of thousands of checks is asked next, without a heap entry for each.

A check keeps its own place in its interval (a hash of its key), so the checks of one interval, sorted by place, are
asked in that order round after round: a cursor walks along. Times are seconds of one monotonic clock.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import Generic, Protocol, TypeVar


class HasPlace(Protocol):
    """Something with a place in its interval: ``phase``, 0 to 1."""

    @property
    def phase(self) -> float: ...


T = TypeVar("T", bound=HasPlace)


class Round(Generic[T]):
    """The checks of one interval. ``at``: those whose place comes after it are the next."""

    def __init__(self, interval_s: float, members: Iterable[T], *, at: float) -> None:
        self.interval_s = interval_s
        self._members = sorted(members, key=lambda member: member.phase)
        self._times = [member.phase * interval_s for member in self._members]
        self._began = 0.0
        self._next = 0
        self.move_to(at)

    def __len__(self) -> int:
        """How many members it has."""
        return len(self._members)

    def move_to(self, at: float) -> None:
        """Go on from this time: what was due before is left out."""
        self._began = at // self.interval_s * self.interval_s
        self._next = bisect_left(self._times, at - self._began)
        self._turn()

    def next_due(self) -> float | None:
        """When the next member is due."""
        return self._began + self._times[self._next] if self._members else None

    def due(self, now: float, limit: int) -> list[T]:
        """Take up to ``limit`` members that are due. Of a pause longer than an interval one round is made up for."""
        if not self._members:
            return []
        if self._began + self._times[self._next] < now - self.interval_s:
            self.move_to(now - self.interval_s)
        taken: list[T] = []
        while len(taken) < limit and self._began + self._times[self._next] <= now:
            taken.append(self._members[self._next])
            self._next += 1
            self._turn()
        return taken

    def _turn(self) -> None:
        if self._next == len(self._members):
            self._next = 0
            self._began += self.interval_s
