"""Importing the inventory: all of it in one transaction with its entry in the audit log, or nothing."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils import timezone

from a365admin.audit.services import record
from pools.changes import estate_lock
from pools.clients.difference import Difference, compare
from pools.clients.models import ClientInstallation
from pools.clients.reading import Row
from pools.clients.reads import known_rows

BATCH = 500
TOLD = 500  # changes that the audit entry names one by one


class StaleImportError(Exception):
    """The inventory has changed since the difference was shown; nothing was imported."""


def import_clients(*, rows: Sequence[Row], whole: bool, digest: str, source: str) -> Difference:
    """Apply exactly the difference whose ``digest`` was shown. Raises StaleImportError."""
    with estate_lock():
        difference = compare(rows, known_rows(), whole=whole)
        if difference.digest != digest:
            raise StaleImportError
        now = timezone.now()
        ClientInstallation.objects.bulk_create((_made(row) for row in difference.added), batch_size=BATCH)
        changed = [
            ClientInstallation(
                pk=change.known.id, host=change.row.host, ucc_name=change.row.ucc_name, note=change.row.note,
                changed_at=now,
            )
            for change in difference.changed
        ]  # fmt: skip
        ClientInstallation.objects.bulk_update(changed, ["host", "ucc_name", "note", "changed_at"], batch_size=BATCH)
        gone = [known.id for known in difference.removed]
        for start in range(0, len(gone), BATCH):
            ClientInstallation.objects.filter(pk__in=gone[start : start + BATCH]).delete()
        _record(difference, source)
    return difference


def _made(row: Row) -> ClientInstallation:
    return ClientInstallation(kind=row.kind.value, place=row.place, host=row.host, ucc_name=row.ucc_name, note=row.note)


def _record(difference: Difference, source: str) -> None:
    changes = [f"added {row.name}: {row.host}" for row in difference.added]
    changes += [
        f"changed {change.known.name}: " + ", ".join(f"{label} {old} → {new}" for label, old, new in change.fields)
        for change in difference.changed
    ]
    changes += [f"removed {known.name}" for known in difference.removed]
    record(
        action="clients.imported",
        object_type="inventory of clients",
        object_name=source,
        after={
            "added": len(difference.added),
            "changed": len(difference.changed),
            "removed": len(difference.removed),
            "unchanged": difference.unchanged,
            "changes": changes[:TOLD],
        },
    )
