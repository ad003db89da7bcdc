"""Importing: all of it in one transaction, or nothing. A dry run does the very same, and is rolled back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import IntegrityError, transaction

from a365admin.audit.services import record
from pools.changes import estate_lock
from pools.importing.difference import MAX_PROBLEMS, Action, Change, Difference, compare
from pools.importing.document import Position, Problem, shown
from pools.importing.reading import Reading
from pools.importing.snapshot import read_snapshot
from pools.importing.writing import Writer
from pools.services import estate_changed

_CLASH = (
    "The database refused this import: two things want the same name, address, port or UCC on the way, though not in "
    "the end. Exchange them in two imports, by way of a third value."
)


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What an import did, or would do. ``stale``: something has changed since the difference was shown."""

    difference: Difference
    problems: tuple[Problem, ...]
    applied: bool = False
    stale: bool = False

    @property
    def ready(self) -> bool:
        """Whether there is something to apply, and nothing against it."""
        return bool(self.difference.changes) and not self.problems


class _RollBackError(Exception):
    """Leaves the transaction, taking everything back; carries the result."""

    def __init__(self, result: ImportResult) -> None:
        super().__init__("rolled back")
        self.result = result


def dry_run(reading: Reading) -> ImportResult:
    """Say what an import would do, every validation of the real one included; nothing stays written."""
    return _run(reading, sources=(), digest=None)


def apply_import(reading: Reading, *, sources: Sequence[str], digest: str) -> ImportResult:
    """Apply exactly the difference whose ``digest`` was shown, with an entry in the audit log; all of it or nothing.

    ``sources``: the files' names, for the log. The result says why where nothing was applied: problems, or ``stale``.
    """
    return _run(reading, sources=sources, digest=digest)


def _run(reading: Reading, *, sources: Sequence[str], digest: str | None) -> ImportResult:
    try:
        with estate_lock():
            snapshot = read_snapshot()
            difference = compare(reading.document, snapshot.document)
            result = ImportResult(difference, (*reading.problems, *difference.problems))
            if digest is not None and digest != difference.digest:
                raise _RollBackError(replace(result, stale=True))
            writer = Writer(difference, snapshot)
            result = replace(result, problems=(*result.problems, *_field_problems(writer)))
            if not result.ready:
                raise _RollBackError(result)
            problems = _written(writer)
            if problems or digest is None:
                raise _RollBackError(replace(result, problems=tuple(problems)))
            _record(difference, sources)
            transaction.on_commit(estate_changed)
            return replace(result, applied=True)
    except _RollBackError as rolled_back:
        return rolled_back.result
    except IntegrityError:
        return replace(result, problems=(Problem(Position(), _CLASH),))


def _field_problems(writer: Writer) -> list[Problem]:
    """Return what the models say against single values; at most as many as anybody reads."""
    found = (problem for change, error in writer.invalid() for problem in _problems(change, error))
    return list(islice(found, MAX_PROBLEMS))


def _written(writer: Writer) -> list[Problem]:
    """Write everything; return what the models say against targets, which depend on all that was written."""
    writer.write()
    return [problem for change, error in writer.invalid_targets() for problem in _problems(change, error)]


def _problems(change: Change, error: ValidationError) -> list[Problem]:
    """Map a model's errors back to the places in the files."""
    found: Mapping[str, Sequence[Any]] = getattr(error, "error_dict", None) or {NON_FIELD_ERRORS: error.error_list}
    problems = []
    for name, errors in found.items():
        place = (
            "targets"
            if change.kind.section == "dedicated_hostnames" and name in {"server", "virtual_service"}
            else name
        )
        value = next((one.after for one in change.fields if one.name == place), None)
        for one in errors:
            told = " ".join(one.messages)
            quoted = "" if value is None or str(value) in told or place == "targets" else f"found {shown(value)}. "
            problems.append(Problem(change.where(place), f"{quoted}{told}"))
    return problems


def _record(difference: Difference, sources: Sequence[str]) -> None:
    record(
        action="estate.imported",
        object_type="estate",
        object_name=", ".join(sources) or "import",
        after={
            "added": difference.count(Action.ADD),
            "changed": difference.count(Action.CHANGE),
            "unchanged": sum(map(len, difference.unchanged.values())),
            "kept, not in the files": sum(map(len, difference.kept.values())),
            "changes": [change.sentence for change in difference.changes],
        },
    )
