"""A prepared query reads what the ordinary one reads, for every value, in every thread; only its SQL is made once."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from django.db import connection
from django.db.models.sql.compiler import SQLCompiler

from a365admin.prepared import Prepared
from dnsops.models import FailoverOperation
from pools.models import DedicatedHostname, FailoverTarget, Server, TrustedApplication
from tests.factories import make_balanced, make_pair

pytestmark = pytest.mark.django_db

targets_of = Prepared(
    lambda hostname: FailoverTarget.objects.filter(hostname=hostname).with_aims().order_by("order"), int
)


def test_it_reads_the_same_rows_with_what_belongs_to_them(django_assert_num_queries: object) -> None:
    pair, balanced = make_pair(), make_balanced()
    for hostname in (pair, balanced):
        ordinary = list(hostname.targets.with_aims().order_by("order"))
        prepared = targets_of(hostname.pk)
        assert prepared == ordinary
        with django_assert_num_queries(0):  # type: ignore[operator]
            assert [target.name for target in prepared] == [target.name for target in ordinary]
            assert [list(target.servers) for target in prepared] == [list(target.servers) for target in ordinary]


def test_each_value_has_its_own_answer() -> None:
    one, two = make_pair(), make_pair()
    assert [target.hostname_id for target in targets_of(one.pk)] == [one.pk, one.pk]
    assert [target.hostname_id for target in targets_of(two.pk)] == [two.pk, two.pk]
    assert targets_of(one.pk + two.pk) == []


def test_what_was_written_since_is_seen() -> None:
    hostname = make_pair()
    assert len(targets_of(hostname.pk)) == 2
    hostname.targets.filter(order=2).delete()
    assert len(targets_of(hostname.pk)) == 1


def test_columns_single_values_and_rows_without_some_of_their_columns() -> None:
    hostname = make_pair(ports=(6002, 6001))
    pool = hostname.trusted_application_pool_id
    ports = Prepared(
        lambda pool: TrustedApplication.objects.filter(trusted_application_pool=pool).order_by("port"), int
    )
    assert [row.port for row in ports(pool)] == [6001, 6002]
    columns = Prepared(
        lambda pool, port: TrustedApplication.objects.filter(trusted_application_pool=pool, port__gte=port).values_list(
            "port", "ucc__name"
        ),
        int,
        int,
    )
    assert [port for port, _ in columns(pool, 6002)] == [6002]
    flat = Prepared(lambda fqdn: DedicatedHostname.objects.filter(fqdn=fqdn).values_list("pk", flat=True)[:1], str)
    assert flat(hostname.fqdn) == [hostname.pk]
    short = Prepared(lambda pool: Server.objects.filter(trusted_application_pool=pool).only("name"), int)
    assert [row.fqdn for row in short(pool)] == [
        row.fqdn for row in Server.objects.filter(trusted_application_pool=pool)
    ]


def test_ids_of_operations_and_times_reach_the_database_as_it_keeps_them() -> None:
    hostname = make_pair()
    operation = FailoverOperation.objects.create(
        hostname=hostname,
        hostname_fqdn=hostname.fqdn,
        kind="failover",
        plan={},
        idempotency_key="x",
        written_at=datetime(2026, 3, 1, 12, tzinfo=UTC),
    )
    by_id = Prepared(lambda pk: FailoverOperation.objects.filter(pk=pk), uuid.UUID)
    assert by_id(operation.pk) == by_id(str(operation.pk)) == [operation]
    assert by_id(uuid.uuid4()) == []
    since = Prepared(lambda at: FailoverOperation.objects.filter(written_at__gte=at), datetime)
    assert since(datetime(2026, 3, 1, 12, tzinfo=UTC)) == [operation]
    assert since(datetime(2026, 3, 1, 12, 0, 1, tzinfo=UTC)) == []


def test_its_sql_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    as_sql = SQLCompiler.as_sql

    def counted(self: SQLCompiler, *args: object, **kwargs: object) -> object:
        made.append(self)
        return as_sql(self, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(SQLCompiler, "as_sql", counted)
    named = Prepared(lambda name: Server.objects.filter(name=name), str)
    assert named("SRV1") == []
    made.clear()
    assert named("SRV2") == []
    assert made == []


def test_a_value_that_the_database_gets_in_another_form_is_refused() -> None:
    part_of = Prepared(lambda name: Server.objects.filter(name__contains=name), str)
    with pytest.raises(ValueError, match="does not come to the database as it is"):
        part_of("SRV")


def test_a_condition_that_falls_away_for_some_values_is_refused() -> None:
    above = Prepared(lambda port: TrustedApplication.objects.filter(port__gte=port - 40_000), int)
    with pytest.raises(ValueError, match="does not come to the database as it is"):
        above(6001)


@pytest.mark.parametrize("values", [(), (1, 2), (None,)])
def test_a_value_too_few_or_too_many_or_none_is_refused(values: tuple[int | None, ...]) -> None:
    with pytest.raises(ValueError, match=r"zip|None"):
        targets_of(*values)


@pytest.mark.django_db(transaction=True)
def test_two_threads_each_have_their_own_connection_and_values() -> None:
    if connection.vendor == "sqlite" and connection.is_in_memory_db():  # type: ignore[attr-defined]
        pytest.skip("a database in memory is one thread's own")
    hostnames = [make_pair() for _ in range(4)]

    def ask(hostname: DedicatedHostname) -> bool:
        try:
            return all({target.hostname_id for target in targets_of(hostname.pk)} == {hostname.pk} for _ in range(25))
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(ask, hostnames))
