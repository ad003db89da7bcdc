"""What pages read of history: bars, availability, latencies. A fixed number of queries, however large the estate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from django.conf import settings
from django.db.models import Max, Q, QuerySet, Sum
from django.template.loader import render_to_string
from django.utils.module_loading import import_string
from django.utils.safestring import SafeString

from pools.history.drawing import Availability, Bar, Plot, day_of_slots, draw_bar, draw_plot
from pools.history.packing import DAY_S, HOUR_S, SLOT_S, Seconds
from pools.history_models import HistoryProgress, HostnameDay, HostnameHour
from pools.kept import Kept, Recent

SPANS: Sequence[tuple[str, int]] = (("24 hours", 1), ("7 days", 7), ("30 days", 30))
_COLUMNS = ("hour", "slots", "up_s", "degraded_s", "down_s")


@dataclass(frozen=True, slots=True)
class Switch:
    """A change of the active server, as dnsops tells it: to be marked in a plot."""

    at: datetime
    what: str
    url: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A switch in a plot: ``x`` in slots from its left side."""

    number: int
    x: float
    switch: Switch


@dataclass(frozen=True, slots=True)
class HostnameHistory:
    """What a hostname's page shows of what was."""

    bar: Bar
    plot: Plot | None
    marks: Sequence[Mark]
    availability: Sequence[Availability]
    ticks: Sequence[datetime]


def _window(until: int) -> tuple[int, int]:
    """The hours that the last 24 hours touch."""
    return (until - DAY_S) // HOUR_S, (until - 1) // HOUR_S


def _hours(first: int, last: int) -> QuerySet[HostnameHour]:
    """The hours of a window, in no order: sorting them would join the hostnames."""
    return HostnameHour.objects.filter(hour__range=(first, last)).order_by()


def hostname_bar(hostname_id: int, until: int) -> Bar:
    """Return the bar of one hostname, 24 hours up to ``until`` (epoch seconds): one query of at most 25 rows."""
    first, last = _window(until)
    rows = _hours(first, last).filter(hostname_id=hostname_id).values_list(*_COLUMNS)
    return _bar(until, list(rows))


def _bar(until: int, rows: Sequence[tuple[int, bytes, float, float, float]]) -> Bar:
    last = (until - 1) // HOUR_S
    slots = day_of_slots(until, {row[0]: bytes(row[1]) for row in rows})
    seen = Seconds()
    for hour, _, up, degraded, down in rows:
        if hour > last - 24:
            seen = seen + Seconds(up, degraded, down)
    return draw_bar(until, slots, seen, until - (last - 23) * HOUR_S)


def bars_until() -> int:
    """Until when bars go (epoch seconds): the end of the last slot that was added up; 0 before the first."""
    return HistoryProgress.objects.filter(name="slots").aggregate(until=Max("until"))["until"] or 0


latest_slot = Recent(bars_until, keep_s=5.0)
"""The same, read at most once in five seconds for each process."""

_bars: Kept[Mapping[int, SafeString]] = Kept(limit=2)


def forget_kept() -> None:
    """Forget everything that this process keeps (for tests)."""
    _bars.forget()
    latest_slot.forget()


def bar_html(bar: Bar) -> SafeString:
    """A bar as it stands in a row."""
    return render_to_string("pools/history/bar.html", {"bar": bar})


def all_bars() -> Mapping[int, SafeString]:
    """Return every hostname's bar as HTML; read and drawn once for each five minutes."""
    until = latest_slot.get()
    return _bars.get(until, lambda: _read_bars(until))


def _read_bars(until: int) -> Mapping[int, SafeString]:
    first, last = _window(until)
    by_hostname: dict[int, list[tuple[int, bytes, float, float, float]]] = {}
    for hostname_id, *row in _hours(first, last).values_list("hostname_id", *_COLUMNS):
        by_hostname.setdefault(hostname_id, []).append(tuple(row))
    return {hostname_id: bar_html(_bar(until, rows)) for hostname_id, rows in by_hostname.items()}


def empty_bar() -> SafeString:
    """The bar of a hostname of which nothing is known yet."""
    return bar_html(draw_bar(0, b"", Seconds()))


def availability(hostname_id: int, until: int) -> list[Availability]:
    """Return how much each span served clients, by the hours that are kept; a year by its whole days and today."""
    last = (until - 1) // HOUR_S
    today = last // 24 * 24
    firsts = {str(days): last - 24 * days + 1 for _, days in SPANS} | {"today": today}
    sums = {
        f"{column}_{name}": Sum(column, filter=Q(hour__gte=first), default=0.0)
        for column in ("up_s", "degraded_s", "down_s")
        for name, first in firsts.items()
    }
    hours = HostnameHour.objects.filter(hostname_id=hostname_id, hour__gte=min(firsts.values()))
    found = hours.aggregate(**sums)

    def seen(name: str) -> Seconds:
        return Seconds(found[f"up_s_{name}"], found[f"degraded_s_{name}"], found[f"down_s_{name}"])

    year = HostnameDay.objects.filter(
        hostname_id=hostname_id, day__gt=today // 24 - 365, day__lt=today // 24
    ).aggregate(up=Sum("up_s", default=0.0), degraded=Sum("degraded_s", default=0.0), down=Sum("down_s", default=0.0))
    whole_days = Seconds(year["up"], year["degraded"], year["down"])
    return [
        *(Availability(label, until - firsts[str(days)] * HOUR_S, seen(str(days))) for label, days in SPANS),
        Availability("1 year", 364 * DAY_S + until - today * HOUR_S, whole_days + seen("today")),
    ]


def hostname_history(hostname_id: int, now: float) -> HostnameHistory:
    """Gather what a hostname's page shows of what was, in five queries; until the last slot that was added up."""
    until = latest_slot.get() or int(now // SLOT_S * SLOT_S)
    first, last = _window(until)
    hours = _hours(first, last).filter(hostname_id=hostname_id)
    latencies = {hour: bytes(codes) for hour, codes in hours.values_list("hour", "latencies")}
    since = until - DAY_S
    read_switches: Callable[[int, datetime], list[Switch]] = import_string(settings.SWITCHES_SOURCE)
    switches = read_switches(hostname_id, datetime.fromtimestamp(since, UTC))
    return HostnameHistory(
        bar=hostname_bar(hostname_id, until),
        plot=draw_plot(day_of_slots(until, latencies)),
        marks=[
            Mark(number, round((switch.at.timestamp() - since) / SLOT_S, 2), switch)
            for number, switch in enumerate(switches, start=1)
        ],
        availability=availability(hostname_id, until),
        ticks=[datetime.fromtimestamp(since + part * DAY_S // 4, UTC) for part in range(5)],
    )
