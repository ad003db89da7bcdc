"""Celery's side of probing: who sends windows, and what a window's task does. Thin; the work is in ``windows.py``."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from typing import Any

from celery import shared_task
from celery.signals import worker_ready, worker_shutting_down
from django.conf import settings
from kombu.exceptions import OperationalError

from pools import lease, redis_store
from pools.history.retention import forget_old_history
from pools.history.summing import add_history_up as add_up
from pools.redis_store import BrokerLost
from pools.services import keep_maintenance_time
from pools.windows import is_probing, is_stopping, run_window, stop_windows, write_what_was_left

QUEUE = "probes"
EXPIRES_S = 2
LOOK_OUT_S = 1.0


@shared_task(name="pools.tasks.schedule_windows")
def schedule_windows() -> None:
    """Every ten seconds: send a window for every shard that nobody holds.

    A safety net: windows are handed on by the worker that ends one, and a worker without one looks by itself.
    """
    try:
        lease.forget_other_shards(settings.POOLS["shards"])
        send_windows(free_shards())
    except BrokerLost:
        return  # and so is the queue; beat comes again
    keep_maintenance_time()


def free_shards() -> set[int]:
    """Return the shards that nobody holds. Raises BrokerLost."""
    return set(lease.free_shards(range(settings.POOLS["shards"])))


def send_windows(shards: Iterable[int]) -> None:
    """Send a window for each, unless enough of them wait for a worker already. Raises BrokerLost."""
    with redis_store.broker() as redis:
        waiting = int(str(redis.llen(QUEUE)))
    if waiting < 2 * settings.POOLS["shards"]:
        for shard in shards:
            _send(shard)


@shared_task(name="pools.tasks.probe_window")
def probe_window(shard: int) -> None:
    """Probe a shard for a window under its lease, then hand it on at once, so that there is no gap."""
    try:
        handed_on = run_window(shard)
    except BrokerLost:
        return
    for one in handed_on:
        _send(one)


@shared_task(name="pools.tasks.add_history_up")
def add_history_up() -> None:
    """Each minute: add up what has ended, and forget what is older than it is kept."""
    now = time.time()
    add_up(now)
    forget_old_history(now)


def _send(shard: int) -> None:
    probe_window.apply_async((shard,), queue=QUEUE, expires=EXPIRES_S)


@worker_ready.connect  # type: ignore[untyped-decorator, unused-ignore]
def _stand_by(sender: Any, **_: Any) -> None:
    """Of a worker that takes windows: begin at once, and look out for shards that nobody holds."""
    if QUEUE in {queue.name for queue in sender.task_consumer.queues}:
        threading.Thread(target=_look_out, name="a365-standby", daemon=True).start()


def _look_out() -> None:
    """Send windows for shards that nobody has held for a second, while this worker has nothing to do itself."""
    before = set(range(settings.POOLS["shards"]))
    while not is_stopping():
        try:
            free = set() if is_probing() else free_shards()
            send_windows(free & before)
            before = free
            write_what_was_left()
        except (BrokerLost, OperationalError):
            before = set()
        time.sleep(LOOK_OUT_S)


@worker_shutting_down.connect  # type: ignore[untyped-decorator, unused-ignore]
def _end_windows(**_: Any) -> None:
    stop_windows()
