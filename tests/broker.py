"""A real Redis or Valkey of our own, on loopback."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from a365admin.supervisor.broker import make_broker
from tests.waiting import wait_until


@contextmanager
def running_broker(directory: Path) -> Iterator[str]:
    """Start one on a free port with a password; its URL, password included."""
    broker = make_broker()
    process = subprocess.Popen([broker.binary, "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, cwd=directory)
    try:
        if process.stdin is not None:
            process.stdin.write(broker.config(directory).encode())
            process.stdin.close()
        wait_until(broker.answers, message="the broker did not answer")
        yield broker.url
    finally:
        process.kill()
        process.wait()
