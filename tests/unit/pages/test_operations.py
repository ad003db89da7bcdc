"""The dialog, the operation's page and the list: each POST works, rejects GET, needs its right, bears repetition."""

from __future__ import annotations

import html
import re
import uuid
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from a365admin.accounts.models import Role
from dnsops.breakglass import keeping
from dnsops.lifecycle import OperationState
from dnsops.models import FailoverOperation
from dnsops.pages import operation_mark
from tests.factories import DedicatedHostnameFactory, FailoverOperationFactory, OperationStepFactory
from tests.unit.dnsops.world import World, cname
from tests.unit.pages.conftest import SignIn

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


def url_of(world: World) -> str:
    return reverse("dnsops:preflight", args=[world.hostname.fqdn])


def open_dialog(browser: Client, world: World, query: str = "?kind=failover") -> tuple[str, dict[str, Any]]:
    page = html.unescape(browser.get(url_of(world) + query, headers=HTMX).content.decode())
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page))
    return page, {key: value for key, value in hidden.items() if key not in {"csrfmiddlewaretoken", "forced"}}


def test_the_dialog_shows_the_change_who_is_affected_and_what_was_checked(sign_in: SignIn, world: World) -> None:
    page, form = open_dialog(sign_in(Role.OPERATOR), world)
    assert page.lstrip().startswith("<dialog")
    assert "CNAME srv1.example.com." in page
    assert "CNAME srv2.example.com." in page
    assert "Fail over to SRV2" in page
    assert form["digest"]
    assert form["idempotency_key"]


def test_the_dialog_is_a_page_of_its_own_without_htmx(sign_in: SignIn, world: World) -> None:
    page = sign_in(Role.OPERATOR).get(url_of(world)).content.decode()
    assert "<html" in page
    assert "<dialog" in page


def test_looking_changes_nothing(sign_in: SignIn, world: World) -> None:
    open_dialog(sign_in(Role.OPERATOR), world)
    assert FailoverOperation.objects.count() == 0
    assert world.points_at() == "SRV1"


def test_a_click_starts_the_operation_and_leads_to_its_page(sign_in: SignIn, world: World) -> None:
    browser = sign_in(Role.OPERATOR)
    _, form = open_dialog(browser, world)
    response = browser.post(url_of(world), form | {"reason": "UCC down", "ticket": "INC-1"}, headers=HTMX)
    operation = FailoverOperation.objects.get()
    assert response.headers["HX-Redirect"] == operation.get_absolute_url()
    assert (operation.reason, operation.ticket, operation.to_text) == ("UCC down", "INC-1", "SRV2")


def test_without_htmx_a_click_redirects(sign_in: SignIn, world: World) -> None:
    browser = sign_in(Role.OPERATOR)
    _, form = open_dialog(browser, world)
    response = browser.post(url_of(world), form | {"reason": "UCC down"})
    assert response.status_code == 302
    assert response.headers["Location"] == FailoverOperation.objects.get().get_absolute_url()


def test_a_double_click_does_one_thing(sign_in: SignIn, world: World) -> None:
    browser = sign_in(Role.OPERATOR)
    _, form = open_dialog(browser, world)
    answers = [browser.post(url_of(world), form | {"reason": "UCC down"}, headers=HTMX) for _ in range(2)]
    assert FailoverOperation.objects.count() == 1
    assert answers[0].headers["HX-Redirect"] == answers[1].headers["HX-Redirect"]


def test_a_stale_page_is_refused_in_the_dialog_and_keeps_the_reason(sign_in: SignIn, world: World) -> None:
    browser = sign_in(Role.OPERATOR)
    _, form = open_dialog(browser, world)
    world.dns.set(world.hostname.fqdn, cname("SRV3"), "dns1", "dns2")
    response = browser.post(url_of(world), form | {"reason": "UCC down"}, headers=HTMX)
    page = html.unescape(response.content.decode())
    assert response.status_code == 409
    assert "Nothing was changed." in page
    assert "Look again" in page
    assert "reason=UCC+down" in page
    assert FailoverOperation.objects.count() == 0


def test_a_reason_is_required(sign_in: SignIn, world: World) -> None:
    browser = sign_in(Role.OPERATOR)
    _, form = open_dialog(browser, world)
    response = browser.post(url_of(world), form | {"reason": "  "}, headers=HTMX)
    assert response.status_code == 409
    assert FailoverOperation.objects.count() == 0


@pytest.mark.parametrize("role", [Role.HELPDESK, Role.AUDITOR])
@pytest.mark.parametrize("method", ["get", "post"])
def test_who_may_not_fail_over_gets_neither_dialog_nor_operation(
    sign_in: SignIn, world: World, role: Role, method: str
) -> None:
    browser = sign_in(role)
    answer = browser.get(url_of(world)) if method == "get" else browser.post(url_of(world), {"reason": "x"})
    assert answer.status_code == 403
    assert FailoverOperation.objects.count() == 0


def test_an_operator_sees_why_it_is_forbidden_and_no_force(sign_in: SignIn, world: World) -> None:
    world.bad["SRV2"] = "refused"
    page, _ = open_dialog(sign_in(Role.OPERATOR), world)
    assert "Force failover" not in page
    assert 'id="do-it"' not in page
    assert "ask an administrator" in page


def test_an_administrator_forces_by_typing_the_hostname(sign_in: SignIn, world: World) -> None:
    world.bad["SRV2"] = "refused"
    browser = sign_in(Role.ADMINISTRATOR)
    page, form = open_dialog(browser, world)
    assert "Force failover to SRV2" in page
    assert "target_ucc" in page
    form |= {"reason": "site is lost", "forced": "1"}
    assert browser.post(url_of(world), form | {"typed_hostname": "wrong"}, headers=HTMX).status_code == 409
    response = browser.post(url_of(world), form | {"typed_hostname": world.hostname.fqdn}, headers=HTMX)
    assert "HX-Redirect" in response.headers
    assert FailoverOperation.objects.get().forced


def test_a_plan_that_cannot_be_made_is_explained(sign_in: SignIn, world: World) -> None:
    world.dns.set(world.hostname.fqdn, cname("elsewhere"), "dns1", "dns2")
    page, form = open_dialog(sign_in(Role.ADMINISTRATOR), world)
    assert "This cannot be done now." in page
    assert "digest" not in form


@pytest.mark.parametrize("query", ["?kind=nonsense", "?to=999999", "?to=abc"])
def test_what_does_not_exist_is_not_found(sign_in: SignIn, world: World, query: str) -> None:
    assert sign_in(Role.OPERATOR).get(url_of(world) + query).status_code == 404


# ---- the operation --------------------------------------------------------------------------------------------------


def test_an_operations_page_shows_steps_evidence_and_the_end(sign_in: SignIn, world: World) -> None:
    operation = world.run(world.request())
    page = html.unescape(sign_in(Role.HELPDESK).get(operation.get_absolute_url()).content.decode())
    assert "Succeeded" in page
    assert operation.result in page
    assert "dns1" in page
    assert "dns2" in page
    assert "New answer" in page
    assert "Fail back</a>" not in page


def test_a_finished_failover_offers_failback_to_who_may(sign_in: SignIn, world: World) -> None:
    operation = world.run(world.request())
    page = sign_in(Role.OPERATOR).get(operation.get_absolute_url()).content.decode()
    assert "?kind=failback" in page


def test_a_split_end_names_the_server_that_is_late(sign_in: SignIn, world: World) -> None:
    answers = [
        {"server": "dns1", "state": "answered", "seen": "new", "text": "CNAME srv2."},
        {"server": "dns2", "state": "answered", "seen": "old", "text": "CNAME srv1."},
    ]
    operation = FailoverOperationFactory.create(hostname=world.hostname, state="incomplete", result="dns2 is late.")
    OperationStepFactory.create(operation=operation, kind="verify", state="warning", evidence={"answers": answers})
    page = sign_in(Role.OPERATOR).get(operation.get_absolute_url()).content.decode()
    assert "Ask dns2 again" in page
    assert "Old answer" in page


def test_an_unknown_operation_is_a_404(sign_in: SignIn) -> None:
    assert sign_in(Role.OPERATOR).get(reverse("dnsops:operation", args=[uuid.uuid4()])).status_code == 404


def test_an_operation_can_be_cancelled_before_it_writes(sign_in: SignIn, world: World) -> None:
    operation = world.request()
    browser = sign_in(Role.OPERATOR)
    assert "Cancel</button>" in browser.get(operation.get_absolute_url()).content.decode()
    assert browser.post(reverse("dnsops:cancel", args=[operation.pk])).status_code == 302
    world.run(operation)
    assert operation.state == OperationState.CANCELLED
    assert world.points_at() == "SRV1"


def test_cancelling_what_has_ended_says_that_it_is_too_late(sign_in: SignIn, world: World) -> None:
    operation = world.run(world.request())
    response = sign_in(Role.OPERATOR).post(reverse("dnsops:cancel", args=[operation.pk]), follow=True)
    assert "notice-warning" in response.content.decode()
    operation.refresh_from_db()
    assert operation.state == OperationState.SUCCEEDED


@pytest.mark.parametrize("name", ["dnsops:cancel", "dnsops:verify-again"])
def test_changes_reject_get_and_need_the_right(sign_in: SignIn, world: World, name: str) -> None:
    url = reverse(name, args=[world.request().pk])
    assert sign_in(Role.OPERATOR).get(url).status_code == 405
    assert sign_in(Role.HELPDESK).post(url).status_code == 403
    assert FailoverOperation.objects.get().state == OperationState.PENDING


def test_asking_again_where_nothing_is_open_is_refused(sign_in: SignIn, world: World) -> None:
    operation = world.run(world.request())
    response = sign_in(Role.OPERATOR).post(reverse("dnsops:verify-again", args=[operation.pk]), follow=True)
    assert "notice-warning" in response.content.decode()


def test_the_list_is_paged_and_filtered(sign_in: SignIn, world: World) -> None:
    for number in range(55):
        FailoverOperationFactory.create(hostname=world.hostname, state="failed", reason=f"reason-{number}")
    FailoverOperationFactory.create(hostname=world.hostname, state="succeeded", reason="a needle")
    browser = sign_in(Role.AUDITOR)
    page = browser.get(reverse("dnsops:operations")).content.decode()
    assert "Page 1 of 2" in page
    assert page.count("<tr>") == 51
    assert "a needle" in browser.get(reverse("dnsops:operations") + "?q=needle&show=succeeded").content.decode()
    assert "Nothing matches" in browser.get(reverse("dnsops:operations") + "?q=needle&show=failed").content.decode()


@pytest.fixture
def waiting(world: World) -> FailoverOperation:
    operation = FailoverOperationFactory.create(
        hostname=world.hostname, state=OperationState.RUNNING.value, by_hand=True
    )
    commands = {"powershell": "& {\n  Get-DnsServerResourceRecord 'x' <b>\n}\n", "nsupdate": "send\n"}
    evidence = {"commands": commands, "until": "2030-01-01T00:00:00+00:00"}
    OperationStepFactory.create(operation=operation, kind="write", state="running", order=2, evidence=evidence)
    return operation


def test_an_operation_that_waits_for_a_hand_shows_the_commands_to_copy(
    sign_in: SignIn, waiting: FailoverOperation
) -> None:
    page = sign_in(Role.OPERATOR).get(waiting.get_absolute_url()).content.decode()
    assert "Do this now, by hand" in page
    assert "Get-DnsServerResourceRecord &#x27;x&#x27; &lt;b&gt;" in page
    assert 'data-copy="send' in page
    assert "I have done it" in page
    assert "Cancel" in page
    page = sign_in(Role.AUDITOR).get(waiting.get_absolute_url()).content.decode()
    assert "Do this now, by hand" in page
    assert "I have done it" not in page


def test_a_page_made_of_an_older_row_and_newer_steps_does_not_pass_for_the_newest(waiting: FailoverOperation) -> None:
    before = operation_mark(waiting)
    waiting.by_hand = False  # as it was read a moment earlier than the steps
    assert operation_mark(waiting) != before


def test_saying_that_it_is_done_is_a_post_for_operators(sign_in: SignIn, waiting: FailoverOperation) -> None:
    url = reverse("dnsops:done-by-hand", args=[waiting.pk])
    assert sign_in(Role.AUDITOR).post(url).status_code == 403
    browser = sign_in(Role.OPERATOR)
    assert browser.get(url).status_code == 405
    assert browser.post(url).status_code == 302
    waiting.refresh_from_db()
    assert waiting.hand_done_at is not None
    FailoverOperation.objects.filter(pk=waiting.pk).update(state=OperationState.SUCCEEDED.value)
    page = browser.post(url, follow=True).content.decode()
    assert "no longer waits for anybody" in page
    assert browser.post(reverse("dnsops:done-by-hand", args=[uuid.uuid4()])).status_code == 404


def test_the_offline_sheet_holds_the_commands_and_is_for_who_may_fail_over(sign_in: SignIn, world: World) -> None:
    url = reverse("dnsops:sheet", args=[world.hostname.fqdn])
    page = html.unescape(sign_in(Role.OPERATOR).get(url).content.decode())
    assert "update add a365web1.example.com. 60 CNAME srv2.example.com." in page
    assert "dig @10.53.0.1" in page
    assert sign_in(Role.HELPDESK).get(url).status_code == 403
    assert sign_in(Role.OPERATOR).post(url).status_code == 405
    assert sign_in(Role.OPERATOR).get(reverse("dnsops:sheet", args=["other.example.com"])).status_code == 404


def test_all_sheets_are_one_page(sign_in: SignIn, world: World) -> None:
    url = reverse("dnsops:sheets")
    assert world.hostname.fqdn in sign_in(Role.OPERATOR).get(url).content.decode()
    assert sign_in(Role.HELPDESK).get(url).status_code == 403


def test_the_sheets_and_the_bundle_cost_no_more_queries_for_more_hostnames(
    world: World, django_assert_num_queries: Any
) -> None:
    with CaptureQueriesContext(connection) as one:
        keeping.collect()
    DedicatedHostnameFactory.create_batch(3)
    with django_assert_num_queries(len(one)):
        assert len(keeping.collect().hostnames) == 4
