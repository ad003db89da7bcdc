"""Twenty administrators click at the same moment: one operation, one change, and nineteen who are told whose it is."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import dns.message
import dns.query
import pytest
from django.db import connection, connections
from pytest_django import Settings

from a365admin.accounts.models import Role, User
from a365admin.audit.models import AuditEntry
from a365admin.lab.embedded import RunningLab, running_lab
from a365admin.lab.seed import seed_estate
from dnsops import executor, services, tasks
from dnsops.asking import ask
from dnsops.lifecycle import ACTIVE, OperationKind
from dnsops.models import DnsChange, FailoverOperation
from dnsops.providers.base import Endpoint
from pools.models import DedicatedHostname, Server

pytestmark = [pytest.mark.integration, pytest.mark.enable_socket, pytest.mark.django_db(transaction=True)]

ADMINS = 20
HOSTNAME = "a365web1.lab.example"


@pytest.fixture
def lab(
    tmp_path_factory: pytest.TempPathFactory, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RunningLab]:
    settings.DNSOPS = {"max_ttl_wait_s": 0.1, "verify_max_s": 5.0}
    monkeypatch.setattr(tasks, "nudge", lambda operation_id, after_s=0.0: True)
    with running_lab(tmp_path_factory.mktemp("lab")) as lab:
        lab.client.set_fault("SRV2", "start_ucc")
        seed_estate(lab.config)
        yield lab


def serial(lab: RunningLab) -> int:
    first = lab.config.dns[0]
    query = dns.message.make_query(lab.config.domain, "SOA")
    return int(dns.query.udp(query, first.address, port=first.port, timeout=2).answer[0][0].serial)


def in_threads(count: int, job: Callable[..., object], *arguments: Sequence[object]) -> list[object]:
    """Begin all at the same moment, each with a database connection of its own."""
    barrier = Barrier(count)

    def one(*own: object) -> object:
        barrier.wait(30)
        try:
            return job(*own)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, *arguments))


def test_twenty_clicks_at_once_make_one_operation_and_one_change(lab: RunningLab) -> None:
    before = serial(lab)
    hostname = DedicatedHostname.objects.get(fqdn=HOSTNAME)
    target = Server.objects.get(name="SRV2")
    admins = [User.objects.create_user(username=f"admin{n}", role=Role.OPERATOR) for n in range(ADMINS)]
    seen = services.preflight(hostname=hostname, kind=OperationKind.FAILOVER, to_server=target)
    assert not seen.blocked, (seen.plan_error, seen.blocking)

    def click(user: User) -> object:
        try:
            return services.request_failover(
                user=user,
                hostname=hostname,
                kind=OperationKind.FAILOVER,
                to_server_id=target.pk,
                digest=seen.digest,
                reason="everybody at once",
                idempotency_key=uuid.uuid4().hex,
            )
        except services.RequestRefused as refused:
            return refused

    found = in_threads(ADMINS, click, admins)
    accepted = [item for item in found if isinstance(item, FailoverOperation)]
    refused = [item for item in found if isinstance(item, services.RequestRefused)]
    assert len(accepted) == 1
    assert Counter(item.code for item in refused) == {"active_operation": ADMINS - 1}
    assert all(item.operation == accepted[0] and accepted[0].requested_by_name in item.sentence for item in refused)
    assert FailoverOperation.objects.filter(state__in=[state.value for state in ACTIVE]).count() == 1
    assert AuditEntry.objects.filter(action="failover.requested").count() == 1
    assert AuditEntry.objects.filter(action="failover.refused").count() == ADMINS - 1
    _carry_out_five_times_at_once(accepted[0])
    operation = FailoverOperation.objects.get()
    assert operation.state == "succeeded", operation.result
    assert DnsChange.objects.count() == 1
    assert serial(lab) == before + 1
    first = lab.config.dns[0]
    rrset = ask(Endpoint(first.name, first.address, first.port), HOSTNAME, timeout_s=2).rrset
    assert rrset is not None
    assert rrset.values == ("srv2.lab.example.",)


def _carry_out_five_times_at_once(operation: FailoverOperation) -> None:
    """The same message, five times: one worker takes it."""

    def work(owner: str) -> object:
        executor.run_to_end(operation.pk, owner=owner)
        return None

    in_threads(5, work, [f"worker {n}" for n in range(5)])


def test_a_double_click_gives_the_same_operation_twice(lab: RunningLab) -> None:
    hostname = DedicatedHostname.objects.get(fqdn=HOSTNAME)
    target = Server.objects.get(name="SRV2")
    user = User.objects.create_user(username="otto", role=Role.OPERATOR)
    seen = services.preflight(hostname=hostname, kind=OperationKind.FAILOVER, to_server=target)
    key = uuid.uuid4().hex

    def click(_: object) -> object:
        return services.request_failover(
            user=user,
            hostname=hostname,
            kind=OperationKind.FAILOVER,
            to_server_id=target.pk,
            digest=seen.digest,
            reason="twice",
            idempotency_key=key,
        ).pk

    found = in_threads(2, click, [1, 2])
    assert len(set(found)) == 1, connection.vendor
    assert FailoverOperation.objects.count() == 1
