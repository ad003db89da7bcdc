"""DNS in memory for what works without a database; and the world of dnsops for what needs one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dnsops import asking
from dnsops.breakglass import acting, looking
from dnsops.breakglass.bundle import Bundle, BundledZone
from dnsops.breakglass.journal import Journal, Line, read
from dnsops.lifecycle import End
from dnsops.plan import RRset
from dnsops.providers.fake import FakeDns, FakeProvider
from dnsops.safety import TargetCheck, TargetCheckKind
from pools.specs import Check
from tests.unit.breakglass.samples import FQDN, KEY, bundle
from tests.unit.dnsops.conftest import world

__all__ = ["world"]

POLICY = {"read_back_timeout_s": 0.05, "verify_min_s": 0.2, "verify_max_s": 0.2}


@dataclass
class Glass:
    """The bundle, DNS, what is wrong with a server, the journal."""

    bundle: Bundle
    dns: FakeDns
    path: Path
    bad: set[str] = field(default_factory=set)
    said: list[str] = field(default_factory=list)

    def look(self, to: str = "") -> looking.Look:
        """Look at the one hostname."""
        return looking.look(self.bundle, self.bundle.hostname(FQDN), to=to)

    def act(self, run: str = "r1", to: str = "") -> End:
        """Look, and do it."""
        seen = self.look(to)
        assert seen.plan is not None, seen.plan_error
        with Journal(self.path, KEY) as journal:
            attempt = acting.Attempt(run, self.bundle, seen, seen.plan, journal, self.said.append)
            return attempt.carry_out(by="root (terminal on adm1)", reason="site lost", ticket="T1", forced=[])

    def lines(self) -> list[Line]:
        """What the journal has."""
        return read(self.path, KEY)


def cname(server: str) -> RRset:
    """The record that points at a server."""
    return RRset("CNAME", 60, (f"{server.lower()}.example.com.",))


@pytest.fixture
def glass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Glass:
    """A sealed bundle's content, and no network."""
    sample = bundle()
    dns = FakeDns()
    dns.set(FQDN, cname("SRV1"), "dns1", "dns2")
    found = Glass(bundle(policy={**sample.policy, **POLICY}), dns, tmp_path / "journal.jsonl")

    def probe(checks: Sequence[Check], *, timeout_s: float, ca_file: str) -> tuple[TargetCheck, ...]:
        name = checks[0].label.rsplit(" ", 1)[1]
        return (TargetCheck(TargetCheckKind.UCC, checks[0].label, name not in found.bad, "refused"),)

    def provider_of(zone: BundledZone) -> FakeProvider:
        return FakeProvider(dns, zone.endpoints[0])

    monkeypatch.setattr(asking, "ask", dns.ask)
    monkeypatch.setattr(asking, "ask_async", dns.ask_async)
    monkeypatch.setattr(asking, "ask_together", dns.ask_together)
    for module in (looking, acting):
        monkeypatch.setattr(module, "probe", probe)
        monkeypatch.setattr(module, "provider_of", provider_of)
    return found
