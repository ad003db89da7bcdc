"""One ``up`` for each data directory: locks that the kernel lets go of, however their holder ended."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

WAIT_FOR_REMAINS_S = 15.0


class AlreadyRunningError(Exception):
    """Another ``up`` holds this data directory; the text says which and where."""


class RunLock:
    """``VAR/up.lock`` belongs to the supervisor alone, ``VAR/up-processes.lock`` to each of its guards as well.

    So after a ``kill -9`` of the supervisor the second lock stays taken for the moment until its processes are gone,
    and the next start waits for exactly that.
    """

    def __init__(self, var: Path) -> None:
        self._own = var / "up.lock"
        self._processes = var / "up-processes.lock"
        self._own_fd: int | None = None
        self._processes_fd: int | None = None

    @property
    def fd(self) -> int:
        """The descriptor of the processes' lock, to hand to each guard."""
        if self._processes_fd is None:
            raise RuntimeError("the lock is not held")
        return self._processes_fd

    def take(self, address: str, *, waiting: Callable[[str], None]) -> Self:
        """Take both locks and write our pid and ``address`` into the first.

        Raises ``AlreadyRunningError`` when another ``up`` lives. ``waiting`` is told what is being waited for.
        """
        own = _open(self._own)
        if not _try_lock(own):
            os.close(own)
            raise AlreadyRunningError(
                f"One is running already in {self._own.parent}: {_holder(self._own)}. "
                "Stop it with Ctrl-C there, or use another data directory: A365_VAR=/some/where."
            )
        processes = _open(self._processes)
        if not _try_lock(processes):
            waiting("The processes of an earlier start, which was killed, are still ending; waiting for them …")
            if not _lock_within(processes, WAIT_FOR_REMAINS_S):
                os.close(processes)
                os.close(own)
                raise AlreadyRunningError(
                    f"Processes of an earlier start ({_holder(self._own)}) still hold {self._processes}. "
                    "End them first."
                )
        os.ftruncate(own, 0)
        os.pwrite(own, json.dumps({"pid": os.getpid(), "address": address}).encode(), 0)
        self._own_fd, self._processes_fd = own, processes
        return self

    def release(self) -> None:
        """Let go of them."""
        if self._own_fd is not None:
            os.ftruncate(self._own_fd, 0)
        for fd in (self._processes_fd, self._own_fd):
            if fd is not None:
                os.close(fd)
        self._own_fd = self._processes_fd = None


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lock_within(fd: int, timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if _try_lock(fd):
            return True
        time.sleep(0.1)
    return False


def _holder(path: Path) -> str:
    try:
        held = json.loads(path.read_text())
        return f"process {int(held['pid'])}, {held['address']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "it has only just started"
