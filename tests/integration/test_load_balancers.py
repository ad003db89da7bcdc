"""Scenario B on real parts: HAProxy (or the demo's own load balancer), real servers behind it, real DNS.

Every fact marked [S] of the specification's scenario B and of global load balancing is shown here.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dns.message
import dns.query
import dns.tsigkeyring
import dns.update
import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from a365admin.accounts.models import Role, User
from a365admin.audit.models import AuditEntry
from a365admin.lab import balancer as lab_balancer
from a365admin.lab.config import BalancerConfig, create_config
from a365admin.lab.embedded import RunningLab, running_lab
from a365admin.lab.seed import seed_estate
from a365admin.testing.system_packages import find_command
from dnsops import executor, services, tasks
from dnsops.lifecycle import OperationKind
from dnsops.models import FailoverOperation
from dnsops.standing_checks import dns_checks
from pools import live
from pools.estate import estate_checks
from pools.models import (
    CheckState,
    DedicatedHostname,
    HealthTransition,
    HostnameStatus,
    VirtualService,
    VirtualServiceStatus,
)
from pools.probing.asking import ask_once
from pools.recording import Recorder
from tests.benchmarks.estate import use_bind
from tests.factories import UserFactory
from tests.integration.bind import KEY_NAME, NAMED, ZONE, BindPair, running_bind
from tests.waiting import wait_until

pytestmark = [pytest.mark.enable_socket, pytest.mark.django_db(transaction=True), pytest.mark.once]

BEHIND, GLOBAL, ADDRESS = (f"{name}.{ZONE}" for name in ("a365web5", "a365web6", "a365web7"))
needs_haproxy = pytest.mark.skipif(find_command("haproxy") is None, reason="haproxy is not installed")


class Scene:
    """The running demo, and our own prober over all of it, one round at a time."""

    def __init__(self, lab: RunningLab) -> None:
        self.lab = lab
        self.checks = [*estate_checks(), *dns_checks()]
        self.recorder = Recorder(0, 1)
        self.recorder.load(self.checks, fence=1)

    def look(self) -> None:
        """Ask every check once, over the network, and record what came."""
        results = asyncio.run(ask_once(self.checks, 2.0, ca_file=self.lab.config.ca_file))
        self.recorder.record(list(results.values()), fence=1)

    def until(self, condition: Any, timeout_s: float = 40) -> None:
        """Look again and again until it is so."""

        def seen() -> bool:
            self.look()
            return bool(condition())

        wait_until(seen, timeout_s=timeout_s, message=self.said)

    def said(self) -> str:
        """What is known, for the message of a failure."""
        bad = CheckState.objects.exclude(health="up").values_list("label", "health", "sentence")
        return f"{[(s.hostname_id, s.phrase) for s in HostnameStatus.objects.all()]}\n{list(bad)}"

    def status(self, fqdn: str) -> HostnameStatus:
        return HostnameStatus.objects.get(hostname__fqdn=fqdn)

    def in_use(self, name: str) -> str:
        status = VirtualServiceStatus.objects.filter(virtual_service__name=name).first()
        return status.in_use.name if status and status.in_use else ""

    def balancer(self, name: str) -> BalancerConfig:
        return next(one for one in self.lab.config.balancers if one.name == name)

    def who_answers(self, name: str, fqdn: str) -> str:
        """The server whose page a client gets through the VIP, asking by the dedicated hostname."""
        config = self.balancer(name)
        tls = ssl.create_default_context(cafile=self.lab.config.ca_file)
        with (
            socket.create_connection((config.address, config.port), timeout=3) as plain,
            tls.wrap_socket(plain, server_hostname=fqdn) as secure,
        ):
            secure.sendall(f"GET /Attendant HTTP/1.1\r\nHost: {fqdn}\r\nConnection: close\r\n\r\n".encode())
            page = b"".join(iter(lambda: secure.recv(65536), b"")).decode()
        return page.partition("web services on ")[2].partition(".")[0].upper()


@contextmanager
def running_scene(folder: Path) -> Iterator[Scene]:
    """A demo whose load balancers check five times a second, all well and seen to be so."""
    create_config(folder)
    path = folder / "lab.json"
    document = json.loads(path.read_text())
    for balancer in document["balancers"]:
        balancer["check_interval_ms"] = 200
    path.write_text(json.dumps(document))
    with running_lab(folder) as lab:
        seed_estate(lab.config)
        scene = Scene(lab)
        scene.until(lambda: scene.status(GLOBAL).health == "up" and scene.status(BEHIND).health == "up")
        yield scene


@pytest.fixture(params=[pytest.param("haproxy", marks=needs_haproxy), "the demo's own"])
def scene(
    request: pytest.FixtureRequest, tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Scene]:
    prepare(settings, monkeypatch)
    if request.param != "haproxy":
        monkeypatch.setattr(lab_balancer, "find_command", lambda name: None)
    with running_scene(tmp_path) as running:
        program = running.lab.client.state()["balancers"][0]["program"]
        assert (program == "HAProxy") is (request.param == "haproxy")
        yield running


@pytest.fixture
def haproxies(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """The same with two real HAProxies."""
    prepare(settings, monkeypatch)
    with running_scene(tmp_path) as running:
        yield running


def prepare(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.DNSOPS = {"max_ttl_wait_s": 0.1, "verify_max_s": 5.0, "stability_s": 0.0}
    monkeypatch.setattr(tasks, "nudge", lambda operation_id, after_s=0.0: True)
    monkeypatch.setattr(live, "freshness", just_looked)


def just_looked() -> live.Freshness:
    """Every hostname was looked at a moment ago: here by the scene itself, which has no broker to keep that in."""
    ids = DedicatedHostname.objects.values_list("pk", flat=True)
    return live.Freshness(True, dict.fromkeys(ids, time.time()), dict.fromkeys(ids, 60.0), time.time())


def page_of(client: Client, name: str, *arguments: str) -> str:
    client.force_login(
        User.objects.filter(role=Role.ADMINISTRATOR).first() or UserFactory.create(role=Role.ADMINISTRATOR)
    )
    return client.get(reverse(name, args=arguments)).content.decode()


def move(hostname: DedicatedHostname, kind: OperationKind) -> FailoverOperation:
    """Preflight, click, and the whole operation, as a worker does it."""
    user = User.objects.filter(username="otto").first() or UserFactory.create(username="otto", role=Role.OPERATOR)
    seen = services.preflight(hostname=hostname, kind=kind)
    assert seen.plan is not None, seen.plan_error
    assert not seen.blocked, seen.blocking
    operation = services.request_failover(
        user=user,
        hostname=hostname,
        kind=kind,
        to_server_id=seen.plan.to_server_id,
        to_virtual_service_id=seen.plan.to_virtual_service_id,
        digest=seen.digest,
        reason="a test",
        idempotency_key=uuid.uuid4().hex,
    )
    executor.run_to_end(operation.pk, owner="a test")
    operation.refresh_from_db()
    assert operation.state == "succeeded", operation.result
    return operation


def records(servers: Sequence[Any], fqdn: str) -> set[str]:
    """What these DNS servers say, types included, each asked over the network."""
    found = set()
    for server in servers:
        for rtype in ("CNAME", "A"):
            reply = dns.query.udp(dns.message.make_query(fqdn, rtype), server.address, port=server.port, timeout=3)
            found |= {
                f"{dns.rdatatype.to_text(rrset.rdtype)} {rdata}"
                for rrset in reply.answer
                if str(rrset.name).rstrip(".") == fqdn
                for rdata in rrset
            }
    return found


def test_failover_and_failback_between_real_servers_need_no_action(scene: Scene, client: Client) -> None:
    assert scene.in_use("AMS-VIP") == "SRV9"
    assert scene.who_answers("AMS-VIP", BEHIND) == "SRV9"
    before = records(scene.lab.config.dns, BEHIND)
    page = page_of(client, "pools:hostname", BEHIND)
    assert "Failover here needs no action: the load balancer does it by itself." in page
    assert 'id="go-failover"' not in page
    assert "Nothing has to be done." in page_of(client, "dnsops:readiness", BEHIND)

    scene.lab.client.set_fault("SRV9", "ucc_down")
    scene.until(lambda: scene.in_use("AMS-VIP") == "SRV10")
    scene.until(lambda: "uses SRV10 instead of SRV9" in scene.status(BEHIND).phrase)
    assert scene.who_answers("AMS-VIP", BEHIND) == "SRV10"
    assert scene.status(BEHIND).health == "degraded"  # it works, with nothing left to take over
    assert "Load balancer of AMS-VIP moved from SRV9 to SRV10" in page_of(client, "dnsops:timeline", BEHIND)
    entry = AuditEntry.objects.get(action="virtual-service.moved")
    assert (entry.before["in_use"], entry.after["in_use"]) == ("SRV9", "SRV10")
    scene.until(lambda: VirtualServiceStatus.objects.get(virtual_service__name="AMS-VIP").took_s is not None)
    assert "Clients are on SRV10" in page_of(client, "pools:virtual-service", "AMS-VIP")

    scene.lab.client.set_fault("SRV9", "ucc_down", on=False)
    scene.until(lambda: scene.in_use("AMS-VIP") == "SRV9" and scene.status(BEHIND).health == "up")
    assert scene.who_answers("AMS-VIP", BEHIND) == "SRV9"
    assert HealthTransition.objects.filter(label="Load balancer of AMS-VIP moved from SRV10 to SRV9").exists()
    assert records(scene.lab.config.dns, BEHIND) == before  # DNS had nothing to do with it


def test_web_services_dead_behind_a_green_health_check_are_seen(scene: Scene) -> None:
    scene.lab.client.set_fault("SRV9", "web_down")
    scene.until(lambda: scene.status(BEHIND).situation == "behind_green")
    status = scene.status(BEHIND)
    assert status.health == "down"
    assert "web services of SRV9 are dead behind a green health check" in status.phrase
    assert scene.in_use("AMS-VIP") == "SRV9"  # the load balancer sees nothing
    with pytest.raises(OSError, match=r".*"):
        scene.who_answers("AMS-VIP", BEHIND)


def test_the_health_checks_ucc_removed_on_both_takes_both_servers_out_and_is_said(scene: Scene) -> None:
    for server in ("SRV9", "SRV10"):
        scene.lab.client.set_fault(server, "first_removed")
    scene.until(lambda: scene.status(BEHIND).situation == "check_ucc_gone" and scene.status(BEHIND).health == "down")
    assert (
        "this UCC seems to have been removed; the load balancer takes both servers out" in scene.status(BEHIND).phrase
    )
    assert scene.in_use("AMS-VIP") == ""


def test_a_datacentre_failover_changes_the_cname_to_the_other_datacentre_and_back(scene: Scene, client: Client) -> None:
    hostname = DedicatedHostname.objects.get(fqdn=GLOBAL)
    servers = scene.lab.config.dns
    assert records(servers, GLOBAL) == {f"CNAME ams-vip.{ZONE}."}
    assert "Fail over to RTM-VIP" in page_of(client, "pools:hostname", GLOBAL)

    scene.lab.client.set_fault("AMS-VIP", "dead")
    scene.until(lambda: scene.status(GLOBAL).health == "down")
    assert "the load balancer itself seems to be down" in scene.status(GLOBAL).phrase
    operation = move(hostname, OperationKind.FAILOVER)
    assert (operation.from_text, operation.to_text) == ("AMS-VIP", "RTM-VIP")
    assert operation.to_target == VirtualService.objects.get(name="RTM-VIP")
    wait_until(lambda: records(servers, GLOBAL) == {f"CNAME rtm-vip.{ZONE}."})
    scene.until(lambda: scene.status(GLOBAL).active == operation.to_target)
    alone = "standby AMS-VIP is not ready: VIP of AMS-VIP"  # it works, with nowhere to go back to
    scene.until(lambda: scene.status(GLOBAL).phrase.startswith(alone))
    assert scene.who_answers("RTM-VIP", GLOBAL) == "SRV11"
    assert "RTM-VIP" in page_of(client, "dnsops:operation", str(operation.pk))

    scene.lab.client.set_fault("AMS-VIP", "dead", on=False)
    scene.until(lambda: scene.status(GLOBAL).standby_ready)
    move(hostname, OperationKind.FAILBACK)
    wait_until(lambda: records(servers, GLOBAL) == {f"CNAME ams-vip.{ZONE}."})


def test_a_datacentre_whose_servers_cannot_serve_blocks_the_failover(scene: Scene) -> None:
    for server in ("SRV11", "SRV12"):
        scene.lab.client.set_fault(server, "ucc_down")
    seen = services.preflight(hostname=DedicatedHostname.objects.get(fqdn=GLOBAL), kind=OperationKind.FAILOVER)
    assert "target_ucc" in {finding.rule for finding in seen.blocking}
    assert "UCC 6001 (Webshop) on SRV11: refused" in " ".join(finding.sentence for finding in seen.blocking)


def test_an_address_record_fails_over_and_back_and_stays_an_address_record(scene: Scene) -> None:
    hostname = DedicatedHostname.objects.get(fqdn=ADDRESS)
    first, second = (scene.lab.config.server(name).address for name in ("SRV11", "SRV12"))
    servers = scene.lab.config.dns
    assert records(servers, ADDRESS) == {f"A {first}"}
    move(hostname, OperationKind.FAILOVER)
    wait_until(lambda: records(servers, ADDRESS) == {f"A {second}"})
    scene.until(lambda: not scene.status(ADDRESS).on_primary and scene.status(ADDRESS).standby_ready)
    move(hostname, OperationKind.FAILBACK)
    wait_until(lambda: records(servers, ADDRESS) == {f"A {first}"})


@needs_haproxy
@pytest.mark.skipif(NAMED is None, reason="BIND is not installed")
def test_both_kinds_of_record_on_bind_with_two_haproxies(haproxies: Scene, tmp_path: Path) -> None:
    config = haproxies.lab.config
    first, second = (config.server(name).address for name in ("SRV11", "SRV12"))
    (tmp_path / "bind").mkdir()
    with running_bind(tmp_path / "bind", more_hostnames=("a365web6", "a365web7")) as bind:
        put(bind, "a365web6", "CNAME", f"ams-vip.{ZONE}.")
        put(bind, "a365web7", "A", first)
        servers = [[e.name, e.address, e.port, e.is_writer] for e in bind.endpoints]
        use_bind({"zone": ZONE, "secret_file": str(bind.secret_file), "servers": servers})
        haproxies.checks = [*estate_checks(), *dns_checks()]
        haproxies.recorder.load(haproxies.checks, fence=2)
        for fqdn, there, back in (
            (GLOBAL, f"CNAME rtm-vip.{ZONE}.", f"CNAME ams-vip.{ZONE}."),
            (ADDRESS, f"A {second}", f"A {first}"),
        ):
            hostname = DedicatedHostname.objects.get(fqdn=fqdn)
            move(hostname, OperationKind.FAILOVER)
            assert records(bind.endpoints, fqdn) == {there}
            move(hostname, OperationKind.FAILBACK)
            assert records(bind.endpoints, fqdn) == {back}


def put(bind: BindPair, name: str, rtype: str, value: str) -> None:
    """Give a name at BIND this one record, and wait until both servers say so."""
    keys = dns.tsigkeyring.from_text({KEY_NAME: ("hmac-sha256", bind.secret)})
    update = dns.update.UpdateMessage(ZONE, keyring=keys)
    update.delete(name)
    update.add(name, 30, rtype, value)
    reply = dns.query.tcp(update, bind.primary.address, port=bind.primary.port, timeout=5)
    assert reply.rcode() == 0
    wait_until(lambda: records(bind.endpoints, f"{name}.{ZONE}") == {f"{rtype} {value}"}, timeout_s=20)
