"""Starts children, restarts those that end, and stops them all in a good order."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self

from a365admin.supervisor.child import Child, ProcessSpec
from a365admin.supervisor.console import Console

# What takes work in stops first, what the others lean on stops last.
STOP_ORDER: tuple[frozenset[str], ...] = (
    frozenset({"web"}),
    frozenset({"beat", "watch"}),
    frozenset({"probes", "operations"}),
    frozenset({"seed", "lab"}),
    frozenset({"broker"}),
)
TICK_S = 0.2
SAY_AGAIN_S = 5.0
FROZEN_S = 5.0


class StopRequestedError(Exception):
    """The user wants everything to stop; not a failure."""


class StartError(Exception):
    """Something did not come up; the text says what, and what to do."""


class Supervisor:
    """Owns the children of one ``up``. Use as a context manager: leaving it stops everything."""

    def __init__(self, console: Console, *, lock_fd: int | None = None) -> None:
        self._console = console
        self._lock_fd = lock_fd
        self._children: dict[str, Child] = {}
        self._stop_signals = 0
        self._stopping = threading.Event()
        # The lifeline: nothing is ever written; the guards read its end when this process ends, however it ends.
        self._lifeline_read, self._lifeline_write = os.pipe()

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop_all()
        os.close(self._lifeline_write)
        os.close(self._lifeline_read)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._stop_signals += 1
        self._stopping.set()

    def start(self, spec: ProcessSpec) -> Child:
        """Start a child that is to live as long as we do."""
        child = self._make(spec)
        self._children[spec.name] = child
        child.start()
        self._console.say(f"  {spec.name} (pid {child.pid})")
        return child

    def _make(self, spec: ProcessSpec) -> Child:
        return Child(spec, lifeline=self._lifeline_read, lock_fd=self._lock_fd, line=self._console.child_line)

    def run(self, spec: ProcessSpec) -> None:
        """Run a child to its end. Raises ``StartError`` when it fails, ``StopRequestedError`` when told to stop."""
        child = self._make(spec)
        child.start()
        try:
            while (code := child.ended_with()) is None:
                self._pause()
        finally:
            child.kill()
        if code != 0:
            raise StartError(f"{spec.name} failed with {code}; its own lines are above.")

    def wait_until(self, is_so: Callable[[], bool], *, what: str, timeout_s: float | None) -> None:
        """Wait for a condition while keeping the children alive, and say now and then what is being waited for.

        Raises ``StartError`` after ``timeout_s`` (None: never), ``StopRequestedError`` when the user stops us.
        """
        started = said = time.monotonic()
        while not is_so():
            self._pause()
            now = time.monotonic()
            if timeout_s is not None and now - started > timeout_s:
                raise StartError(f"Gave up waiting for {what} after {timeout_s:.0f} s; what it said itself is above.")
            if now - said > SAY_AGAIN_S:
                said = now
                self._console.say(f"  … still waiting for {what} ({now - started:.0f} s)")

    def watch(self) -> None:
        """Keep everything running until the user stops us."""
        try:
            while True:
                self._pause()
        except StopRequestedError:
            return

    def _pause(self) -> None:
        if self._stopping.wait(TICK_S):
            raise StopRequestedError
        self._tend()

    def _tend(self) -> None:
        """Start again what has ended, after a delay that grows while it keeps ending."""
        now = time.monotonic()
        for child in self._children.values():
            code = child.ended_with()
            if code is None:
                self._end_frozen(child, now)
                continue
            if child.restart_at is None:
                delay_s = child.schedule_restart(now=now)
                end = describe_end(code)
                self._console.say(f"{child.spec.name} ended ({end}); starting it again in {delay_s:.0f} s")
            elif now >= child.restart_at:
                child.start()
                self._console.say(f"  {child.spec.name} (pid {child.pid})")

    def _end_frozen(self, child: Child, now: float) -> None:
        """What stands still for a while holds its place and does nothing in it: end it, so that it is started again."""
        if not child.is_frozen():
            child.frozen_since = None
        elif child.frozen_since is None:
            child.frozen_since = now
        elif now - child.frozen_since >= FROZEN_S:
            self._console.say(f"{child.spec.name} has been standing still (SIGSTOP) for {FROZEN_S:.0f} s; ending it")
            child.kill()

    def stop_all(self) -> None:
        """Stop every child, group by group; a further Ctrl-C kills what is left."""
        alive = [child for child in self._children.values() if child.ended_with() is None]
        if alive:
            self._console.say("Stopping … (Ctrl-C again: at once)")
        started = time.monotonic()
        known = frozenset[str]().union(*STOP_ORDER)
        for names in (*STOP_ORDER, frozenset(self._children) - known):
            self._stop_group([child for child in alive if child.spec.name in names])
        if alive:
            self._console.say(f"Stopped in {time.monotonic() - started:.1f} s.")

    def _stop_group(self, children: list[Child]) -> None:
        for child in children:
            child.ask_to_stop()
        deadline = time.monotonic() + max((child.spec.stop_timeout_s for child in children), default=0.0)
        while any(child.ended_with() is None for child in children):
            if self._stop_signals > 1 or time.monotonic() > deadline:
                for child in children:
                    child.kill()
            time.sleep(0.02)


def describe_end(code: int) -> str:
    """An exit code in words; as in ``subprocess``, -n means signal n."""
    if code < 0:
        return signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    return "by itself" if code == 0 else f"code {code}"
