"""The journal: what was done without a database. One JSON object a line, each on the disk before what comes next.

Each line carries an HMAC over itself and the line before, by the bundle's key: a line that was changed, removed from
the middle or added by somebody else shows. Lines cut from the end do not show.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from dnsops.breakglass.bundle import mac_of

MODE = 0o640
START = "0" * 64


class JournalError(Exception):
    """The journal cannot be read or written; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened. ``run``: the attempt that it belongs to; ``event``: began, sending, answered, ended."""

    run: str
    event: str
    at: str
    content: dict[str, Any]


class Journal:
    """A journal that is being written. One attempt at a time on a machine: whoever opens it second is refused."""

    def __init__(self, path: Path, key: bytes) -> None:
        self._path = path
        self._key = key
        self._fd = -1
        self._last = START

    def __enter__(self) -> Self:
        try:
            self._path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, MODE)
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._fd)
            raise JournalError(
                f"Another break-glass failover is under way on this machine (it holds {self._path}). Wait for its end."
            ) from None
        except OSError as error:
            raise JournalError(
                f"The journal {self._path} cannot be written ({error.strerror}). Nothing is done without it: set "
                "A365_BREAKGLASS_JOURNAL to a file that can."
            ) from None
        data = self._path.read_bytes()
        self._last = _read(data.splitlines(), self._key, self._path)[1]
        if data and not data.endswith(b"\n"):
            self._put(b"\n")  # the machine stopped in the middle of a line: that one is lost, the next is whole
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)

    def append(self, line: Line) -> None:
        """Write a line; it is on the disk when this returns. Raises JournalError."""
        body = {"run": line.run, "event": line.event, "at": line.at, "content": line.content, "previous": self._last}
        mac = mac_of(body, self._key)
        self._put(json.dumps({**body, "mac": mac}, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
        self._last = mac

    def _put(self, data: bytes) -> None:
        try:
            while data:
                data = data[os.write(self._fd, data) :]
            os.fsync(self._fd)
        except OSError as error:
            raise JournalError(f"The journal {self._path} cannot be written ({error.strerror}).") from error


def read(path: Path, key: bytes) -> list[Line]:
    """Every line, once the chain has been found good; [] where there is no journal. Raises JournalError."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise JournalError(f"The journal {path} cannot be read ({error.strerror}).") from None
    return _read(data.splitlines(), key, path)[0]


def broken_off(lines: Iterable[Line], hostname: str) -> Line | None:
    """The beginning of the last attempt on this hostname, where it has no end; None where it has, or there is none."""
    last: Line | None = None
    for line in lines:
        if line.event == "began" and line.content["plan"]["hostname"] == hostname:
            last = line
        elif line.event == "ended" and last is not None and line.run == last.run:
            last = None
    return last


def in_use(path: Path) -> bool:
    """Whether an attempt is under way that writes this journal."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _read(lines: Iterable[bytes], key: bytes, path: Path) -> tuple[list[Line], str]:
    found: list[Line] = []
    last = START
    for number, raw in enumerate(lines, 1):
        try:
            body = json.loads(raw)
            mac = body.pop("mac")
            line = Line(body["run"], body["event"], body["at"], body["content"])
            previous = body["previous"]
        except (ValueError, KeyError, TypeError, AttributeError):
            continue  # cut off in the middle; if it was more than that, the next line's chain breaks
        if previous != last or mac != mac_of(body, key):
            raise JournalError(
                f"Line {number} of {path} is not what was written: the journal was changed, or the key is another one. "
                "Nothing of it is taken over. Look at it by hand."
            )
        found.append(line)
        last = mac
    return found, last
