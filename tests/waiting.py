"""Waiting for a condition instead of sleeping for luck."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
POLL_S = 0.02


def wait_until(
    predicate: Callable[[], T],
    timeout_s: float = 10,
    message: str | Callable[[], str] = "the condition did not come true",
) -> T:
    """Return the first true value of ``predicate``. Raises AssertionError with ``message`` after ``timeout_s``."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"after {timeout_s:g} s: {message() if callable(message) else message}")
        time.sleep(POLL_S)
