"""One Redis subscription for each process, fanned out to all who watch.

A message is a nudge, the database is the truth: a viewer is woken, and gets the difference between what it was sent
last and what is so now. Nothing can pile up for a slow browser (it gets fewer, larger messages, always with the newest
rows), and a message that was lost is made good a second later. What is read and rendered for one generation of news
is shared by all viewers.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from django.db import close_old_connections

T = TypeVar("T")
log = logging.getLogger(__name__)
TICK_S = 1.0
RETRY_MAX_S = 5.0


class Source(Protocol):
    """Where the hub's messages come from: Redis in the product, a list in a test."""

    async def messages(self, heard: Callable[[dict[str, Any]], None]) -> None:
        """Call ``heard`` for each message, until cancelled; raises when the connection is lost."""
        ...


@dataclass(slots=True, eq=False)
class Viewer:
    """One open stream. ``actions``: whether its rows carry action buttons."""

    actions: bool
    operations: set[str] = field(default_factory=set)
    woken: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self) -> set[str]:
        """Take the operations that are waiting, and leave nothing."""
        taken, self.operations = self.operations, set()
        self.woken.clear()
        return taken


class Hub:
    """Listens once, wakes many. Everything that touches the database runs in two threads of its own."""

    def __init__(self, source: Source, *, tick_s: float = TICK_S) -> None:
        self._source = source
        self._tick_s = tick_s
        self.generation = 0
        self._viewers: set[Viewer] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._executor = ThreadPoolExecutor(max_workers=2, thread_name_prefix="live")

    @property
    def viewers(self) -> int:
        """How many streams are open."""
        return len(self._viewers)

    def attach(self, *, actions: bool) -> Viewer:
        """Begin to collect for a new viewer; the first one starts the subscription."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop or not self._tasks:
            self._loop = loop
            self._tasks = [loop.create_task(self._listen()), loop.create_task(self._beat())]
        viewer = Viewer(actions=actions)
        self._viewers.add(viewer)
        return viewer

    def detach(self, viewer: Viewer) -> None:
        """Forget a viewer; the last one ends the subscription."""
        self._viewers.discard(viewer)
        if not self._viewers:
            for task in self._tasks:
                task.cancel()
            self._tasks = []

    def heard(self, message: dict[str, Any]) -> None:
        """Wake every viewer for a published change."""
        operations = {str(pk) for pk in message.get("operations", ())}
        self._wake(operations)

    def _wake(self, operations: set[str]) -> None:
        self.generation += 1
        for viewer in self._viewers:
            viewer.operations |= operations
            viewer.woken.set()

    async def run(self, function: Callable[[], T]) -> T:
        """Run something that reads the database or Redis, outside the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, _with_connections, function)

    async def _listen(self) -> None:
        delay_s = 0.2
        while True:
            started = asyncio.get_running_loop().time()
            try:
                await self._source.messages(self.heard)
            except (OSError, ConnectionError) as error:
                log.warning("The live channel was lost (%s); trying again.", error)
            except Exception:  # viewers outlive whatever one message did
                log.exception("The live channel stopped; trying again.")
            if asyncio.get_running_loop().time() - started > RETRY_MAX_S:
                delay_s = 0.2
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, RETRY_MAX_S)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._tick_s)
            self._wake(set())


def _with_connections(function: Callable[[], T]) -> T:
    close_old_connections()
    try:
        return function()
    finally:
        close_old_connections()


def decode(data: bytes | str) -> dict[str, Any]:
    """Read a published message; one that is not ours is an empty change."""
    try:
        message = json.loads(data)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}
