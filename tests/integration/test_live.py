"""The live version, freshness and liveness, on a real broker; and what is said when it is lost."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import redis
from pytest_django import Settings

from pools import lease, live
from pools.models import HostnameStatus
from tests.factories import DedicatedHostnameFactory

pytestmark = [pytest.mark.enable_socket, pytest.mark.django_db]


def share(held: lease.Lease, ages: dict[int, tuple[float, float]], *, at: float, complete: bool = True) -> bool:
    packed = live.pack_ages(at=at, complete=complete, ages=ages)
    return lease.flush(held, at=at, ages=packed) is not None


def take(shard: int) -> lease.Lease:
    taken = lease.take(shard)
    assert taken is not None
    return taken


def test_a_change_raises_the_version_marks_the_rows_and_is_published(broker: redis.Redis) -> None:
    hostname = DedicatedHostnameFactory.create()
    HostnameStatus.objects.create(hostname=hostname)
    pubsub: Any = broker.pubsub()  # type: ignore[no-untyped-call]
    pubsub.subscribe("a365:live")
    pubsub.get_message(timeout=1)
    first = live.bump_and_publish(hostname_ids={hostname.pk}, operations={"an-id"})
    second = live.bump_and_publish(hostname_ids=set())
    assert second > first
    assert live.current_version() == second
    assert HostnameStatus.objects.get().version == first
    message = json.loads(pubsub.get_message(timeout=1)["data"])
    pubsub.close()
    assert (message["v"], message["hostnames"], message["operations"]) == (first, [hostname.pk], ["an-id"])


def test_the_version_goes_up_also_after_the_broker_has_forgotten_it(broker: redis.Redis) -> None:
    before = live.bump_and_publish(hostname_ids=set())
    broker.flushall()
    time.sleep(0.002)  # the version is the clock in milliseconds
    assert live.bump_and_publish(hostname_ids=set()) > before


def test_freshness_is_that_of_the_result_that_goes_stale_first_in_any_shard(broker: redis.Redis) -> None:
    assert live.freshness() == live.Freshness(known=True)
    share(take(0), {7: (1000.0, 5.0), 8: (1001.0, 5.0)}, at=1002.0)
    share(take(1), {7: (999.0, 60.0)}, at=1001.5)
    fresh = live.freshness()
    assert fresh.oldest == {7: 1000.0, 8: 1001.0}
    assert fresh.interval_s == {7: 5.0, 8: 5.0}
    assert fresh.last_sweep == 1001.5


def test_the_parts_are_waited_for_then_well_then_lost(broker: redis.Redis) -> None:
    assert live.system_liveness().as_words() == {
        "broker": "ok", "probes": "waiting", "operations": "waiting", "beat": "waiting",
    }  # fmt: skip
    live.mark_alive("beat")
    live.mark_alive("operations")
    now, held = time.time(), take(0)
    share(held, {}, at=now, complete=False)
    assert live.system_liveness().probes == "waiting"
    share(held, {}, at=now)
    assert live.system_liveness().all_well
    broker.set("a365:alive:beat", f"{now - 60:.3f}")
    found = live.system_liveness()
    assert (found.beat, found.operations, found.all_well) == ("lost", "ok", False)
    assert found.age_s["beat"] == pytest.approx(60, abs=5)


def test_a_lost_broker_is_a_state_and_not_an_error(settings: Settings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    hostname = DedicatedHostnameFactory.create()
    HostnameStatus.objects.create(hostname=hostname)
    assert set(live.system_liveness().as_words().values()) == {"lost"}
    assert not live.freshness().known
    version = live.bump_and_publish(hostname_ids={hostname.pk})
    assert live.current_version() == version
    live.mark_alive("beat")


def test_a_lease_is_held_by_one_and_each_fence_is_greater_than_those_before(broker: redis.Redis) -> None:
    first = take(0)
    assert lease.take(0) is None
    assert lease.free_shards([0, 1]) == [1]
    assert lease.renew(first)
    lease.release(first)
    second = take(0)
    assert second.fence > first.fence
    assert second.previous == first.fence
    assert not lease.renew(first)
    lease.release(first)
    assert lease.free_shards([0]) == [], "what is another's is not released"
    assert not share(first, {1: (1.0, 5.0)}, at=1.0)
    assert live.freshness().oldest == {}
    broker.flushall()
    assert take(0).fence > first.fence


def test_a_lease_that_has_ended_is_renewed_only_where_nobody_came_between(broker: redis.Redis) -> None:
    def end() -> None:
        broker.delete("a365:shard:0:lease")

    first = take(0)
    end()
    assert lease.renew(first)
    assert lease.free_shards([0]) == []
    end()
    second = take(0)
    end()
    assert not lease.renew(first)
    assert lease.renew(second)


def test_what_is_to_be_asked_at_once_is_handed_to_the_holder_once(broker: redis.Redis) -> None:
    held = take(0)
    lease.ask_holders(1, ["hostname:7", "dns:1:7"])
    answer, again = lease.flush(held, at=1.0), lease.flush(held, at=1.2)
    assert answer is not None
    assert again is not None
    assert answer.ask_now == frozenset({"hostname:7", "dns:1:7"})
    assert not again.ask_now


def test_ages_of_shards_that_are_no_more_are_dropped(broker: redis.Redis) -> None:
    share(take(0), {1: (5.0, 5.0)}, at=6.0)
    share(take(1), {2: (5.0, 5.0)}, at=6.0)
    lease.forget_other_shards(1)
    assert live.freshness().oldest == {1: 5.0}
