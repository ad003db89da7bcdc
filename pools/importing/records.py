"""PowerShell's objects as they come from a file: properties with the line of each. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pools.importing.document import Position
from pools.importing.text import MAX_RECORDS, MAX_VALUE, UnreadableError

Plain = str | tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Cell:
    """A property's value: text, several texts, or None for null. ``name`` as the file spells it."""

    name: str
    value: Plain
    line: int


@dataclass(frozen=True, slots=True)
class Record:
    """One object: properties by their name in lower case. ``type_name``: the .NET type, where the file says it."""

    line: int
    cells: Mapping[str, Cell]
    type_name: str = ""


def check_count(file: str, line: int, count: int) -> None:
    """Raise UnreadableError where a file holds more objects than an estate has."""
    if count > MAX_RECORDS:
        raise UnreadableError(
            Position(file, line), f"found more than {MAX_RECORDS:,} objects; expected an estate of at most that many."
        )


def check_length(file: str, line: int, name: str, text: str) -> str:
    """Return ``text``. Raises UnreadableError where it is longer than any value of an estate."""
    if len(text) > MAX_VALUE:
        raise UnreadableError(
            Position(file, line, name[:80]), f"found {len(text):,} characters; expected at most {MAX_VALUE:,}."
        )
    return text
