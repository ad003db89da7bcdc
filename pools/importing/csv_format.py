"""Export-Csv -> records: with or without the #TYPE line, separated by comma, semicolon or tab. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from pools.importing.document import Collector, Position
from pools.importing.records import Cell, Record, check_count, check_length
from pools.importing.text import UnreadableError

MAX_COLUMNS = 200
_SEPARATORS = ",;\t"


def read_csv(name: str, text: str, into: Collector) -> list[Record]:
    """Return the rows; rows of the wrong width become problems. Raises UnreadableError where it is no such table."""
    skipped, separator, type_name, body = _preamble(text)
    rows = _rows(name, body, separator or _separator_of(body), skipped)
    first = next(rows, None)
    if first is None:
        raise UnreadableError(Position(name), "found nothing; expected a line with the names of the columns.")
    line, header = first
    columns = [column.strip() for column in header]
    _check_header(name, line, columns)
    records: list[Record] = []
    for line, row in rows:
        if not any(cell.strip() for cell in row):
            continue
        if len(row) != len(columns):
            into.problem(
                Position(name, line),
                f"found {len(row)} values; expected {len(columns)}, one for each column of the first line.",
            )
            continue
        check_count(name, line, len(records) + 1)
        cells = {
            column.lower(): Cell(column, check_length(name, line, column, value.strip()), line)
            for column, value in zip(columns, row, strict=True)
        }
        records.append(Record(line, cells, type_name))
    return records


def _preamble(text: str) -> tuple[int, str, str, str]:
    """Return the lines skipped, the separator stated by ``sep=``, the type stated by ``#TYPE``, and the rest."""
    skipped, separator, type_name = 0, "", ""
    while True:
        line, newline, rest = text.partition("\n")
        stripped = line.strip()
        if stripped.lower().startswith("sep=") and len(stripped) == 5:
            separator = stripped[4]
        elif stripped.upper().startswith("#TYPE"):
            type_name = stripped[5:].strip()[:200]
        elif stripped or not newline:
            return skipped, separator, type_name, text
        skipped += 1
        text = rest


def _separator_of(text: str) -> str:
    """Return the separator that the line of names has most of outside quotes; a comma where it has none."""
    quoted, counts = False, dict.fromkeys(_SEPARATORS, 0)
    for char in text[:20_000]:
        if char == '"':
            quoted = not quoted
        elif not quoted and char == "\n":
            break
        elif not quoted and char in counts:
            counts[char] += 1
    return max(counts, key=lambda separator: counts[separator])


def _rows(name: str, text: str, separator: str, skipped: int) -> Iterator[tuple[int, list[str]]]:
    """Yield each row with the line on which it begins."""
    if separator in {'"', "\n", "\r"}:
        raise UnreadableError(
            Position(name, 1), "found a separator that cannot separate; expected a comma or semicolon."
        )
    reader = csv.reader(io.StringIO(text, newline="\n"), delimiter=separator, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            sentence = f"found a row that cannot be read ({error}); expected quotes to come in pairs."
            raise UnreadableError(Position(name, line + skipped), sentence) from error
        if row:
            yield line + skipped, row


def _check_header(name: str, line: int, columns: list[str]) -> None:
    if len(columns) > MAX_COLUMNS:
        raise UnreadableError(Position(name, line), f"found {len(columns)} columns; expected at most {MAX_COLUMNS}.")
    seen: set[str] = set()
    for column in columns:
        if column.lower() in seen and column:
            raise UnreadableError(Position(name, line, column[:80]), "found this column twice; expected it once.")
        seen.add(column.lower())
