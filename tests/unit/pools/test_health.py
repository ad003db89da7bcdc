"""Rise and fall of a single check; staleness; self-doubt."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from itertools import product

import pytest
from hypothesis import given, strategies as st

from pools.health import (
    CheckHealth,
    Health,
    Policy,
    Transition,
    advance,
    is_stale,
    observed_health,
    prober_doubts_itself,
    restored,
)

UP, DEGRADED, DOWN, UNKNOWN = Health.UP, Health.DEGRADED, Health.DOWN, Health.UNKNOWN
POLICY = Policy(rise=2, fall=3)
SEEN = st.sampled_from(list(Health))


def walk(state: CheckHealth, *seen: Health, policy: Policy = POLICY) -> tuple[CheckHealth, list[Transition]]:
    """Advance by several results."""
    moves = []
    for one in seen:
        state, moved = advance(state, one, policy)
        moves += [moved] if moved else []
    return state, moves


def settled(health: Health) -> CheckHealth:
    return CheckHealth(health, 0, health)


def test_a_check_begins_as_unknown_with_nothing_counted_and_nobody_changes_a_policy_afterwards() -> None:
    assert CheckHealth() == settled(UNKNOWN)
    with pytest.raises(FrozenInstanceError):
        POLICY.fall = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("ok", "degraded", "expected"),
    [(True, False, UP), (True, True, DEGRADED), (False, True, DEGRADED), (False, False, DOWN), (None, False, UNKNOWN)],
)
def test_a_single_result_says(ok: bool | None, degraded: bool, expected: Health) -> None:
    assert observed_health(ok=ok, degraded=degraded) is expected


def test_one_good_result_decides_an_unknown_check() -> None:
    assert walk(CheckHealth(), UP) == (settled(UP), [Transition(UNKNOWN, UP)])


def test_an_unknown_check_is_down_only_after_fall_bad_results() -> None:
    assert walk(CheckHealth(), DOWN, DOWN) == (CheckHealth(UNKNOWN, 2, DOWN), [])
    assert walk(CheckHealth(), DOWN, DOWN, DOWN) == (settled(DOWN), [Transition(UNKNOWN, DOWN)])


def test_an_up_check_shows_how_many_retries_have_failed_and_falls_at_the_last() -> None:
    assert walk(settled(UP), DOWN, DOWN) == (CheckHealth(UP, 2, DOWN), [])
    assert walk(settled(UP), DOWN, DOWN, DOWN) == (settled(DOWN), [Transition(UP, DOWN)])


def test_three_bad_results_are_down_and_two_good_ones_up_where_nothing_else_is_stated() -> None:
    assert Policy() == Policy(rise=2, fall=3)


def test_one_good_result_forgives_the_bad_ones() -> None:
    assert walk(settled(UP), DOWN, DOWN, UP, DOWN, DOWN) == (CheckHealth(UP, 2, DOWN), [])


def test_a_down_check_rises_after_rise_good_results() -> None:
    assert walk(settled(DOWN), UP) == (CheckHealth(DOWN, 1, UP), [])
    assert walk(settled(DOWN), UP, UP) == (settled(UP), [Transition(DOWN, UP)])


def test_bad_results_mixed_with_degraded_ones_amount_to_degraded() -> None:
    assert walk(settled(UP), DOWN, DEGRADED, DOWN) == (settled(DEGRADED), [Transition(UP, DEGRADED)])


def test_good_results_mixed_with_degraded_ones_rise_to_degraded_only() -> None:
    assert walk(settled(DOWN), UP, DEGRADED) == (settled(DEGRADED), [Transition(DOWN, DEGRADED)])


def test_a_degraded_check_falls_and_rises() -> None:
    assert walk(settled(DEGRADED), DOWN, DOWN, DOWN)[0] == settled(DOWN)
    assert walk(settled(DEGRADED), UP, UP)[0] == settled(UP)
    assert walk(settled(DEGRADED), UP, DOWN)[0] == CheckHealth(DEGRADED, 1, DOWN)


def test_what_is_not_known_lowers_a_check_to_unknown_and_never_to_down() -> None:
    assert walk(settled(UP), UNKNOWN, UNKNOWN)[0] == CheckHealth(UP, 2, UNKNOWN)
    assert walk(settled(UP), UNKNOWN, UNKNOWN, UNKNOWN)[0] == settled(UNKNOWN)
    assert walk(settled(UP), DOWN, UNKNOWN, DOWN)[0] == CheckHealth(UP, 1, DOWN)
    assert walk(settled(DOWN), UNKNOWN, UNKNOWN, UNKNOWN)[0] == settled(UNKNOWN)


def test_nothing_new_is_the_very_same_object_so_that_it_costs_nothing() -> None:
    state = settled(UP)
    assert advance(state, UP, POLICY)[0] is state


@pytest.mark.parametrize(("health", "streak"), list(product(Health, range(3))))
def test_a_restored_state_keeps_its_health_and_goes_on_counting(health: Health, streak: int) -> None:
    state = restored(health, streak)
    assert state.health is health
    if not streak or health is DEGRADED:  # of a degraded check's streak nobody knows the direction
        assert state == settled(health)
    else:
        assert (state.streak, state.leaning) == (streak, UP if health is DOWN else DOWN)
    if health is UP and streak:
        assert walk(state, *([DOWN] * (3 - streak)))[0] == settled(DOWN)


@given(st.lists(SEEN), st.integers(1, 5), st.integers(1, 5))
def test_whatever_comes_the_state_is_explained_by_the_last_results(seen: list[Health], rise: int, fall: int) -> None:
    policy, state = Policy(rise=rise, fall=fall), CheckHealth()
    for index, one in enumerate(seen):
        before = state
        state, moved = advance(before, one, policy)
        assert (moved is not None) == (state.health is not before.health)
        assert 0 <= state.streak < max(rise, fall)
        assert (state.streak == 0) == (state.leaning is state.health)
        if one is before.health:
            assert state == settled(one)
        if moved and state.health is DOWN:
            assert seen[index - fall + 1 : index + 1] == [DOWN] * fall
            assert index + 1 >= fall
        if moved and state.health is UP and before.health is not UNKNOWN:
            assert seen[index - rise + 1 : index + 1] == [UP] * rise


@given(st.lists(st.sampled_from([UP, DEGRADED, UNKNOWN])))
def test_a_check_that_never_fails_outright_is_never_down(seen: list[Health]) -> None:
    assert walk(CheckHealth(), *seen)[0].health is not DOWN


@pytest.mark.parametrize(("age_s", "stale"), [(0.0, False), (12.5, False), (12.6, True), (-3.0, False), (13.0, True)])
def test_a_result_is_stale_after_two_and_a_half_intervals(age_s: float, stale: bool) -> None:
    assert is_stale(1000.0 - age_s, 5.0, 1000.0) is stale


def test_a_result_that_never_came_is_stale_and_a_timeout_is_waited_for() -> None:
    assert is_stale(None, 5.0, 1000.0)
    assert not is_stale(1000.0 - 14.0, 5.0, 1000.0, timeout_s=2.0)


@pytest.mark.parametrize(
    ("failing", "servers", "doubts"),
    [(8, 8, True), (7, 7, False), (8, 10, False), (9, 10, True), (0, 10, False), (0, 0, False)],
)
def test_the_prober_doubts_itself_when_nearly_all_of_many_servers_fail(
    failing: int, servers: int, doubts: bool
) -> None:
    latest = [(server, server >= failing) for server in range(servers)]
    assert prober_doubts_itself(latest) is doubts


def test_a_server_on_which_anything_answers_does_not_make_the_prober_doubt() -> None:
    latest = [(server, port == 1) for server in range(10) for port in range(3)]
    assert not prober_doubts_itself(latest)
