"""One asking of one check, and of many at once: what the engine does again and again, and a click does once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from typing import Any

from pools.health import KNOCKS, CheckKind
from pools.probing.balancer import ask_balancer
from pools.probing.dns import ask_dns
from pools.probing.result import Cause, ProbeResult, cause_of_errno, failed, timed_out
from pools.probing.service import ask_service
from pools.probing.tcp import Ended, TcpSweep, place
from pools.probing.tls import contexts
from pools.probing.web import ask_web
from pools.specs import Check, asked_with

ANSWERS = "answers"
BETWEEN_LOOKS = 256  # connects that are started before it is seen which have ended: so that few sockets are open


async def converse(check: Check, cert: Check | None, timeout_s: float, tls: Any) -> list[ProbeResult]:
    """Ask a web, certificate or DNS check once; ``cert`` is answered in the connection of a web check."""
    if check.kind is CheckKind.DNS:
        return [await ask_dns(check, timeout_s)]
    if check.kind is CheckKind.BALANCER:
        return [await ask_balancer(check, timeout_s)]
    if check.kind is CheckKind.SERVICE:
        return [await ask_service(check, tls, timeout_s)]
    if check.kind is CheckKind.CERT:
        return await ask_web(None, check, tls, timeout_s)
    return await ask_web(check, cert, tls, timeout_s)


def tcp_result(check: Check, at: float, code: int, took_s: float) -> ProbeResult:
    """Return the result for a connect that ended with ``code`` (0 or an errno)."""
    if code == 0:
        return ProbeResult(check.key, at, True, False, Cause.OK, ANSWERS, took_s * 1000)
    cause, sentence = cause_of_errno(code)
    if cause is Cause.TIMEOUT:
        return timed_out(check.key, at, check.timeout_s)
    return failed(check.key, at, cause, sentence)


class Knocking:
    """UCC ports, each asked once, all at once, without an event loop or a thread: so that a click is quick.

    Between the start and ``results()`` the caller may do other things. ``close()`` it where its results are not wanted.
    """

    def __init__(self, checks: Iterable[Check] = (), timeout_s: float = 0.0) -> None:
        self._found: dict[str, ProbeResult] = {}
        self._sweep: TcpSweep[Check] = TcpSweep()
        for number, check in enumerate(checks, 1):
            now = time.monotonic()
            limit_s = min(check.timeout_s, timeout_s)
            self._sweep.start(check, place(check.address, check.port), now=now, timeout_s=limit_s)
            if number % BETWEEN_LOOKS == 0:
                self._note(self._sweep.ready(time.monotonic()))

    def look(self, *, wait_s: float = 0.0) -> bool:
        """Note what has ended; whether some are still under way."""
        self._note(self._sweep.ready(time.monotonic(), wait_s=wait_s))
        self._note(self._sweep.expired(time.monotonic()))
        return bool(len(self._sweep))

    def results(self) -> dict[str, ProbeResult]:
        """Wait for all of them; a result for each key."""
        try:
            while self.look(wait_s=0.02):
                pass
        finally:
            self.close()
        return self._found

    def close(self) -> None:
        """Drop what is still under way."""
        self._sweep.close()

    def _note(self, all_ended: Iterable[Ended[Check]]) -> None:
        at = time.time()
        for check, code, took_s in all_ended:
            self._found[check.key] = tcp_result(check, at, code, took_s)


def knock_once(checks: Sequence[Check], timeout_s: float) -> dict[str, ProbeResult]:
    """Ask UCC ports only, all at once, each once, in this thread."""
    return Knocking(checks, timeout_s).results()


async def ask_once(checks: Iterable[Check], timeout_s: float, *, ca_file: str = "") -> dict[str, ProbeResult]:
    """Ask all at once, each once, and return a result for each key within about ``timeout_s``."""
    checks = list(checks)
    by_key = {check.key: check for check in checks}
    talks = []
    knocking = Knocking((check for check in checks if check.kind in KNOCKS), timeout_s)
    try:
        for check in checks:
            is_own = asked_with(check.key) == check.key or asked_with(check.key) not in by_key
            if check.kind not in KNOCKS and is_own:
                cert = by_key.get(f"cert:{check.key[4:]}") if check.kind is CheckKind.WEB else None
                limit_s = min(check.timeout_s, timeout_s)
                talks.append(asyncio.ensure_future(converse(check, cert, limit_s, contexts(ca_file))))
        while knocking.look():  # noqa: ASYNC110 (a selector of its own has no event to wait for)
            await asyncio.sleep(0.002)
        results = knocking.results()
        for said in await asyncio.gather(*talks):
            results |= {result.key: result for result in said}
    finally:
        knocking.close()
    return results
