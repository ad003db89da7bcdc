"""The longest outage that a client saw, from single probes."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from dnsops.outages import Outages, age_in_days


def after(*probes: tuple[float, str]) -> Outages:
    seen = Outages()
    for at, problem in probes:
        seen = seen.note(at, problem)
    return seen


def test_without_a_failure_there_was_no_outage() -> None:
    seen = after((100.0, ""), (100.3, ""))
    assert (seen.probes, seen.failed, seen.longest_s) == (2, 0, 0.0)


def test_an_outage_lasts_from_the_last_good_probe_to_the_next() -> None:
    seen = after((100.0, ""), (100.3, "refused"), (100.6, "refused"), (101.0, ""))
    assert seen.longest_s == pytest.approx(1.0)
    assert (seen.longest_at, seen.longest_why) == (100.0, "refused")
    assert not seen.failing


def test_the_longest_of_several_is_kept_with_its_cause() -> None:
    seen = after((0.1, ""), (0.4, "a"), (1.0, ""), (1.3, "b"), (1.6, "b"), (3.0, ""), (3.3, "c"), (3.4, ""))
    assert seen.longest_s == pytest.approx(2.0)
    assert seen.longest_why == "b"


def test_one_that_still_goes_on_counts_for_as_long_as_it_has_lasted() -> None:
    seen = after((10.0, ""), (10.3, "down"), (12.0, "down"))
    assert seen.failing
    assert seen.longest_s == pytest.approx(2.0)


def test_a_gap_is_told_and_is_no_outage() -> None:
    seen = after((10.0, ""), (40.0, ""))
    assert seen.not_measured_s == 30.0
    assert seen.longest_s == 0.0


def test_a_failure_after_a_gap_begins_where_it_was_seen() -> None:
    seen = after((10.0, ""), (40.0, "down"), (40.5, ""))
    assert seen.longest_s == pytest.approx(0.5)


@given(st.lists(st.tuples(st.floats(0.01, 5.0), st.sampled_from(["", "down"])), max_size=30))
def test_it_survives_being_stored_and_never_exceeds_the_time_that_passed(steps: list[tuple[float, str]]) -> None:
    seen, at = Outages(), 1000.0
    for step, problem in steps:
        at += step
        seen = Outages.from_dict(seen.note(at, problem).as_dict())
    assert seen.probes == len(steps)
    assert 0 <= seen.longest_s <= at - 1000.0 + 1e-6
    assert seen.failed == sum(bool(problem) for _, problem in steps)


@pytest.mark.parametrize(
    ("days", "state", "sentence"),
    [
        (None, "degraded", "Never rehearsed."),
        (0.2, "up", "Last rehearsed today."),
        (1.5, "up", "Last rehearsed yesterday."),
        (45.9, "up", "Last rehearsed 45 days ago."),
        (46.0, "degraded", "Last rehearsed 46 days ago: more than 45 days."),
    ],
)
def test_how_long_ago_is_said_and_over_the_limit_is_amber(days: float | None, state: str, sentence: str) -> None:
    assert age_in_days(days * 86_400 if days is not None else None, limit_days=45) == (state, sentence)
