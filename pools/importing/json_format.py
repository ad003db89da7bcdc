"""ConvertTo-Json -> records: one object, a list of objects, or PowerShell's {"value": […], "Count": n}. Pure."""

from __future__ import annotations

import json
from json import JSONDecodeError
from typing import Any

from pools.importing.document import Position
from pools.importing.records import Cell, Plain, Record, check_count, check_length
from pools.importing.text import MAX_DEPTH, Lines, UnreadableError

MAX_PROPERTIES = 500
_BLANK = " \t\n"
_NAMING = ("Fqdn", "Identity", "ServiceId", "Value", "Name")


def read_json(name: str, text: str) -> list[Record]:
    """Return the objects. Raises UnreadableError with the line where it is no JSON of objects."""
    try:
        return _Reader(name, text).records()
    except JSONDecodeError as error:
        raise UnreadableError(
            Position(name, error.lineno),
            f"found what is no JSON ({error.msg[:100]}, column {error.colno}). Was the file cut off? Export it again.",
        ) from error
    except RecursionError as error:
        raise UnreadableError(
            Position(name), f"found more than {MAX_DEPTH} levels inside each other; expected fewer."
        ) from error
    except ValueError as error:  # a number of thousands of digits, NaN
        raise UnreadableError(Position(name), f"found a number that cannot be read: {str(error)[:100]}.") from error


class _Reader:
    """Walks the outer levels itself, to know the line of each property; json reads the values."""

    def __init__(self, name: str, text: str) -> None:
        self._name, self._text, self._lines = name, text, Lines(text)
        self._decoder = json.JSONDecoder(parse_constant=_refuse_constant)
        self._records: list[Record] = []

    def records(self) -> list[Record]:
        place = self._skip(0)
        end = self._list(place) if self._text[place : place + 1] == "[" else self._object(place)
        rest = self._skip(end)
        if rest != len(self._text):
            raise JSONDecodeError("more text after the end", self._text, rest)
        return self._records

    def _skip(self, place: int) -> int:
        text, end = self._text, len(self._text)
        while place < end and text[place] in _BLANK:
            place += 1
        return place

    def _list(self, place: int) -> int:
        place = self._skip(place + 1)
        if self._text[place : place + 1] == "]":
            return place + 1
        while True:
            place = self._skip(self._object(place))
            separator = self._text[place : place + 1]
            if separator == "]":
                return place + 1
            if separator != ",":
                raise JSONDecodeError("expected “,” or “]”", self._text, place)
            place = self._skip(place + 1)

    def _object(self, place: int) -> int:
        """Read one object into a record; return the place after it."""
        line = self._lines.at(place)
        if place >= len(self._text):
            raise JSONDecodeError("the text ends here", self._text, place)
        if self._text[place] != "{":
            raise UnreadableError(
                Position(self._name, line), f"found {self._text[place : place + 20]!r}; expected an object, “{{”."
            )
        cells: dict[str, Cell] = {}
        place = self._skip(place + 1)
        while self._text[place : place + 1] != "}":
            if cells:
                if self._text[place : place + 1] != ",":
                    raise JSONDecodeError("expected “,” or “}”", self._text, place)
                place = self._skip(place + 1)
            start = place
            key, place = self._property(place)
            place = self._skip(place)
            if key.lower() == "value" and not cells and self._text[place : place + 1] == "[":
                return self._wrapped(place)
            value, place = self._decoder.raw_decode(self._text, place)
            at = self._lines.at(start)
            if key.lower() in cells or len(cells) >= MAX_PROPERTIES:
                raise UnreadableError(
                    Position(self._name, at, key[:80]), "found this property twice; expected it once."
                )
            cells[key.lower()] = Cell(key[:80], self._plain(value, key, at), at)
            place = self._skip(place)
        check_count(self._name, line, len(self._records) + 1)
        self._records.append(Record(line, cells))
        return place + 1

    def _property(self, place: int) -> tuple[str, int]:
        """Read a property's name and the colon."""
        if self._text[place : place + 1] != '"':
            raise JSONDecodeError("expected a property's name in quotes", self._text, place)
        key, place = self._decoder.raw_decode(self._text, place)
        place = self._skip(place)
        if self._text[place : place + 1] != ":":
            raise JSONDecodeError("expected “:”", self._text, place)
        return str(key).encode("utf-8", "replace").decode(), self._skip(place + 1)

    def _wrapped(self, place: int) -> int:
        """Windows PowerShell 5.1's ``{"value": [...], "Count": n}``."""
        place = self._skip(self._list(place))
        while self._text[place : place + 1] == ",":
            _key, place = self._property(self._skip(place + 1))
            _value, place = self._decoder.raw_decode(self._text, place)
            place = self._skip(place)
        if self._text[place : place + 1] != "}":
            raise JSONDecodeError("expected “}”", self._text, place)
        return place + 1

    def _plain(self, value: Any, name: str, line: int) -> Plain:
        if isinstance(value, dict) and isinstance(value.get("value"), list):  # a list inside, as 5.1 writes it
            value = value["value"]
        if isinstance(value, list):
            return tuple(self._scalar(one, name, line) for one in value[:1000])
        return None if value is None else self._scalar(value, name, line)

    def _scalar(self, value: Any, name: str, line: int) -> str:
        if isinstance(value, dict):  # an object inside an object: by what names it
            value = next((value[one] for one in _NAMING if isinstance(value.get(one), str)), "")
        elif isinstance(value, list):
            value = ""
        text = str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)
        if any("\ud800" <= char <= "\udfff" or char == "\0" for char in text):
            raise UnreadableError(
                Position(self._name, line, name[:80]), "found half a character or a NUL; expected text."
            )
        return check_length(self._name, line, name, text).strip()


def _refuse_constant(word: str) -> Any:
    raise ValueError(f"{word} is no number")
