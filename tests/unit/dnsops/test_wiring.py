"""From rows to providers: which key comes first, and what is remembered of it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from dnsops import wiring
from dnsops.models import NameServer, UpdateKey, Zone
from dnsops.providers import registry
from dnsops.providers.base import Endpoint, Outcome, OutcomeKind

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
