"""A check whose results alternate is flapping, is said to be so once, and is down as soon as it stays down."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, strategies as st

from pools import flapping
from pools.flapping import STEADY, Flaps, followed_by, is_flip, shown
from pools.health import CheckHealth, Health, Policy, advance

UP, DEGRADED, DOWN, UNKNOWN = Health.UP, Health.DEGRADED, Health.DOWN, Health.UNKNOWN
POLICY = Policy(rise=2, fall=3)
ALL_WELL = CheckHealth(UP, 0, UP)


def walk(*seen: Health, state: CheckHealth = ALL_WELL, flaps: Flaps = STEADY) -> tuple[CheckHealth, Flaps]:
    """Advance by several results."""
    for one in seen:
        before = state
        state, _ = advance(before, one, POLICY)
        flaps = followed_by(flaps, before, one)
    return state, flaps


def flips(*seen: Health) -> int:
    return walk(*seen)[1].flips.bit_count()


@given(st.lists(st.sampled_from([UP, DOWN]), max_size=40))
def test_flips_are_the_results_that_differ_from_the_one_before(seen: list[Health]) -> None:
    results = [UP, *seen]
    differ = [one is not other for one, other in zip(results, seen, strict=False)]
    assert flips(*seen) == sum(differ[-20:])


@pytest.mark.parametrize(
    ("state", "seen", "flip"),
    [
        (CheckHealth(UP, 0, UP), UP, False),
        (CheckHealth(UP, 0, UP), DOWN, True),
        (CheckHealth(UP, 1, DOWN), DOWN, False),
        (CheckHealth(UP, 2, DOWN), UP, True),
        (CheckHealth(DOWN, 0, DOWN), UP, True),
        (CheckHealth(DOWN, 1, UP), DOWN, True),
        (CheckHealth(DEGRADED, 0, DEGRADED), UP, True),
        (CheckHealth(DEGRADED, 1, UP), UP, False),
    ],
)
def test_a_flip_is_a_change_of_side(state: CheckHealth, seen: Health, flip: bool) -> None:
    assert is_flip(state, seen) is flip


@pytest.mark.parametrize("state", [CheckHealth(), CheckHealth(UNKNOWN, 2, DOWN), CheckHealth(UP, 1, UNKNOWN)])
def test_what_is_not_known_is_no_flip(state: CheckHealth) -> None:
    assert not any(is_flip(state, seen) for seen in (UP, DOWN))


@pytest.mark.parametrize("health", [UP, DEGRADED, DOWN])
def test_a_result_that_is_not_known_neither_flips_nor_counts(health: Health) -> None:
    flaps = Flaps(0b1011, flapping=True)
    assert followed_by(flaps, CheckHealth(health, 0, health), UNKNOWN) is flaps
    assert followed_by(flaps, CheckHealth(), DOWN) is flaps


def test_it_flaps_above_thirty_per_cent_of_the_last_twenty() -> None:
    assert walk(*[DOWN, UP] * 3)[1] == Flaps(0b111111, False)  # six of twenty are thirty per cent
    assert walk(*[DOWN, UP] * 3, DOWN)[1].flapping


@pytest.mark.parametrize(("bits", "still"), [(6, True), (5, True), (4, False)])
def test_it_stops_below_twenty_five_per_cent(bits: int, still: bool) -> None:
    flaps = Flaps(((1 << bits) - 1) << 3, flapping=True)
    assert followed_by(flaps, CheckHealth(UP, 0, UP), UP).flapping is still
    assert not followed_by(flaps._replace(flapping=False), CheckHealth(UP, 0, UP), UP).flapping


def test_what_fell_out_of_the_window_does_not_count() -> None:
    flaps = Flaps(1 << 19, False)
    assert followed_by(flaps, CheckHealth(UP, 0, UP), UP) is STEADY


def test_six_bad_results_in_a_row_are_down_and_not_flapping() -> None:
    state, flaps = walk(*[DOWN, UP] * 8)
    assert flaps.flapping
    state, flaps = walk(*[DOWN] * 5, state=state, flaps=flaps)
    assert (state.health, flaps.flapping, shown(state.health, flaps)) == (DOWN, True, DEGRADED)
    state, flaps = walk(DOWN, state=state, flaps=flaps)
    assert (flaps.flapping, shown(state.health, flaps)) == (False, DOWN)


def test_one_bad_result_after_a_calm_while_does_not_end_it() -> None:
    flaps = Flaps(0b11111 << 6, flapping=True)
    assert followed_by(flaps, ALL_WELL, DOWN).flapping


def test_good_results_end_it_only_with_the_window() -> None:
    state, flaps = walk(*[DOWN, UP] * 10)
    for count in range(1, 21):
        state, flaps = walk(UP, state=state, flaps=flaps)
        assert flaps.flapping is (20 - count >= 5)
    assert flaps is STEADY


@pytest.mark.parametrize(("health", "is_flapping"), list(product(Health, [True, False])))
def test_what_flaps_counts_as_degraded_and_what_is_not_known_stays_so(health: Health, is_flapping: bool) -> None:
    expected = DEGRADED if is_flapping and health is not UNKNOWN else health
    assert shown(health, Flaps(0, is_flapping)) is expected


@given(st.lists(st.sampled_from(list(Health)), max_size=80))
def test_whatever_comes_flaps_agree_with_their_share(seen: list[Health]) -> None:
    state, flaps = CheckHealth(), STEADY
    for one in seen:
        before, was = state, flaps
        state, _ = advance(before, one, POLICY)
        flaps = followed_by(was, before, one)
        assert 0 <= flaps.flips < 1 << flapping.WINDOW
        if flaps.share > flapping.ENTER_ABOVE and flaps is not was and one is not DOWN:
            assert flaps.flapping
        if flaps.share < flapping.LEAVE_BELOW:
            assert not flaps.flapping
        if not flaps.flips and not flaps.flapping:
            assert flaps is STEADY


def test_a_steady_check_keeps_the_very_same_object_so_that_it_costs_nothing() -> None:
    assert followed_by(STEADY, CheckHealth(UP, 0, UP), UP) is STEADY
