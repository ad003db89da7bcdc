"""The values and the inventory as CSV that no spreadsheet takes for formulas."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from a365admin.audit.exports import harmless
from pools.clients.reading import COLUMNS
from pools.clients.reads import Judged
from pools.clients.values import Hostname, UccPlace, all_values, hostnames_of_ucc

BOM = "\ufeff"  # Excel needs it to read UTF-8


def as_csv(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table as CSV (RFC 4180)."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(header)
    writer.writerows([harmless(cell) for cell in row] for row in rows)
    return BOM + out.getvalue()


def values_csv(hostnames: Sequence[Hostname], uccs: Sequence[UccPlace]) -> str:
    """Every value to enter, for each UCC and hostname."""
    rows = [
        (ucc.name, hostname.fqdn, value.client.word, value.asked, value.value)
        for ucc in uccs
        for hostname in hostnames_of_ucc(ucc, hostnames)
        for value in all_values(hostname, ucc.name)
    ]
    return as_csv(("UCC", "dedicated hostname", "client", "asked", "enter"), rows)


def inventory_csv(inventory: Iterable[Judged]) -> str:
    """The inventory, in the columns of the import, followed by what is wrong."""
    rows = [
        (
            one.row.installed.kind.word,
            one.row.place,
            one.row.host,
            one.row.ucc_name,
            one.row.note,
            "; ".join(finding.sentence for finding in one.verdict.findings),
            "; ".join(finding.value for finding in one.verdict.findings if finding.value),
        )
        for one in inventory
    ]
    return as_csv((*COLUMNS, "what is wrong", "enter"), rows)
