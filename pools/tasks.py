"""Celery's side of probing: who sends windows, and what a window's task does. Thin; the work is in ``windows.py``."""

from __future__ import annotations

import time
from typing import Any

from celery import shared_task
from celery.signals import worker_shutting_down
from django.conf import settings

from pools import lease, live, redis_store
from pools.history.retention import forget_old_history
from pools.history.summing import add_history_up as add_up
from pools.redis_store import BrokerLost
from pools.services import keep_maintenance_time
from pools.windows import run_window, stop_windows

QUEUE = "probes"
EXPIRES_S = 2


@shared_task(name="pools.tasks.schedule_windows")
def schedule_windows() -> None:
    """Each second: send a window for every shard that nobody holds, unless enough of them wait for a worker already."""
    live.mark_alive("beat")
    shards: int = settings.POOLS["shards"]
    try:
        lease.forget_other_shards(shards)
        with redis_store.broker() as redis:
            waiting = redis.llen(QUEUE)
        free = lease.free_shards(range(shards)) if int(str(waiting)) < 2 * shards else []
    except BrokerLost:
        return  # and so is the queue; beat comes again in a second
    for shard in free:
        _send(shard)
    keep_maintenance_time()


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


@worker_shutting_down.connect  # type: ignore[untyped-decorator, unused-ignore]
def _end_windows(**_: Any) -> None:
    stop_windows()
