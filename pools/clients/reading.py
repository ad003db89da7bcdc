"""Pure: a table of installed clients, pasted or as CSV -> rows, and what is wrong with each line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pools.clients.values import ASKS_URLS, ClientKind
from pools.importing.csv_format import read_csv
from pools.importing.document import Collector, Position, Problem, shown
from pools.importing.records import Record
from pools.importing.text import UnreadableError, decode

COLUMNS = ("client", "place", "host", "ucc", "note")
LIMITS = {"place": 120, "host": 600, "ucc": 80, "note": 200}
_ALIASES = {
    "client": ("client", "kind", "clientkind", "type"),
    "place": ("place", "machine", "machineorplace", "machineplace", "computer", "pc"),
    "host": ("host", "url", "hostorurl", "configuredhost", "configuredhostorurl", "uccHostName".lower(), "urls"),
    "ucc": ("ucc", "uccname"),
    "note": ("note", "notes", "remark", "remarks"),
}
_KINDS = {re.sub(r"[^a-z]", "", kind.value): kind for kind in ClientKind}
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table."""

    line: int
    kind: ClientKind
    place: str
    host: str
    ucc_name: str = ""
    note: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """By what it is recognised again: the client and the place."""
        return self.kind.value, self.place.lower()

    @property
    def name(self) -> str:
        """What people call it."""
        return f"{self.kind.word} at {self.place}"


@dataclass(frozen=True, slots=True)
class Table:
    """What a file says, and everything that is wrong with it."""

    rows: tuple[Row, ...]
    problems: tuple[Problem, ...]


def read_table(name: str, data: bytes) -> Table:
    """Read a table; the first line names the columns, unless it begins with a client. Never raises for its content."""
    into = Collector()
    rows: list[Row] = []
    try:
        text, shift = _with_header(decode(name, data))
        records = read_csv(name, text, into)
        _check_columns(name, records)
        rows = _rows(name, records, into)
    except UnreadableError as error:
        into.problem(error.at, error.sentence)
        shift = 0
    if not into.problems and not rows:
        into.problem(Position(name), "found no client; expected a line for each.")
    problems = tuple(Problem(_moved(one.at, shift), one.sentence) for one in into.problems)
    return Table(tuple(Row(r.line - shift, r.kind, r.place, r.host, r.ucc_name, r.note) for r in rows), problems)


def kind_of(text: str) -> ClientKind | None:
    """Return the client that is meant; capitals, spaces and dashes make no difference."""
    return _KINDS.get(re.sub(r"[^a-z]", "", text.lower()))


def _with_header(text: str) -> tuple[str, int]:
    """Put the names of the columns before a table without them; return by how many lines that moved it."""
    first = text.lstrip("\n").partition("\n")[0]
    for separator in ("\t", ";", ","):
        cells = first.split(separator)
        if len(cells) > 1 and kind_of(cells[0]):
            return separator.join(COLUMNS[: len(cells)]) + "\n" + text, 1
    return text, 0


def _moved(at: Position, shift: int) -> Position:
    return Position(at.file, at.line - shift, at.field) if at.line > shift else at


def _check_columns(name: str, records: list[Record]) -> None:
    if not records:
        return
    found = _columns(records[0])
    missing = [column for column in COLUMNS[:3] if column not in found]
    if missing:
        named = ", ".join(cell.name for cell in records[0].cells.values() if cell.name)
        raise UnreadableError(
            Position(name, 1),
            f"found no column {' and no column '.join(missing)} (found: {named[:200] or 'none'}); expected the columns "
            f"{', '.join(COLUMNS)} in the first line.",
        )


def _columns(record: Record) -> Mapping[str, str]:
    """Our column -> the file's, in lower case."""
    spelled = {re.sub(r"[^a-z]", "", column): column for column in record.cells}
    found = {}
    for column, aliases in _ALIASES.items():
        match = next((spelled[alias] for alias in aliases if alias in spelled), None)
        if match is not None:
            found[column] = match
    return found


def _rows(name: str, records: list[Record], into: Collector) -> list[Row]:
    columns = _columns(records[0]) if records else {}
    rows: list[Row] = []
    seen: dict[tuple[str, str], int] = {}
    for record in records:
        row = _row(name, record, columns, into)
        if row is None:
            continue
        first = seen.setdefault(row.key, row.line)
        if first != row.line:
            into.problem(
                Position(name, row.line),
                f"found {row.name} a second time; expected each client once at a place. Name the places differently.",
            )
            continue
        rows.append(row)
    return rows


def _row(name: str, record: Record, columns: Mapping[str, str], into: Collector) -> Row | None:
    values = {column: _text(record, spelled) for column, spelled in columns.items()}
    kind = kind_of(values["client"])
    good = kind is not None
    if kind is None:
        wanted = ", ".join(one.word for one in ClientKind)
        into.problem(
            Position(name, record.line, "client"), f"found {shown(values['client'])}; expected one of {wanted}."
        )
    for column, limit in LIMITS.items():
        value = values.get(column, "")
        at = Position(name, record.line, column)
        if not value and column in {"place", "host"}:
            into.problem(at, "found nothing; expected a value.")
            good = False
        elif len(value) > limit:
            into.problem(at, f"found {len(value)} characters; expected at most {limit}.")
            good = False
    host = values.get("host", "")
    if kind is not None and kind not in ASKS_URLS and len(host.split()) > 1:
        into.problem(Position(name, record.line, "host"), f"found {shown(host)}; expected one host, without spaces.")
        good = False
    if kind is None or not good:
        return None
    return Row(record.line, kind, values["place"], host, values.get("ucc", ""), values.get("note", ""))


def _text(record: Record, column: str) -> str:
    value = record.cells[column].value
    text = value if isinstance(value, str) else ""
    if text.startswith("'") and text[1:].startswith(_FORMULA):
        text = text[1:]  # our own export put it there, so that no spreadsheet runs the rest
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())
