"""Columns: what goes in comes out, and the oldest of many is found as if one looked at each."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from pools.columns import Columns, OldestOf, unpacked
from pools.health import STALE_AFTER_INTERVALS, CheckHealth, Health

KEYS = [f"ucc:{number}:1" for number in range(8)]


def test_what_was_seen_comes_out_and_what_was_never_seen_does_not() -> None:
    columns = Columns(KEYS[:3])
    columns.saw(0, 1000.5, 2.5)
    columns.saw(2, 1001.5, None)
    columns.became(KEYS[0], CheckHealth(Health.UP, 0, Health.UP))
    columns.became(KEYS[2], CheckHealth(Health.DOWN, 1, Health.UP))
    assert list(unpacked(columns.packed())) == [
        (KEYS[0], (1000.5, "up", 0, 2.5)),
        (KEYS[2], (1001.5, "down", 1, None)),
    ]


def test_no_checks_are_no_rows() -> None:
    assert list(unpacked(Columns([]).packed())) == []


def test_a_streak_that_does_not_fit_is_the_longest_that_fits() -> None:
    columns = Columns(KEYS[:1])
    columns.saw(0, 1.0, None)
    columns.became(KEYS[0], CheckHealth(Health.UP, 4000, Health.DOWN))
    assert [row[1][2] for row in unpacked(columns.packed())] == [255]


def test_another_set_of_checks_takes_over_what_it_shares() -> None:
    before, after = Columns(KEYS[:2]), Columns(KEYS[1:3])
    before.saw(1, 77.0, 1.0)
    after.take_over(before)
    assert [row[0] for row in unpacked(after.packed())] == [KEYS[1]]


def test_while_one_was_never_seen_there_is_no_oldest() -> None:
    columns = Columns(KEYS[:2])
    columns.saw(0, 5.0, None)
    assert OldestOf([(0, 1.0), (1, 1.0)]).find(columns.at) is None
    assert OldestOf([]).find(columns.at) is None
    assert OldestOf([(0, 3.0)]).find(columns.at) == (5.0, 3.0)


@given(st.lists(st.tuples(st.floats(1, 1e9), st.sampled_from([1.0, 5.0, 10.0])), min_size=1, max_size=8))
def test_the_oldest_is_the_one_that_goes_stale_first(seen: list[tuple[float, float]]) -> None:
    columns = Columns(KEYS[: len(seen)])
    for number, (at, _) in enumerate(seen):
        columns.saw(number, at, None)
    found = OldestOf([(number, interval_s) for number, (_, interval_s) in enumerate(seen)]).find(columns.at)
    assert found is not None
    stale_at = min(at + STALE_AFTER_INTERVALS * interval_s for at, interval_s in seen)
    assert found[0] + STALE_AFTER_INTERVALS * found[1] == pytest.approx(stale_at)
    assert found in seen
