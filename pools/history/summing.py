"""Adds minutes up: hostnames' slots, hours and days, and checks' hours and days. A task calls it each minute.

Each kind of sum has its progress row, which is also its lock: two workers never add the same span, and after a pause
everything that was missed is added from the rows that are there. What no row tells of stays unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

from django.conf import settings
from django.db import transaction
from django.db.models import Sum

from pools.health import Health
from pools.history.packing import (
    DAY_S,
    HOUR_S,
    LATENCIES_MS,
    MINUTE_S,
    SLOT_S,
    Change,
    DamagedHistory,
    Minute,
    Seconds,
    Totals,
    add_up,
    known_share,
    latency_code,
    seconds_in,
    slot_code,
    unpack_minute,
    unpack_roster,
    unpack_totals,
    with_slot,
)
from pools.history.rosters import roster_of
from pools.history_models import CheckHistory, Grain, HistoryProgress, HostnameDay, HostnameHour
from pools.models import HealthTransition, HostnameStatus

LAG_S = 5
"""A minute's row comes a moment after its end."""
CATCH_UP_S = 6 * HOUR_S
"""How far back is added up after a pause; what is older stays unknown."""
AT_ONCE = 400
"""How many rows go into one statement."""


def add_history_up(now: float) -> None:
    """Add up whatever has ended by ``now`` (epoch seconds) and was not added yet."""
    _each_span("slots", SLOT_S, now, _add_slot)
    _each_span("hours", HOUR_S, now, lambda start: _add_checks(start, Grain.HOUR, Grain.MINUTE))
    _each_span("days", DAY_S, now, _add_day)


def _each_span(name: str, span_s: int, now: float, add: Callable[[int], None]) -> None:
    """Call ``add(start)`` for each whole span since the last one, each in a transaction of its own."""
    end = int((now - LAG_S) // span_s * span_s)
    HistoryProgress.objects.get_or_create(name=name, defaults={"until": end - span_s})
    while True:
        with transaction.atomic():
            progress = HistoryProgress.objects.select_for_update().get(name=name)
            earliest = end - max(CATCH_UP_S // span_s, 1) * span_s
            start = max(progress.until, earliest)
            if start + span_s > end:
                return
            add(start)
            progress.until = start + span_s
            progress.save(update_fields=["until"])


# ----------------------------------------------------------------------------------------------------------- hostnames


def _add_slot(start: int) -> None:
    """Add five minutes of every hostname."""
    minutes = _minutes_of(start, start + SLOT_S)
    shares = _known_shares(start, minutes)
    seen = _hostname_seconds(start, shares)
    latencies = _hostname_latencies(minutes)
    hour, place = start // HOUR_S, start % HOUR_S // SLOT_S
    rows = {row.hostname_id: row for row in HostnameHour.objects.filter(hour=hour).order_by()}
    for hostname_id, spent in seen.items():
        row = rows.setdefault(hostname_id, HostnameHour(hostname_id=hostname_id, hour=hour))
        row.up_s, row.degraded_s, row.down_s = Seconds(row.up_s, row.degraded_s, row.down_s) + spent
        row.slots = with_slot(bytes(row.slots), place, slot_code(spent))
        row.latencies = with_slot(bytes(row.latencies), place, latency_code(latencies.get(hostname_id)))
    HostnameHour.objects.bulk_create(
        [rows[pk] for pk in seen],
        batch_size=AT_ONCE,
        update_conflicts=True,
        unique_fields=["hostname", "hour"],
        update_fields=["up_s", "degraded_s", "down_s", "slots", "latencies"],
    )
    _show_latencies(latencies)


def _minutes_of(start: int, end: int) -> list[CheckHistory]:
    rows = CheckHistory.objects.filter(grain_s=Grain.MINUTE, start__gte=start, start__lt=end)
    return list(rows.select_related("roster"))


def _known_shares(start: int, minutes: Iterable[CheckHistory]) -> list[float]:
    """Which share of each minute of a slot was seen: the least that any shard was."""
    shards: int = settings.POOLS["shards"]
    covered = [[0.0] * shards for _ in range(SLOT_S // MINUTE_S)]
    for row in minutes:
        if row.shard < shards:
            covered[(row.start - start) // MINUTE_S][row.shard] += row.covered_s
    return [known_share(min(by_shard)) for by_shard in covered]


def _hostname_seconds(start: int, shares: Sequence[float]) -> dict[int, Seconds]:
    changes: dict[int, list[Change]] = {}
    transitions = HealthTransition.objects.filter(
        check_key="", hostname__isnull=False, at__gte=datetime.fromtimestamp(start, UTC)
    ).order_by("at", "id")
    for hostname_id, at, old, new in transitions.values_list("hostname_id", "at", "old", "new"):
        changes.setdefault(hostname_id or 0, []).append(Change(at.timestamp(), Health(old), Health(new)))
    found = {}
    for hostname_id, health in HostnameStatus.objects.values_list("hostname_id", "health"):
        own = changes.get(hostname_id, [])
        spent = Seconds()
        for number, share in enumerate(shares):
            minute = start + number * MINUTE_S
            later = [change for change in own if change.at >= minute]
            spent += seconds_in(minute, minute + MINUTE_S, Health(health), later).scaled(share)
        found[hostname_id] = spent
    return found


def _hostname_latencies(minutes: Iterable[CheckHistory]) -> dict[int, float]:
    """The mean latency of the web services on each hostname's active server, over these minutes (ms)."""
    wanted = {
        f"web:{server_id}:{hostname_id}": hostname_id
        for hostname_id, server_id in HostnameStatus.objects.filter(active_server__isnull=False).values_list(
            "hostname_id", "active_server_id"
        )
    }
    samples: dict[int, list[float]] = {}
    for keys, part in _unpacked(minutes):
        for key, code in zip(keys, part.latency, strict=True):
            ms = LATENCIES_MS[code]
            if ms is not None and key in wanted:
                samples.setdefault(wanted[key], []).append(ms)
    return {hostname_id: sum(values) / len(values) for hostname_id, values in samples.items()}


def _show_latencies(latencies: dict[int, float]) -> None:
    """Let the statuses show the latency of the last five minutes, or none."""
    changed = []
    for status in HostnameStatus.objects.only("hostname_id", "latency_ms"):
        ms = latencies.get(status.hostname_id)
        if (ms is None) != (status.latency_ms is None) or (
            ms is not None and abs(ms - (status.latency_ms or 0.0)) >= max(1.0, 0.1 * ms)
        ):
            status.latency_ms = ms
            changed.append(status)
    HostnameStatus.objects.bulk_update(changed, ["latency_ms"], batch_size=200)


def _add_day(start: int) -> None:
    """Add a day (UTC) of every hostname and of every check."""
    hours = HostnameHour.objects.filter(hour__gte=start // HOUR_S, hour__lt=(start + DAY_S) // HOUR_S)
    sums = hours.order_by().values_list("hostname_id").annotate(Sum("up_s"), Sum("degraded_s"), Sum("down_s"))
    HostnameDay.objects.bulk_create(
        [
            HostnameDay(hostname_id=pk, day=start // DAY_S, up_s=up, degraded_s=degraded, down_s=down)
            for pk, up, degraded, down in sums
        ],
        batch_size=AT_ONCE,
        update_conflicts=True,
        unique_fields=["hostname", "day"],
        update_fields=["up_s", "degraded_s", "down_s"],
    )
    _add_checks(start, Grain.DAY, Grain.HOUR)


# -------------------------------------------------------------------------------------------------------------- checks


def _add_checks(start: int, grain: Grain, of: Grain) -> None:
    """Add minutes up to an hour, or hours to a day, for each shard."""
    rows = CheckHistory.objects.filter(grain_s=of, start__gte=start, start__lt=start + grain.value)
    by_shard: dict[int, list[CheckHistory]] = {}
    for row in rows.select_related("roster"):
        by_shard.setdefault(row.shard, []).append(row)
    for shard, parts in by_shard.items():
        keys, totals = add_up(_unpacked(parts))
        CheckHistory.objects.update_or_create(
            grain_s=grain,
            start=start,
            shard=shard,
            roster=roster_of(keys),
            defaults={"covered_s": sum(part.covered_s for part in parts), "packed": totals.packed()},
        )


def _unpacked(rows: Iterable[CheckHistory]) -> Iterable[tuple[Sequence[str], Minute | Totals]]:
    """Each row's keys and what it holds; a damaged one is a gap."""
    rosters: dict[int, list[str]] = {}
    for row in rows:
        try:
            if row.roster_id not in rosters:
                rosters[row.roster_id] = unpack_roster(bytes(row.roster.packed))
            keys = rosters[row.roster_id]
            unpack = unpack_minute if row.grain_s == Grain.MINUTE else unpack_totals
            yield keys, unpack(bytes(row.packed), len(keys))
        except DamagedHistory:
            continue
