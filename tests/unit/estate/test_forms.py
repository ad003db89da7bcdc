"""Each rule of the estate, in the words that people read, beside the field that it is about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from a365admin.accounts.models import Role
from dnsops.models import NameServer, UpdateKey, Zone
from pools.models import (
    DedicatedHostname,
    FailoverTarget,
    FrontEndPool,
    Server,
    Site,
    TrustedApplication,
    TrustedApplicationPool,
    Ucc,
)
from pools.services import pair_front_end_pools
from tests.factories import (
    FrontEndPoolFactory,
    ServerFactory,
    SiteFactory,
    TrustedApplicationPoolFactory,
    UccFactory,
    UserFactory,
)
from tests.keytabs import record, written

pytestmark = pytest.mark.django_db
SECRET = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTEyMzQ="


@pytest.fixture
def admin(client: Client) -> Client:
    client.force_login(UserFactory.create(role=Role.ADMINISTRATOR))
    return client


def add(client: Client, kind: str, /, **data: Any) -> Any:
    name = "dnsops:dns-add" if kind in {"zone", "name-server", "key"} else "pools:estate-add"
    return client.post(reverse(name, args=[kind]), data)


def edit(client: Client, kind: str, instance: Any, /, **data: Any) -> Any:
    """Open the page, change some fields, save; as a person does."""
    name = "dnsops:dns-edit" if kind in {"zone", "name-server", "key"} else "pools:estate-edit"
    url = reverse(name, args=[kind, instance.pk])
    form = client.get(url).context["form"]
    sent = {field.name: field.value() for field in form}
    sent = {field: value for field, value in {**sent, **data}.items() if value not in (None, False)}
    return client.post(url, sent)


def errors(response: Any, field: str | None = None) -> str:
    assert response.status_code == 422
    form = response.context["form"]
    return " ".join(form.non_field_errors() if field is None else form.errors.get(field, []))


def server_data(pool: TrustedApplicationPool, **more: Any) -> dict[str, Any]:
    return {
        "name": "SRV1", "fqdn": "srv1.corp.example", "address": "10.0.0.1", "trusted_application_pool": pool.pk,
        "web_port": 443, "web_path": "/", **more,
    }  # fmt: skip


def hostname_data(pool: TrustedApplicationPool, *servers: Server, **more: Any) -> dict[str, Any]:
    targets = {f"target_{place}": server.pk for place, server in enumerate(servers)}
    return {
        "fqdn": "a365web.corp.example", "service_name": "Desk", "trusted_application_pool": pool.pk,
        "record_type": "CNAME", "ttl_s": 60, **targets, **more,
    }  # fmt: skip


@pytest.fixture
def pool() -> TrustedApplicationPool:
    made: TrustedApplicationPool = TrustedApplicationPoolFactory.create()
    return made


@pytest.fixture
def pair(pool: TrustedApplicationPool) -> tuple[Server, Server]:
    return ServerFactory.create(trusted_application_pool=pool), ServerFactory.create(trusted_application_pool=pool)


@pytest.mark.parametrize(
    ("fqdn", "sentence"),
    [
        ("fepool", "Enter the full name with its domain"),
        ("fe pool.corp.example", "is not allowed in a host name"),
        ("10.0.0.1", "looks like an address"),
        ("-x.corp.example", "no hyphen first or last"),
        ("", "required"),
    ],
)
def test_a_name_has_to_be_a_full_one(admin: Client, fqdn: str, sentence: str) -> None:
    assert sentence in errors(add(admin, "front-end-pool", fqdn=fqdn, site=SiteFactory.create().pk), "fqdn")


def test_a_name_is_kept_in_lower_case_and_is_unique_in_any(admin: Client) -> None:
    site = SiteFactory.create()
    assert add(admin, "front-end-pool", fqdn="FePool1.Corp.Example.", site=site.pk).status_code == 302
    assert FrontEndPool.objects.get().fqdn == "fepool1.corp.example"
    assert "already exists" in errors(add(admin, "front-end-pool", fqdn="FEPOOL1.corp.example", site=site.pk), "fqdn")


@pytest.mark.parametrize("kind", ["site", "ucc"])
def test_capitals_make_no_different_name(admin: Client, kind: str) -> None:
    assert add(admin, kind, name="Amsterdam").status_code == 302
    assert "capitals make no difference" in errors(add(admin, kind, name="AMSTERDAM"), "name")


def test_capitals_make_no_different_server(admin: Client, pool: TrustedApplicationPool) -> None:
    assert add(admin, "server", **server_data(pool)).status_code == 302
    other = server_data(pool, name="srv1", fqdn="srv2.corp.example", address="10.0.0.2")
    assert "SRV1 has this name already" in errors(add(admin, "server", **other), "name")


def test_a_servers_address_and_port_are_its_own(admin: Client, pool: TrustedApplicationPool) -> None:
    add(admin, "server", **server_data(pool))
    other = server_data(pool, name="SRV2", fqdn="srv2.corp.example")
    assert "Another server has this address and port" in errors(add(admin, "server", **other), "web_port")
    assert "70000" in errors(add(admin, "server", **{**other, "web_port": 70000}), "web_port")
    assert "starts with" in errors(add(admin, "server", **{**other, "web_path": "x"}), "web_path")


def test_pairing_is_mutual_and_taken_away_mutually(admin: Client) -> None:
    first, second = FrontEndPoolFactory.create(), FrontEndPoolFactory.create()
    assert edit(admin, "front-end-pool", first, partner=second.pk).status_code == 302
    second.refresh_from_db()
    assert second.paired_with_id == first.pk
    third = FrontEndPoolFactory.create()
    sentence = errors(edit(admin, "front-end-pool", third, partner=first.pk), "partner")
    assert f"{first} is paired with {second}" in sentence
    assert edit(admin, "front-end-pool", second, partner="").status_code == 302
    first.refresh_from_db()
    assert first.paired_with_id is None


def test_a_pool_cannot_be_paired_with_itself(admin: Client) -> None:
    pool = FrontEndPoolFactory.create()
    assert errors(edit(admin, "front-end-pool", pool, partner=pool.pk), "partner")


def test_a_pairing_that_targets_need_stays(admin: Client, pair: tuple[Server, Server]) -> None:
    own = pair[0].trusted_application_pool
    far: Any = ServerFactory.create()
    pair_front_end_pools(first=own.front_end_pool, second=far.trusted_application_pool.front_end_pool)
    assert add(admin, "dedicated-hostname", **hostname_data(own, pair[0], far)).status_code == 302
    sentence = errors(edit(admin, "front-end-pool", own.front_end_pool, partner=""), "partner")
    assert f"a365web.corp.example may point at {far} only because of this pairing" in sentence


def test_a_next_hop_cannot_be_repointed(admin: Client, pool: TrustedApplicationPool) -> None:
    other = FrontEndPoolFactory.create()
    sentence = errors(edit(admin, "trusted-application-pool", pool, front_end_pool=other.pk), "front_end_pool")
    assert "cannot be repointed" in sentence


def test_a_ucc_and_its_port_are_entered_together(admin: Client, pool: TrustedApplicationPool) -> None:
    data = {"trusted_application_pool": pool.pk, "application_id": "urn:application:desk", "port": 6001}
    assert "Choose a UCC" in errors(add(admin, "trusted-application", **data), "ucc")
    assert add(admin, "trusted-application", **data, new_ucc="Desk").status_code == 302
    assert TrustedApplication.objects.get().ucc.name == "Desk"
    again = {**data, "application_id": "urn:application:other", "port": 6002}
    assert "already" in errors(add(admin, "trusted-application", **again, new_ucc="desk"), "new_ucc")
    both = {**again, "new_ucc": "x", "ucc": Ucc.objects.get().pk}
    assert "not both" in errors(add(admin, "trusted-application", **both), "new_ucc")


def test_a_port_and_an_application_id_are_unique_in_the_pool(admin: Client, pool: TrustedApplicationPool) -> None:
    data = {"trusted_application_pool": pool.pk, "application_id": "urn:application:a", "port": 6001}
    add(admin, "trusted-application", **data, ucc=UccFactory.create().pk)
    desk = UccFactory.create().pk
    same_port = {**data, "application_id": "urn:application:b", "ucc": desk}
    assert "This port is taken" in errors(add(admin, "trusted-application", **same_port), "port")
    same_id = {**data, "port": 6002, "ucc": desk}
    assert "This application id is taken" in errors(add(admin, "trusted-application", **same_id), "application_id")
    elsewhere = {**same_port, "trusted_application_pool": TrustedApplicationPoolFactory.create().pk}
    assert add(admin, "trusted-application", **elsewhere).status_code == 302


def test_a_hostname_gets_its_targets_in_their_order(admin: Client, pair: tuple[Server, Server]) -> None:
    pool = pair[0].trusted_application_pool
    assert add(admin, "dedicated-hostname", **hostname_data(pool, *pair)).status_code == 302
    hostname = DedicatedHostname.objects.get()
    assert [target.server for target in hostname.targets.order_by("order")] == list(pair)
    swapped = {"target_0": pair[1].pk, "target_1": pair[0].pk}
    assert edit(admin, "dedicated-hostname", hostname, **swapped).status_code == 302
    assert [target.server for target in hostname.targets.order_by("order")] == [pair[1], pair[0]]
    assert list(hostname.targets.values_list("order", flat=True)) == [1, 2]


def test_a_gap_between_targets_is_closed(admin: Client, pair: tuple[Server, Server]) -> None:
    data = hostname_data(pair[0].trusted_application_pool, pair[0], target_3=pair[1].pk)
    assert add(admin, "dedicated-hostname", **data).status_code == 302
    assert list(FailoverTarget.objects.values_list("order", flat=True)) == [1, 2]


def test_a_hostname_needs_a_primary_and_each_server_once(admin: Client, pair: tuple[Server, Server]) -> None:
    pool = pair[0].trusted_application_pool
    assert "normally points at" in errors(add(admin, "dedicated-hostname", **hostname_data(pool)), "target_0")
    twice = hostname_data(pool, pair[0], pair[0])
    assert "chosen above already" in errors(add(admin, "dedicated-hostname", **twice), "target_1")


def test_a_target_has_to_be_able_to_serve(admin: Client, pair: tuple[Server, Server]) -> None:
    pool, far = pair[0].trusted_application_pool, ServerFactory.create()
    data = hostname_data(pool, pair[0], far)
    assert "cannot serve a365web.corp.example" in errors(add(admin, "dedicated-hostname", **data), "target_1")
    assert not DedicatedHostname.objects.exists()
    pair_front_end_pools(first=pool.front_end_pool, second=far.trusted_application_pool.front_end_pool)
    assert add(admin, "dedicated-hostname", **data).status_code == 302


def test_a_server_that_hostnames_point_at_cannot_move_away(admin: Client, pair: tuple[Server, Server]) -> None:
    add(admin, "dedicated-hostname", **hostname_data(pair[0].trusted_application_pool, *pair))
    far = TrustedApplicationPoolFactory.create()
    response = edit(admin, "server", pair[0], trusted_application_pool=far.pk)
    assert "a365web.corp.example has this server as a target" in errors(response, "trusted_application_pool")


def test_a_primary_belongs_to_one_hostname_unless_stated(admin: Client, pair: tuple[Server, Server]) -> None:
    pool = pair[0].trusted_application_pool
    add(admin, "dedicated-hostname", **hostname_data(pool, *pair))
    second = hostname_data(pool, *pair, fqdn="second.corp.example")
    sentence = errors(add(admin, "dedicated-hostname", **second), "target_0")
    assert "already the primary of a365web.corp.example" in sentence
    assert add(admin, "dedicated-hostname", **second, shares_primary="on").status_code == 302


@pytest.mark.parametrize("ttl", [0, 3601])
def test_a_ttl_is_within_policy(admin: Client, pair: tuple[Server, Server], ttl: int) -> None:
    data = hostname_data(pair[0].trusted_application_pool, *pair, ttl_s=ttl)
    assert "1 to 3600 seconds" in errors(add(admin, "dedicated-hostname", **data), "ttl_s")


def test_an_a_record_cannot_hold_an_ipv6_address(admin: Client, pool: TrustedApplicationPool) -> None:
    server = ServerFactory.create(trusted_application_pool=pool, address="2001:db8::1")
    data = hostname_data(pool, server, record_type="A")
    assert "Choose CNAME" in errors(add(admin, "dedicated-hostname", **data), "target_0")


@pytest.mark.parametrize(
    ("reference", "sentence"),
    [
        (SECRET, "Say where the secret is"),
        ("file:/nowhere/at/all", "cannot be read"),
        ("env:A365_TEST_NO_SUCH", "is not set"),
        ("env:A365_TEST_BAD", "neither BASE64"),
    ],
)
def test_a_key_is_tried_at_once_and_its_secret_never_shown(
    admin: Client, monkeypatch: pytest.MonkeyPatch, reference: str, sentence: str
) -> None:
    monkeypatch.setenv("A365_TEST_BAD", "!!!not base64!!!")
    response = add(admin, "key", name="a365admin", algorithm="hmac-sha256", secret_reference=reference)
    assert sentence in errors(response, "secret_reference")
    assert SECRET not in response.content.decode()
    assert "!!!not" not in response.content.decode()


def test_a_key_that_can_be_read_is_kept_as_a_reference(admin: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A365_TEST_KEY", SECRET)
    data = {"name": "a365admin.", "algorithm": "hmac-sha256", "secret_reference": "env:A365_TEST_KEY"}
    assert add(admin, "key", **data).status_code == 302
    assert UpdateKey.objects.get().secret_reference == "env:A365_TEST_KEY"
    assert SECRET not in admin.get(reverse("dnsops:dns-list")).content.decode()


def test_a_zone_has_one_writer_and_the_last_choice_counts(admin: Client) -> None:
    zone = Zone.objects.create(name="corp.example")
    data = {"zone": zone.pk, "port": 53, "expected_lag_s": 15, "is_writer": "on"}
    assert add(admin, "name-server", **data, name="dns1", address="10.0.0.53").status_code == 302
    assert add(admin, "name-server", **data, name="dns2", address="10.0.0.54").status_code == 302
    assert NameServer.objects.get(is_writer=True).name == "dns2"
    assert "at this address and port" in errors(
        add(admin, "name-server", **data, name="dns3", address="10.0.0.53"), "port"
    )
    assert "of this name" in errors(add(admin, "name-server", **data, name="dns1", address="10.0.0.55"), "name")


def test_a_site_is_needed_first_and_the_page_says_so(admin: Client) -> None:
    text = admin.get(reverse("pools:estate-add", args=["front-end-pool"])).content.decode()
    assert "There is no site yet" in text
    Site.objects.create(name="Amsterdam")
    assert (
        "There is no site yet" not in admin.get(reverse("pools:estate-add", args=["front-end-pool"])).content.decode()
    )


def key_of(kind: str, name: str) -> UpdateKey:
    return UpdateKey.objects.create(kind=kind, name=name, secret_reference="env:K")


def test_a_zone_takes_only_keys_that_its_way_of_changing_can_use(admin: Client) -> None:
    tsig, account = key_of("tsig", "a365admin"), key_of("gss", "svc")
    data = {"name": "corp.example", "provider": "rfc2136"}
    assert "needs a TSIG key; svc is a Kerberos account" in errors(add(admin, "zone", **data, key=account.pk), "key")
    data["provider"] = "gss"
    assert "needs a Kerberos account" in errors(add(admin, "zone", **data, key=tsig.pk), "key")
    assert add(admin, "zone", **data, key=account.pk).status_code == 302
    text = admin.get(reverse("dnsops:dns-list")).content.decode()
    assert "Active Directory" in text


def test_the_next_key_is_another_one_and_comes_after_a_first(admin: Client) -> None:
    first, second = key_of("tsig", "first"), key_of("tsig", "second")
    data = {"name": "corp.example", "provider": "rfc2136"}
    assert "the same key" in errors(add(admin, "zone", **data, key=first.pk, next_key=first.pk), "next_key")
    assert "no key before it" in errors(add(admin, "zone", **data, next_key=first.pk), "next_key")
    assert add(admin, "zone", **data, key=first.pk, next_key=second.pk).status_code == 302
    text = admin.get(reverse("dnsops:dns-list")).content.decode()
    assert "corp.example (next)" in text


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("principal", "", "Enter the account with its realm"),
        ("principal", "svc", "found “svc”"),
        ("principal", "svc@AD EXAMPLE", "found “svc@AD EXAMPLE”"),
        ("secret_reference", "env:KEYTAB", "A keytab is a file"),
        ("secret_reference", "file:/nowhere/svc.keytab", "cannot be read"),
        ("kdcs", "dc1.ad.example", "neither an address nor address:port"),
    ],
)
def test_an_account_says_what_it_needs(admin: Client, field: str, value: str, sentence: str) -> None:
    data = {"kind": "gss", "name": "svc", "principal": "svc@AD.EXAMPLE", "secret_reference": "file:/nowhere/x"}
    response = add(admin, "key", algorithm="hmac-sha256", **{**data, field: value})
    assert sentence in errors(response, field)


def test_an_account_is_kept_with_its_keytab_and_kdcs(admin: Client, tmp_path: Path) -> None:
    path = written(tmp_path, record("svc"))
    data = {"kind": "gss", "name": "svc", "principal": "svc@AD.EXAMPLE", "secret_reference": f"file:{path}"}
    assert add(admin, "key", algorithm="hmac-sha256", kdcs="192.0.2.10, 192.0.2.11:750", **data).status_code == 302
    assert UpdateKey.objects.get().kdcs == "192.0.2.10, 192.0.2.11:750"
    text = admin.get(reverse("dnsops:dns-list")).content.decode()
    assert "svc@AD.EXAMPLE" in text
    assert "Z" * 32 not in text  # the key in the keytab
