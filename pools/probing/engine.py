"""Asks thousands of checks again and again: when, how quickly once more, and never more than can be borne.

One event loop and one thread. TCP connects are swept by ``tcp.TcpSweep``; web and DNS are asked by coroutines, which
are rarer. Nothing piles up: a check has one next time, and after a pause of the process (stopped, starved) what was
under way is asked anew instead of being counted as silence.

A UCC port that fails for the first time is asked again at once, then every ``retry_s``. One that is silent is asked a
second and a third time *beside* the first, which goes on: a lost packet then costs nothing, since the answer to a later
connect withdraws the earlier ones, and a dead host costs one timeout instead of three. And where one check of an
address fails, the others there are asked at once: of a dead server the first port that is asked tells of all.
"""

from __future__ import annotations

import asyncio
import errno
import heapq
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from functools import partial

from pools.health import KNOCKS, CheckKind
from pools.probing.asking import ANSWERS, converse, tcp_result
from pools.probing.result import NO_EVIDENCE, Cause, ProbeResult, failed
from pools.probing.rounds import Round
from pools.probing.tcp import Ended, TcpSweep, place, raise_descriptor_limit
from pools.probing.tls import contexts
from pools.specs import Check, asked_with, spread

log = logging.getLogger(__name__)

FLUSH_S = 0.5
LOOK_FOR_STOP_S = 0.2
PAUSE_S = 1.0
FIRST_SWEEP_S = 1.0
NAP_MAX_S = 0.1
TICK_MIN_S, TICK_MAX_S = 0.01, 0.1
TOGETHER = 100  # about so many connects share one wake-up, where the tick's limits allow
QUICK_TICK_S, QUICK_FOR_S = 0.005, 0.5  # while a change is being settled
SHORTEST_NAP_S = 0.001
BETWEEN_LOOKS = 25  # connects that are started before it is seen which have been answered
BURST = 256  # starts in one turn: what was missed is made up for without standing still
HOST_MAX = 256  # under way to one address
SUSPECT_AGAIN_S = 1.0
CONVERSATIONS_MAX = 128
DESCRIPTORS_KEPT = 128  # for everything else: database, broker, logs, conversations

Deliver = Callable[[list[ProbeResult]], Awaitable[None]]
_answers = partial(tuple.__new__, ProbeResult)  # without the named tuple's own layer: for the thousands that are well


class _Host:
    """An address: its checks, and how many connects and conversations with it are under way."""

    __slots__ = ("asking", "slots", "suspected_at")

    def __init__(self) -> None:
        self.asking = 0
        self.slots: set[_Slot] = set()
        self.suspected_at = float("-inf")


class _Slot:
    """A check (with the one answered in its connection) and what is known of its asking."""

    __slots__ = (
        "again",
        "asking",
        "cert",
        "check",
        "count",
        "fds",
        "gone",
        "good",
        "host",
        "is_connect",
        "is_steady",
        "phase",
        "planned",
        "where",
    )

    def __init__(self, check: Check, host: _Host) -> None:
        self.check = check
        self.host = host
        self.cert: Check | None = None
        self.where = place(check.address, check.port)
        self.is_connect = check.kind in KNOCKS
        self.phase = spread(check.key)
        self.planned: float | None = None  # out of turn
        self.asking = 0  # how many are under way
        self.fds: list[int] = []  # of those under way, where more than one may be
        self.is_steady = False  # up for a while: one more good answer changes nothing
        self.again = False  # asked for while it was being asked: that answer may be from before
        self.gone = False
        self.good: bool | None = None
        self.count = 0

    def bad(self) -> int:
        """How many bad results in a row there were."""
        return self.count if self.good is False else 0

    def is_settled(self) -> bool:
        """Whether results in a row have said the same often enough for it to be a state."""
        policy = self.check.policy
        return self.good is None or self.count >= (policy.rise if self.good else policy.fall)


class Engine:
    """Holds the schedule. ``set_checks`` and ``ask_now`` may be called between and during runs, in the loop's thread.

    ``ca_file``: trusted authorities (PEM) to verify chains with, "" for not at all. ``half_open``: see ``TcpSweep``.
    ``connects_max``: under way in all; by default as many as this process may have descriptors for.
    ``clock`` (seconds) is for tests.
    """

    def __init__(
        self,
        *,
        ca_file: str = "",
        half_open: bool = False,
        connects_max: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._contexts = contexts(ca_file)
        self._slots: dict[str, _Slot] = {}
        self._hosts: dict[str, _Host] = {}
        self._rounds: list[Round[_Slot]] = []
        self._out_of_turn: list[tuple[float, int, _Slot]] = []
        self._serial = 0
        self._sweep: TcpSweep[_Slot] = TcpSweep(half_open=half_open)
        self._descriptors = raise_descriptor_limit()
        self._connects_max = connects_max or max(64, self._descriptors - DESCRIPTORS_KEPT - 2 * CONVERSATIONS_MAX)
        self._said_full = False
        self._conversations: set[asyncio.Task[None]] = set()
        self._waiting: deque[_Slot] = deque()
        self._results: list[ProbeResult] = []
        self._urgent = False
        self._last_pump: float | None = None
        self._era = 0
        self._tick_s = TICK_MAX_S
        self._quick_until = 0.0
        self._asleep: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        """How many connects are under way."""
        return len(self._sweep)

    def set_checks(self, checks: Iterable[Check]) -> None:
        """Ask exactly these from now on. Those asked before keep their times; new ones come within a second."""
        checks = list(checks)
        by_key = {check.key: check for check in checks}
        wanted = {
            key: check for key, check in by_key.items() if asked_with(key) == key or asked_with(key) not in by_key
        }
        for key in self._slots.keys() - wanted.keys():
            self._drop(self._slots.pop(key))
        now = self._clock()
        for key, check in wanted.items():
            slot = self._slots.get(key)
            if slot is None or (slot.check.address, slot.check.port) != (check.address, check.port):
                if slot is not None:
                    self._drop(slot)
                slot = self._slots[key] = _Slot(check, self._hosts.setdefault(check.address, _Host()))
                slot.host.slots.add(slot)
                self._plan(slot, now + slot.phase * min(FIRST_SWEEP_S, check.interval_s))
            slot.check = check
            slot.cert = by_key.get(f"cert:{key[4:]}") if check.kind is CheckKind.WEB else None
        self._lay_out(now if self._last_pump is None else self._last_pump)

    def _drop(self, slot: _Slot) -> None:
        slot.gone, slot.is_steady = True, False
        slot.host.slots.discard(slot)

    def _lay_out(self, at: float) -> None:
        by_interval: dict[float, list[_Slot]] = {}
        for slot in self._slots.values():
            by_interval.setdefault(slot.check.interval_s, []).append(slot)
        self._rounds = [Round(interval_s, slots, at=at) for interval_s, slots in by_interval.items()]
        rate = sum(len(slots) / interval_s for interval_s, slots in by_interval.items())
        self._tick_s = min(TICK_MAX_S, max(TICK_MIN_S, TOGETHER / rate)) if rate else TICK_MAX_S

    def ask_now(self, keys: Iterable[str]) -> None:
        """Ask these checks at once, out of turn. Unknown keys are ignored."""
        now = self._clock()
        for key in keys:
            slot = self._slots.get(asked_with(key)) or self._slots.get(key)
            if slot is not None:
                self._ask_soon(slot, now)
        self._wake()

    def hurry(self) -> None:
        """Hand over what there is at once. As all the others, in the loop's thread."""
        self._urgent = True
        self._wake()

    async def run(self, deliver: Deliver, stop: Callable[[], bool]) -> None:
        """Probe until ``stop()``; hand results to ``deliver`` every half second, also when there are none.

        What a check has just changed to is handed over at once. Whatever ``deliver`` raises ends the run and is raised.
        What is under way at the end goes on at the next run.
        """
        delivering: asyncio.Future[None] | None = None
        delivered_at = looked_at = self._clock()
        stopping = False
        try:
            while True:
                now = self._clock()
                if not stopping:
                    self.pump(now)
                if now - looked_at >= LOOK_FOR_STOP_S:
                    looked_at, stopping = now, stopping or stop()
                if delivering is not None and delivering.done():
                    delivering.result()
                    delivering = None
                    if stopping and not self._results:
                        return
                if delivering is None and (stopping or self._urgent or now - delivered_at >= FLUSH_S):
                    delivered_at = now
                    delivering = asyncio.ensure_future(deliver(self.take_results()))
                await self._sleep(self._nap_s(self._clock()))
        finally:
            if delivering is not None:
                await delivering

    async def _sleep(self, for_s: float) -> None:
        """Sleep, or until something is to be done at once."""
        loop = asyncio.get_running_loop()
        self._asleep = loop.create_future()
        alarm = loop.call_later(for_s, self._wake)
        try:
            await self._asleep
        finally:
            alarm.cancel()

    def _wake(self) -> None:
        if self._asleep is not None and not self._asleep.done():
            self._asleep.set_result(None)

    def take_results(self) -> list[ProbeResult]:
        """Return the results since the last call."""
        results, self._results, self._urgent = self._results, [], False
        return results

    def pump(self, now: float) -> None:
        """One turn: collect what has ended, start what is due. ``run`` calls it many times a second."""
        paused = self._last_pump is not None and now - self._last_pump > PAUSE_S
        self._last_pump = now
        self._collect(self._sweep.ready(now))
        if paused:
            self._after_a_pause(now)
        self._ask_beside(self._sweep.slow(now), now)
        self._collect(self._sweep.expired(now))
        if self._start_due(now):
            self._collect(self._sweep.ready(self._clock()))  # near ones have answered already

    def close(self) -> None:
        """Drop everything."""
        for task in self._conversations:
            task.cancel()
        self._sweep.close()

    # -------------------------------------------------------------------------------------------------------- planning

    def _plan(self, slot: _Slot, due: float) -> None:
        slot.planned = due
        self._serial += 1
        heapq.heappush(self._out_of_turn, (due, self._serial, slot))

    def _ask_soon(self, slot: _Slot, now: float) -> None:
        """At once, or as soon as the answer that is under way has come."""
        if slot.asking:
            slot.again, slot.is_steady = True, False
        elif not slot.gone:
            self._plan(slot, now)

    def _heard(self, slot: _Slot, good: bool | None, now: float) -> None:
        """Count what a result says: a change has to be said several times in a row until it is settled."""
        if good is slot.good:
            slot.count += 1
            if good is not None and slot.count == (slot.check.policy.rise if good else slot.check.policy.fall):
                self._urgent = True
        else:
            if slot.good and good is False:
                self._suspect(slot.host, now)
            slot.count = slot.check.policy.rise if good and slot.good is None else 1
            slot.good = good
        if not slot.is_settled():
            self._quick_until = now + QUICK_FOR_S

    def _suspect(self, host: _Host, now: float) -> None:
        """One check of an address fails: ask the others there at once, so that a dead server is known as such."""
        if now - host.suspected_at < SUSPECT_AGAIN_S:
            return
        host.suspected_at = now
        for slot in host.slots:
            if slot.good and not slot.asking:
                self._plan(slot, now)

    def _plan_next(self, slot: _Slot, now: float) -> None:
        """A change is asked again soon, until it is settled; else the check comes at its own place in the interval."""
        if slot.asking or slot.gone:
            return
        if slot.again:
            slot.again = False
            self._plan(slot, now)
        elif not slot.is_settled():
            at_once = slot.is_connect and slot.count == 1
            self._plan(slot, now if at_once else now + slot.check.retry_s)

    def _nap_s(self, now: float) -> float:
        """Until what is out of turn is due; else a tick, or longer where nothing is under way and nothing due."""
        tick_s = QUICK_TICK_S if now < self._quick_until else self._tick_s
        wake = now + (tick_s if len(self._sweep) else NAP_MAX_S)
        for one in self._rounds:
            due = one.next_due()
            if due is not None:
                wake = min(wake, max(due, now + tick_s))
        if self._out_of_turn:
            wake = min(wake, max(self._out_of_turn[0][0], now + SHORTEST_NAP_S))
        return wake - now

    def _after_a_pause(self, now: float) -> None:
        """The process stood still: silence meanwhile was ours. Ask anew, spread over a moment."""
        self._era += 1
        abandoned = self._sweep.abandon()
        for slot in abandoned:
            slot.host.asking -= 1
        for slot in set(abandoned):
            slot.asking = 0
            slot.fds.clear()
            if not slot.gone:
                self._plan(slot, now + slot.phase * min(FIRST_SWEEP_S, slot.check.interval_s))

    # --------------------------------------------------------------------------------------------------------- probing

    def _start_due(self, now: float) -> bool:
        started = 0
        for slot in self._take_due(now):
            slot.planned = None
            if slot.asking:
                slot.again, slot.is_steady = True, False
            elif slot.host.asking >= HOST_MAX:
                self._plan(slot, now + slot.check.retry_s)
            elif slot.is_connect:
                started += 1
                self._connect(slot, now)
                if started % BETWEEN_LOOKS == 0:
                    now = self._clock()
                    self._collect(self._sweep.ready(now))
            else:
                slot.asking = 1
                slot.host.asking += 1
                self._waiting.append(slot)
        while self._waiting and len(self._conversations) < CONVERSATIONS_MAX:
            self._converse(self._waiting.popleft())
        return started > 0

    def _take_due(self, now: float) -> list[_Slot]:
        """What is due, as much as there is room for; the rest stays due, and first in line."""
        room = min(BURST, self._connects_max - len(self._sweep))
        if room <= 0:
            self._say_full()
            return []
        due: list[_Slot] = []
        while self._out_of_turn and self._out_of_turn[0][0] <= now and len(due) < room:
            at, _, slot = heapq.heappop(self._out_of_turn)
            if not slot.gone and slot.planned == at:
                slot.planned = None
                due.append(slot)
        for one in self._rounds:
            due += one.due(now, room - len(due))
        return due

    def _say_full(self) -> None:
        if not self._said_full:
            self._said_full = True
            log.warning(
                "%d connects are under way, and no more file descriptors may be opened (limit %d): checks come later "
                "than their interval. Raise the limit of open files (LimitNOFILE, ulimit -n).",
                len(self._sweep),
                self._descriptors,
            )

    def _connect(self, slot: _Slot, now: float) -> None:
        slot.asking += 1
        slot.host.asking += 1
        fd = self._sweep.start(slot, slot.where, now=now, timeout_s=slot.check.timeout_s)
        if slot.fds:
            slot.fds.append(fd)

    def _ask_beside(self, slow: list[tuple[int, _Slot]], now: float) -> None:
        """Ask those a second and a third time that have been silent for a moment, where that would be news."""
        for fd, slot in slow:
            if not slot.gone and slot.asking + slot.bad() < slot.check.policy.fall and slot.host.asking < HOST_MAX:
                if not slot.fds:
                    slot.fds.append(fd)
                if slot.good:
                    self._suspect(slot.host, now)
                self._connect(slot, now)

    def _collect(self, all_ended: list[Ended[_Slot]]) -> None:
        at, now, results = time.time(), self._last_pump or 0.0, self._results
        for slot, code, took_s in all_ended:
            slot.asking -= 1
            slot.host.asking -= 1
            if code == 0 and slot.is_steady and not slot.asking:
                results.append(
                    _answers((slot.check.key, at, True, False, Cause.OK, ANSWERS, took_s * 1000, NO_EVIDENCE))
                )
                continue
            if slot.fds and (code != errno.ETIMEDOUT or not slot.asking):
                self._withdraw(slot)
            result = tcp_result(slot.check, at, code, took_s)
            if not slot.gone:
                results.append(result)
            self._heard(slot, result.ok, now)
            self._plan_next(slot, now)
            slot.is_steady = slot.good is True and slot.is_settled() and not slot.gone

    def _withdraw(self, slot: _Slot) -> None:
        """A later connect was answered: what is still under way for this check tells nothing new."""
        slot.host.asking -= sum(self._sweep.withdraw(fd, slot) for fd in slot.fds)
        slot.fds.clear()
        slot.asking = 0

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
        slot.asking = 0
        slot.host.asking -= 1
        if era != self._era and any(result.cause is Cause.TIMEOUT for result in results):
            self._ask_soon(slot, now)
            return
        if not slot.gone:
            self._results.extend(results)
        known = [result for result in results if result.ok is not None]
        self._heard(slot, all(result.ok and not result.degraded for result in known) if known else None, now)
        self._plan_next(slot, now)
