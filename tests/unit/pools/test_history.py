"""Minutes are written, added up, shown and forgotten; what nobody saw stays unknown."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from pytest_django import DjangoAssertNumQueries, Settings

from pools.health import CheckKind
from pools.history import reading, retention, summing
from pools.history.minutes import MinuteBook, write_minute
from pools.history.packing import Minute, code_of, latency_code, unpack_minute, unpack_roster, unpack_totals
from pools.history_models import CheckHistory, CheckRoster, Grain, HistoryProgress, HostnameDay, HostnameHour
from pools.models import DedicatedHostname, HealthTransition, HostnameStatus
from pools.probing.result import Cause, ProbeResult
from pools.specs import Check
from tests.factories import make_pair

pytestmark = pytest.mark.django_db

T0 = 1_700_006_400  # on the hour, at the beginning of a day (UTC)
HOUR, SLOT = 3600, 300


class FakeRecorder:
    """What the book reads of a recorder."""

    def __init__(self, *keys: str, health: str = "up", at: float = T0) -> None:
        self.shard = 0
        self.checks = {key: Check(key, CheckKind.UCC, key, "10.0.0.1", 1) for key in keys}
        self.health, self.at = health, at

    def latest(self) -> dict[str, tuple[float, str, int, float | None]]:
        return dict.fromkeys(self.checks, (self.at, self.health, 0, 3.0))


def bad(key: str) -> ProbeResult:
    return ProbeResult(key, T0, False, False, Cause.REFUSED, "refused")


def turn_through(book: MinuteBook, recorder: FakeRecorder, until: float, step: float = 0.5) -> None:
    now = book.last
    while now < until:
        now = min(now + step, until)
        recorder.at = now
        book.turn([], recorder, now)


def test_a_minute_becomes_one_row_for_all_checks_when_it_is_over(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    recorder = FakeRecorder("ucc:1:1", "ucc:1:2")
    book = MinuteBook(T0)
    with django_assert_num_queries(0):
        turn_through(book, recorder, T0 + 59.5)
        book.turn([bad("ucc:1:2"), bad("ucc:1:2")], recorder, T0 + 59.9)
    turn_through(book, recorder, T0 + 60.5)
    row = CheckHistory.objects.get()
    assert (row.grain_s, row.start, row.shard) == (Grain.MINUTE, T0, 0)
    assert row.covered_s == pytest.approx(60)
    assert unpack_roster(bytes(row.roster.packed)) == ["ucc:1:1", "ucc:1:2"]
    seen = unpack_minute(bytes(row.packed), 2)
    assert (list(seen.health), list(seen.bad), set(seen.latency)) == ([1, 1], [0, 2], {latency_code(3.0)})


def test_a_handed_on_minute_is_one_row_with_both_parts() -> None:
    recorder = FakeRecorder("ucc:1:1")
    first = MinuteBook(T0)
    turn_through(first, recorder, T0 + 20)
    first.close(recorder)
    second = MinuteBook(T0 + 20.5)
    recorder.health = "down"
    turn_through(second, recorder, T0 + 61)
    row = CheckHistory.objects.get()
    assert row.covered_s == pytest.approx(59.5)
    assert list(unpack_minute(bytes(row.packed), 1).health) == [code_of("down")]


def test_while_the_process_stood_still_nothing_was_seen() -> None:
    recorder = FakeRecorder("ucc:1:1")
    book = MinuteBook(T0)
    turn_through(book, recorder, T0 + 10)
    book.turn([], recorder, T0 + 40)  # frozen for 30 s
    turn_through(book, recorder, T0 + 61)
    assert CheckHistory.objects.get().covered_s == pytest.approx(30)


def test_a_clock_that_is_set_back_does_no_harm() -> None:
    recorder = FakeRecorder("ucc:1:1")
    book = MinuteBook(T0 + 30)
    turn_through(book, recorder, T0 + 40)
    book.turn([], recorder, T0 - 100)
    turn_through(book, recorder, T0 - 50)
    assert all(0 <= row.covered_s <= 60 for row in CheckHistory.objects.all())


def test_a_result_that_is_too_old_is_unknown_in_the_minute() -> None:
    recorder = FakeRecorder("ucc:1:1")
    book = MinuteBook(T0)
    turn_through(book, recorder, T0 + 30)
    for second in range(31, 62):
        book.turn([], recorder, T0 + second)  # no new result since
    seen = unpack_minute(bytes(CheckHistory.objects.get().packed), 1)
    assert (list(seen.health), list(seen.latency)) == ([0], [0])


# -------------------------------------------------------------------------------------------------------------- adding


def minutes(
    start: int, count: int, *, keys: Sequence[str] = ("ucc:1:1",), covered_s: float = 60, shard: int = 0
) -> None:
    column = bytes([1] * len(keys))
    for number in range(count):
        seen = Minute(column, bytes(len(keys)), bytes([latency_code(20.0)] * len(keys)))
        write_minute(shard=shard, start=start + 60 * number, keys=keys, seen=seen, covered_s=covered_s)


def hostname(health: str = "up") -> DedicatedHostname:
    pair = make_pair()
    HostnameStatus.objects.create(hostname=pair, health=health, active_server=pair.targets.get(order=1).server)
    return pair


def begin(at: int = T0) -> None:
    for name in ("slots", "hours", "days"):
        HistoryProgress.objects.create(name=name, until=at)


def moved(pair: DedicatedHostname, at: float, old: str, new: str) -> None:
    HealthTransition.objects.create(at=datetime.fromtimestamp(at, UTC), hostname=pair, label="x", old=old, new=new)
    HostnameStatus.objects.filter(hostname=pair).update(health=new)


def test_five_minutes_of_a_hostname_are_added_when_they_are_over() -> None:
    pair = hostname()
    begin()
    minutes(T0, 5)
    moved(pair, T0 + 100, "up", "down")
    moved(pair, T0 + 160, "down", "up")
    summing.add_history_up(T0 + SLOT)  # too early: the last row may not be there
    assert not HostnameHour.objects.exists()
    summing.add_history_up(T0 + SLOT + 10)
    row = HostnameHour.objects.get()
    assert (row.hostname_id, row.hour) == (pair.pk, T0 // HOUR)
    assert (row.up_s, row.down_s) == (240, 60)
    assert bytes(row.slots) == bytes([code_of("down")] + [0] * 11)


def test_what_was_added_is_not_added_again() -> None:
    hostname()
    begin()
    minutes(T0, 5)
    for _ in range(3):
        summing.add_history_up(T0 + SLOT + 10)
    assert HostnameHour.objects.get().up_s == 300


def test_after_a_pause_everything_that_was_missed_is_added() -> None:
    hostname()
    begin()
    minutes(T0, 120)
    summing.add_history_up(T0 + 2 * HOUR + 10)
    assert [row.up_s for row in HostnameHour.objects.order_by("hour")] == [3600, 3600]
    assert CheckHistory.objects.filter(grain_s=Grain.HOUR).count() == 2


def test_minutes_that_nobody_probed_are_unknown_and_not_up() -> None:
    hostname()
    begin()
    minutes(T0, 2)
    minutes(T0 + 120, 1, covered_s=30)
    summing.add_history_up(T0 + SLOT + 10)
    row = HostnameHour.objects.get()
    assert row.up_s == 150
    assert row.slots[0] == code_of("unknown")


def test_of_two_shards_the_one_that_saw_less_counts(settings: Settings) -> None:
    settings.POOLS = {**settings.POOLS, "shards": 2}
    hostname()
    begin()
    minutes(T0, 5)
    minutes(T0, 3, shard=1)
    summing.add_history_up(T0 + SLOT + 10)
    assert HostnameHour.objects.get().up_s == 180


def test_the_latency_is_that_of_the_web_services_on_the_active_server() -> None:
    pair = hostname()
    begin()
    active, standby = (target.server_id for target in pair.targets.order_by("order"))
    minutes(T0, 5, keys=(f"web:{active}:{pair.pk}", f"web:{standby}:{pair.pk}"))
    summing.add_history_up(T0 + SLOT + 10)
    assert HostnameHour.objects.get().latencies[0] == latency_code(20.0)
    assert HostnameStatus.objects.get().latency_ms == pytest.approx(20, rel=0.03)


def test_a_latency_that_is_not_measured_any_more_is_not_shown() -> None:
    pair = hostname()
    HostnameStatus.objects.filter(hostname=pair).update(latency_ms=12.0)
    begin()
    minutes(T0, 5)
    summing.add_history_up(T0 + SLOT + 10)
    assert HostnameStatus.objects.get().latency_ms is None


def test_an_hour_and_a_day_of_checks_are_added_up() -> None:
    hostname()
    begin()
    minutes(T0, 60)
    summing.add_history_up(T0 + HOUR + 10)
    hour = CheckHistory.objects.get(grain_s=Grain.HOUR)
    assert unpack_totals(bytes(hour.packed), 1).up[0] == 60
    HistoryProgress.objects.update(until=T0)
    summing.add_history_up(T0 + 86_400 + 10)
    day = CheckHistory.objects.get(grain_s=Grain.DAY)
    assert (unpack_totals(bytes(day.packed), 1).up[0], day.covered_s) == (60, 3600)
    assert HostnameDay.objects.get().up_s >= 3600


def test_a_damaged_row_is_a_gap_and_stops_nothing() -> None:
    hostname()
    begin()
    minutes(T0, 60)
    CheckHistory.objects.filter(start=T0).update(packed=b"nonsense")
    summing.add_history_up(T0 + HOUR + 10)
    assert unpack_totals(bytes(CheckHistory.objects.get(grain_s=Grain.HOUR).packed), 1).up[0] == 59


# ------------------------------------------------------------------------------------------------------------- reading


def test_a_bar_is_read_in_one_query(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    pair = hostname()
    for hour in range(25):
        HostnameHour.objects.create(hostname=pair, hour=T0 // HOUR - hour, up_s=3600, slots=bytes([1] * 12))
    with django_assert_num_queries(1):
        bar = reading.hostname_bar(pair.pk, T0 + 3300)
    assert bar.up.startswith("M0 4h288V8")


def test_all_bars_are_read_in_one_query_however_many_hostnames(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    reading.forget_kept()
    HistoryProgress.objects.create(name="slots", until=T0 + HOUR)
    for _ in range(4):
        HostnameHour.objects.create(hostname=hostname(), hour=T0 // HOUR, down_s=300, slots=bytes([3] + [0] * 11))
    with django_assert_num_queries(2):
        bars = reading.all_bars()
    assert len(bars) == 4
    assert all("down 5 min" in html for html in bars.values())
    reading.forget_kept()


def test_availability_says_what_is_not_known() -> None:
    pair = hostname()
    HostnameHour.objects.create(hostname=pair, hour=T0 // HOUR, up_s=1800, down_s=1800)
    HostnameHour.objects.create(hostname=pair, hour=T0 // HOUR - 100, up_s=3600)
    HostnameDay.objects.create(hostname=pair, day=T0 // 86_400 - 200, up_s=86_400)
    day, week, month, year = reading.availability(pair.pk, T0 + HOUR)
    assert (day.label, day.percent, day.span_s) == ("24 hours", "50.00 %", 86_400)
    assert day.sentence == "down 30 min, not known 23 h"
    assert (week.share, month.share) == (0.75, 0.75)
    assert year.seen.up == 86_400 + 1800


# ---------------------------------------------------------------------------------------------------------- forgetting


def test_what_is_older_than_it_is_kept_is_deleted_and_the_rest_stays(settings: Settings) -> None:
    settings.POOLS = {**settings.POOLS, "keep_days": {"minutes": 1, "hours": 2, "days": 3, "transitions": 4}}
    pair = hostname()
    now = T0 + 10 * 86_400
    for age_d in (0.5, 1.5, 2.5, 3.5, 4.5):
        at = int(now - age_d * 86_400)
        minutes(at, 1, keys=(f"ucc:{age_d}:1",))
        HostnameHour.objects.create(hostname=pair, hour=at // HOUR)
        HostnameDay.objects.create(hostname=pair, day=at // 86_400)
        HealthTransition.objects.create(at=datetime.fromtimestamp(at, UTC), label="x", old="up", new="down")
    assert retention.forget_old_history(now) == 4 + 3 + 2 + 1
    counts = [model.objects.count() for model in (CheckHistory, HostnameHour, HostnameDay, HealthTransition)]
    assert counts == [1, 2, 3, 4]
    assert retention.forget_old_history(now) == 0


def test_a_roster_stays_for_as_long_as_a_row_needs_it(settings: Settings) -> None:
    settings.POOLS = {**settings.POOLS, "keep_days": {"minutes": 1, "hours": 1, "days": 1, "transitions": 1}}
    now = time.time()
    minutes(int(now) - 60, 1, keys=("kept",))
    for number in range(20):
        minutes(int(now) - 10 * 86_400, 1, keys=(f"old{number}",))
    retention.forget_old_history(now)
    left = {unpack_roster(bytes(roster.packed))[0] for roster in CheckRoster.objects.all()}
    assert "kept" in left
    assert len(left) <= 9
