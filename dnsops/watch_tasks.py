"""Celery tasks that watch: drift, resolvers, servers that lag. Apart from ``tasks.py``, which requests depend on."""

from __future__ import annotations

import threading
from collections.abc import Callable

from celery import shared_task

from a365admin.giving_way import giving_way
from dnsops import drifting, following, readying
from pools import live

FOLLOW_WITHIN_S = 2
_busy: dict[str, threading.Lock] = {"drift": threading.Lock(), "follow": threading.Lock(), "ready": threading.Lock()}


def _one_at_a_time(what: str, work: Callable[[], object]) -> None:
    """Do it unless this process is at it already: watching must not take the threads that carry operations out."""
    if _busy[what].acquire(blocking=False):
        try:
            with giving_way():
                work()
        finally:
            _busy[what].release()


@shared_task(name="dnsops.watch_tasks.watch")
def watch() -> None:
    """Each second: what changed lately is compared with what is expected, and what has not turned yet is followed.

    It comes from beat, of which it is the sign of life. One message for both; following is a task of its own, so that
    silent resolvers do not hold drift up.
    """
    live.mark_alive("beat")
    with giving_way():
        something = following.anything_to_follow()
    if something:
        follow.apply_async(expires=FOLLOW_WITHIN_S)
    look_for_drift()


@shared_task(name="dnsops.watch_tasks.look_for_drift")
def look_for_drift(everything: bool = False) -> None:
    """Compare what DNS says with what is expected: where something changed lately, or everywhere."""
    _one_at_a_time("drift", lambda: drifting.look(everything=everything))


@shared_task(name="dnsops.watch_tasks.follow")
def follow() -> None:
    """Ask resolvers and lagging servers that have not turned to the new answer yet."""
    _one_at_a_time("follow", following.follow)


@shared_task(name="dnsops.watch_tasks.check_readiness")
def check_readiness() -> None:
    """Look whether the hostnames whose turn it is could be failed over; changes nothing in effect."""
    _one_at_a_time("ready", readying.check_due)
