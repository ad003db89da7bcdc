"""Watch connections: which ports are worth one, from how their connections have ended."""

from __future__ import annotations

from hypothesis import given, strategies as st

from pools import watching
from pools.watching import Watch

HOURS = 3600.0


def dropped(watch: Watch, *, held_s: float = 30.0, now: float = 0.0) -> Watch:
    """The connection ended, and the port answered again at once."""
    return watching.judged(watching.connected(watching.ended(watch, held_s=held_s)), now=now)


def test_a_server_that_ends_idle_connections_though_it_is_well_is_left_alone() -> None:
    watch = dropped(dropped(Watch()))
    assert not watching.is_resting(watch, now=0.0)
    watch = dropped(watch, held_s=119.0)
    assert watching.is_resting(watch, now=0.0)
    assert watch.reason == "it ends idle connections after about 2 min, although it is well"


def test_it_is_tried_again_after_some_hours() -> None:
    watch = dropped(dropped(dropped(Watch())))
    assert watching.is_resting(watch, now=watching.REST_S - 1)
    assert not watching.is_resting(watch, now=watching.REST_S)
    assert not watching.is_resting(dropped(watch, now=7 * HOURS), now=7 * HOURS)


def test_an_end_after_which_the_port_does_not_answer_meant_something() -> None:
    watch = dropped(dropped(Watch()))
    watch = watching.connect_failed(watching.ended(watch, held_s=30.0))
    watch = watching.judged(watching.connected(watch), now=0.0)
    assert watch.drops == 0
    assert not watching.is_resting(dropped(watch), now=0.0)


def test_who_holds_a_connection_for_an_hour_does_not_drop_idle_ones() -> None:
    watch = dropped(dropped(Watch()))
    assert not watching.is_resting(dropped(watch, held_s=HOURS), now=0.0)


def test_the_first_connect_of_all_is_no_drop() -> None:
    assert watching.connected(Watch()) == Watch()


def test_who_talks_on_an_idle_connection_is_left_alone() -> None:
    watch = watching.talks(now=5.0)
    assert watching.is_resting(watch, now=6.0)
    assert watch.reason.startswith("it sends data")


@given(st.integers(0, 2000))
def test_a_port_that_does_not_answer_is_tried_less_and_less_often_but_never_given_up(failures: int) -> None:
    watch = Watch(failures=failures)
    delay_s = watching.delay_s(watch)
    assert watching.FIRST_DELAY_S <= delay_s <= watching.LONGEST_DELAY_S
    assert delay_s <= watching.delay_s(watching.connect_failed(watch))
    assert not watching.is_resting(watching.connect_failed(watch), now=0.0)


@given(st.floats(0, 1e6))
def test_however_long_it_was_held_the_reason_says_it_in_seconds_or_minutes(held_s: float) -> None:
    reason = watching.judged(Watch(drops=watching.DROPS_MAX, held_s=held_s), now=0.0).reason
    assert " 0 " not in reason
    assert (" s," in reason) == (held_s < 90)
    assert (" min," in reason) == (held_s >= 90)
