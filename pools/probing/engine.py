"""Asks thousands of checks again and again: when, how quickly once more, and never more than can be borne.

One event loop and one thread. TCP connects are swept by ``tcp.TcpSweep``; web and DNS are asked by coroutines, which
are rarer. Nothing piles up: a check has one next time, and after a pause of the process (stopped, starved) what was
under way is asked anew instead of being counted as silence.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from pools.health import KNOCKS, CheckKind
from pools.probing.balancer import ask_balancer
from pools.probing.dns import ask_dns
from pools.probing.result import Cause, ProbeResult, cause_of_errno, failed, timed_out
from pools.probing.tcp import Ended, TcpSweep, raise_descriptor_limit
from pools.probing.tls import contexts
from pools.probing.web import ask_web
from pools.specs import Check, asked_with, spread

log = logging.getLogger(__name__)

FLUSH_S = 0.2
PAUSE_S = 1.0
FIRST_SWEEP_S = 1.0
NAP_MAX_S = 0.05
TICK_MAX_S = 0.01
CONVERSATIONS_MAX = 128
DESCRIPTORS_KEPT = 128  # for everything else: database, broker, logs, conversations

Deliver = Callable[[list[ProbeResult]], Awaitable[None]]


class _Slot:
    """A check (with the one answered in its connection) and when it is asked next."""

    __slots__ = ("again", "busy", "cert", "check", "count", "due", "gone", "good", "phase")

    def __init__(self, check: Check) -> None:
        self.check = check
        self.cert: Check | None = None
        self.phase = spread(check.key)
        self.due = 0.0
        self.busy = False
        self.again = False  # asked for while it was being asked: that answer may be from before
        self.gone = False
        self.good: bool | None = None
        self.count = 0


class Engine:
    """Holds the schedule. ``set_checks`` and ``ask_now`` may be called between and during runs, in the loop's thread.

    ``ca_file``: trusted authorities (PEM) to verify chains with, "" for not at all. ``clock`` (seconds) is for tests.
    """

    def __init__(self, *, ca_file: str = "", clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._contexts = contexts(ca_file)
        self._slots: dict[str, _Slot] = {}
        self._heap: list[tuple[float, int, _Slot]] = []
        self._serial = 0
        self._sweep: TcpSweep[_Slot] = TcpSweep()
        self._connects_max = max(64, raise_descriptor_limit() - DESCRIPTORS_KEPT - 2 * CONVERSATIONS_MAX)
        self._conversations: set[asyncio.Task[None]] = set()
        self._waiting: deque[_Slot] = deque()
        self._results: list[ProbeResult] = []
        self._last_pump: float | None = None
        self._era = 0
        self._tick_s = TICK_MAX_S

    def set_checks(self, checks: Iterable[Check]) -> None:
        """Ask exactly these from now on. Those asked before keep their times; new ones come within a second."""
        checks = list(checks)
        by_key = {check.key: check for check in checks}
        wanted = {
            key: check for key, check in by_key.items() if asked_with(key) == key or asked_with(key) not in by_key
        }
        for key in self._slots.keys() - wanted.keys():
            self._slots.pop(key).gone = True
        now = self._clock()
        for key, check in wanted.items():
            slot = self._slots.get(key)
            if slot is None or (slot.check.address, slot.check.port) != (check.address, check.port):
                if slot is not None:
                    slot.gone = True
                slot = self._slots[key] = _Slot(check)
                self._plan(slot, now + slot.phase * min(FIRST_SWEEP_S, check.interval_s))
            slot.check = check
            slot.cert = by_key.get(f"cert:{key[4:]}") if check.kind is CheckKind.WEB else None
        rate = sum(1 / slot.check.interval_s for slot in self._slots.values())
        self._tick_s = min(TICK_MAX_S, max(0.001, rate * 1e-5))  # busier: longer, so that many share one wake-up

    def ask_now(self, keys: Iterable[str]) -> None:
        """Ask these checks at once, out of turn. Unknown keys are ignored."""
        now = self._clock()
        for key in keys:
            slot = self._slots.get(asked_with(key)) or self._slots.get(key)
            if slot is None:
                continue
            if slot.busy:
                slot.again = True
            else:
                self._plan(slot, now)

    async def run(self, deliver: Deliver, stop: Callable[[], bool]) -> None:
        """Probe until ``stop()``; hand results to ``deliver`` every 0.2 s, also when there are none.

        Whatever ``deliver`` raises ends the run and is raised. What is under way at the end goes on at the next run.
        """
        flusher = asyncio.ensure_future(self._flush(deliver, stop))
        try:
            while not flusher.done():
                now = self._clock()
                self.pump(now)
                await asyncio.sleep(self._nap_s(self._clock()))
        finally:
            if not flusher.done():
                flusher.cancel()
            await flusher

    async def _flush(self, deliver: Deliver, stop: Callable[[], bool]) -> None:
        stopping = False
        while not stopping:
            await asyncio.sleep(FLUSH_S)
            stopping = stop()
            await deliver(self.take_results())

    def take_results(self) -> list[ProbeResult]:
        """Return the results since the last call."""
        results, self._results = self._results, []
        return results

    def pump(self, now: float) -> None:
        """One turn: collect what has ended, start what is due. ``run`` calls it many times a second."""
        paused = self._last_pump is not None and now - self._last_pump > PAUSE_S
        self._last_pump = now
        self._collect(self._sweep.ready(), now)
        if paused:
            self._after_a_pause(now)
        self._collect(self._sweep.expired(now), now)
        if self._start_due(now):
            self._collect(self._sweep.ready(), self._clock())  # near ones have answered already

    def close(self) -> None:
        """Drop everything."""
        for task in self._conversations:
            task.cancel()
        self._sweep.close()

    # -------------------------------------------------------------------------------------------------------- planning

    def _plan(self, slot: _Slot, due: float) -> None:
        slot.due = due
        self._serial += 1
        heapq.heappush(self._heap, (due, self._serial, slot))

    def _plan_next(self, slot: _Slot, good: bool | None, now: float) -> None:
        """A change is asked again soon, until it is settled; else the next place of its own in the interval."""
        check = slot.check
        if good is slot.good:
            slot.count += 1
        else:
            slot.count = check.policy.rise if good and slot.good is None else 1
            slot.good = good
        needed = check.policy.rise if good else check.policy.fall
        slot.busy = False
        if slot.gone:
            return
        if slot.again:
            slot.again = False
            self._plan(slot, now)
        elif good is not None and slot.count < needed:
            self._plan(slot, now + check.retry_s)
        else:
            turns = now / check.interval_s - slot.phase
            self._plan(slot, (int(turns // 1) + 1 + slot.phase) * check.interval_s)

    def _nap_s(self, now: float) -> float:
        until_due = self._heap[0][0] - now if self._heap else NAP_MAX_S
        longest = self._tick_s if len(self._sweep) else NAP_MAX_S
        return min(longest, max(until_due, self._tick_s))

    def _after_a_pause(self, now: float) -> None:
        """The process stood still: silence meanwhile was ours. Ask anew, spread over a moment."""
        self._era += 1
        for slot in self._sweep.abandon():
            slot.busy = False
            if not slot.gone:
                self._plan(slot, now + slot.phase * min(FIRST_SWEEP_S, slot.check.interval_s))

    # --------------------------------------------------------------------------------------------------------- probing

    def _start_due(self, now: float) -> bool:
        started = False
        while self._heap and self._heap[0][0] <= now:
            due, _, slot = self._heap[0]
            stale = slot.gone or slot.busy or slot.due != due
            is_connect = slot.check.kind in KNOCKS
            if not stale and is_connect and len(self._sweep) >= self._connects_max:
                break  # it stays due, and first in line
            heapq.heappop(self._heap)
            if stale:
                continue
            slot.busy = True
            if is_connect:
                started = True
                self._connect(slot)
            else:
                self._waiting.append(slot)
        while self._waiting and len(self._conversations) < CONVERSATIONS_MAX:
            self._converse(self._waiting.popleft())
        return started

    def _connect(self, slot: _Slot) -> None:
        now = self._clock()
        check = slot.check
        ended = self._sweep.start(slot, check.address, check.port, now=now, timeout_s=check.timeout_s)
        if ended is not None:
            self._collect([ended], now)

    def _collect(self, all_ended: list[Ended[_Slot]], now: float) -> None:
        at = time.time()
        for ended in all_ended:
            result = tcp_result(ended.what.check, at, ended.code, now - ended.started)
            if not ended.what.gone:
                self._results.append(result)
            self._plan_next(ended.what, result.ok, now)

    def _converse(self, slot: _Slot) -> None:
        task = asyncio.get_running_loop().create_task(self._conversation(slot, self._era))
        self._conversations.add(task)
        task.add_done_callback(self._conversations.discard)

    async def _conversation(self, slot: _Slot, era: int) -> None:
        check = slot.check
        try:
            results = await converse(check, slot.cert, check.timeout_s, self._contexts)
        except Exception:  # a bug of ours in one check must not end the asking of it, nor of the others
            log.exception("asking %s failed", check.key)
            sentence = "not asked: an error in the prober, see its log"
            results = [failed(check.key, time.time(), Cause.LOCAL, sentence)]
        now = self._clock()
        if era != self._era and any(result.cause is Cause.TIMEOUT for result in results):
            slot.busy = False
            if not slot.gone:
                self._plan(slot, now)
            return
        if not slot.gone:
            self._results.extend(results)
        known = [result for result in results if result.ok is not None]
        good = all(result.ok and not result.degraded for result in known) if known else None
        self._plan_next(slot, good, now)


async def converse(check: Check, cert: Check | None, timeout_s: float, tls: Any) -> list[ProbeResult]:
    """Ask a web, certificate or DNS check once; ``cert`` is answered in the connection of a web check."""
    if check.kind is CheckKind.DNS:
        return [await ask_dns(check, timeout_s)]
    if check.kind is CheckKind.BALANCER:
        return [await ask_balancer(check, timeout_s)]
    if check.kind is CheckKind.CERT:
        return await ask_web(None, check, tls, timeout_s)
    return await ask_web(check, cert, tls, timeout_s)


def tcp_result(check: Check, at: float, code: int, took_s: float) -> ProbeResult:
    """Return the result for a connect that ended with ``code`` (0 or an errno)."""
    if code == 0:
        return ProbeResult(check.key, at, True, False, Cause.OK, "answers", took_s * 1000)
    cause, sentence = cause_of_errno(code)
    if cause is Cause.TIMEOUT:
        return timed_out(check.key, at, check.timeout_s)
    return failed(check.key, at, cause, sentence)


def knock_once(checks: Sequence[Check], timeout_s: float) -> dict[str, ProbeResult]:
    """Ask UCC ports only, all at once, each once, in this thread: without an event loop, so that a click is quick."""
    results: dict[str, ProbeResult] = {}
    sweep: TcpSweep[Check] = TcpSweep()
    try:
        for check in checks:
            now = time.monotonic()
            ended = sweep.start(check, check.address, check.port, now=now, timeout_s=min(check.timeout_s, timeout_s))
            if ended is not None:
                results[check.key] = tcp_result(check, time.time(), ended.code, 0.0)
        while len(sweep):
            for one in (*sweep.ready(wait_s=0.05), *sweep.expired(time.monotonic())):
                results[one.what.key] = tcp_result(one.what, time.time(), one.code, time.monotonic() - one.started)
    finally:
        sweep.close()
    return results


async def ask_once(checks: Iterable[Check], timeout_s: float, *, ca_file: str = "") -> dict[str, ProbeResult]:
    """Ask all at once, each once, and return a result for each key within about ``timeout_s``."""
    checks = list(checks)
    by_key = {check.key: check for check in checks}
    results: dict[str, ProbeResult] = {}
    talks = []
    sweep: TcpSweep[Check] = TcpSweep()
    try:
        for check in checks:
            limit_s = min(check.timeout_s, timeout_s)
            if check.kind in KNOCKS:
                now = time.monotonic()
                ended = sweep.start(check, check.address, check.port, now=now, timeout_s=limit_s)
                if ended is not None:
                    results[check.key] = tcp_result(check, time.time(), ended.code, 0.0)
            elif asked_with(check.key) == check.key or asked_with(check.key) not in by_key:
                cert = by_key.get(f"cert:{check.key[4:]}") if check.kind is CheckKind.WEB else None
                talks.append(asyncio.ensure_future(converse(check, cert, limit_s, contexts(ca_file))))
        while len(sweep):
            await asyncio.sleep(0.002)
            for one in (*sweep.ready(), *sweep.expired(time.monotonic())):
                results[one.what.key] = tcp_result(one.what, time.time(), one.code, time.monotonic() - one.started)
        for said in await asyncio.gather(*talks):
            results |= {result.key: result for result in said}
    finally:
        sweep.close()
    return results
