"""Between two windows of one worker a minute goes on; where somebody else came between, what was noted is written."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, cast

import pytest

from pools import windows
from pools.history.minutes import GAP_S, MinuteBook
from pools.history_models import CheckHistory
from pools.lease import Lease
from pools.recording import Recorder
from tests.unit.pools.test_history import FakeRecorder

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def the_tests_connection_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database in memory is gone when its connection is closed."""
    monkeypatch.setattr(windows, "close_old_connections", lambda: None)


class AtOnce:
    """The writer's thread, without a thread."""

    def submit(self, work: Callable[[], object]) -> None:
        work()


class Process:
    """What a window keeps in its process."""

    def __init__(self) -> None:
        self.kept: dict[int, windows._Kept] = {}
        self.writer = AtOnce()
        self.checks: list[object] = []


class Window:
    """As much of a window as ``_start`` looks at."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def _refresh(self, hostname_ids: set[int]) -> None:
        pass


class Loading(FakeRecorder):
    """A recorder that reads its states anew."""

    def load(self, checks: list[object], *, fence: int) -> None:
        pass

    def hostname_ids(self) -> set[int]:
        return set()


def noted(ago_s: float) -> MinuteBook:
    """A book with ten seconds in it; its last turn was so long ago."""
    return MinuteBook(time.time() - ago_s, covered_s=10.0)


def keep(process: Process, book: MinuteBook, *, fence: int = 7) -> windows._Kept:
    process.kept[0] = windows._Kept(fence, cast("Recorder", FakeRecorder("ucc:1:1")), book)
    return process.kept[0]


def start(process: Process, *, previous: int) -> windows._Held:
    held = windows._Held(Lease(0, 9, previous), cast("Recorder", Loading("ucc:1:1")), 0.0)
    windows._Window._start(cast("Any", Window(process)), held)
    return held


def test_where_nobody_came_between_the_minute_goes_on() -> None:
    process = Process()
    kept = keep(process, noted(0.1))
    held = start(process, previous=7)
    assert (held.recorder, held.book) == (kept.recorder, kept.book)
    assert process.kept == {}
    assert not CheckHistory.objects.exists()


def test_where_somebody_came_between_what_was_noted_is_written_and_a_new_minute_begins() -> None:
    process = Process()
    kept = keep(process, noted(0.1))
    held = start(process, previous=8)
    assert held.book is not kept.book
    assert CheckHistory.objects.get().covered_s == 10


def test_what_nobody_goes_on_with_is_written_once(monkeypatch: pytest.MonkeyPatch) -> None:
    process = Process()
    monkeypatch.setattr(windows, "_process", process)
    keep(process, noted(GAP_S - 2))
    windows.write_what_was_left()
    assert not CheckHistory.objects.exists(), "the next window may still go on with it"

    keep(process, noted(GAP_S + 1))
    windows.write_what_was_left()
    windows.write_what_was_left()
    assert CheckHistory.objects.get().covered_s == 10
