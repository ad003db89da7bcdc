"""The product itself, started as its users start it: ``manage.py up`` in a folder of its own."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parent.parent


def free_port() -> int:
    """Return a TCP port of loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Product:
    """``with Product(var) as product`` is a running product: ``url``, ``password``, ``output()``."""

    def __init__(self, var: Path, *arguments: str, environment: dict[str, str] | None = None) -> None:
        self.var = var
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._arguments = arguments
        self._environment = environment or {}
        self._lines: list[str] = []
        self._process: subprocess.Popen[str] | None = None

    def environment(self) -> dict[str, str]:
        """What the product and its management commands are given."""
        clean = {
            key: value for key, value in os.environ.items() if not key.startswith(("A365_", "REDIS_", "DATABASE_"))
        }
        return clean | {"A365_VAR": str(self.var), "A365_ENV": "embedded", "A365_NO_BOOTSTRAP": "1"} | self._environment

    def start(self, *, timeout_s: float = 90) -> Self:
        """Start it and wait until it says that it is ready."""
        self._process = subprocess.Popen(
            [sys.executable, str(ROOT / "manage.py"), "up", "--port", str(self.port), *self._arguments],
            cwd=ROOT,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        threading.Thread(target=self._read, args=(self._process,), daemon=True).start()
        wait_until(
            lambda: "Ready" in self.output() or self.exit_code() is not None,
            timeout_s=timeout_s,
            message=lambda: f"the product did not become ready:\n{self.output()}",
        )
        if self.exit_code() is not None:
            raise AssertionError(f"the product ended with {self.exit_code()}:\n{self.output()}")
        return self

    def _read(self, process: subprocess.Popen[str]) -> None:
        if process.stdout is not None:
            with process.stdout as output:
                for line in output:
                    self._lines.append(line)

    def output(self) -> str:
        """Everything that it has printed so far."""
        return "".join(self._lines)

    def exit_code(self) -> int | None:
        """How it ended; None while it runs."""
        return self._process.poll() if self._process else None

    @property
    def pid(self) -> int:
        """The supervisor's process id."""
        if self._process is None:
            raise AssertionError("the product was not started")
        return self._process.pid

    @property
    def password(self) -> str:
        """The administrator's password, as it was shown at the first start."""
        return (self.var / "admin-password.txt").read_text().split()[-1]

    def manage(self, *arguments: str) -> str:
        """Run a management command against this product's database; return what it printed."""
        done = subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), *arguments],
            cwd=ROOT,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode != 0:
            raise AssertionError(f"{arguments} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def children(self, name: str) -> list[int]:
        """The pids of the supervised child ``name``, as the supervisor printed them."""
        return [int(pid) for pid in re.findall(rf"{name} \(pid (\d+)\)", self.output())]

    def stop(self, *, timeout_s: float = 40) -> int:
        """Stop it as Ctrl-C would; return its exit code."""
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait(10)
                raise AssertionError(f"the product did not stop:\n{self.output()[-4000:]}") from None
        return self._process.returncode

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
