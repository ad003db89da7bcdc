"""The audit log as CSV and as JSON Lines, a piece at a time."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from datetime import UTC
from typing import Any

from django.db.models import QuerySet

from a365admin.audit.chain import FIELDS
from a365admin.audit.models import AuditEntry

COLUMNS = ("id", *FIELDS, "previous_hash", "hash")
CHUNK = 1000
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def chunks(entries: QuerySet[AuditEntry]) -> Iterator[list[AuditEntry]]:
    """Read the entries newest first, a chunk at a time, holding no cursor open while a slow client reads."""
    last: int | None = None
    while True:
        rest = entries if last is None else entries.filter(pk__lt=last)
        chunk = list(rest.order_by("-pk")[:CHUNK])
        if not chunk:
            return
        yield chunk
        last = chunk[-1].pk


def as_csv(entries: QuerySet[AuditEntry]) -> Iterator[str]:
    """CSV (RFC 4180) with a byte-order mark, which Excel needs to read it as UTF-8."""
    writer = csv.writer(_Echo())
    yield "\ufeff" + writer.writerow(COLUMNS)
    for chunk in chunks(entries):
        yield "".join(writer.writerow([harmless(_plain(value)) for value in _values(entry)]) for entry in chunk)


def as_json_lines(entries: QuerySet[AuditEntry]) -> Iterator[str]:
    """One JSON object for each entry, one entry on each line."""
    for chunk in chunks(entries):
        yield "".join(json.dumps(dict(zip(COLUMNS, _values(entry), strict=True))) + "\n" for entry in chunk)


def harmless(text: str) -> str:
    """Return ``text`` so that a spreadsheet shows it and never runs it as a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _values(entry: AuditEntry) -> list[Any]:
    return [
        entry.at.astimezone(UTC).isoformat(timespec="microseconds") if name == "at" else getattr(entry, name)
        for name in COLUMNS
    ]


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return json.dumps(value, sort_keys=True, ensure_ascii=False) if value else ""
    return "" if value is None else str(value)


class _Echo:
    """A file for csv.writer that hands the line back."""

    def write(self, line: str) -> str:
        return line
