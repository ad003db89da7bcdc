"""Changes of the estate: recorded, never lost, refused where something is in use."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from a365admin.accounts.models import Role
from a365admin.audit.models import AuditEntry
from a365admin.audit.services import verify_chain
from dnsops.models import NameServer, UpdateKey, Zone
from pools import changes
from pools.models import DedicatedHostname, FailoverTarget, Server, Site, TrustedApplicationPool
from tests.factories import (
    DedicatedHostnameFactory,
    FrontEndPoolFactory,
    ServerFactory,
    SiteFactory,
    TrustedApplicationFactory,
    TrustedApplicationPoolFactory,
    UserFactory,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin(client: Client) -> Client:
    client.force_login(UserFactory.create(username="me", role=Role.ADMINISTRATOR))
    return client


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    calls: list[bool] = []
    monkeypatch.setattr(changes, "estate_changed", lambda: calls.append(True))
    return calls


def page(name: str, kind: str, pk: int) -> str:
    return reverse(f"pools:estate-{name}", args=[kind, pk])


def seen(client: Client, url: str) -> str:
    return str(client.get(url).context["form"]["seen"].value())


def test_an_addition_is_recorded_and_told(
    admin: Client, told: list[bool], django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        admin.post(reverse("pools:estate-add", args=["site"]), {"name": "Amsterdam"})
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.actor_name, entry.object_name) == ("site.added", "me", "Amsterdam")
    assert (entry.before, entry.after) == ({}, {"name": "Amsterdam", "standbys run the UCC service too": False})
    assert told == [True]


def test_a_change_is_recorded_field_by_field(admin: Client) -> None:
    server: Any = ServerFactory.create()
    hostname: Any = DedicatedHostnameFactory.create(trusted_application_pool=server.trusted_application_pool, ttl_s=60)
    FailoverTarget.objects.create(hostname=hostname, server=server, order=1)
    url = page("edit", "dedicated-hostname", hostname.pk)
    fields = {"fqdn": hostname.fqdn, "service_name": "Desk", "record_type": "CNAME", "target_0": server.pk}
    more = {"trusted_application_pool": hostname.trusted_application_pool_id, "ttl_s": 20, "seen": seen(admin, url)}
    assert admin.post(url, {**fields, **more}).status_code == 302
    entry = AuditEntry.objects.get()
    assert entry.action == "dedicated_hostname.changed"
    assert (entry.before["TTL (s)"], entry.after["TTL (s)"]) == (60, 20)
    assert entry.after["targets"] == [server.name]
    assert entry.after["record type"] == "CNAME: the server's name"


def test_saving_without_a_change_records_nothing(admin: Client) -> None:
    site: Any = SiteFactory.create(name="Amsterdam")
    url = page("edit", "site", site.pk)
    assert admin.post(url, {"name": "Amsterdam", "seen": seen(admin, url)}).status_code == 302
    assert not AuditEntry.objects.exists()


def test_what_somebody_else_changed_meanwhile_is_not_overwritten(admin: Client) -> None:
    site: Any = SiteFactory.create(name="Amsterdam")
    url = page("edit", "site", site.pk)
    mine = seen(admin, url)
    Site.objects.filter(pk=site.pk).update(name="Rotterdam")
    response = admin.post(url, {"name": "Utrecht", "seen": mine})
    assert response.status_code == 422
    assert "Somebody else changed this" in response.content.decode()
    assert Site.objects.get().name == "Rotterdam"


def test_what_is_gone_cannot_be_saved(admin: Client) -> None:
    assert admin.post(page("edit", "site", 999), {"name": "x"}).status_code == 404
    assert admin.get(page("edit", "nonsense", 1)).status_code == 404


def test_deleting_what_is_in_use_says_what_uses_it_with_links(admin: Client) -> None:
    server: Any = ServerFactory.create()
    pool = server.trusted_application_pool
    application: Any = TrustedApplicationFactory.create(trusted_application_pool=pool)
    hostname: Any = DedicatedHostnameFactory.create(trusted_application_pool=pool)
    url = page("delete", "trusted-application-pool", pool.pk)
    for response in (admin.get(url), admin.post(url)):
        text = response.content.decode()
        for kind, one in [("server", server), ("trusted-application", application), ("dedicated-hostname", hostname)]:
            assert page("edit", kind, one.pk) in text
        assert "in use" in text
    assert TrustedApplicationPool.objects.filter(pk=pool.pk).exists()
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.outcome) == ("trusted_application_pool.deleted", "refused")
    assert server.name in entry.reason


def test_a_server_in_use_names_the_hostname_that_points_at_it(admin: Client) -> None:
    server: Any = ServerFactory.create()
    hostname: Any = DedicatedHostnameFactory.create(trusted_application_pool=server.trusted_application_pool)
    FailoverTarget.objects.create(hostname=hostname, server=server, order=1)
    text = admin.get(page("delete", "server", server.pk)).content.decode()
    assert page("edit", "dedicated-hostname", hostname.pk) in text
    assert "as a target" in text


def test_what_nothing_uses_is_deleted_and_recorded(
    admin: Client, told: list[bool], django_capture_on_commit_callbacks: Any
) -> None:
    site: Any = SiteFactory.create(name="Amsterdam")
    assert "Nothing else uses it" in admin.get(page("delete", "site", site.pk)).content.decode()
    assert Site.objects.exists(), "looking deletes nothing"
    with django_capture_on_commit_callbacks(execute=True):
        assert admin.post(page("delete", "site", site.pk)).status_code == 302
    assert not Site.objects.exists()
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.object_name) == ("site.deleted", "Amsterdam")
    assert entry.before["name"] == "Amsterdam"
    assert told == [True]


def test_a_zone_that_hostnames_are_in_is_in_use(admin: Client) -> None:
    zone = Zone.objects.create(name="corp.example")
    hostname: Any = DedicatedHostnameFactory.create(fqdn="a.corp.example")
    url = reverse("dnsops:dns-delete", args=["zone", zone.pk])
    assert str(hostname) in admin.get(url).content.decode()
    assert admin.post(url).status_code == 409
    DedicatedHostname.objects.all().delete()
    NameServer.objects.create(zone=zone, name="dns1", address="10.0.0.53")
    assert "name server dns1" in admin.get(url).content.decode()
    assert admin.post(url).status_code == 302


def test_a_key_that_a_zone_uses_is_in_use(admin: Client) -> None:
    key = UpdateKey.objects.create(name="k.corp", secret_reference="env:K")
    Zone.objects.create(name="corp.example", key=key)
    assert admin.post(reverse("dnsops:dns-delete", args=["key", key.pk])).status_code == 409


def test_the_test_of_a_zone_says_what_is_missing_and_is_recorded(admin: Client) -> None:
    zone = Zone.objects.create(name="corp.example")
    text = admin.post(reverse("dnsops:dns-test", args=[zone.pk])).content.decode()
    assert "has no name server yet" in text
    assert AuditEntry.objects.get().outcome == "failed"
    assert admin.get(reverse("dnsops:dns-test", args=[zone.pk])).status_code == 405


def test_an_empty_estate_says_what_to_enter_first(admin: Client) -> None:
    context = admin.get(reverse("pools:estate")).context
    assert context["tree"].next_step.kind.slug == "site"
    SiteFactory.create()
    assert admin.get(reverse("pools:estate")).context["tree"].next_step.kind.slug == "front-end-pool"


def test_the_tree_takes_no_more_queries_for_a_larger_estate(admin: Client, django_assert_max_num_queries: Any) -> None:
    for _ in range(6):
        pool = TrustedApplicationPoolFactory.create()
        server = ServerFactory.create(trusted_application_pool=pool)
        TrustedApplicationFactory.create(trusted_application_pool=pool)
        hostname = DedicatedHostnameFactory.create(trusted_application_pool=pool)
        FailoverTarget.objects.create(hostname=hostname, server=server, order=1)
    with django_assert_max_num_queries(35):
        admin.get(reverse("pools:estate"))


def test_adding_another_keeps_where_it_goes(admin: Client) -> None:
    pool: Any = TrustedApplicationPoolFactory.create()
    data = {"name": "SRV9", "fqdn": "srv9.corp.example", "address": "10.0.0.9", "web_port": 443, "web_path": "/"}
    url = reverse("pools:estate-add", args=["server"])
    response = admin.post(url, {**data, "trusted_application_pool": pool.pk, "another": "1"})
    assert response["Location"] == f"{url}?trusted_application_pool={pool.pk}"


@pytest.mark.django_db(transaction=True)
def test_twenty_who_add_the_same_server_at_once_make_one_and_nineteen_read_why() -> None:
    pool: Any = TrustedApplicationPoolFactory.create()
    user = UserFactory.create(role=Role.ADMINISTRATOR)
    answers: list[int] = []
    start = threading.Barrier(20)

    def post() -> None:
        client = Client()
        client.force_login(user)
        start.wait(timeout=30)
        data = {"name": "SRV1", "fqdn": "srv1.corp.example", "address": "10.0.0.1", "web_port": 443, "web_path": "/"}
        response = client.post(
            reverse("pools:estate-add", args=["server"]), {**data, "trusted_application_pool": pool.pk}
        )
        answers.append(response.status_code)
        connection.close()

    threads = [threading.Thread(target=post) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=90)
    assert sorted(answers) == [302] + [422] * 19
    assert Server.objects.count() == 1
    assert AuditEntry.objects.filter(action="server.added").count() == 1
    assert verify_chain().ok


def test_a_pairing_has_an_entry(admin: Client) -> None:
    first: Any = FrontEndPoolFactory.create()
    second: Any = FrontEndPoolFactory.create()
    url = page("edit", "front-end-pool", first.pk)
    data = {"fqdn": first.fqdn, "site": first.site_id, "partner": second.pk, "seen": seen(admin, url)}
    assert admin.post(url, data).status_code == 302
    assert str(second) in str(list(AuditEntry.objects.values_list("after", flat=True)))
