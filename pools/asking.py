"""Asking out of turn: at once and waiting for the answer (preflight), or as soon as the probes' worker can."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor

from django.conf import settings

from pools import lease
from pools.health import KNOCKS
from pools.probing.asking import Knocking, ask_once
from pools.probing.result import ProbeResult
from pools.redis_store import BrokerLost
from pools.specs import Check

_talkers = ThreadPoolExecutor(max_workers=16, thread_name_prefix="probing")


class Probing:
    """Checks that are being asked, all at once. Between the start and ``results()`` the caller may do other things.

    UCC ports are asked without a thread: it and the caller would hold each other up. What needs a conversation is asked
    in another thread with ``beside``, else in ``results()``. ``close()`` it where its results are not wanted. Not
    inside an event loop.
    """

    def __init__(self, checks: Sequence[Check], timeout_s: float = 3.0, *, beside: bool = False) -> None:
        self._talks = [check for check in checks if check.kind not in KNOCKS]
        self._timeout_s = timeout_s
        self._talking = _talkers.submit(_talk, self._talks, timeout_s) if self._talks and beside else None
        self._knocking = Knocking((check for check in checks if check.kind in KNOCKS), timeout_s)

    def results(self) -> dict[str, ProbeResult]:
        """Return a result for each key, within the timeout."""
        if self._talking is not None:
            return self._knocking.results() | self._talking.result()
        said = _talk(self._talks, self._timeout_s) if self._talks else {}
        return self._knocking.results() | said

    def close(self) -> None:
        """Drop what is still under way."""
        self._knocking.close()


def _talk(checks: Sequence[Check], timeout_s: float) -> dict[str, ProbeResult]:
    return asyncio.run(ask_once(checks, timeout_s, ca_file=settings.POOLS["ca_file"]))


def ask_now(check_keys: Collection[str] = (), *, hostname_id: int | None = None, server_id: int | None = None) -> None:
    """Let the probes' worker ask these checks as soon as it can: by key, or all of a hostname's or of a server's.

    It is a nudge: with the broker lost nothing happens, and the checks come at their own time.
    """
    tokens = {*check_keys}
    if hostname_id is not None:
        tokens.add(f"hostname:{hostname_id}")
    if server_id is not None:
        tokens.add(f"server:{server_id}")
    try:
        lease.ask_holders(settings.POOLS["shards"], tokens)
    except BrokerLost:
        pass
