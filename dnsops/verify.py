"""Ask every authoritative server at once, until all give the wanted answer or the time is up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from dnsops import asking
from dnsops.lifecycle import Seen
from dnsops.plan import Answer, RRset
from dnsops.providers.base import Endpoint
from dnsops.turning import compare, within_lag

ASK_TIMEOUT_S = 1.0
FIRST_PAUSE_S = 0.02
LONGEST_PAUSE_S = 1.0
NEWS_EVERY_S = 1.0
ROOM_S = 5.0

__all__ = ["Row", "ask_all", "compare", "patience_s", "rows_from", "split_late", "watch"]


@dataclass(frozen=True, slots=True)
class Row:
    """What one server says now. ``since``: since when (UTC); ``lag_s``: how long it may normally be late."""

    answer: Answer
    state: Seen
    since: datetime
    lag_s: float = 0.0

    @property
    def server(self) -> str:
        """The server's name."""
        return self.answer.server

    @property
    def late(self) -> str:
        """What to say of a server that does not give the new answer."""
        if self.state in {Seen.SILENT, Seen.ERROR}:
            return f"{self.server} could not be asked ({self.answer.text})"
        still = "still says" if self.state is Seen.OLD else "says"
        return f"{self.server} {still} {self.answer.text}"

    def as_dict(self) -> dict[str, Any]:
        """The form in which it is kept as evidence."""
        return {
            **self.answer.as_dict(),
            "seen": self.state.value,
            "since": self.since.isoformat(),
            "lag_s": self.lag_s,
        }


def rows_from(evidence: Mapping[str, Any]) -> list[Row]:
    """The rows that a step keeps, as far as they have a state."""
    return [
        Row(
            Answer(
                kept["server"],
                kept["state"],
                RRset.from_dict(kept["rrset"]) if kept.get("rrset") else None,
                rcode=kept.get("rcode", ""),
                error=kept.get("error", ""),
            ),
            Seen(kept["seen"]),
            datetime.fromisoformat(kept["since"]),
            float(kept.get("lag_s", 0.0)),
        )
        for kept in evidence.get("answers", ())
        if "seen" in kept
    ]


def split_late(rows: Sequence[Row], *, changed_at: datetime | None, now: datetime) -> tuple[list[str], list[str]]:
    """Who does not give the new answer, in words: those who should by now, and those who need not yet."""
    late, not_yet = [], []
    for row in rows:
        if row.state is Seen.NEW:
            continue
        if changed_at is not None and within_lag(row.state, lag_s=row.lag_s, changed_at=changed_at, now=now):
            until = changed_at + timedelta(seconds=row.lag_s)
            not_yet.append(f"{row.server} does not yet, which is normal there until {until:%H:%M:%S} UTC")
        else:
            late.append(row.late)
    return late, not_yet


def patience_s(lags_s: Sequence[float], *, least_s: float, most_s: float) -> float:
    """For how long to ask: as long as servers may lag, but not for one that may lag for longer than that anyway."""
    within = [lag_s for lag_s in lags_s if lag_s + ROOM_S <= most_s]
    return min(max(least_s, max(within, default=0.0) + ROOM_S), most_s)


def ask_all(endpoints: Sequence[Endpoint], name: str, *, timeout_s: float) -> list[Answer]:
    """Ask every server at once, one time; takes no longer than ``timeout_s``. Answers come in the servers' order."""

    return asking.ask_together(endpoints, name, timeout_s=timeout_s)


def watch(endpoints: Sequence[Endpoint], name: str, *, new: RRset, old: RRset, timeout_s: float) -> Iterator[list[Row]]:
    """Yield the rows whenever one has changed, and every second; end when all say ``new`` or after ``timeout_s``.

    Between two rows no event loop runs, so that the caller may use the database. The last list is how it ended.
    """
    board = _Board(endpoints, name, new=new, old=old)
    deadline = time.monotonic() + timeout_s
    with asyncio.Runner() as runner:
        runner.run(board.start())
        while not board.agreed and (left := deadline - time.monotonic()) > 0:
            runner.run(board.news(min(left, NEWS_EVERY_S)))
            if not board.agreed:
                yield board.rows()
        runner.run(board.stop())
    yield board.rows()


class _Board:
    """One task for each server, and what each says now."""

    def __init__(self, endpoints: Sequence[Endpoint], name: str, *, new: RRset, old: RRset) -> None:
        self._endpoints = endpoints
        self._name = name
        self._new = new
        self._old = old
        now = datetime.now(UTC)
        self._rows = {
            endpoint: Row(
                Answer(endpoint.name, "silent", error="not asked yet"), Seen.SILENT, now, endpoint.expected_lag_s
            )
            for endpoint in endpoints
        }
        self._changed: asyncio.Event
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def agreed(self) -> bool:
        """Whether every server gives the new answer."""
        return all(row.state is Seen.NEW for row in self._rows.values())

    def rows(self) -> list[Row]:
        """The rows, in the servers' order."""
        return list(self._rows.values())

    async def start(self) -> None:
        """Begin to ask each server."""
        self._changed = asyncio.Event()
        self._tasks = [asyncio.create_task(self._follow(endpoint)) for endpoint in self._endpoints]

    async def news(self, wait_s: float) -> None:
        """Return when every server has been asked and something has changed, or after ``wait_s``."""
        self._changed.clear()
        try:
            async with asyncio.timeout(wait_s):
                await self._changed.wait()
                await asyncio.sleep(0.002)  # answers that come together are told together
        except TimeoutError:
            pass

    async def stop(self) -> None:
        """Stop asking."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _follow(self, endpoint: Endpoint) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            self._note(endpoint, await asking.ask_async(endpoint, self._name, timeout_s=ASK_TIMEOUT_S))
            if self._rows[endpoint].state is Seen.NEW:
                return
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 1.6, LONGEST_PAUSE_S)

    def _note(self, endpoint: Endpoint, answer: Answer) -> None:
        before = self._rows[endpoint]
        if answer != before.answer:
            state = compare(answer, new=self._new, old=self._old)
            self._rows[endpoint] = Row(answer, state, datetime.now(UTC), endpoint.expected_lag_s)
            self._changed.set()
