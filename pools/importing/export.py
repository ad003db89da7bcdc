"""The estate as a file of ours, with its entry in the audit log."""

from __future__ import annotations

from a365admin.audit.services import record
from pools.importing.snapshot import read_snapshot
from pools.importing.yaml_format import write_yaml

FILE_NAME = "estate.yaml"


def export_estate(*, to: str) -> str:
    """Return the whole estate as YAML, and record that it was exported. ``to``: where it goes, for the log."""
    document = read_snapshot().document
    record(
        action="estate.exported", object_type="estate", object_name=FILE_NAME, after={"to": to, "things": len(document)}
    )
    return write_yaml(document)
