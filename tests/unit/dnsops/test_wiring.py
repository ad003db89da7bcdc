"""From rows to providers: which key comes first, and what is remembered of it."""

from __future__ import annotations

import logging
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import ClassVar

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from a365admin.accounts.models import Role
from dnsops import providers, warming, wiring, zone_test
from dnsops.models import NameServer, UpdateKey, Zone
from dnsops.plan import Answer, Change, RRset
from dnsops.providers import registry
from dnsops.providers.base import Capabilities, Endpoint, Outcome, OutcomeKind
from dnsops.providers.manual import Manual
from dnsops.secrets import SecretError
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def zone() -> Zone:
    first = UpdateKey.objects.create(name="first", secret_reference="env:A")
    second = UpdateKey.objects.create(name="second", secret_reference="env:B")
    zone = Zone.objects.create(name="example.com", key=first, next_key=second)
    for name, writer in (("dns1", True), ("dns2", False)):
        NameServer.objects.create(zone=zone, name=name, address=f"192.0.2.{name[-1]}", is_writer=writer)
    return zone


def accepted(key: str, kind: OutcomeKind = OutcomeKind.APPLIED, *, signed: bool = True) -> Outcome:
    return Outcome(kind, "NOERROR", "", signed, {"key": key})


def keys(zone: Zone) -> list[str]:
    zone.refresh_from_db()
    endpoints = wiring.endpoints_of(zone)
    return [key.name for key in wiring.setup_of(zone, endpoints[0]).keys]


def test_the_key_that_was_accepted_last_is_tried_first(zone: Zone) -> None:
    assert keys(zone) == ["first", "second"]
    wiring.note_accepted(zone, accepted("second"))
    assert keys(zone) == ["second", "first"]
    assert zone.accepted_key == zone.next_key
    wiring.note_accepted(zone, accepted("first", OutcomeKind.CONFLICT))
    assert keys(zone) == ["first", "second"]


@pytest.mark.parametrize(
    "outcome",
    [
        accepted("second", OutcomeKind.AUTH),
        accepted("second", OutcomeKind.UNKNOWN),
        accepted("second", OutcomeKind.DENIED, signed=False),
        accepted("stranger"),
        Outcome(OutcomeKind.APPLIED, "NOERROR", ""),
    ],
)
def test_only_a_signed_answer_to_one_of_our_keys_counts(zone: Zone, outcome: Outcome) -> None:
    wiring.note_accepted(zone, outcome)
    assert keys(zone) == ["first", "second"]
    assert zone.accepted_at is None


def test_it_is_written_once_in_ten_minutes_and_not_at_every_check(zone: Zone) -> None:
    wiring.note_accepted(zone, accepted("first"))
    first_seen = zone.accepted_at
    wiring.note_accepted(zone, accepted("first"))
    assert zone.accepted_at == first_seen
    zone.accepted_at = timezone.now() - timedelta(minutes=11)
    wiring.note_accepted(zone, accepted("first"))
    zone.refresh_from_db()
    assert zone.accepted_at is not None
    assert timezone.now() - zone.accepted_at < timedelta(minutes=1)


def test_the_writer_comes_first_whatever_is_asked_for(zone: Zone) -> None:
    endpoints = wiring.endpoints_of(zone)
    setup = wiring.setup_of(zone, endpoints[0])
    assert [endpoint.name for endpoint in setup.endpoints] == ["dns1", "dns2"]
    stranger = Endpoint("dns9", "192.0.2.9")
    assert [endpoint.name for endpoint in wiring.setup_of(zone, stranger).endpoints] == ["dns9", "dns1", "dns2"]


def test_every_way_of_changing_dns_can_be_chosen_and_built(zone: Zone) -> None:
    assert [slug for slug, _ in registry.choices()] == list(registry.kinds())
    for slug, kind in registry.kinds().items():
        assert len(slug) <= 12
        zone.provider = slug
        provider = wiring.provider_for(zone, wiring.endpoints_of(zone)[0])
        assert provider is not None
        assert provider.writer.name == "dns1"
        assert kind.label == zone.provider_label


def test_a_way_that_is_gone_or_a_key_that_is_missing_is_said(zone: Zone) -> None:
    writer = wiring.endpoints_of(zone)[0]
    zone.key = None
    assert wiring.provider_for(zone, writer) is None
    assert "has no update key" in wiring.why_no_provider(zone)
    zone.provider = "gone"
    assert wiring.provider_for(zone, writer) is None
    assert "“gone”, which is not known here" in wiring.why_no_provider(zone)


PIGEON = """
from dnsops.providers.base import ProviderKind
from dnsops.providers.manual import Manual

KIND = ProviderKind("pigeon", "By carrier pigeon", "", lambda setup: Manual(setup.endpoints[0], setup.endpoints))
"""


def test_a_new_way_of_changing_dns_is_one_file(
    zone: Zone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: Client
) -> None:
    (tmp_path / "pigeon.py").write_text(PIGEON)
    monkeypatch.setattr(providers, "__path__", [*providers.__path__, str(tmp_path)])
    registry.kinds.cache_clear()
    try:
        client.force_login(UserFactory.create(role=Role.ADMINISTRATOR))
        data = {"name": "pigeon.example", "provider": "pigeon"}
        assert client.post(reverse("dnsops:dns-add", args=["zone"]), data).status_code == 302
        assert "By carrier pigeon" in client.get(reverse("dnsops:dns-list")).content.decode()
        provider = wiring.provider_for(Zone.objects.get(name="pigeon.example"), wiring.endpoints_of(zone)[0])
        assert provider is not None
        assert provider.endpoints[0].name == "dns1"
    finally:
        registry.kinds.cache_clear()
        sys.modules.pop("dnsops.providers.pigeon", None)


class Keeper(Manual):
    """Keeps tickets, or says why it cannot."""

    problems: ClassVar[dict[str, str]] = {}
    until: ClassVar[float | None] = None

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(tickets=True)

    def keep_warm(self, *, deadline: float) -> dict[Endpoint, str]:
        if "keytab" in self.problems:
            raise SecretError(self.problems["keytab"])
        return {self.writer: self.problems["kdc"]} if "kdc" in self.problems else {}

    def kept_until(self, endpoint: Endpoint) -> float | None:
        return self.until


@pytest.fixture
def keeper(zone: Zone, monkeypatch: pytest.MonkeyPatch) -> type[Keeper]:
    monkeypatch.setattr(wiring, "provider_for", lambda zone, writer: Keeper(writer))
    monkeypatch.setattr(Keeper, "problems", {})
    monkeypatch.setattr(Keeper, "until", None)
    monkeypatch.setattr(warming, "_said", {})
    return Keeper


def test_tickets_that_cannot_be_renewed_are_logged_when_it_begins_and_when_it_ends(
    keeper: type[Keeper], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    warming.keep_warm()
    assert caplog.messages == []
    for _ in range(3):
        keeper.problems = {"kdc": "No KDC gives one."}
        warming.keep_warm()
    assert caplog.messages == ["Tickets for zone example.com are not renewed. dns1: No KDC gives one."]
    keeper.problems = {"keytab": "The keytab cannot be read."}
    warming.keep_warm()
    assert "The keytab cannot be read." in caplog.messages[-1]
    keeper.problems = {}
    warming.keep_warm()
    warming.keep_warm()
    assert caplog.messages[2:] == ["Tickets for zone example.com are renewed again."]


def test_testing_a_zone_says_for_how_long_a_ticket_is_kept(
    keeper: type[Keeper], zone: Zone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zone_test, "ask", lambda endpoint, name, *, timeout_s: Answer(endpoint.name, "silent"))
    monkeypatch.setattr(Manual, "read", lambda self, endpoint, name, *, deadline: Answer(endpoint.name, "silent"))
    keeper.until = time.time() + 9 * 3600
    lines = {line.what: line for line in zone_test.try_zone(zone)}
    assert lines["Ticket for dns1"].ok
    assert "kept for 9.0 h" in lines["Ticket for dns1"].sentence
    keeper.until, keeper.problems = None, {"kdc": "No KDC gives one."}
    lines = {line.what: line for line in zone_test.try_zone(zone)}
    assert not lines["Ticket for dns1"].ok
    assert lines["Ticket for dns1"].sentence == "No KDC gives one."
    keeper.problems = {"keytab": "The keytab cannot be read."}
    assert not {line.what: line for line in zone_test.try_zone(zone)}["Tickets"].ok


def test_a_first_ticket_gets_the_time_that_it_takes(keeper: type[Keeper], zone: Zone) -> None:
    change = Change("example.com", "a.example.com", RRset("CNAME", 60, ("b.",)), RRset("CNAME", 60, ("c.",)))
    given: list[float] = []

    def check(self: Keeper, change: Change, *, deadline: float) -> Outcome:
        given.append(deadline - time.monotonic())
        return Outcome(OutcomeKind.READY, "", "")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Keeper, "check_writable", check)
        wiring.check_writable(zone, wiring.endpoints_of(zone)[0], change, timeout_s=1)
        keeper.until = time.time() + 3600
        wiring.check_writable(zone, wiring.endpoints_of(zone)[0], change, timeout_s=1)
    assert given[0] > 1 >= given[1]
