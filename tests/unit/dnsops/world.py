"""A small estate with DNS in memory: one hostname, SRV1 to SRV3, two DNS servers, an operator."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from a365admin.accounts.models import Role, User
from dnsops import asking, countdown, executor, services, target_health, tasks, wiring
from dnsops.lifecycle import OperationKind
from dnsops.models import FailoverOperation, NameServer, UpdateKey, Zone
from dnsops.plan import RRset
from dnsops.providers.base import Endpoint
from dnsops.providers.fake import FakeDns, FakeProvider
from dnsops.safety import TargetCheck, TargetCheckKind
from pools import live, services as pools_services
from pools.health import CheckKind, Health
from pools.models import (
    CheckState,
    DedicatedHostname,
    FailoverTarget,
    FrontEndPool,
    Server,
    Site,
    TrustedApplicationPool,
)
from pools.probing.result import Cause

FQDN = "a365web1.example.com"
OLD_TTL_S = 60


def cname(server: str, ttl_s: int = OLD_TTL_S) -> RRset:
    """The record that points at a server."""
    return RRset("CNAME", ttl_s, (f"{server.lower()}.example.com.",))


@dataclass
class World:
    """The estate, DNS, and what was sent to the broker and to the pages."""

    hostname: DedicatedHostname
    servers: dict[str, Server]
    operator: User
    administrator: User
    dns: FakeDns
    bad: dict[str, str] = field(default_factory=dict)
    nudges: list[str] = field(default_factory=list)
    broker_lost: bool = False

    def points_at(self) -> str:
        """What the writer says, as a server's name."""
        rrset = self.dns.records["dns1"].get(FQDN)
        return rrset.values[0].split(".")[0].upper() if rrset else ""

    def request(
        self, to: str = "SRV2", kind: OperationKind = OperationKind.FAILOVER, **changes: Any
    ) -> FailoverOperation:
        """Look, then click."""
        server = self.servers[to]
        seen = services.preflight(hostname=self.hostname, kind=kind, to_server=server)
        fields: dict[str, Any] = {
            "user": self.operator,
            "hostname": self.hostname,
            "kind": kind,
            "to_server_id": server.pk,
            "digest": seen.digest,
            "reason": "UCC service down",
            "idempotency_key": uuid.uuid4().hex,
        }
        return services.request_failover(**(fields | changes))

    def run(self, operation: FailoverOperation) -> FailoverOperation:
        """Carry it out to its end, and return it as it is then."""
        while executor.run(operation.pk, owner="test") is not None:
            FailoverOperation.objects.filter(pk=operation.pk).update(lease_until=timezone.now())
            steps = FailoverOperation.objects.get(pk=operation.pk).steps
            steps.filter(kind="wait_ttl").update(evidence={"until": timezone.now().isoformat()})
        operation.refresh_from_db()
        return operation

    def age(self, operation: FailoverOperation, *, by_s: float = 1.0) -> FailoverOperation:
        """As when it has waited for a worker: too long to be carried out without a second look."""
        operation.created_at = timezone.now() - timedelta(seconds=by_s)
        operation.save(update_fields=["created_at"])
        return operation

    def leave(self, operation: FailoverOperation) -> None:
        """As when its worker has died and the lease has run out."""
        FailoverOperation.objects.filter(pk=operation.pk).update(lease_until=timezone.now())


def build(monkeypatch: pytest.MonkeyPatch) -> World:
    """Make it, and put the memory in place of the network."""
    world = World(_hostname(), {s.name: s for s in Server.objects.all()}, _user("otto"), _user("ada"), _dns())
    world.operator.role = Role.OPERATOR
    world.administrator.role = Role.ADMINISTRATOR
    for user in (world.operator, world.administrator):
        user.save()
    _patch(monkeypatch, world)
    return world


def _hostname() -> DedicatedHostname:
    site = Site.objects.create(name="Amsterdam")
    front = FrontEndPool.objects.create(fqdn="fepool1.example.com", site=site)
    pool = TrustedApplicationPool.objects.create(fqdn="a365pool1.example.com", front_end_pool=front)
    hostname = DedicatedHostname.objects.create(
        fqdn=FQDN, service_name="Service Desk", trusted_application_pool=pool, ttl_s=OLD_TTL_S
    )
    for order in (1, 2, 3):
        server = Server.objects.create(
            name=f"SRV{order}",
            fqdn=f"srv{order}.example.com",
            address=f"10.0.0.{order}",
            trusted_application_pool=pool,
        )
        FailoverTarget.objects.create(hostname=hostname, server=server, order=order)
    key = UpdateKey.objects.create(name="a365admin", secret_reference="env:A365_TEST_TSIG")
    zone = Zone.objects.create(name="example.com", key=key)
    NameServer.objects.create(zone=zone, name="dns1", address="10.53.0.1", is_writer=True, expected_lag_s=0)
    NameServer.objects.create(zone=zone, name="dns2", address="10.53.0.2", expected_lag_s=0)
    return hostname


def _user(name: str) -> User:
    return User.objects.create_user(username=name)


def _dns() -> FakeDns:
    dns = FakeDns()
    dns.set(FQDN, cname("SRV1"), "dns1", "dns2")
    return dns


def _patch(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    def probe(checks: list[str], *, timeout_s: float) -> tuple[TargetCheck, ...]:
        names = {server.pk: server.name for server in world.servers.values()}
        name = names[int(checks[0])]
        problem = world.bad.get(name, "")
        return (
            TargetCheck(TargetCheckKind.UCC, f"UCC 6001 on {name}", not problem, problem),
            TargetCheck(TargetCheckKind.WEB, f"web of {name}", True),
            TargetCheck(TargetCheckKind.CERTIFICATE, f"certificate of {name}", True),
        )

    class Probing:
        def __init__(self, checks: list[str], **_: object) -> None:
            self.checks = checks

        def counting(self) -> tuple[TargetCheck, ...]:
            return probe(self.checks, timeout_s=1)

        def close(self) -> None:
            pass

    def nudge(operation_id: str, *, after_s: float = 0.0) -> bool:
        world.nudges.append(operation_id)
        return not world.broker_lost

    def provider_for(zone: Zone, writer: Endpoint) -> FakeProvider:
        return FakeProvider(world.dns, writer)

    monkeypatch.setattr(asking, "ask", world.dns.ask)
    monkeypatch.setattr(asking, "ask_async", world.dns.ask_async)
    monkeypatch.setattr(asking, "ask_together", world.dns.ask_together)
    monkeypatch.setattr(asking, "Asking", world.dns.asking)
    monkeypatch.setattr(wiring, "provider_for", provider_for)
    monkeypatch.setattr(target_health, "checks_of", lambda server, hostname: [str(server.pk)])
    monkeypatch.setattr(target_health, "probe", probe)
    monkeypatch.setattr(target_health, "TargetProbe", Probing)
    monkeypatch.setattr(countdown, "uptime", lambda: None)  # time passes by changing rows
    monkeypatch.setattr(tasks, "nudge", nudge)
    monkeypatch.setattr(live, "bump_and_publish", lambda **_: 1)
    monkeypatch.setattr(pools_services, "ask_now", lambda keys: None)


def checked(world: World) -> None:
    """The standing checks write what DNS says, as rows."""
    for server in NameServer.objects.all():
        rrset = world.dns.records[server.name].get(FQDN)
        silent = server.name in world.dns.silent
        evidence: dict[str, Any] = {
            "rcode": "NOERROR" if rrset else "NXDOMAIN",
            "rtype": "CNAME",
            "values": [],
            "ttl": None,
        }
        if rrset:
            evidence |= {"rtype": rrset.rtype, "values": list(rrset.values), "ttl": rrset.ttl_s}
        CheckState.objects.update_or_create(
            key=f"dns:{server.pk}:{world.hostname.pk}",
            defaults={
                "kind": CheckKind.DNS.value,
                "label": server.name,
                "hostname": world.hostname,
                "health": (Health.UP if rrset and not silent else Health.DOWN).value,
                "cause": (Cause.TIMEOUT if silent else Cause.OK if rrset else Cause.WRONG_ANSWER).value,
                "evidence": {} if silent else evidence,
                "checked_at": timezone.now(),
            },
        )
