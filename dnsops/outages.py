"""Pure: from single probes through a hostname to the longest outage that a client saw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

GAP_S = 2.5


@dataclass(frozen=True, slots=True)
class Outages:
    """What has been seen so far; times are epoch seconds, durations seconds.

    An outage lasts from the last probe that worked to the next one that does: the longest that it can have been.
    ``not_measured_s``: while nobody probed (a worker was killed); it is told, and never counted as working.
    """

    probes: int = 0
    failed: int = 0
    longest_s: float = 0.0
    longest_at: float = 0.0
    longest_why: str = ""
    not_measured_s: float = 0.0
    last_at: float = 0.0
    last_good_at: float = 0.0
    failing_since: float = 0.0
    failing_why: str = ""

    @property
    def failing(self) -> bool:
        """Whether the last probe failed."""
        return self.failing_since > 0

    def note(self, at: float, problem: str) -> Outages:
        """Take in one probe; ``problem`` is "" where it worked."""
        gap_s = at - self.last_at if self.last_at and at - self.last_at > GAP_S else 0.0
        seen = replace(self, probes=self.probes + 1, last_at=at, not_measured_s=self.not_measured_s + gap_s)
        if problem:
            since = seen.failing_since or (seen.last_good_at if not gap_s else 0.0) or at
            why = seen.failing_why or problem
            return replace(seen, failed=seen.failed + 1, failing_since=since, failing_why=why).with_longest(at - since)
        lasted = at - seen.failing_since if seen.failing else 0.0
        return replace(seen.with_longest(lasted), last_good_at=at, failing_since=0.0, failing_why="")

    def with_longest(self, lasted_s: float) -> Outages:
        """The same, where an outage that lasted so long (or lasts) is longer than those before."""
        if lasted_s <= self.longest_s or not self.failing:
            return self
        return replace(self, longest_s=lasted_s, longest_at=self.failing_since, longest_why=self.failing_why)

    def as_dict(self) -> dict[str, Any]:
        """The form in which it is stored as JSON."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Outages:
        """The inverse of ``as_dict``."""
        return cls(**{name: stored[name] for name in cls.__slots__ if name in stored})


def age_in_days(seconds: float | None, *, limit_days: int) -> tuple[str, str]:
    """How long ago the last drill was, as a state (up, degraded, unknown) and a sentence; None: there was none."""
    if seconds is None:
        return "degraded", "Never rehearsed."
    days = int(seconds // 86_400)
    when = "today" if days == 0 else "yesterday" if days == 1 else f"{days} days ago"
    if days > limit_days:
        return "degraded", f"Last rehearsed {when}: more than {limit_days} days."
    return "up", f"Last rehearsed {when}."
