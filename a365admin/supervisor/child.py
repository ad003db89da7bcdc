"""One supervised process: its start, its output, its restarts and its end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

GUARD = Path(__file__).with_name("guard.py")
STABLE_AFTER_S = 60.0
LONGEST_DELAY_S = 30.0


def restart_delay_s(failures: int) -> float:
    """How long to wait before the next start after ``failures`` ends in a row: 1, 2, 4 … at most 30 seconds."""
    return min(2.0 ** max(failures - 1, 0), LONGEST_DELAY_S)


@dataclass(frozen=True, kw_only=True)
class ProcessSpec:
    """What to run.

    ``stop_timeout_s``: how long it may take to end when asked, before it is killed. ``hush``: matches lines of its
    output that tell nobody anything.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    stdin: str = field(default="", repr=False)
    stop_timeout_s: float = 5.0
    hush: re.Pattern[str] | None = None


class Child:
    """A process and the guard beside it. Not thread-safe: one supervisor loop owns it."""

    def __init__(
        self, spec: ProcessSpec, *, lifeline: int, lock_fd: int | None, line: Callable[[str, str], None]
    ) -> None:
        self.spec = spec
        self.failures = 0
        self.restart_at: float | None = None
        self.frozen_since: float | None = None
        self._lifeline = lifeline
        self._lock_fd = lock_fd
        self._line = line
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0

    @property
    def pid(self) -> int | None:
        """The process id, which is also the id of its process group; None before the first start."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start it. The process gets its own session, so that the terminal's Ctrl-C reaches the supervisor only."""
        self.restart_at = self.frozen_since = None
        self._started_at = time.monotonic()
        kept = [fd for fd in (self._lifeline, self._lock_fd) if fd is not None]
        lock = "-" if self._lock_fd is None else str(self._lock_fd)
        # "-I -S": the guard needs no packages, and must not depend on the environment.
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(GUARD), str(self._lifeline), lock, *self.spec.argv],
            env=dict(self.spec.env),
            stdin=subprocess.PIPE if self.spec.stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=kept,
        )
        if self._process.stdin is not None:
            self._process.stdin.write(self.spec.stdin.encode())
            self._process.stdin.close()
        threading.Thread(target=self._pump, args=(self._process,), name=f"{self.spec.name} output", daemon=True).start()

    def _pump(self, process: subprocess.Popen[bytes]) -> None:
        if process.stdout is None:
            return
        with process.stdout as output:
            for raw in output:
                line = raw.decode(errors="replace").rstrip()
                if self.spec.hush is None or not self.spec.hush.search(line):
                    self._line(self.spec.name, line)

    def ended_with(self) -> int | None:
        """The exit code when it has ended, else None. What is left of its process group is killed first."""
        process = self._process
        if process is None:
            return None
        if process.returncode is None:
            if not _has_ended(process):
                return None
            self._signal_group(signal.SIGKILL)
            process.wait()
        return process.returncode

    def is_frozen(self) -> bool:
        """Whether it was stopped (SIGSTOP) and does nothing, although it has not ended. Linux only, else never."""
        try:
            state = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            return False
        return state == "T"

    def schedule_restart(self, *, now: float) -> float:
        """After an end: decide when to start again; return the delay in seconds."""
        self.failures = 1 if now - self._started_at > STABLE_AFTER_S else self.failures + 1
        delay_s = restart_delay_s(self.failures)
        self.restart_at = now + delay_s
        return delay_s

    def ask_to_stop(self) -> None:
        """Send SIGTERM to the process itself; its pool is its own business."""
        self.restart_at = None
        if self._process is not None and self.ended_with() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.send_signal(signal.SIGCONT)  # one that was stopped would not hear it

    def kill(self) -> None:
        """End the whole group now."""
        self.restart_at = None
        if self._process is not None and self.ended_with() is None:
            self._signal_group(signal.SIGKILL)

    def _signal_group(self, number: int) -> None:
        if self._process is None:
            return
        try:
            os.killpg(self._process.pid, number)
        except (ProcessLookupError, PermissionError):
            # macOS answers EPERM for a group in which only the dead leader is left.
            return


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    if sys.platform == "darwin" and sys.version_info < (3, 13):
        return process.poll() is not None  # no waitid() there
    # WNOWAIT keeps the dead leader's id taken, so that the group's id cannot be somebody else's yet.
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
