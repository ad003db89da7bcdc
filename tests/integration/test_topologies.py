"""Failover and failback in each topology, on the demo's real servers and real DNS; and many names on BIND."""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
from pytest_django import Settings

from a365admin.accounts.models import Role, User
from a365admin.lab.client import LabClient
from a365admin.lab.embedded import RunningLab, running_lab
from a365admin.lab.seed import seed_estate
from dnsops import endpoints, executor, gathering, services, site_driver, site_moves, tasks
from dnsops.asking_many import ask_pairs
from dnsops.lifecycle import OperationKind, OperationState
from dnsops.models import FailoverOperation, NameServer
from dnsops.plan import Change, RRset
from dnsops.providers.base import Endpoint, OutcomeKind
from dnsops.providers.rfc2136 import Rfc2136
from dnsops.secrets import load_key
from dnsops.site_gathering import Scope, gather_move
from dnsops.site_plan import Direction
from pools import live, redis_store
from pools.candidates import next_for
from pools.health import CheckKind
from pools.models import CheckState, DedicatedHostname, Server, Site, Ucc
from pools.next_target import NextTarget
from pools.services import Probing, all_checks
from tests.integration import bind

walks = pytest.mark.django_db(transaction=True)


@dataclass
class Estate:
    """The running demo, entered into the database, and somebody who may fail it over."""

    lab: RunningLab
    user: User

    def fault(self, server: str, fault: str, on: bool = True) -> None:
        """Break or mend a server."""
        LabClient(self.lab.config).set_fault(server, fault, on)

    def hostname(self, name: str) -> DedicatedHostname:
        """A hostname by its short name."""
        return DedicatedHostname.objects.get(fqdn=f"{name}.lab.example")

    def next(self, name: str) -> NextTarget:
        """What the hostname's page says comes next, by checks that are asked now."""
        see()
        return next_for(self.hostname(name))

    def go(self, name: str, kind: OperationKind, to: str | None = None) -> FailoverOperation:
        """Look, click, and carry the operation out to its end."""
        gathering._accepted.clear()
        server = Server.objects.get(name=to) if to else None
        seen = services.preflight(hostname=self.hostname(name), kind=kind, to_server=server)
        operation = services.request_failover(
            user=self.user, hostname=self.hostname(name), kind=kind, to_server_id=server.pk if server else 0,
            digest=seen.digest, reason="test", idempotency_key=uuid.uuid4().hex,
        )  # fmt: skip
        executor.run_to_end(operation.pk, owner="test")
        operation.refresh_from_db()
        return operation

    def dns(self, name: str) -> set[str]:
        """What every authoritative server says, asked over the network."""
        servers = [Endpoint(s.name, s.address, s.port) for s in NameServer.objects.all()]
        found = ask_pairs([(server, f"{name}.lab.example") for server in servers], timeout_s=2)
        return {answer.rrset.values[0].partition(".")[0].upper() for answer in found.values() if answer.rrset}


def see() -> None:
    """Ask every check of the estate once, and believe the answers at once."""
    checks = [check for check in all_checks() if check.kind is not CheckKind.BALANCER]
    results = Probing(checks, 3).results()
    CheckState.objects.all().delete()
    for check in checks:
        result = results[check.key]
        CheckState.objects.create(
            key=check.key, kind=check.kind.value, label=check.label, server_id=check.server_id,
            hostname_id=check.hostname_id, trusted_application_id=check.trusted_application_id,
            virtual_service_id=check.virtual_service_id, health="up" if result.ok else "down",
            cause=result.cause, sentence=result.sentence,
            evidence={**result.evidence, "rank": check.rank, "server": check.name_server},
        )  # fmt: skip
    now = time.time()
    ages = dict.fromkeys(DedicatedHostname.objects.values_list("pk", flat=True), (now, 60.0))
    with redis_store.broker() as broker:
        broker.hset(live.FRESH_KEY, "0", live.pack_ages(at=now, complete=True, ages=ages))


@pytest.fixture
def estate(
    db: None, broker: redis.Redis, tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Estate]:
    settings.DNSOPS = {"stability_s": 0.0, "cool_down_s": 0.0, "max_ttl_wait_s": 0.05, "good_for_s": 10.0}
    monkeypatch.setattr(tasks, "nudge", lambda operation_id, *, after_s=0.0: True)
    monkeypatch.setattr(tasks, "nudge_move", lambda move_id: True)
    with running_lab(tmp_path) as lab:
        seed_estate(lab.config)
        yield Estate(lab, User.objects.create_user("ada", role=Role.ADMINISTRATOR))


@walks
def test_one_pool_fails_over_to_the_cold_standby_once_it_is_started_and_back(estate: Estate) -> None:
    estate.fault("SRV5", "dead")
    found = estate.next("a365web3")
    assert found.target is not None
    assert (found.target.name, found.ready) == ("SRV6", False)
    assert "start its UCC service first" in found.reason
    estate.fault("SRV6", "start_ucc")
    assert estate.next("a365web3").ready
    done = estate.go("a365web3", OperationKind.FAILOVER)
    assert done.state == OperationState.SUCCEEDED, done.result
    assert estate.dns("a365web3") == {"SRV6"}
    assert endpoints.checklist_of(done) is None
    estate.fault("SRV5", "dead", on=False)
    see()
    assert estate.go("a365web3", OperationKind.FAILBACK).state == OperationState.SUCCEEDED
    assert estate.dns("a365web3") == {"SRV5"}


@walks
def test_paired_pools_with_single_servers_cross_sites_and_list_the_endpoints_to_move(estate: Estate) -> None:
    Ucc.objects.filter(name="Emergency Line").update(sip_uri="")
    found = estate.next("a365web4")
    assert found.target is not None
    assert (found.target.name, found.target.site) == ("SRV8", "Groningen")
    done = estate.go("a365web4", OperationKind.FAILOVER, "SRV8")
    assert done.state == OperationState.SUCCEEDED, done.result
    assert estate.dns("a365web4") == {"SRV8"}
    checklist = endpoints.checklist_of(done)
    assert checklist is not None
    (command,) = checklist.commands
    assert command.startswith("Move-CsApplicationEndpoint -Identity 'sip:customer-care@lab.example'")
    assert command.endswith("-TargetApplicationPool 'a365pool5.lab.example'")
    assert checklist.without_uri == ("Emergency Line",)
    see()
    assert estate.go("a365web4", OperationKind.FAILBACK).state == OperationState.SUCCEEDED
    assert estate.dns("a365web4") == {"SRV7"}


@walks
def test_enterprise_pools_stay_within_the_pair_until_a_whole_site_is_lost_and_then_the_site_is_moved(
    estate: Estate,
) -> None:
    estate.fault("SRV1", "dead")
    found = estate.next("a365web1")
    assert found.target is not None
    assert found.target.name == "SRV2"
    estate.fault("SRV2", "dead")
    found = estate.next("a365web1")
    assert found.target is not None
    assert (found.target.name, found.ready) == ("SRV3", True)
    assert found.skipped[0].name == "SRV2"
    move(estate, Direction.AWAY)
    assert estate.dns("a365web1") == {"SRV3"}
    for server in ("SRV1", "SRV2"):
        estate.fault(server, "dead", on=False)
    see()
    move(estate, Direction.BACK)
    assert estate.dns("a365web1") == {"SRV1"}


def move(estate: Estate, direction: Direction) -> None:
    """Move Amsterdam, all or nothing, to its end."""
    scope = Scope(site=Site.objects.get(name="Amsterdam"))
    plan = gather_move(scope, direction)
    assert "a365web1.lab.example" in [entry.hostname for entry in plan.ready], plan.entries
    started = site_moves.request_move(
        user=estate.user, scope=scope, direction=direction, shown=[entry.token for entry in plan.ready], at_once=25,
        together=True, reason="test", idempotency_key=uuid.uuid4().hex,
    )  # fmt: skip
    resume_at, _ = site_driver.carry_on(started.pk, owner="test")
    for operation_id in resume_at:
        time.sleep(0.1)  # the old TTL, cut to 0.05 s
        executor.run_to_end(operation_id, owner="test")
    site_driver.carry_on(started.pk, owner="test")
    started.refresh_from_db()
    assert started.state == "ended", started.result
    assert "moved" in started.result
    assert set(started.members.values_list("operation__state", flat=True)) == {"succeeded"}


# --------------------------------------------------------------------------------------------------------- many names

NAMES = tuple(f"many{number}" for number in range(40))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[bind.BindPair]:
    if bind.NAMED is None:
        pytest.skip("named is not installed (apt install bind9)")
    with bind.running_bind(tmp_path_factory.mktemp("bind"), more_hostnames=NAMES) as pair:
        yield pair


def swaps(old: int, new: int) -> list[Change]:
    return [
        Change(
            bind.ZONE,
            f"{name}.{bind.ZONE}",
            RRset("CNAME", bind.TTL_S, (f"srv{old}.{bind.ZONE}.",)),
            RRset("CNAME", bind.TTL_S, (f"srv{new}.{bind.ZONE}.",)),
        )
        for name in NAMES
    ]


def provider_of(pair: bind.BindPair) -> Rfc2136:
    key = load_key(name=bind.KEY_NAME, algorithm=bind.ALGORITHM, reference=f"file:{pair.secret_file}")
    return Rfc2136(pair.primary, lambda: key)


def values(pair: bind.BindPair) -> set[str]:
    found = ask_pairs([(pair.primary, f"{name}.{bind.ZONE}") for name in NAMES], timeout_s=3)
    assert len(found) == len(NAMES)
    return {answer.rrset.values[0] for answer in found.values() if answer.rrset}


@pytest.mark.once
def test_bind_changes_many_names_in_one_message_or_none_of_them(pair: bind.BindPair) -> None:
    provider = provider_of(pair)
    outcome = provider.change_many(swaps(1, 2), deadline=time.monotonic() + 5)
    assert outcome.kind is OutcomeKind.APPLIED, outcome
    assert values(pair) == {f"srv2.{bind.ZONE}."}
    # One name is taken elsewhere: none of the others is changed.
    one = swaps(2, 3)[7]
    assert provider.change(one, deadline=time.monotonic() + 5).kind is OutcomeKind.APPLIED
    outcome = provider.change_many(swaps(2, 1), deadline=time.monotonic() + 5)
    assert outcome.kind is OutcomeKind.CONFLICT
    assert "none was changed" in outcome.sentence
    assert values(pair) == {f"srv2.{bind.ZONE}.", f"srv3.{bind.ZONE}."}


@pytest.mark.once
def test_more_than_a_message_holds_is_refused_before_anything_is_sent(pair: bind.BindPair) -> None:
    rrset = RRset("CNAME", 30, (f"{'a' * 60}.{bind.ZONE}.",))
    many = [Change(bind.ZONE, f"{n:060d}.{bind.ZONE}", rrset, rrset) for n in range(600)]
    outcome = provider_of(pair).change_many(many, deadline=time.monotonic() + 5)
    assert outcome.kind is OutcomeKind.CONFIG
    assert "65,535 bytes" in outcome.sentence
    assert "Nothing was sent." in outcome.sentence


@pytest.mark.once
def test_a_silent_server_costs_its_timeout_once_and_one_that_refuses_nothing(pair: bind.BindPair) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind(("127.0.0.1", 0))
        silent = Endpoint("deaf", "127.0.0.1", deaf.getsockname()[1])
        nobody = Endpoint("nobody", "127.0.0.1", bind.free_port())
        servers = (pair.primary, silent, nobody)
        found = ask_pairs([(s, f"{name}.{bind.ZONE}") for s in servers for name in NAMES], timeout_s=0.5)
    assert {answer.state for (server, _), answer in found.items() if server == silent} == {"silent"}
    assert {answer.text for (server, _), answer in found.items() if server == nobody} == {"nothing listens there"}
    assert all(answer.rrset for (server, _), answer in found.items() if server == pair.primary)
