"""The write-ahead log is emptied by the sweeper, and by nobody in the middle of a transaction."""

from __future__ import annotations

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from a365admin import sqlite
from dnsops import tasks


def asked() -> list[str]:
    with CaptureQueriesContext(connection) as queries:
        sqlite.checkpoint()
    return [query["sql"] for query in queries]


@pytest.mark.django_db(transaction=True)
def test_outside_a_transaction_the_log_is_moved_where_there_is_one() -> None:
    assert asked() == (["PRAGMA wal_checkpoint(PASSIVE)"] if connection.vendor == "sqlite" else [])


@pytest.mark.django_db
def test_in_a_transaction_it_is_left_alone() -> None:
    with transaction.atomic():
        assert asked() == []


@pytest.mark.django_db
def test_the_sweeper_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    swept: list[bool] = []
    monkeypatch.setattr(sqlite, "checkpoint", lambda: swept.append(True))
    tasks.sweep_operations()
    assert swept == [True]
