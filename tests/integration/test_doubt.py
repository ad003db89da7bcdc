"""Self-doubt on real sockets and a real broker: who counts as reachable, and who gets to know of the doubt."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

import pytest
import redis

from pools import live
from pools.references import References
from tests.integration.test_probing import ADDRESS, listening, silent

pytestmark = [pytest.mark.enable_socket, pytest.mark.once]


@contextlib.contextmanager
def closed() -> Iterator[int]:
    """A port that refuses."""
    with listening() as port:
        pass
    yield port


@pytest.mark.parametrize(("target", "gone"), [(listening, False), (closed, False), (silent, True)])
def test_whoever_answers_or_refuses_is_there_and_whoever_is_silent_is_not(
    target: Callable[[], contextlib.AbstractContextManager[int]], gone: bool
) -> None:
    with target() as port:
        assert References([(ADDRESS, port)], timeout_s=0.2).all_silent() is gone


def test_one_target_that_answers_is_enough() -> None:
    with silent() as quiet, listening() as good:
        assert not References([(ADDRESS, quiet), (ADDRESS, good)], timeout_s=0.2).all_silent()


def test_without_targets_there_is_nothing_to_miss() -> None:
    assert not References([]).all_silent()


def test_targets_are_asked_at_most_once_a_second_and_found_again() -> None:
    now = [100.0]
    with silent() as port:
        references = References([(ADDRESS, port)], clock=lambda: now[0], timeout_s=0.2)
        assert references.all_silent()
    now[0] += 0.9
    assert references.all_silent()  # not asked again yet: now it would refuse
    now[0] += 0.2
    assert not references.all_silent()


@pytest.mark.django_db
def test_a_doubt_is_known_everywhere_blocks_what_is_automatic_and_ends(broker: redis.Redis) -> None:
    now = time.time()
    for part in ("probes", "operations", "beat"):
        live.mark_alive(part)
    broker.hset(live.FRESH_KEY, "0", live.pack_ages(at=now, complete=True, ages={}))
    assert live.why_nothing_automatic() == ""
    live.set_doubt(1, live.ProberDoubt(now - 5, "no reference target answers"))
    live.set_doubt(0, live.ProberDoubt(now - 60, "nearly everything failed at once"))
    doubt = live.prober_doubt()
    assert doubt is not None
    assert doubt.since == now - 60
    assert live.why_nothing_automatic() == "Nearly everything failed at once."
    live.set_doubt(0, None)
    assert live.why_nothing_automatic() == "No reference target answers."
    live.set_doubt(1, None)
    assert (live.prober_doubt(), live.why_nothing_automatic()) == (None, "")


def test_the_doubt_of_a_prober_that_is_gone_is_forgotten(broker: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    live.set_doubt(0, live.ProberDoubt(time.time(), "cut off"))
    monkeypatch.setattr(live, "DOUBT_FOR_S", -1.0)
    assert live.prober_doubt() is None


@pytest.mark.django_db
def test_without_a_broker_or_a_worker_nothing_is_automatic(broker: redis.Redis) -> None:
    assert "probes worker does not report" in live.why_nothing_automatic()
    live.mark_alive("probes")
    assert "has not asked everything yet" in live.why_nothing_automatic()
