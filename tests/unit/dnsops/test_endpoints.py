"""Endpoints that have to be moved between paired pools: which, as which commands, and that somebody said it is done."""

from __future__ import annotations

import html

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from django.urls import reverse

from a365admin.accounts.models import Role
from a365admin.audit.models import AuditEntry
from dnsops import endpoints, gathering
from dnsops.endpoints import UccEndpoint, commands_for
from dnsops.lifecycle import OperationState
from dnsops.models import EndpointsMoved, FailoverOperation
from dnsops.requesting import RequestRefused
from pools.fields import validate_sip_uri
from pools.models import TrustedApplication, Ucc
from tests.factories import UserFactory
from tests.unit.dnsops.sites import NAMES, Sites, build_sites
from tests.unit.dnsops.world import World


@pytest.fixture
def sites(world: World, monkeypatch: pytest.MonkeyPatch) -> Sites:
    gathering._accepted.clear()
    return build_sites(world, monkeypatch)


def moved(sites: Sites, name: str = NAMES[0]) -> FailoverOperation:
    sites.finish(sites.request())
    return FailoverOperation.objects.get(hostname_fqdn=name)


def test_each_endpoint_becomes_one_command() -> None:
    found = commands_for([UccEndpoint("Desk", "sip:desk@example.com", True)], "a365pool2.example.com")
    assert found == (
        "Move-CsApplicationEndpoint -Identity 'sip:desk@example.com' -TargetApplicationPool 'a365pool2.example.com'",
    )


def test_what_cannot_run_there_or_has_no_uri_gets_no_command() -> None:
    assert commands_for([UccEndpoint("A", "", True), UccEndpoint("B", "sip:b@example.com", False)], "pool") == ()


def test_a_quote_cannot_end_the_string() -> None:
    (command,) = commands_for([UccEndpoint("Desk", "sip:o'hara@example.com", True)], "p'; Remove-Item x")
    assert "'sip:o''hara@example.com'" in command
    assert command.endswith("'p''; Remove-Item x'")


@pytest.mark.parametrize(
    "text", ["desk@example.com", "sip:desk", "sip:a b@example.com", "sip:a'b@example.com", "sip:@x"]
)
def test_what_is_no_sip_uri_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValidationError, match="sip:servicedesk@example"):
        validate_sip_uri(text)


def test_an_operation_into_the_paired_pool_has_a_checklist(sites: Sites) -> None:
    Ucc.objects.update(sip_uri="sip:desk@example.com")
    found = endpoints.checklist_of(moved(sites))
    assert found is not None
    assert (found.from_pool, found.to_pool) == ("a365pool1.example.com", "a365pool9.example.com")
    assert len(found.commands) == 1
    assert found.without_uri == ()


def test_one_within_the_pool_has_none(sites: Sites) -> None:
    operation = moved(sites)
    FailoverOperation.objects.filter(pk=operation.pk).update(to_text="SRV2")
    operation.refresh_from_db()
    assert endpoints.checklist_of(operation) is None


def test_one_that_changed_nothing_has_none(sites: Sites) -> None:
    operation = moved(sites)
    operation.state = OperationState.FAILED.value
    assert endpoints.checklist_of(operation) is None


def test_a_ucc_without_uri_and_one_that_the_target_lacks_are_named(sites: Sites) -> None:
    other = Ucc.objects.create(name="Reception", sip_uri="sip:reception@example.com")
    home = sites.world.hostname.trusted_application_pool
    TrustedApplication.objects.create(ucc=other, trusted_application_pool=home, application_id="urn:r", port=6002)
    operation = moved(sites)
    found = endpoints.checklist_of(operation)
    assert found is None or found.without_uri == ("Service Desk",)
    assert found is None or found.not_in_target == ("Reception",)


def test_a_confirmation_is_recorded_once_and_logged(sites: Sites) -> None:
    operation = moved(sites)
    endpoints.confirm(operation=operation, user=sites.world.operator, note="done by Piet")
    row = EndpointsMoved.objects.get()
    assert (row.by_name, row.note) == ("otto", "done by Piet")
    assert AuditEntry.objects.get(action="operation.endpoints_moved").reason == "done by Piet"
    with pytest.raises(RequestRefused, match="otto has confirmed it already"):
        endpoints.confirm(operation=operation, user=sites.world.operator)


def test_helpdesk_may_not_confirm(sites: Sites) -> None:
    operation = moved(sites)
    sites.world.operator.role = Role.HELPDESK
    with pytest.raises(RequestRefused):
        endpoints.confirm(operation=operation, user=sites.world.operator)


def test_the_page_shows_the_commands_and_takes_the_confirmation(sites: Sites) -> None:
    Ucc.objects.update(sip_uri="sip:desk@example.com")
    operation = moved(sites)
    browser = Client()
    browser.force_login(UserFactory.create(role=Role.OPERATOR))
    page = html.unescape(browser.get(operation.get_absolute_url()).content.decode())
    assert "Move-CsApplicationEndpoint -Identity 'sip:desk@example.com'" in page
    url = reverse("dnsops:endpoints", args=[operation.pk])
    assert browser.get(url).status_code == 405
    page = browser.post(url, {"note": ""}, follow=True).content.decode()
    assert "that it is done" in page
    helpdesk = Client()
    helpdesk.force_login(UserFactory.create(role=Role.HELPDESK))
    assert helpdesk.post(url).status_code == 403
