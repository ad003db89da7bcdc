"""Small memories of a process: what was read a moment ago, what was rendered for a key. Safe between threads."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Recent(Generic[T]):
    """Read something at most once in ``keep_s`` seconds, however many pages ask for it."""

    def __init__(self, read: Callable[[], T], *, keep_s: float) -> None:
        self._read = read
        self._keep_s = keep_s
        self._lock = threading.Lock()
        self._kept: tuple[float, T] | None = None

    def get(self) -> T:
        """Return what was read at most ``keep_s`` ago; whoever comes meanwhile waits for the one who reads."""
        kept = self._kept
        if kept is not None and time.monotonic() - kept[0] < self._keep_s:
            return kept[1]
        with self._lock:
            kept = self._kept
            if kept is None or time.monotonic() - kept[0] >= self._keep_s:
                self._kept = kept = (time.monotonic(), self._read())
            return kept[1]

    def forget(self) -> None:
        """Read anew at the next call."""
        self._kept = None


class Kept(Generic[T]):
    """What was made for a key, for the ``limit`` keys that were used last."""

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._items: OrderedDict[Hashable, T] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what is kept for ``key``, else make it. Two threads may both make it: the last one stays."""
        with self._lock:
            if key in self._items:
                self._items.move_to_end(key)
                return self._items[key]
        made = make()
        with self._lock:
            self._items[key] = made
            self._items.move_to_end(key)
            while len(self._items) > self._limit:
                self._items.popitem(last=False)
        return made

    def forget(self) -> None:
        """Drop everything."""
        with self._lock:
            self._items.clear()

    def __len__(self) -> int:
        return len(self._items)
