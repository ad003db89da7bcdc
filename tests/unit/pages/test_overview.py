"""The front page: what it says, what it costs, what it keeps."""

from __future__ import annotations

import html

import pytest
from django.template import loader
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from a365admin.accounts.models import Role
from pools import overview
from pools.models import HostnameStatus
from tests.factories import FailoverOperationFactory, make_pair
from tests.unit.pages.conftest import Broker, SignIn, watched

pytestmark = pytest.mark.django_db


def text(client: Client, query: str = "") -> str:
    response = client.get(reverse("pools:overview") + query)
    assert response.status_code == 200
    return html.unescape(response.content.decode())


def test_it_puts_what_is_down_before_what_is_degraded_and_counts_both(sign_in: SignIn) -> None:
    degraded = watched(health="degraded", phrase="standby not ready")
    down = watched(health="down", situation="no_data", phrase="UCC 6001 refused; web still answers")
    page = text(sign_in(Role.HELPDESK))
    assert page.index(down.fqdn) < page.index(degraded.fqdn)
    assert '<b data-count="down">1</b>' in page
    assert "<title>(1) a365admin</title>" in page


def test_only_who_may_fail_over_sees_the_buttons(sign_in: SignIn) -> None:
    watched(health="down")
    assert "Fail over</a>" in text(sign_in(Role.OPERATOR))
    assert "Fail over</a>" not in text(sign_in(Role.HELPDESK))


def test_a_hostname_away_from_its_primary_offers_failback(sign_in: SignIn) -> None:
    watched(on_primary=False, situation="on_standby")
    page = text(sign_in(Role.OPERATOR))
    assert "Fail back</a>" in page
    assert "Working, on a standby server" in page


def test_a_hostname_that_was_never_checked_is_unknown(sign_in: SignIn) -> None:
    make_pair()
    page = text(sign_in(Role.HELPDESK))
    assert "Not checked yet." in page
    assert '<b data-count="unknown">1</b>' in page


def test_a_stale_row_counts_as_unknown_and_is_never_shown_as_up(sign_in: SignIn, broker: Broker) -> None:
    hostname = watched()
    broker.ages[hostname.pk] = 13.0
    page = text(sign_in(Role.HELPDESK))
    assert 'class="hrow is-stale' in page
    assert '<b data-count="unknown">1</b>' in page
    assert hostname.fqdn not in text(sign_in(Role.HELPDESK), "?show=up")


def test_without_a_broker_everything_is_unknown_and_the_page_says_why(sign_in: SignIn, broker: Broker) -> None:
    watched()
    broker.known, broker.words = False, dict.fromkeys(("broker", "probes", "operations", "beat"), "lost")
    page = text(sign_in(Role.HELPDESK))
    assert "The broker (Redis) does not answer." in page
    assert '<b data-count="unknown">1</b>' in page


def test_a_lost_worker_is_named_with_what_still_works(sign_in: SignIn, broker: Broker) -> None:
    broker.words = {"probes": "lost"}
    page = text(sign_in(Role.HELPDESK))
    assert "The probes worker has not reported for 45 s." in page
    assert "Failing over still works" in page


def test_a_filter_and_a_search_are_in_the_address(sign_in: SignIn) -> None:
    up, down = watched(), watched(health="down")
    browser = sign_in(Role.HELPDESK)
    assert up.fqdn not in text(browser, "?show=down")
    assert down.fqdn in text(browser, "?show=down")
    assert down.fqdn not in text(browser, f"?q={up.service_name.replace(' ', '+')}x")
    assert "Nothing matches" in text(browser, "?q=nothing-of-the-kind")
    assert up.fqdn in text(browser, "?show=no-such-filter")


def test_htmx_gets_the_list_alone(sign_in: SignIn) -> None:
    watched()
    page = sign_in(Role.HELPDESK).get(reverse("pools:overview"), headers={"HX-Request": "true"}).content.decode()
    assert page.lstrip().startswith('<div id="list"')
    assert "<html" not in page


def test_an_empty_installation_says_what_to_do_first(sign_in: SignIn) -> None:
    assert "No estate yet" in text(sign_in(Role.ADMINISTRATOR))


def test_a_running_operation_makes_the_row_switching(sign_in: SignIn) -> None:
    hostname = watched()
    FailoverOperationFactory.create(hostname=hostname, state="running", requested_by_name="Olga", to_text="SRV2")
    page = text(sign_in(Role.OPERATOR))
    assert "Olga is failing over to SRV2" in page
    assert '<b data-count="switching">1</b>' in page
    assert "Fail over</a>" not in page


@pytest.mark.parametrize("count", [1, 12])
def test_the_number_of_queries_does_not_depend_on_the_number_of_hostnames(
    sign_in: SignIn, django_assert_num_queries: DjangoAssertNumQueries, count: int
) -> None:
    for number in range(count):
        watched(version=number + 1)
    browser = sign_in(Role.OPERATOR)
    # Session, user, two for the fingerprint, rows, operations, two for the remarks, two for the bars; and ages.
    with django_assert_num_queries(11):
        text(browser)


def test_a_page_of_which_nothing_changed_reads_no_rows(
    sign_in: SignIn, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    watched()
    browser = sign_in(Role.OPERATOR)
    text(browser)
    with django_assert_num_queries(5):
        text(browser)


def test_a_row_is_rendered_again_only_when_it_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = watched(version=1), watched(version=2)
    rendered: list[int] = []
    original = loader.render_to_string

    def counting(name: str, context: dict[str, overview.Row]) -> str:
        if name == "pools/row.html":
            rendered.append(context["r"].pk)
        return original(name, context)

    monkeypatch.setattr(overview, "render_to_string", counting)
    overview.list_html(overview.read_overview(), show="", query="", actions=True)
    overview.list_html(overview.read_overview(), show="up", query="", actions=True)
    assert sorted(rendered) == sorted([first.pk, second.pk])
    HostnameStatus.objects.filter(pk=second.pk).update(phrase="new", version=3)
    page = overview.list_html(overview.read_overview(), show="", query="", actions=True)
    assert "new" in page
    assert rendered[2:] == [second.pk]


def test_a_change_whose_version_is_not_the_highest_is_not_missed() -> None:
    slow, fast = watched(version=10), watched(version=11)
    overview.read_overview()
    HostnameStatus.objects.filter(pk=fast.pk).update(version=21)
    overview.read_overview()
    HostnameStatus.objects.filter(pk=slow.pk).update(version=20, phrase="came late")
    assert any(row.phrase == "came late" for row in overview.read_overview().rows)


def test_what_a_server_said_is_never_taken_for_markup(sign_in: SignIn) -> None:
    watched(health="down", phrase='<script>alert("x")</script>')
    assert b"<script>alert" not in sign_in(Role.HELPDESK).get(reverse("pools:overview")).content


def test_the_wall_screen_has_problems_only_and_no_buttons(sign_in: SignIn) -> None:
    up, down = watched(), watched(health="down")
    page = text(sign_in(Role.OPERATOR), "?view=wall")
    assert down.fqdn in page
    assert up.fqdn not in page
    assert "Fail over" not in page.replace("Failing over", "").split('<div id="list"')[1].split("Leave the wall")[0]


def test_one_row_can_be_asked_for_alone(sign_in: SignIn) -> None:
    hostname = watched()
    page = sign_in(Role.OPERATOR).get(reverse("pools:row", args=[hostname.fqdn])).content.decode()
    assert page.startswith("<li")
    assert hostname.fqdn in page
