"""Pure: the shapes and the words that pages show of history. No I/O, no Django.

A bar is drawn as one path for each state over one for all that is known, in units of slots; nothing is painted where
nothing is known, so that the hatched ground shows. States differ in height too: down is full, degraded three quarters,
up half.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pools.history.packing import DAY_S, HOUR_S, LATENCIES_MS, SLOT_S, SLOTS_OF_HOUR, Seconds

SLOTS_OF_DAY = DAY_S // SLOT_S
BAR_HEIGHT = 8
PLOT_HEIGHT = 100
LEAST_SEEN = 2
"""A short failure is drawn this wide (slots), so that it can be seen in a row."""
_UP, _DEGRADED, _DOWN = 1, 2, 3
_TOP = {_UP: 4, _DEGRADED: 2, _DOWN: 0}


@dataclass(frozen=True, slots=True)
class Bar:
    """A history bar: path data by state, and what it says in words. ``since``, ``until``: epoch seconds."""

    known: str
    up: str
    degraded: str
    down: str
    text: str
    since: int
    until: int


@dataclass(frozen=True, slots=True)
class Availability:
    """How much of a span a hostname served clients. ``share``: 0 to 1 of what is known; None where nothing is."""

    label: str
    span_s: int
    seen: Seconds

    @property
    def share(self) -> float | None:
        """Up or degraded, of the time that was seen."""
        return (self.seen.up + self.seen.degraded) / self.seen.known if self.seen.known > 0 else None

    @property
    def percent(self) -> str:
        """The share in words, never rounded up to 100."""
        if self.share is None:
            return "not known"
        if self.share == 1.0:
            return "100 %"
        return f"{int(self.share * 1_000_000) / 10_000:.2f} %" if self.share < 0.9999 else "99.99 %"

    @property
    def sentence(self) -> str:
        """How long it was not served, and how long nothing is known of."""
        if self.share is None:
            return "nothing was seen of it"
        parts = []
        if self.seen.down > 0:
            parts.append(f"down {span_words(self.seen.down)}")
        if self.seen.degraded > 0:
            parts.append(f"degraded {span_words(self.seen.degraded)}")
        unknown_s = self.span_s - self.seen.known
        if unknown_s >= SLOT_S / 2:
            parts.append(f"not known {span_words(unknown_s)}")
        return ", ".join(parts) or "no failure seen"


@dataclass(frozen=True, slots=True)
class Plot:
    """A latency plot: path data in slots by ``PLOT_HEIGHT``, broken where nothing is known."""

    line: str
    dots: str
    highest_ms: int
    text: str

    @property
    def half_ms(self) -> str:
        """The middle of the scale."""
        return f"{self.highest_ms / 2:g}"


def span_words(seconds: float) -> str:
    """Return a span for people: "40 s", "12 min", "3.5 h", "2.1 days"."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    if seconds < 1.5 * DAY_S:
        return f"{round(seconds / HOUR_S, 1):g} h"
    return f"{round(seconds / DAY_S, 1):g} days"


def day_of_slots(until: int, slots_by_hour: Mapping[int, bytes]) -> bytes:
    """Return the slots of the 24 hours that end at ``until`` (epoch seconds, the end of a slot); 0 where none is."""
    first = until // SLOT_S - SLOTS_OF_DAY
    hours = range(first // SLOTS_OF_HOUR, (until // SLOT_S - 1) // SLOTS_OF_HOUR + 1)
    joined = b"".join(slots_by_hour.get(hour, b"").ljust(SLOTS_OF_HOUR, b"\0")[:SLOTS_OF_HOUR] for hour in hours)
    skip = first % SLOTS_OF_HOUR
    return joined[skip : skip + SLOTS_OF_DAY]


def draw_bar(until: int, slots: bytes, seen: Seconds, span_s: int = DAY_S) -> Bar:
    """Return the bar of a day of slots; ``seen`` are the seconds of about the same span, for the words."""
    paths: dict[int, list[str]] = {_UP: [], _DEGRADED: [], _DOWN: []}
    for code, start, length in _runs(slots):
        if code in paths:
            seen_as = length if code == _UP else max(length, LEAST_SEEN)
            paths[code].append(_box(start, seen_as, _TOP[code]))
    known = [_box(start, length, 0) for code, start, length in _runs(bytes(bool(code) for code in slots)) if code]
    text = f"Last 24 hours: {_in_words(seen, span_s)}."
    return Bar(
        "".join(known),
        "".join(paths[_UP]),
        "".join(paths[_DEGRADED]),
        "".join(paths[_DOWN]),
        text,
        until - DAY_S,
        until,
    )


def _box(start: int, length: int, top: int) -> str:
    return f"M{start} {top}h{length}V{BAR_HEIGHT}h-{length}z"


def _in_words(seen: Seconds, span_s: int) -> str:
    said = Availability("", span_s, seen)
    if said.share is None:
        return "nothing is known yet"
    if said.sentence == "no failure seen":
        return "up all the time"
    return f"{said.sentence}{', else up' if seen.up > 0 else ''}"


def _runs(slots: bytes) -> Iterable[tuple[int, int, int]]:
    start = 0
    for place in range(1, len(slots) + 1):
        if place == len(slots) or slots[place] != slots[start]:
            yield slots[start], start, place - start
            start = place


def draw_plot(latencies: bytes) -> Plot | None:
    """Return the plot of a day's latencies, a code for each slot; None where there is none at all."""
    values = [(place, ms) for place, code in enumerate(latencies) if (ms := LATENCIES_MS[code]) is not None]
    if not values:
        return None
    highest = max(ms for _, ms in values)
    scale = _round_up(highest)
    line, dots = [], []
    for number, (place, ms) in enumerate(values):
        x, y = place + 0.5, round(PLOT_HEIGHT * (1 - ms / scale), 1)
        joins_left = number > 0 and values[number - 1][0] == place - 1
        joins_right = number + 1 < len(values) and values[number + 1][0] == place + 1
        if joins_left or joins_right:
            line.append(f"{'L' if joins_left else 'M'}{x:g} {y:g}")
        else:
            dots.append(f"M{x:g} {y:g}h.01")
    typical = statistics.median(ms for _, ms in values)
    return Plot("".join(line), "".join(dots), scale, f"Latency: typically {_ms(typical)}, at most {_ms(highest)}.")


def _ms(value: float) -> str:
    return f"{value:.0f} ms" if value >= 9.5 else f"{value:.1f} ms"


def _round_up(ms: float) -> int:
    scale = 1
    while True:
        for step in (1, 2, 5):
            if ms <= scale * step:
                return max(scale * step, 2)
        scale *= 10
