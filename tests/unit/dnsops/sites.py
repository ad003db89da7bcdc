"""Two paired sites: the hostnames a365web1 to a365web4 on SRV1 in Amsterdam, each with SRV9 in Rotterdam behind it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from dnsops import asking_many, executor, site_driver, site_gathering, site_moves, target_health, tasks
from dnsops.models import FailoverOperation, NameServer, SiteMove
from dnsops.plan import RRset
from dnsops.safety import TargetCheck
from dnsops.site_gathering import Scope
from dnsops.site_plan import Direction, SitePlan
from pools.health import CheckKind
from pools.models import (
    CheckState,
    DedicatedHostname,
    FailoverTarget,
    FrontEndPool,
    Server,
    Site,
    TrustedApplication,
    TrustedApplicationPool,
    Ucc,
)
from pools.services import estate_checks
from pools.specs import Check
from tests.unit.dnsops.world import OLD_TTL_S, World

NAMES = tuple(f"a365web{number}.example.com" for number in (1, 2, 3, 4))


@dataclass
class Sites:
    """The world of ``world.py``, with a second site."""

    world: World
    amsterdam: Site
    rotterdam: Site
    hostnames: dict[str, DedicatedHostname]
    nudged: list[str] = field(default_factory=list)
    down: set[str] = field(default_factory=set)

    def look(self, direction: Direction = Direction.AWAY, scope: Scope | None = None) -> SitePlan:
        """The plan as the page shows it."""
        return site_gathering.gather_move(scope or Scope(site=self.amsterdam), direction)

    def request(self, direction: Direction = Direction.AWAY, **changes: Any) -> SiteMove:
        """Look, then click."""
        plan = self.look(direction)
        fields: dict[str, Any] = {
            "user": self.world.operator,
            "scope": Scope(site=self.amsterdam),
            "direction": direction,
            "shown": [e.token for e in plan.entries],
            "at_once": 25,
            "together": False,
            "reason": "Amsterdam is lost",
            "idempotency_key": uuid.uuid4().hex,
        }
        return site_moves.request_move(**(fields | changes))

    def drive(self, move: SiteMove) -> SiteMove:
        """Carry it on until nothing is left to do at once."""
        for _ in range(20):
            if not site_driver.carry_on(move.pk, owner="test")[1]:
                break
        move.refresh_from_db()
        return move

    def finish(self, move: SiteMove) -> SiteMove:
        """Carry it and its operations on to their ends."""
        for _ in range(4):
            self.drive(move)
            for operation in FailoverOperation.objects.filter(move_member__move=move, ended_at=None):
                self.hurry(operation)
        return self.drive(move)

    def hurry(self, operation: FailoverOperation) -> None:
        """Let ``executor`` take it up now, and let its wait be over."""
        for _ in range(4):
            FailoverOperation.objects.filter(pk=operation.pk).exclude(lease_until=None).update(
                lease_until=timezone.now()
            )
            operation.steps.filter(kind="wait_ttl").update(evidence={"until": timezone.now().isoformat()})
            if executor.run(operation.pk, owner="test") is None:
                return

    def points_at(self) -> list[str]:
        """Where the writer says that each hostname points."""
        found = self.world.dns.records["dns1"]
        return [found[name].values[0].split(".")[0].upper() for name in NAMES]

    def states(self, move: SiteMove) -> list[str]:
        """Each member's state, or its operation's."""
        return [
            member.operation.state if member.operation else member.state
            for member in move.members.select_related("operation").order_by("hostname_fqdn")
        ]


def cname(server: str) -> RRset:
    """The record that points at a server."""
    return RRset("CNAME", OLD_TTL_S, (f"{server.lower()}.example.com.",))


def build_sites(world: World, monkeypatch: pytest.MonkeyPatch) -> Sites:
    """Make the second site, and put the memory in place of the network."""
    amsterdam = Site.objects.get(name="Amsterdam")
    rotterdam = Site.objects.create(name="Rotterdam")
    home = world.hostname.trusted_application_pool
    front = FrontEndPool.objects.create(fqdn="fepool9.example.com", site=rotterdam)
    FrontEndPool.objects.filter(pk=home.front_end_pool_id).update(paired_with=front)
    FrontEndPool.objects.filter(pk=front.pk).update(paired_with=home.front_end_pool)
    away = TrustedApplicationPool.objects.create(fqdn="a365pool9.example.com", front_end_pool=front)
    srv9 = Server.objects.create(
        name="SRV9", fqdn="srv9.example.com", address="10.0.9.9", trusted_application_pool=away
    )
    ucc = Ucc.objects.create(name="Service Desk")
    for pool in (home, away):
        TrustedApplication.objects.create(ucc=ucc, trusted_application_pool=pool, application_id="urn:x", port=6001)
    world.servers["SRV9"] = srv9
    sites = Sites(world, amsterdam, rotterdam, {})
    for name in NAMES:
        hostname = DedicatedHostname.objects.filter(fqdn=name).first() or DedicatedHostname.objects.create(
            fqdn=name, service_name=name, trusted_application_pool=home, ttl_s=OLD_TTL_S, shares_primary=True
        )
        hostname.targets.all().delete()
        FailoverTarget.objects.create(hostname=hostname, server=world.servers["SRV1"], order=1)
        FailoverTarget.objects.create(hostname=hostname, server=srv9, order=2)
        world.dns.set(name, cname("SRV1"), "dns1", "dns2")
        sites.hostnames[name] = hostname
    set_health(sites)
    _patch(sites, monkeypatch)
    return sites


def set_health(sites: Sites, *, since_s: float = 600.0, **health: str) -> None:
    """What the standing checks say of each server; "up" where nothing is said."""
    CheckState.objects.all().delete()
    since = timezone.now() - timedelta(seconds=since_s)
    for check in estate_checks():
        server = Server.objects.get(pk=check.server_id or 0)
        CheckState.objects.create(
            key=check.key, kind=check.kind.value, label=check.label, server_id=check.server_id, since=since,
            hostname_id=check.hostname_id, trusted_application_id=check.trusted_application_id,
            health=health.get(server.name, "up"), sentence="connection refused", cause="refused",
        )  # fmt: skip
    for hostname in sites.hostnames.values():
        CheckState.objects.create(
            key=f"dns:{NameServer.objects.get(is_writer=True).pk}:{hostname.pk}", kind="dns", label="dns1",
            hostname=hostname, health="up", since=since,
            evidence={"server": "dns1", "rank": 0, "values": ["srv1.example.com."]},
        )  # fmt: skip


def _patch(sites: Sites, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = target_health.KINDS

    def probe_each(checks: list[Check], *, timeout_s: float, good_for_s: float = 0.0) -> list[TargetCheck]:
        names = {server.pk: server.name for server in sites.world.servers.values()}
        return [
            TargetCheck(kinds[CheckKind(c.kind)], c.label, names.get(c.server_id or 0) not in sites.down, "refused")
            for c in checks
        ]

    def nudge_move(move_id: str) -> bool:
        sites.nudged.append(move_id)
        return True

    monkeypatch.setattr(asking_many, "ask_pairs", sites.world.dns.ask_pairs)
    monkeypatch.setattr(target_health, "probe_each", probe_each)
    monkeypatch.setattr(tasks, "nudge_move", nudge_move)
