"""Entering resolvers, trying them, and asking those of an operation again."""

from __future__ import annotations

import pytest
from django.urls import reverse

from a365admin.accounts.models import Role
from a365admin.audit.models import AuditEntry
from dnsops.models import Resolver
from pools.models import Site
from tests.unit.dnsops.test_resolvers import name_resolver
from tests.unit.dnsops.world import World
from tests.unit.pages.conftest import SignIn

LIST = "/estate/dns/"


def fields(**changes: str) -> dict[str, str]:
    return {"site": str(Site.objects.get().pk), "name": "rdns1", "address": "10.0.1.1", "port": "53"} | changes


def test_a_resolver_is_entered_changed_and_deleted_and_that_is_in_the_audit_log(sign_in: SignIn, world: World) -> None:
    client = sign_in(Role.ADMINISTRATOR)
    assert "None yet. Name those that each site’s clients ask" in client.get(LIST).content.decode()
    assert client.post(reverse("dnsops:dns-add", args=["resolver"]), fields()).status_code == 302
    resolver = Resolver.objects.get()
    page = client.get(LIST).content.decode()
    assert "rdns1" in page
    assert "Amsterdam" in page
    assert client.get(reverse("dnsops:dns-edit", args=["resolver", resolver.pk])).status_code == 200
    assert client.post(reverse("dnsops:dns-delete", args=["resolver", resolver.pk])).status_code == 302
    assert not Resolver.objects.exists()
    assert {entry.object_name for entry in AuditEntry.objects.filter(object_name="rdns1")} == {"rdns1"}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"address": "not an address"}, "Enter a valid IPv4 or IPv6 address."),
        ({"port": "0"}, "A port is a number from 1 to 65535"),
        ({"name": "rdns9"}, "A resolver at this address and port is entered already."),
        ({"address": "10.0.1.9"}, "This site already has a resolver of this name."),
    ],
)
def test_bad_input_is_answered_with_what_is_wrong(
    sign_in: SignIn, world: World, changes: dict[str, str], sentence: str
) -> None:
    Resolver.objects.create(site=Site.objects.get(), name="rdns1", address="10.0.1.1")
    url = reverse("dnsops:dns-add", args=["resolver"])
    answer = sign_in(Role.ADMINISTRATOR).post(url, fields(**changes))
    assert answer.status_code == 422
    assert sentence in answer.content.decode()
    assert Resolver.objects.count() == 1


def test_trying_them_tells_what_each_keeps(sign_in: SignIn, world: World) -> None:
    name_resolver(world, keeps=12)
    silent = name_resolver(world, "rdns2")
    world.dns.silent.add(str(silent.pk))
    text = sign_in(Role.ADMINISTRATOR).post(reverse("dnsops:resolvers-test")).content.decode()
    assert "Answers CNAME srv1.example.com, and keeps it for 12 s more." in text
    assert "Cannot be used: no answer." in text
    assert AuditEntry.objects.get(action="resolver.tested").outcome == "failed"


def test_only_who_may_change_the_estate_enters_and_tries_resolvers(sign_in: SignIn, world: World) -> None:
    client = sign_in(Role.OPERATOR)
    assert client.post(reverse("dnsops:dns-add", args=["resolver"]), fields()).status_code == 403
    assert client.post(reverse("dnsops:resolvers-test")).status_code == 403
    assert sign_in(Role.ADMINISTRATOR).get(reverse("dnsops:resolvers-test")).status_code == 405


def test_a_site_with_a_resolver_is_not_deleted_under_it(sign_in: SignIn, world: World) -> None:
    resolver = name_resolver(world)
    url = reverse("pools:estate-delete", args=["site", resolver.site_id])
    answer = sign_in(Role.ADMINISTRATOR).post(url)
    assert answer.status_code == 409
    assert "rdns1" in answer.content.decode()


def test_an_operations_page_shows_resolvers_and_offers_to_ask_again(sign_in: SignIn, world: World) -> None:
    name_resolver(world)
    done = world.run(world.request())
    operator = sign_in(Role.OPERATOR)
    text = operator.get(done.get_absolute_url()).content.decode()
    assert "90 % of clients should have moved by" in text
    assert "Ask rdns1 again" in text
    answer = operator.post(reverse("dnsops:ask-resolvers", args=[done.pk]), follow=True)
    assert "They were asked again" in answer.content.decode()

    helpdesk = sign_in(Role.HELPDESK)
    assert "Ask rdns1 again" not in helpdesk.get(done.get_absolute_url()).content.decode()
    assert helpdesk.post(reverse("dnsops:ask-resolvers", args=[done.pk])).status_code == 403


def test_an_operations_page_without_resolvers_says_where_they_are_entered(sign_in: SignIn, world: World) -> None:
    done = world.run(world.request())
    text = sign_in(Role.OPERATOR).get(done.get_absolute_url()).content.decode()
    assert "No resolver is named." in text
    assert "again</button>" not in text
