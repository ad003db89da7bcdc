"""The guided entry: each topology's questions, what follows from the answers, and all of it or nothing."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from a365admin.accounts.models import Role
from a365admin.audit.models import AuditEntry
from dnsops.models import NameServer, Zone
from dnsops.start_plan import TOPOLOGIES, LineError, read_dns_servers, read_uccs
from pools.models import DedicatedHostname, FrontEndPool, Server, TrustedApplication
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db


def browser(role: Role = Role.ADMINISTRATOR) -> Client:
    signed_in = Client()
    signed_in.force_login(UserFactory.create(role=role))
    return signed_in


def answers(slug: str) -> dict[str, str]:
    topology = next(t for t in TOPOLOGIES if t.slug == slug)
    found = {"ttl_s": "30", "balanced": "no", "algorithm": "hmac-sha256"}
    number = 0
    for place, side in enumerate(topology.sides, 1):
        found |= {
            f"site_{place}": f"Site {place}",
            f"front_end_{place}": f"fepool{place}.corp.example",
            f"pool_{place}": f"a365pool{place}.corp.example",
        }
        for at in range(1, side.servers + 1):
            number += 1
            found |= {f"server_{place}_{at}": f"SRV{number}.corp.example", f"address_{place}_{at}": f"10.0.0.{number}"}
        if side.hostname:
            ports = "600{0}, 610{0}" if topology.paired else "600{0}"
            found |= {
                f"uccs_{place}": f"Desk {place}, {ports.format(place)}\n\nReception {place}, 602{place}",
                f"hostname_{place}": f"a365web{place}.corp.example",
                f"service_{place}": f"Service Desk {place}",
            }
    return found


def create(client: Client, slug: str, filled: dict[str, str]) -> Any:
    url = reverse("dnsops:start-enter", args=[slug])
    page = client.post(url, filled).content.decode()
    digest = re.search(r'name="digest" value="([^"]*)"', page)
    assert digest, html.unescape(re.sub(r"<[^>]+>", " ", page))[-1500:]
    return client.post(url, filled | {"digest": digest[1], "create": "1"})


def targets(fqdn: str) -> list[str]:
    return [t.name for t in DedicatedHostname.objects.get(fqdn=fqdn).targets.order_by("order")]


def test_the_choice_draws_each_topology_and_says_what_failing_over_means() -> None:
    page = browser().get(reverse("dnsops:start")).content.decode()
    assert page.count("<svg viewBox=") == 3
    assert "when a whole site is lost" in page


@pytest.mark.parametrize(
    ("slug", "expected"),
    [
        ("one-pool", {"a365web1.corp.example": ["SRV1", "SRV2"]}),
        ("two-pools-single", {"a365web1.corp.example": ["SRV1", "SRV2"]}),
        (
            "two-pools-enterprise",
            {
                "a365web1.corp.example": ["SRV1", "SRV2", "SRV3", "SRV4"],
                "a365web2.corp.example": ["SRV3", "SRV4", "SRV1", "SRV2"],
            },
        ),
    ],
)
def test_each_topology_becomes_the_estate_that_it_draws(slug: str, expected: dict[str, list[str]]) -> None:
    response = create(browser(), slug, answers(slug))
    assert response.status_code == 302
    assert {fqdn: targets(fqdn) for fqdn in expected} == expected
    paired = FrontEndPool.objects.filter(paired_with__isnull=False).count()
    assert paired == (0 if slug == "one-pool" else 2)
    assert AuditEntry.objects.filter(action="estate.imported").exists()


def test_a_ucc_has_a_port_of_its_own_in_each_pool() -> None:
    create(browser(), "two-pools-single", answers("two-pools-single"))
    ports = TrustedApplication.objects.filter(ucc__name="Desk 1").values_list("trusted_application_pool__fqdn", "port")
    assert set(ports) == {("a365pool1.corp.example", 6001), ("a365pool2.corp.example", 6101)}
    assert TrustedApplication.objects.filter(ucc__name="Reception 1").count() == 1


def test_dns_is_entered_along_with_it_and_the_first_server_is_the_writer(tmp_path: Path) -> None:
    secret = tmp_path / "key"
    secret.write_text("c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IQ==")
    secret.chmod(0o600)
    dns = {"zone": "corp.example", "dns_servers": "dns1 10.0.0.53\ndns2, 10.0.1.53", "key_name": "a365admin",
           "secret_reference": f"file:{secret}"}  # fmt: skip
    response = create(browser(), "one-pool", answers("one-pool") | dns)
    assert response.headers["Location"] == reverse("pools:overview")
    assert list(NameServer.objects.order_by("name").values_list("name", "is_writer")) == [
        ("dns1", True),
        ("dns2", False),
    ]
    zone = Zone.objects.get()
    assert zone.key is not None
    assert AuditEntry.objects.filter(action="zone.added").exists()


def test_without_dns_it_leads_to_the_zone_that_is_missing() -> None:
    response = create(browser(), "one-pool", answers("one-pool"))
    assert response.headers["Location"] == reverse("dnsops:dns-list")


def test_looking_creates_nothing_and_keeps_what_was_entered() -> None:
    client, url = browser(), reverse("dnsops:start-enter", args=["one-pool"])
    page = html.unescape(client.post(url, answers("one-pool")).content.decode())
    assert "added server SRV1" in page
    assert Server.objects.count() == 0
    page = client.post(url, answers("one-pool") | {"change": "1"}).content.decode()
    assert 'value="fepool1.corp.example"' in page


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("address_1_1", "10.0.0", "An IP address looks like 10.0.0.1; found “10.0.0”."),
        ("server_1_1", "srv1", "Enter the full name with its domain"),
        ("uccs_1", "Desk", "Line 1: found “Desk”; expected a name and its port"),
        ("uccs_1", "Desk, 70000", "Line 1: a port is a number from 1 to 65535; found “70000”."),
        ("hostname_1", "", "This field is required"),
        ("zone", "corp.example", "Enter every authoritative DNS server"),
        ("dns_servers", "dns1 10.0.0.53", "Enter the zone as well"),
    ],
)
def test_what_is_wrong_is_said_beside_the_field(field: str, value: str, sentence: str) -> None:
    url = reverse("dnsops:start-enter", args=["one-pool"])
    response = browser().post(url, answers("one-pool") | {field: value})
    assert response.status_code == 422
    assert sentence in html.unescape(response.content.decode())
    assert Server.objects.count() == 0


def test_what_clashes_with_the_rest_is_said_and_nothing_is_created() -> None:
    url = reverse("dnsops:start-enter", args=["one-pool"])
    response = browser().post(url, answers("one-pool") | {"uccs_1": "Desk, 6001\nOther, 6001"})
    assert response.status_code == 422
    assert "Nothing was created." in response.content.decode()
    assert Server.objects.count() == 0


def test_a_name_server_that_clashes_takes_the_whole_estate_back() -> None:
    Zone.objects.create(name="corp.example")
    client, url = browser(), reverse("dnsops:start-enter", args=["one-pool"])
    filled = answers("one-pool") | {"zone": "corp.example", "dns_servers": "dns1 10.0.0.53"}
    response = create(client, "one-pool", filled)
    assert response.status_code == 409
    assert Server.objects.count() == 0
    assert client.get(url).status_code == 200


def test_only_an_administrator_enters_an_estate() -> None:
    for name, arguments in (("dnsops:start", []), ("dnsops:start-enter", ["one-pool"])):
        assert browser(Role.OPERATOR).get(reverse(name, args=arguments)).status_code == 403
    assert browser().get(reverse("dnsops:start-enter", args=["four-pools"])).status_code == 404


def test_an_empty_installation_offers_it() -> None:
    assert reverse("dnsops:start") in browser().get("/").content.decode()
    assert reverse("dnsops:start") in browser().get(reverse("pools:estate")).content.decode()


def test_lists_are_read_line_by_line() -> None:
    assert [u.other_port for u in read_uccs("A, 1, 2\nB; 3", paired=True)] == [2, None]
    assert [line.port for line in read_dns_servers("a 10.0.0.1\n\nb 10.0.0.2 5353")] == [53, 5353]
    for text, paired in (("", True), ("A, 1, 2", False), (", 5", True)):
        with pytest.raises(LineError):
            read_uccs(text, paired=paired)
