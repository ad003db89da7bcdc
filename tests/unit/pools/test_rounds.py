"""Rounds: each check at its own place in its interval, once, however irregularly one looks."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from hypothesis import given, strategies as st

from pools.probing.rounds import Round

ALL = 1_000_000


@dataclass(frozen=True)
class Member:
    name: int
    phase: float


phases = st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=20)


def members_at(places: list[float]) -> list[Member]:
    return [Member(number, phase) for number, phase in enumerate(places)]


@given(phases, st.lists(st.floats(0.001, 4.9), min_size=1, max_size=60), st.floats(0, 1e6))
def test_each_member_comes_once_in_each_interval(places: list[float], steps: list[float], start: float) -> None:
    one = Round(5.0, members_at(places), at=start)
    now, counts = start, Counter[int]()
    for step in steps:
        now += step
        counts.update(member.name for member in one.due(now, ALL))
    whole = int((now - start) // 5.0)
    assert all(whole <= counts[number] <= whole + 1 for number in range(len(places)))


@given(phases, st.floats(0, 1e6))
def test_what_is_due_next_is_never_in_the_past_when_all_was_taken(places: list[float], now: float) -> None:
    one = Round(5.0, members_at(places), at=now)
    one.due(now, ALL)
    due = one.next_due()
    assert due is not None
    assert now <= due + 1e-6 <= now + 5.0 + 1e-3


def test_after_a_pause_one_round_is_made_up_for_and_no_more() -> None:
    one = Round(5.0, members_at([0.1, 0.5, 0.9]), at=0.0)
    assert len(one.due(3600.0, ALL)) == 3
    assert one.due(3600.0, ALL) == []


def test_what_goes_beyond_the_limit_stays_due() -> None:
    one = Round(5.0, members_at([0.1, 0.2, 0.3]), at=0.0)
    assert [member.name for member in one.due(4.0, 2)] == [0, 1]
    assert [member.name for member in one.due(4.0, 2)] == [2]


def test_a_round_of_nobody_is_never_due() -> None:
    one: Round[Member] = Round(5.0, [], at=0.0)
    assert one.next_due() is None
    assert one.due(100.0, ALL) == []
