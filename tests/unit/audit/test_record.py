"""Writing to the log, and what the database refuses."""

from __future__ import annotations

import threading
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from a365admin.audit import triggers
from a365admin.audit.context import Acting, act_as
from a365admin.audit.models import AppendOnlyError, AuditEntry, ChainHead, Outcome
from a365admin.audit.services import record, record_apart, record_many, verify_chain
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db


def test_it_records_who_did_what_from_where() -> None:
    user = UserFactory.create()
    with act_as(Acting(7, "anna", "10.0.0.9", "req-1")):
        entry = record(action="site.changed", object=user, reason="because", before={"a": 1}, after={"a": 2})
    entry = AuditEntry.objects.get(pk=entry.pk)
    assert (entry.actor_id, entry.actor_name, entry.address, entry.request_id) == (7, "anna", "10.0.0.9", "req-1")
    assert (entry.object_type, entry.object_id, entry.object_name) == ("user", str(user.pk), user.username)
    assert (entry.before, entry.after, entry.outcome) == ({"a": 1}, {"a": 2}, "ok")


def test_entries_are_chained_and_verify() -> None:
    for number in range(5):
        with act_as(Acting(address=["::ffff:10.0.0.1", "fe80::1%eth0", "::1.2.3.4", "nonsense", None][number])):
            record(action="x.y", after={"n": number, "f": 1e22, "text": "ü\x00"}, reason="r" * 9000)
    report = verify_chain()
    assert report.ok, report.sentence
    assert report.count == ChainHead.objects.get().count


def test_a_tampered_row_is_found_at_its_exact_place() -> None:
    entries = [record(action="x.y", reason=str(number)) for number in range(5)]
    AuditEntry.objects.filter(pk=entries[2].pk).update(reason="changed")
    report = verify_chain()
    assert not report.ok
    assert report.broken_at == entries[2].pk


def test_the_command_ends_with_1_and_says_where_it_breaks() -> None:
    entries = [record(action="x.y") for _ in range(3)]
    out = StringIO()
    call_command("audit_verify", stdout=out)
    assert entries[-1].hash in out.getvalue()
    call_command("audit_verify", seen=entries[0].hash, stdout=out)
    with pytest.raises(CommandError, match="replaced"):
        call_command("audit_verify", seen="0" * 64)
    AuditEntry.objects.filter(pk=entries[1].pk).delete()
    with pytest.raises(CommandError, match=f"breaks at entry {entries[2].pk}") as failure:
        call_command("audit_verify")
    assert failure.value.returncode == 1


def test_an_entry_is_rolled_back_with_the_change_that_it_tells_of() -> None:
    with transaction.atomic():
        record(action="x.y")
        transaction.set_rollback(True)
    assert not AuditEntry.objects.exists()
    assert verify_chain().ok


def test_the_model_refuses_to_change_or_delete() -> None:
    entry = record(action="x.y")
    with pytest.raises(AppendOnlyError):
        entry.save()
    with pytest.raises(AppendOnlyError):
        entry.delete()


@pytest.mark.parametrize("what", ["update", "delete"])
def test_the_database_itself_refuses_to_change_or_delete(what: str) -> None:
    entry = record(action="x.y")
    triggers.install(connection)
    try:
        rows = AuditEntry.objects.filter(pk=entry.pk)
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            rows.update(reason="x") if what == "update" else rows.delete()
        record(action="x.y")
        assert verify_chain().ok
    finally:
        triggers.remove(connection)


def test_the_database_refuses_to_truncate() -> None:
    if connection.vendor != "postgresql":
        assert "TRUNCATE" not in "".join(triggers._INSTALL["sqlite"])
        return
    triggers.install(connection)
    try:
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"TRUNCATE {triggers.TABLE}")
    finally:
        triggers.remove(connection)


@pytest.mark.django_db(transaction=True)
def test_what_must_not_be_lost_refuses_to_be_inside_a_transaction() -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        record_apart(action="access.denied", outcome=Outcome.DENIED)
    assert record_apart(action="access.denied", outcome=Outcome.DENIED).pk


@pytest.mark.django_db(transaction=True)
def test_twenty_at_once_make_one_chain() -> None:
    failures: list[BaseException] = []
    start = threading.Barrier(20)

    def write(number: int) -> None:
        try:
            start.wait(timeout=20)
            with act_as(Acting(number, f"user {number}")):
                for _ in range(3):
                    record(action="x.y")
        except Exception as error:  # noqa: BLE001 (shown by the test itself)
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not failures
    report = verify_chain()
    assert (report.ok, report.count) == (True, 60), report.sentence


def test_many_entries_at_once_stand_in_the_chain_in_their_order() -> None:
    record(action="first")
    record_many([{"action": f"many.{number}", "object_name": "x"} for number in range(5)])
    record_many([])
    record(action="last")
    assert list(AuditEntry.objects.order_by("pk").values_list("action", flat=True)) == [
        "first", "many.0", "many.1", "many.2", "many.3", "many.4", "last"
    ]  # fmt: skip
    assert verify_chain().ok
