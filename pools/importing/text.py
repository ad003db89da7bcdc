"""Bytes -> text, within bounds. Pure."""

from __future__ import annotations

import codecs
from bisect import bisect_right
from itertools import accumulate

from pools.importing.document import Position

MAX_BYTES = 10_000_000
MAX_RECORDS = 20_000  # things in one file
MAX_VALUE = 4_000  # characters of one value
MAX_DEPTH = 20

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # begins like UTF-16's: asked first
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_ENCODING_HINT = "Write the file with -Encoding UTF8 in PowerShell, or save it as UTF-8."


class UnreadableError(Exception):
    """A file that cannot be read at all: where, and a sentence that says what was found and what was expected."""

    def __init__(self, at: Position, sentence: str) -> None:
        super().__init__(sentence)
        self.at = at
        self.sentence = sentence


def decode(name: str, data: bytes) -> str:
    """Return the text of a file: UTF-8, or UTF-8, UTF-16 or UTF-32 with a byte-order mark. Raises UnreadableError."""
    if len(data) > MAX_BYTES:
        raise UnreadableError(
            Position(name),
            f"found {len(data) / 1e6:.1f} MB; expected at most {MAX_BYTES / 1e6:.0f} MB. Export less at once.",
        )
    encoding, rest = "utf-8", data
    for mark, encoded in _MARKS:
        if data.startswith(mark):
            encoding, rest = encoded, data[len(mark) :]
            break
    try:
        text = rest.decode(encoding)
    except UnicodeDecodeError as error:
        raise _undecodable(name, rest, encoding, error) from error
    place = text.find("\0")
    if place >= 0:
        guess = "UTF-16 without a byte-order mark" if rest[:2].count(0) == 1 else "a NUL character"
        raise UnreadableError(
            Position(name, text.count("\n", 0, place) + 1), f"found {guess}; expected text. {_ENCODING_HINT}"
        )
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _undecodable(name: str, data: bytes, encoding: str, error: UnicodeDecodeError) -> UnreadableError:
    if encoding != "utf-8":
        sentence = (
            f"found what is no {encoding[:6].upper()} text, although its byte-order mark says so. {_ENCODING_HINT}"
        )
        return UnreadableError(Position(name), sentence)
    line = data.count(b"\n", 0, error.start) + 1
    found = f"the byte 0x{data[error.start]:02X}"
    return UnreadableError(Position(name, line), f"found {found}, which is no UTF-8; expected UTF-8. {_ENCODING_HINT}")


class Lines:
    """Tells the line of a place in a text."""

    def __init__(self, text: str) -> None:
        self._starts = [0, *accumulate(len(line) + 1 for line in text.split("\n"))]

    def at(self, place: int) -> int:
        """Return the line, from 1, that holds the character number ``place``, from 0."""
        return max(bisect_right(self._starts, place), 1)
