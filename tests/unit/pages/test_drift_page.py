"""What a hostname's page shows of DNS, and the click on *Adopt*."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from a365admin.accounts.models import Role
from dnsops import drifting, services
from dnsops.models import Drift, ExpectedAnswer, NameServer, Readiness
from dnsops.plan import RRset
from pools import overview
from tests.unit.dnsops.world import FQDN, World, checked, cname
from tests.unit.pages.conftest import Broker, SignIn

STRANGER = RRset("CNAME", 60, ("stranger.example.com.",))


def page(client: Client, name: str) -> str:
    response = client.get(reverse(f"dnsops:{name}", args=[FQDN]))
    assert response.status_code == 200
    return response.content.decode()


def drift_to(world: World, rrset: RRset | None) -> Drift:
    for said in (world.dns.records["dns1"][FQDN], rrset):
        world.dns.set(FQDN, said)
        checked(world)
        drifting.look()
    return Drift.objects.get(closed_at=None)


def test_each_authoritative_server_is_shown_with_its_answer_its_ttl_and_since_when(
    sign_in: SignIn, world: World
) -> None:
    checked(world)
    drifting.look()
    text = page(sign_in(Role.HELPDESK), "dns")
    assert text.count("As expected") == 2
    assert "CNAME srv1.example.com" in text
    assert "60 s" in text
    assert "<time" in text
    assert "it was so when the hostname was first looked at" in text


def test_a_server_within_its_lag_is_not_yet_and_after_it_late(sign_in: SignIn, world: World) -> None:
    client = sign_in(Role.OPERATOR)
    NameServer.objects.filter(name="dns2").update(expected_lag_s=3600)
    checked(world)
    drifting.look()
    world.dns.stuck = {"dns2"}
    world.run(world.request())
    checked(world)
    drifting.look()
    assert "Not yet: old answer" in page(client, "dns")
    ExpectedAnswer.objects.update(since=timezone.now() - timedelta(hours=2))
    assert "Late: old answer" in page(client, "dns")


def test_answers_that_are_old_are_not_shown_as_good(sign_in: SignIn, world: World, broker: Broker) -> None:
    checked(world)
    drifting.look()
    broker.ages[world.hostname.pk] = 120.0
    text = page(sign_in(Role.OPERATOR), "dns")
    assert "As expected" not in text
    assert text.count("Unknown (stale)") == 2


def test_a_ttl_other_than_the_policys_is_a_warning(sign_in: SignIn, world: World) -> None:
    world.dns.set(FQDN, cname("SRV1", 3600))
    checked(world)
    drifting.look()
    client = sign_in(Role.OPERATOR)
    assert "3600 s and the policy says 60 s" in page(client, "dns")
    assert page(client, "drift").strip() == ""


def test_without_drift_there_is_nothing_to_see(sign_in: SignIn, world: World) -> None:
    assert page(sign_in(Role.OPERATOR), "drift").strip() == ""


def test_a_drift_says_what_dns_says_who_changed_it_here_last_and_offers_both_ways_out(
    sign_in: SignIn, world: World
) -> None:
    world.run(world.request())
    drift_to(world, cname("SRV3"))
    text = page(sign_in(Role.OPERATOR), "drift")
    assert "points at srv3.example.com" in text
    assert "otto, by the failover to SRV2" in text
    assert "Put right: point at SRV2" in text
    assert "Adopt SRV3" in text


def test_a_stranger_is_explained_and_leads_to_the_targets(sign_in: SignIn, world: World) -> None:
    drift_to(world, STRANGER)
    text = page(sign_in(Role.ADMINISTRATOR), "drift")
    assert "none of the hostname&#x27;s targets" in text
    assert "Open its targets" in text
    assert "<form" not in text


def test_a_vanished_record_offers_to_be_created(sign_in: SignIn, world: World) -> None:
    drift_to(world, None)
    client = sign_in(Role.OPERATOR)
    assert "has vanished from DNS" in page(client, "drift")
    dialog = client.get(reverse("dnsops:preflight", args=[FQDN]) + "?kind=putright").content.decode()
    assert "the record is created, and nothing is overwritten" in dialog
    assert "no such name" in dialog


@pytest.mark.parametrize("role", [Role.HELPDESK, Role.AUDITOR])
def test_who_may_not_fail_over_sees_the_drift_and_no_buttons(sign_in: SignIn, world: World, role: Role) -> None:
    drift = drift_to(world, cname("SRV2"))
    client = sign_in(role)
    text = page(client, "drift")
    assert "Drift" in text
    assert "<form" not in text
    assert "Put right: point" not in text
    url = reverse("dnsops:adopt", args=[FQDN])
    assert client.get(url).status_code == 403
    assert client.post(url, {"digest": services.drift_digest(drift), "reason": "x"}).status_code == 403
    drift.refresh_from_db()
    assert drift.closed_at is None


def test_a_click_adopts_and_says_so(sign_in: SignIn, world: World) -> None:
    drift = drift_to(world, cname("SRV2"))
    client = sign_in(Role.OPERATOR)
    url = reverse("dnsops:adopt", args=[FQDN])
    dialog = client.get(url, headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in dialog
    assert "DNS is not changed" in dialog
    assert services.drift_digest(drift) in dialog
    answer = client.post(url, {"digest": services.drift_digest(drift), "reason": "Agreed"}, follow=True)
    assert "Adopted: what DNS says is what is expected" in answer.content.decode()
    assert page(client, "drift").strip() == ""


def test_where_there_is_nothing_to_adopt_the_dialog_says_so(sign_in: SignIn, world: World) -> None:
    client = sign_in(Role.OPERATOR)
    url = reverse("dnsops:adopt", args=[FQDN])
    assert "DNS says what is expected." in client.get(url).content.decode()
    drift_to(world, STRANGER)
    text = client.get(url).content.decode()
    assert "none of the hostname&#x27;s targets" in text
    assert "do-it" not in text


def test_a_click_on_a_stale_page_says_that_nothing_was_adopted(sign_in: SignIn, world: World) -> None:
    drift_to(world, cname("SRV2"))
    url = reverse("dnsops:adopt", args=[FQDN])
    answer = sign_in(Role.OPERATOR).post(url, {"digest": "0" * 64, "reason": "Agreed"}, follow=True)
    assert "Nothing was adopted." in answer.content.decode()


def test_the_history_tells_of_a_drift_and_of_its_end(sign_in: SignIn, world: World) -> None:
    drift_to(world, STRANGER)
    world.dns.set(FQDN, cname("SRV1"))
    checked(world)
    drifting.look()
    text = page(sign_in(Role.HELPDESK), "timeline")
    assert "Drift: DNS says CNAME stranger.example.com" in text
    assert "Drift ended" in text


def test_the_overview_says_that_dns_was_changed_behind_our_back(sign_in: SignIn, world: World) -> None:
    client = sign_in(Role.OPERATOR)
    assert "behind our back" not in client.get("/").content.decode()
    drift_to(world, STRANGER)
    overview.forget_kept()
    assert "Drift: DNS was changed behind our back." in client.get("/").content.decode()


def test_the_overview_says_what_stands_in_the_way_of_a_failover_while_that_is_fresh(
    sign_in: SignIn, world: World
) -> None:
    client = sign_in(Role.OPERATOR)
    Readiness.objects.create(hostname=world.hostname, level="bad", kind="failover", summary="DNS write refused")
    assert "Cannot be failed over: DNS write refused." in client.get("/").content.decode()
    Readiness.objects.update(checked_at=timezone.now() - timedelta(hours=1))
    overview.forget_kept()
    assert "DNS write refused" not in client.get("/").content.decode()
