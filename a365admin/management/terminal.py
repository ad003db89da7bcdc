"""What the commands for a terminal share: who is at it, asking for confirmation, a countdown."""

from __future__ import annotations

import getpass
import os
import socket
import sys
import time
from typing import Protocol


class Output(Protocol):
    """Where text goes: a command's ``stdout``."""

    def write(self, msg: str = "", style_func: None = None, ending: str | None = None) -> None:
        """Write a line."""
        ...

    def isatty(self) -> bool:
        """Whether somebody watches."""
        ...


def who() -> str:
    """Who is at this terminal, for the audit log: the name before ``sudo``, and the machine."""
    try:
        name = os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        name = f"uid {os.getuid()}"
    return f"{name} (terminal on {socket.gethostname()})"[:150]


def confirmed(out: Output, wanted: str) -> bool:
    """Ask for ``wanted`` to be typed. False for anything else, and where nobody is there to type."""
    if not sys.stdin.isatty():
        out.write("Nobody can confirm here: this is no terminal. Add --yes to do it without asking.")
        return False
    out.write(f"Type {wanted} to go on, anything else to leave it: ", ending="")
    try:
        return input().strip().rstrip(".").lower() == wanted.lower()
    except EOFError:
        return False


def count_down(out: Output, until_monotonic: float, text: str) -> None:
    """Wait until then; where somebody watches, with the seconds that are left."""
    if not out.isatty():
        out.write(f"{text} ({max(until_monotonic - time.monotonic(), 0):.0f} s)")
    while (left := until_monotonic - time.monotonic()) > 0:
        if out.isatty():
            out.write(f"\r{text}: {left:4.0f} s left ", ending="")
        time.sleep(min(left, 1.0))
    if out.isatty():
        out.write("")
