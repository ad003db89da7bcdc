"""What can wait gives way to what a person has clicked, within one process: a worker's threads share one interpreter.

Drift, readiness, the sweeper and the end of an earlier operation ask the database many small questions. Between two of
them they pause while another thread is changing DNS. Nobody waits for long, and nobody who holds the database waits.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection

AT_MOST_S = 0.05
LOOK_S = 0.001
_first: set[int] = set()


def go_first() -> None:
    """From now on the others give way to this thread, until ``that_was_it()``."""
    _first.add(threading.get_ident())


def that_was_it() -> None:
    """What was urgent is done; also where it never was."""
    _first.discard(threading.get_ident())


@contextmanager
def giving_way() -> Iterator[None]:
    """Pause before each query while another thread goes first."""
    with connection.execute_wrapper(_pause_and_execute):
        yield


def _pause_and_execute(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
    if not connection.in_atomic_block and threading.get_ident() not in _first:
        until = time.monotonic() + AT_MOST_S
        while _first and time.monotonic() < until:
            time.sleep(LOOK_S)
    return execute(sql, params, many, context)
