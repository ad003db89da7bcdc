"""How history is packed and added up: nothing is lost but what is said to be, nothing unknown becomes up."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given, strategies as st

from pools.health import Health
from pools.history import drawing, packing
from pools.history.packing import Change, DamagedHistory, Minute, Seconds, Totals

UNKNOWN, UP, DEGRADED, DOWN = (packing.code_of(health) for health in packing.HEALTHS)


@given(st.lists(st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1), max_size=20))
def test_a_roster_comes_back_as_it_was(keys: list[str]) -> None:
    assert packing.unpack_roster(packing.pack_roster(keys)) == keys


@given(st.lists(st.tuples(*(st.integers(0, 255),) * 3), max_size=30))
def test_a_minute_comes_back_as_it_was(rows: list[tuple[int, int, int]]) -> None:
    minute = Minute(*(bytes(column) for column in zip(*rows, strict=True))) if rows else Minute(b"", b"", b"")
    assert packing.unpack_minute(minute.packed(), len(rows)) == minute


@pytest.mark.parametrize("damaged", [b"", b"nonsense", zlib.compress(b"12")])
def test_a_damaged_row_is_said_to_be_so(damaged: bytes) -> None:
    with pytest.raises(DamagedHistory):
        packing.unpack_minute(damaged, 1)
    with pytest.raises(DamagedHistory):
        packing.unpack_totals(damaged, 1)


@given(st.floats(0.05, 120_000))
def test_a_latency_comes_back_within_three_per_cent(ms: float) -> None:
    found = packing.LATENCIES_MS[packing.latency_code(ms)]
    assert found == pytest.approx(ms, rel=0.031)


@pytest.mark.parametrize(
    ("ms", "code"), [(None, 0), (float("nan"), 0), (float("inf"), 0), (-1.0, 0), (0.0, 1), (0.001, 1), (1e9, 255)]
)
def test_a_latency_out_of_range_is_none_or_the_nearest(ms: float | None, code: int) -> None:
    assert packing.latency_code(ms) == code


def test_two_parts_of_a_minute_are_one_and_the_later_state_counts() -> None:
    first = Minute(bytes([UP, UP, DOWN]), bytes([1, 200, 0]), bytes([10, 20, 30]))
    later = Minute(bytes([DOWN, UNKNOWN, UP]), bytes([2, 200, 0]), bytes([0, 25, 0]))
    assert first.followed_by(later) == Minute(bytes([DOWN, UP, UP]), bytes([3, 255, 0]), bytes([10, 25, 30]))


def minute(*codes: int, bad: int = 0, latency: int = 50) -> Minute:
    return Minute(bytes(codes), bytes([bad] * len(codes)), bytes([latency] * len(codes)))


def test_minutes_are_added_up_by_key_also_where_the_estate_changed_meanwhile() -> None:
    keys, totals = packing.add_up(
        [(["a", "b"], minute(UP, DOWN, bad=2)), (["b", "c"], minute(DEGRADED, UNKNOWN, bad=1, latency=100))]
    )
    assert keys == ["a", "b", "c"]
    assert (list(totals.up), list(totals.degraded), list(totals.down)) == ([1, 0, 0], [0, 1, 0], [0, 1, 0])
    assert list(totals.bad) == [2, 3, 1]
    assert list(totals.highest) == [50, 100, 100]
    assert totals.latency[0] == 50
    assert 50 < totals.latency[1] < 100


def test_hours_are_added_up_to_a_day_with_latencies_weighed_by_their_minutes() -> None:
    _, long = packing.add_up([(["a"], minute(UP, latency=50))] * 50)
    _, short = packing.add_up([(["a"], minute(UP, latency=150))])
    keys, day = packing.add_up([(["a"], long), (["a"], short)])
    assert keys == ["a"]
    assert (day.up[0], day.highest[0]) == (51, 150)
    mean = (50 * (packing.LATENCIES_MS[50] or 0) + (packing.LATENCIES_MS[150] or 0)) / 51
    assert packing.LATENCIES_MS[day.latency[0]] == pytest.approx(mean, rel=0.04)


@given(st.lists(st.sampled_from([UNKNOWN, UP, DEGRADED, DOWN]), max_size=60))
def test_totals_never_hold_more_than_was_seen_and_come_back_as_they_were(codes: list[int]) -> None:
    _, totals = packing.add_up([(["a"], minute(code)) for code in codes])
    if codes:
        assert totals.up[0] + totals.degraded[0] + totals.down[0] == sum(code != UNKNOWN for code in codes)
    assert packing.unpack_totals(totals.packed(), len(totals.up)) == totals


def test_nothing_seen_is_nothing_up() -> None:
    assert list(Totals.nothing(2).up) == [0, 0]


def test_seconds_follow_the_changes() -> None:
    changes = [Change(110, Health.UP, Health.DOWN), Change(130, Health.DOWN, Health.DEGRADED)]
    assert packing.seconds_in(100, 160, Health.DEGRADED, changes) == Seconds(10, 30, 20)


def test_a_change_after_the_span_says_what_it_was_before() -> None:
    assert packing.seconds_in(100, 160, Health.UP, [Change(500, Health.DOWN, Health.UP)]) == Seconds(0, 0, 60)
    assert packing.seconds_in(100, 160, Health.UP, [Change(160, Health.DOWN, Health.UP)]) == Seconds(0, 0, 60)


def test_without_a_change_the_health_of_now_is_that_of_then() -> None:
    assert packing.seconds_in(100, 160, Health.UP, []) == Seconds(60, 0, 0)
    assert packing.seconds_in(100, 160, Health.UNKNOWN, []) == Seconds()


@given(st.lists(st.tuples(st.floats(0, 200), st.sampled_from(list(Health))), max_size=8), st.sampled_from(list(Health)))
def test_a_span_never_holds_more_seconds_than_it_has(moves: list[tuple[float, Health]], first: Health) -> None:
    health, changes = first, []
    for at, new in sorted(moves, key=lambda move: move[0]):
        changes.append(Change(at, health, new))
        health = new
    spent = packing.seconds_in(0, 60, health, changes)
    assert min(spent) >= 0
    assert spent.known <= 60 + 1e-6
    if not any(Health.UNKNOWN in {change.old, change.new} for change in changes) and first is not Health.UNKNOWN:
        assert spent.known == pytest.approx(60)


@pytest.mark.parametrize(
    ("covered_s", "share"), [(60, 1.0), (56, 1.0), (55.9, 55.9 / 60), (30, 0.5), (0, 0.0), (-3, 0)]
)
def test_a_minute_counts_as_far_as_it_was_probed(covered_s: float, share: float) -> None:
    assert packing.known_share(covered_s) == pytest.approx(share)


@pytest.mark.parametrize(
    ("seen", "code"),
    [
        (Seconds(300, 0, 0), UP),
        (Seconds(280, 0, 0), UP),  # a worker's change
        (Seconds(270, 0, 0), UNKNOWN),
        (Seconds(0, 0, 0), UNKNOWN),
        (Seconds(299, 1, 0), DEGRADED),
        (Seconds(0, 0, 1), DOWN),
        (Seconds(200, 99, 1), DOWN),
    ],
)
def test_a_slot_shows_the_worst_and_is_never_up_where_it_was_not_known(seen: Seconds, code: int) -> None:
    assert packing.slot_code(seen) == code


def test_a_slot_is_set_in_its_place_and_the_rest_stays() -> None:
    once = packing.with_slot(b"", 2, DOWN)
    assert once == bytes([0, 0, DOWN] + [0] * 9)
    assert packing.with_slot(once, 11, UP) == bytes([0, 0, DOWN] + [0] * 8 + [UP])


# ------------------------------------------------------------------------------------------------------------- drawing


def test_a_day_of_slots_begins_and_ends_within_an_hour() -> None:
    until = 100 * 3600 + 600  # ten past: two slots of hour 100, ten of hour 76
    slots = {76: bytes([DOWN] * 12), 99: bytes([UP] * 12), 100: bytes([DEGRADED] * 12)}
    day = drawing.day_of_slots(until, slots)
    assert len(day) == 288
    assert day[:10] == bytes([DOWN] * 10)
    assert day[10] == 0
    assert day[-14:] == bytes([UP] * 12 + [DEGRADED] * 2)


def test_on_the_hour_a_day_of_slots_is_24_whole_hours() -> None:
    day = drawing.day_of_slots(100 * 3600, {76: bytes([UP] * 12), 99: bytes([DOWN] * 12), 100: bytes([DEGRADED] * 12)})
    assert day == bytes([UP] * 12 + [0] * 264 + [DOWN] * 12)


def test_a_bar_paints_what_is_known_and_nothing_else() -> None:
    bar = drawing.draw_bar(0, bytes([UNKNOWN, UP, UP, DOWN, DEGRADED, UP]), Seconds(900, 300, 300), 1800)
    assert bar.up == "M1 4h2V8h-2zM5 4h1V8h-1z"
    assert bar.known == "M1 0h5V8h-5z"
    assert bar.down == "M3 0h2V8h-2z"  # a short failure is drawn wide enough to be seen
    assert bar.degraded == "M4 2h2V8h-2z"
    assert bar.text == "Last 24 hours: down 5 min, degraded 5 min, not known 5 min, else up."


@pytest.mark.parametrize(
    ("seen", "text"),
    [
        (Seconds(), "nothing is known yet"),
        (Seconds(86_400), "up all the time"),
        (Seconds(0, 0, 86_400), "down 24 h"),
        (Seconds(43_200), "not known 12 h, else up"),
    ],
)
def test_a_bar_says_in_words_what_it_shows(seen: Seconds, text: str) -> None:
    assert drawing.draw_bar(0, b"", seen).text == f"Last 24 hours: {text}."


@pytest.mark.parametrize(
    ("seen", "percent"),
    [
        (Seconds(), "not known"),
        (Seconds(100), "100 %"),
        (Seconds(50, 50), "100 %"),
        (Seconds(86_399.9, 0, 0.1), "99.99 %"),
        (Seconds(98, 0, 2), "98.00 %"),
        (Seconds(0, 0, 2), "0.00 %"),
    ],
)
def test_availability_is_of_what_was_seen_and_never_rounded_up_to_all(seen: Seconds, percent: str) -> None:
    assert drawing.Availability("24 hours", 86_400, seen).percent == percent


def test_a_plot_is_broken_where_nothing_is_known() -> None:
    codes = bytes([packing.latency_code(10)] * 2 + [0] + [packing.latency_code(40)])
    plot = drawing.draw_plot(codes)
    assert plot is not None
    assert plot.highest_ms == 50
    assert plot.line.count("M") == 1
    assert plot.line.count("L") == 1
    assert plot.dots.startswith("M3.5 ")
    assert "typically 10 ms" in plot.text


def test_without_latencies_there_is_no_plot() -> None:
    assert drawing.draw_plot(bytes(288)) is None


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "1 s"), (40, "40 s"), (720, "12 min"), (12_600, "3.5 h"), (181_440, "2.1 days")]
)
def test_spans_are_said_as_people_say_them(seconds: float, words: str) -> None:
    assert drawing.span_words(seconds) == words
