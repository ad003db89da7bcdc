"""Pure: a table beside the inventory -> what to add, change and remove."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pools.clients.reading import Row

FIELDS = (("host", "host or URL"), ("ucc_name", "UCC name"), ("note", "note"))


@dataclass(frozen=True, slots=True)
class Known:
    """An installation that is in the inventory."""

    id: int
    name: str
    place: str
    values: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RowChange:
    """A row that is to be changed: field's label, before, after."""

    known: Known
    row: Row
    fields: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """What an import would do."""

    added: tuple[Row, ...]
    changed: tuple[RowChange, ...]
    removed: tuple[Known, ...]
    unchanged: int
    kept: int

    @property
    def any(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.added or self.changed or self.removed)

    @property
    def digest(self) -> str:
        """The same only while table and inventory are the same."""
        told = [
            [[*row.key, row.place, row.host, row.ucc_name, row.note] for row in self.added],
            [[change.known.id, change.fields] for change in self.changed],
            [[known.id, known.name] for known in self.removed],
        ]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def compare(rows: Sequence[Row], inventory: Mapping[tuple[str, str], Known], *, whole: bool) -> Difference:
    """Return what differs. ``whole``: the table is the whole inventory, so what is not in it is removed."""
    added, changed, unchanged = [], [], 0
    for row in rows:
        known = inventory.get(row.key)
        if known is None:
            added.append(row)
            continue
        fields = tuple(
            (label, known.values[name], getattr(row, name))
            for name, label in FIELDS
            if known.values[name] != getattr(row, name)
        )
        if fields:
            changed.append(RowChange(known, row, fields))
        else:
            unchanged += 1
    stated = {row.key for row in rows}
    others = [known for key, known in inventory.items() if key not in stated]
    removed = tuple(others) if whole else ()
    return Difference(tuple(added), tuple(changed), removed, unchanged, 0 if whole else len(others))
