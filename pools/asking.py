"""Asking out of turn: at once and waiting for the answer (preflight), or as soon as the probes' worker can."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

from django.conf import settings

from pools import lease
from pools.health import KNOCKS
from pools.probing.asking import ask_once, knock_once
from pools.probing.result import ProbeResult
from pools.redis_store import BrokerLost
from pools.specs import Check


def probe_now(checks: Sequence[Check], timeout_s: float = 3.0) -> dict[str, ProbeResult]:
    """Ask all of ``checks`` at once; return a result for each key within ``timeout_s``. Not inside an event loop."""
    if all(check.kind in KNOCKS for check in checks):
        return knock_once(checks, timeout_s)
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
