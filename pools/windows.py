"""A window: a Celery task holds shards under leases and probes their checks in one event loop, for some seconds.

The process keeps engine, loop and states between its windows: where nobody came between, it goes on without reading
anything anew. A shard that nobody holds (its worker is dead) is adopted by whoever is probing.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import mmap
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from django.conf import settings
from django.db import Error as DatabaseError, close_old_connections

from pools import lease, live
from pools.estate import all_checks, estate_version
from pools.history.minutes import GAP_S, MinuteBook
from pools.lease import Lease
from pools.nudges import Listener
from pools.probing.engine import Engine
from pools.probing.result import ProbeResult
from pools.recording import Recorder, StaleFence, record_results
from pools.redis_store import BrokerLost
from pools.references import References
from pools.rolling import refresh_hostnames
from pools.specs import Check, shard_of

log = logging.getLogger(__name__)
T = TypeVar("T")

RENEW_S = 0.5
AGES_S, LATEST_S = 0.4, 0.9  # how often each goes to Redis; a page learns of an age by what is shared
ADOPT_AFTER_S = 0.4  # an idle worker comes first
RELOAD_S = 120.0  # also when nobody said that the estate changed; reading all of it is dear

# One byte that the parent of a prefork pool shares with its children: Celery tells only the parent of a shutdown.
_stopping = mmap.mmap(-1, 1)


def stop_windows() -> None:
    """End the windows of this worker at once; called when it is asked to stop."""
    _stopping[0] = 1


def is_probing() -> bool:
    """Whether a window is under way in this process."""
    return _process is not None and _process.in_window


def is_stopping() -> bool:
    """Whether this worker is asked to stop."""
    return _stopping[0] != 0


@dataclass(slots=True)
class _Held:
    """A shard that we hold, and what we remember of it. ``lost``: somebody else holds it by now."""

    lease: Lease
    recorder: Recorder
    renewed_at: float
    latest_at: float = 0.0
    ages_at: float = 0.0
    lost: bool = False
    doubt_told_at: float = 0.0
    book: MinuteBook = field(default_factory=lambda: MinuteBook(time.time()))


@dataclass(slots=True)
class _Kept:
    """A shard after our window: where nobody comes between, the next one goes on with it, in the middle of a minute."""

    fence: int
    recorder: Recorder
    book: MinuteBook

    @property
    def left_behind(self) -> bool:
        """Whether somebody else probes it by now, or nobody, and what we noted of its minute is unwritten."""
        return self.book.covered_s > 0 and time.time() - self.book.last > GAP_S

    def write(self) -> None:
        """Write what was noted of its last minute."""
        close_old_connections()
        self.book.close(self.recorder)


@dataclass(slots=True)
class _Process:
    """What this process keeps between windows. One thread writes to database and Redis, another renews leases."""

    engine: Engine
    runner: asyncio.Runner
    writer: ThreadPoolExecutor
    renewer: ThreadPoolExecutor
    references: References
    kept: dict[int, _Kept] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)
    in_window: bool = False
    estate_version: int = -1
    loaded_at: float = float("-inf")


_process: _Process | None = None


def _this_process() -> _Process:
    global _process  # noqa: PLW0603 (kept between the tasks of a worker's process)
    if _process is None:
        _process = _Process(
            engine=Engine(ca_file=settings.POOLS["ca_file"], half_open=settings.POOLS["half_open"]),
            runner=asyncio.Runner(),
            writer=ThreadPoolExecutor(1, "a365-writer"),
            renewer=ThreadPoolExecutor(1, "a365-renewer"),
            references=References(settings.POOLS["references"]),
        )
        _listen(_process)
    return _process


def _listen(process: _Process) -> None:
    """Hear at once that something is to be asked now."""
    loop, hurry = process.runner.get_loop(), process.engine.hurry
    Listener(lambda: loop.call_soon_threadsafe(hurry)).start()


def write_what_was_left() -> None:
    """Write the minutes of shards that others took up after our windows; asked now and then, from any thread."""
    if _process is not None:
        for kept in list(_process.kept.values()):
            if kept.left_behind:
                _process.writer.submit(kept.write)


def run_window(shard: int) -> list[int]:
    """Probe ``shard``, and whatever else nobody holds, for a window; return the shards to be handed on.

    Raises BrokerLost where the lease cannot even be asked for.
    """
    if is_stopping() or not 0 <= shard < settings.POOLS["shards"]:
        return []
    taken = lease.take(shard)
    if taken is None:
        return []
    process = _this_process()
    window = _Window(process, taken)
    process.in_window = True
    try:
        process.runner.run(window.run())
    finally:
        process.in_window = False
        held = window.give_back()
    return [] if is_stopping() else held


class _Window:
    def __init__(self, process: _Process, first: Lease) -> None:
        self._process = process
        self._shards: int = settings.POOLS["shards"]
        self._ends_at = time.monotonic() + settings.POOLS["window_s"]
        self._parent = os.getppid()
        self._held: dict[int, _Held] = {first.shard: _Held(first, self._recorder(first.shard), time.monotonic())}
        self._free_since: dict[int, float] = {}
        self._failing = False

    async def run(self) -> None:
        """Probe until the window's end, until the worker is to stop, or until every shard was taken from us."""
        keeper = asyncio.ensure_future(self._keep_leases())
        try:
            await self._in_writer(self._load_if_needed)
            for held in list(self._held.values()):
                await self._in_writer(lambda held=held: self._start(held))  # type: ignore[misc]
            self._set_checks()
            await self._process.engine.run(self._deliver, self._is_over)
        except StaleFence as error:
            log.warning("%s", error)
        finally:
            keeper.cancel()

    def _is_over(self) -> bool:
        return (
            is_stopping()
            or os.getppid() != self._parent  # our worker is dead: let another one have it
            or time.monotonic() >= self._ends_at
            or all(held.lost for held in self._held.values())
        )

    def _recorder(self, shard: int) -> Recorder:
        share: float = settings.POOLS["doubt_share"]
        return Recorder(shard, self._shards, references=self._process.references, doubt_share=share)

    async def _in_writer(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._process.writer, work)

    # ---------------------------------------------------------------------------------------------------------- leases

    async def _keep_leases(self) -> None:
        """Renew twice a second. From the probing loop: when that stands still, the leases end, and rightly so."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(RENEW_S)
            await loop.run_in_executor(self._process.renewer, self._renew_all)

    def _renew_all(self) -> None:
        for held in list(self._held.values()):
            try:
                held.lost = held.lost or not lease.renew(held.lease)
            except BrokerLost:
                pass  # nobody else can take it from a lost broker; if only we lost it, the fence refuses us

    def give_back(self) -> list[int]:
        """Release what we still hold, remember its states, and return its shards."""
        shards = []
        for held in self._held.values():
            kept = _Kept(held.lease.fence, held.recorder, held.book)
            self._process.kept[held.lease.shard] = kept
            if held.lost:
                continue
            if is_stopping():
                kept.write()
            try:
                self._process.renewer.submit(lease.release, held.lease).result()  # never beside a renewal
            except BrokerLost:
                continue  # it ends by itself
            shards.append(held.lease.shard)
        return shards

    def _adopt(self, now: float) -> bool:
        """Take a shard that has been free for a while: its worker is dead, or there are fewer workers than shards."""
        others = [shard for shard in range(self._shards) if shard not in self._held]
        free = set(lease.free_shards(others)) if others else set()
        self._free_since = {shard: self._free_since.get(shard, now) for shard in free}
        for shard, since in self._free_since.items():
            if now - since >= ADOPT_AFTER_S:
                taken = lease.take(shard)
                if taken is not None:
                    held = _Held(taken, self._recorder(shard), now)
                    self._start(held)
                    self._held[shard] = held
                    return True
        return False

    # ---------------------------------------------------------------------------------------------------------- checks

    def _load_if_needed(self) -> bool:
        """Read the checks where the estate changed, or after two minutes; without the database go on as we are."""
        process, now = self._process, time.monotonic()
        version = estate_version()
        if version == process.estate_version and now - process.loaded_at < RELOAD_S:
            return False
        close_old_connections()
        try:
            checks = all_checks()
        except DatabaseError:
            if not process.checks:
                raise
            log.exception("the estate cannot be read; going on with the checks of before")
            return False
        process.estate_version, process.loaded_at = version, now
        if checks == process.checks:
            return False
        process.checks = checks
        for kept in process.kept.values():
            kept.write()
        process.kept.clear()
        return True

    def _start(self, held: _Held) -> None:
        """Take up a shard where it was left: from memory where nobody held it since, else from the rows."""
        kept = self._process.kept.pop(held.lease.shard, None)
        if kept is not None and kept.fence == held.lease.previous:
            held.recorder, held.book = kept.recorder, kept.book
            return
        if kept is not None:
            kept.write()
        close_old_connections()
        held.recorder.load(self._process.checks, fence=held.lease.fence)
        self._refresh(held.recorder.hostname_ids())
        gc.collect()
        gc.freeze()  # the estate stays: it need not be walked through again and again

    def _refresh(self, hostname_ids: set[int]) -> None:
        changed = refresh_hostnames(hostname_ids)
        if changed:
            live.bump_and_publish(hostname_ids=changed)

    def _set_checks(self) -> None:
        mine = [check for check in self._process.checks if shard_of(check.key, self._shards) in self._held]
        self._process.engine.set_checks(mine)

    # --------------------------------------------------------------------------------------------------------- results

    async def _deliver(self, results: list[ProbeResult]) -> None:
        asked, changed = await self._in_writer(lambda: self._write(results))
        if changed:
            self._set_checks()
        if asked:
            self._process.engine.ask_now(asked)

    def _write(self, results: list[ProbeResult]) -> tuple[set[str], bool]:
        """In the writer's thread: record, exchange with Redis; what to ask at once, and whether checks changed."""
        by_shard: dict[int, list[ProbeResult]] = {shard: [] for shard in self._held}
        for result in results:
            shard = shard_of(result.key, self._shards) if self._shards > 1 else 0
            if shard in by_shard:
                by_shard[shard].append(result)
        asked: set[str] = set()
        changed = False
        now = time.monotonic()
        for shard, held in list(self._held.items()):
            if not held.lost:
                try:
                    self._record(held, by_shard[shard])
                    held.book.turn(by_shard[shard], held.recorder, time.time())
                    self._tell_doubt(held, now)
                    tokens, version = self._exchange(held, now)
                    asked |= held.recorder.keys_for(tokens)
                    if version is not None and version != self._process.estate_version:
                        self._process.loaded_at = float("-inf")
                except StaleFence as error:
                    log.warning("%s", error)
                    held.lost = True
        lost = [shard for shard, held in self._held.items() if held.lost]
        if lost and len(lost) < len(self._held):
            for shard in lost:
                del self._held[shard]
            changed = True
        return asked, self._reload() or changed

    def _record(self, held: _Held, results: list[ProbeResult]) -> None:
        try:
            if results or held.recorder.doubt is not None:
                close_old_connections()
                record_results(results, recorder=held.recorder, fence=held.lease.fence)
            self._failing = False
        except DatabaseError:
            # Nothing was remembered either: the next results tell it again. A row that vanished needs a new look.
            if not self._failing:
                log.exception("results could not be recorded; trying again with the next ones")
            self._failing = True
            self._process.loaded_at = float("-inf")

    def _tell_doubt(self, held: _Held, now: float) -> None:
        """Let everybody know that the prober doubts itself, each second, and that it does not any more."""
        doubt = held.recorder.doubt
        if doubt is not None and now - held.doubt_told_at >= LATEST_S:
            held.doubt_told_at = now
            live.set_doubt(held.lease.shard, live.ProberDoubt(doubt.since, doubt.why))
        elif doubt is None and held.doubt_told_at:
            held.doubt_told_at = 0.0
            live.set_doubt(held.lease.shard, None)

    def _exchange(self, held: _Held, now: float) -> tuple[frozenset[str], int | None]:
        at = time.time()
        latest = ages = b""
        if now - held.latest_at >= LATEST_S and not self._failing:
            held.latest_at = now
            latest = live.pack_latest(at=at, columns=held.recorder.packed_latest())
        if now - held.ages_at >= AGES_S and not self._failing:
            held.ages_at = now
            ages = live.pack_ages(at=at, complete=held.recorder.complete(), ages=held.recorder.ages())
        try:
            answer = lease.flush(held.lease, at=at, latest=latest, ages=ages)
        except BrokerLost:
            return frozenset(), None
        if answer is None:
            raise StaleFence(f"shard {held.lease.shard}: another worker has taken over")
        return answer.ask_now, answer.estate_version

    def _reload(self) -> bool:
        """Read the estate anew where it changed, adopt a free shard where there is one; whether checks changed."""
        changed = False
        if time.monotonic() - self._process.loaded_at >= RELOAD_S and self._load_if_needed():
            for held in self._held.values():
                held.recorder.load(self._process.checks, fence=held.lease.fence)
                self._refresh(held.recorder.hostname_ids())
            changed = True
        if self._shards > len(self._held):
            try:
                changed = self._adopt(time.monotonic()) or changed
            except BrokerLost:
                pass
        return changed
