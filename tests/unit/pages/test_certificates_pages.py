"""The pages Certificates: the matrix, and a server's request."""

from __future__ import annotations

import html
from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from a365admin.accounts.models import Role
from pools.models import CheckState, DedicatedHostname
from tests.factories import make_pair
from tests.unit.pages.conftest import Broker, SignIn

PAGE = "/certificates/"


def said(browser: Client, url: str = PAGE) -> str:
    response = browser.get(url)
    assert response.status_code == 200
    return html.unescape(response.content.decode())


def look(hostname: DedicatedHostname, order: int, **state: Any) -> CheckState:
    server = hostname.targets.get(order=order).servers[0]
    evidence = {"expires": "2027-06-01T00:00:00+00:00", "issuer": "Corp CA", "key": "RSA 2048", "signature": "sha256",
                "fingerprint": "ab" * 32}  # fmt: skip
    values = {"health": "up", "cause": "ok", "sentence": "valid", "evidence": evidence} | state
    return CheckState.objects.create(
        key=f"cert:{server.pk}:{hostname.pk}", kind="cert", label="Certificate", server=server, hostname=hostname,
        **values,
    )  # fmt: skip


@pytest.fixture
def hostname(db: None) -> DedicatedHostname:
    return make_pair()


def test_what_is_missing_where_comes_first_with_what_to_do(sign_in: SignIn, hostname: DedicatedHostname) -> None:
    fine = make_pair()
    look(fine, 1)
    look(hostname, 1)
    look(hostname, 2, health="degraded", cause="wrong_name", sentence=f"does not name {hostname.fqdn}")
    page = said(sign_in(Role.HELPDESK))
    assert "Renew it with this hostname in its SAN" in page
    assert page.index(f"Does not name {hostname.fqdn}") < page.index("Every hostname on every server")
    matrix = page[page.index("Every hostname on every server") :]
    assert matrix.index(hostname.fqdn) < matrix.index(fine.fqdn)
    for words in ("1 Jun 2027", "Corp CA", "RSA 2048, SHA256", "AB:AB:AB:AB:AB:AB:AB:AB…"):
        assert words in page
    assert "st-down" not in page[page.index("Needs action") : page.index("</main>")]


def test_what_is_too_old_is_unknown_and_not_good(sign_in: SignIn, hostname: DedicatedHostname, broker: Broker) -> None:
    look(hostname, 1)
    broker.ages[hostname.pk] = 600
    page = said(sign_in(Role.HELPDESK))
    assert "st-unknown" in page
    assert "1 could not be looked at" in page
    assert "Every server shows a good certificate" not in page


def test_all_good_says_so(sign_in: SignIn, hostname: DedicatedHostname) -> None:
    look(hostname, 1)
    assert "Every server shows a good certificate" in said(sign_in(Role.HELPDESK))


def test_a_servers_page_has_the_names_that_it_needs_and_two_requests(
    sign_in: SignIn, hostname: DedicatedHostname
) -> None:
    state = look(hostname, 2, health="degraded", cause="wrong_name", sentence="does not name it")
    assert state.server
    page = said(sign_in(Role.AUDITOR), f"{PAGE}servers/{state.server.name}/")
    assert f"DNS.1 = {hostname.fqdn}" in page
    assert f'_continue_ = "dns={hostname.fqdn}&"' in page
    assert f'_continue_ = "dns={state.server.fqdn}"' in page
    assert "missing now" in page
    assert sign_in(Role.AUDITOR).get(f"{PAGE}servers/nobody/").status_code == 404


def test_an_empty_estate_says_what_will_come(sign_in: SignIn) -> None:
    assert "No certificate has been looked at yet" in said(sign_in(Role.HELPDESK))


def test_the_number_of_queries_does_not_grow_with_the_estate(
    sign_in: SignIn, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(12):
        pair = make_pair()
        look(pair, 1)
        look(pair, 2)
    browser = sign_in(Role.HELPDESK)
    with django_assert_max_num_queries(16):
        browser.get(PAGE)
