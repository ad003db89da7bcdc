"""What ``up`` prints: its own sentences, and the children's lines with their names in front."""

from __future__ import annotations

import sys
import threading
from typing import TextIO

COLOURS = {"broker": 31, "lab": 35, "probes": 32, "operations": 34, "beat": 33, "watch": 37, "web": 36}
NAME_WIDTH = max(len(name) for name in COLOURS)


class Console:
    """One terminal for several writers: whole lines only; a terminal that has gone away is not an error."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream if stream is not None else sys.stdout
        self._lock = threading.Lock()
        self._coloured = self._stream.isatty()

    def say(self, text: str = "") -> None:
        """Print a sentence of the supervisor's own."""
        self._write(text)

    def child_line(self, name: str, line: str) -> None:
        """Print one line that the child ``name`` wrote."""
        prefix = f"{name:>{NAME_WIDTH}} |"
        if self._coloured:
            prefix = f"\x1b[{COLOURS.get(name, 37)}m{prefix}\x1b[0m"
        self._write(f"{prefix} {line}")

    def _write(self, text: str) -> None:
        with self._lock:
            try:
                self._stream.write(text + "\n")
                self._stream.flush()
            except (OSError, ValueError):
                # The terminal or the pipe behind us is closed; what we supervise does not depend on it.
                return
