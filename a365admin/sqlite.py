"""SQLite's write-ahead log: moved into the database by the sweeper, so that no click's commit has to wait for a disk.

By itself SQLite does it in whichever commit fills 1,000 pages, which is one every few seconds; the settings let it
wait for 10,000, for when nobody sweeps.
"""

from __future__ import annotations

from django.db import connection


def checkpoint() -> None:
    """Move what can be moved without waiting for anybody. Nothing to do with another database, or in a transaction."""
    if connection.vendor == "sqlite" and not connection.in_atomic_block:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(PASSIVE)")
