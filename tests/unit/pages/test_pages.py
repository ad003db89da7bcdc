"""Hostname, server and helpdesk: who may see them, what they say, and the one thing that can be changed there."""

from __future__ import annotations

import html
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from a365admin.accounts.models import Role
from pools.models import CheckState, HealthTransition, HostnameStatus, Site, TrustedApplicationPool
from tests.factories import FailoverOperationFactory
from tests.unit.dnsops.world import World
from tests.unit.pages.conftest import Broker, SignIn, watched

pytestmark = pytest.mark.django_db

PAGES = ["pools:overview", "pools:helpdesk", "dnsops:operations"]


def said(client: Client, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200, response.status_code
    return html.unescape(response.content.decode())


@pytest.mark.parametrize("name", PAGES)
def test_somebody_who_has_not_signed_in_is_sent_to_the_sign_in_page(client: Client, name: str) -> None:
    response = client.get(reverse(name))
    assert response.status_code == 302
    assert response.headers["Location"].startswith(reverse("accounts:sign-in"))


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("role", list(Role))
def test_every_role_may_read_the_pages(sign_in: SignIn, role: Role, name: str) -> None:
    watched()
    assert sign_in(role).get(reverse(name)).status_code == 200


@pytest.mark.parametrize(
    ("role", "shown", "hidden"),
    [
        (Role.HELPDESK, ["Helpdesk"], ["Audit log", "Estate", "People"]),
        (Role.AUDITOR, ["Audit log"], ["Estate", "People"]),
        (Role.OPERATOR, ["Operations"], ["Audit log", "Estate", "People"]),
        (Role.ADMINISTRATOR, ["Audit log", "Estate", "People"], []),
    ],
)
def test_navigation_shows_what_the_role_may_see(
    sign_in: SignIn, role: Role, shown: list[str], hidden: list[str]
) -> None:
    page = said(sign_in(role), reverse("pools:helpdesk")).split('aria-label="Main"')[1].split("</nav>")[0]
    assert all(f"<span>{label}</span>" in page for label in shown)
    assert not any(f"<span>{label}</span>" in page for label in hidden)


def test_rarer_pages_are_behind_more_only_where_the_bar_would_be_full(sign_in: SignIn) -> None:
    helpdesk = said(sign_in(Role.HELPDESK), reverse("pools:helpdesk"))
    assert "nav-more" not in helpdesk
    assert "<span>Certificates</span>" in helpdesk
    bar, more = said(sign_in(Role.ADMINISTRATOR), reverse("pools:certificates")).split('id="nav-more"')
    assert "<span>Audit log</span>" in bar
    assert "<span>Certificates</span>" not in bar
    more = more.split("</details>")[0]
    assert "Certificates" in more.split("</summary>")[0], "the bar says where the reader is"
    assert [f"<span>{label}</span>" in more for label in ("Clients", "Certificates", "Estate", "People")] == [True] * 4


def test_the_overview_is_marked_on_the_pages_below_it(sign_in: SignIn) -> None:
    server = watched().targets.get(order=1).server
    assert server is not None
    page = said(sign_in(Role.HELPDESK), reverse("pools:server", args=[server.name]))
    assert page.split('aria-current="page"')[1].split("</a>")[0].endswith("<span>Overview</span>")


def test_a_server_whose_results_are_too_old_is_not_called_working(sign_in: SignIn, broker: Broker) -> None:
    hostname = watched()
    server = hostname.targets.get(order=1).server
    assert server is not None
    for one in hostname.trusted_application_pool.trusted_applications.all():
        CheckState.objects.create(
            key=f"ucc:{server.pk}:{one.pk}",
            kind="ucc",
            label="UCC",
            server=server,
            trusted_application=one,
            health="up",
        )
    broker.old_checks = set(CheckState.objects.values_list("key", flat=True))
    page = said(sign_in(Role.HELPDESK), reverse("pools:server", args=[server.name]))
    verdict = page.split('aria-label="State now"')[1].split("</section>")[0]
    assert "Unknown" in verdict
    assert "Whether it works is not known: the last results are too old to be believed." in verdict


@pytest.mark.parametrize(("known", "said_of_it"), [(True, "It stands by"), (False, "clients get no data")])
def test_a_server_stands_by_only_where_it_is_known_that_clients_are_elsewhere(
    sign_in: SignIn, known: bool, said_of_it: str
) -> None:
    hostname = watched()
    server = hostname.targets.get(order=2).server
    assert server is not None
    TrustedApplicationPool.objects.update(standby_runs_ucc=False)
    Site.objects.update(standby_runs_ucc=False)
    if not known:
        HostnameStatus.objects.filter(hostname=hostname).update(active_server=None)
    for one in hostname.trusted_application_pool.trusted_applications.all():
        CheckState.objects.create(
            key=f"ucc:{server.pk}:{one.pk}", kind="ucc", label="UCC", server=server, trusted_application=one,
            health="down", cause="refused",
        )  # fmt: skip
    CheckState.objects.create(key="web", kind="web", label="Web", server=server, hostname=hostname, health="up")
    page = said(sign_in(Role.HELPDESK), reverse("pools:server", args=[server.name]))
    verdict = page.split('aria-label="State now"')[1].split("</section>")[0]
    assert said_of_it in verdict
    assert ("st-up" in verdict) is known


def test_a_hostname_page_shows_each_answer_each_port_and_what_to_enter(sign_in: SignIn) -> None:
    hostname = watched(health="down", phrase="UCC 6001 refused")
    server = hostname.targets.get(order=1).server
    application = hostname.trusted_application_pool.trusted_applications.first()
    CheckState.objects.create(
        key="ucc:1", kind="ucc", label="UCC 6001", server=server, trusted_application=application, health="down",
        sentence="refused", evidence={"port": 6001},
    )  # fmt: skip
    CheckState.objects.create(
        key="dns:1", kind="dns", label="DNS", hostname=hostname, health="up",
        evidence={"server": "dns1", "values": ["srv1.corp.example."], "ttl": 60},
    )  # fmt: skip
    page = said(sign_in(Role.HELPDESK), hostname.get_absolute_url())
    assert "UCC 6001 refused" in page
    assert "srv1.corp.example." in page
    assert f"https://{hostname.fqdn}/Attendant" in page
    assert f"https://{hostname.fqdn}/DashboardService" in page
    assert "Fail over to" not in page


def test_a_hostname_page_without_any_result_still_opens(sign_in: SignIn) -> None:
    hostname = watched()
    hostname.status.delete()
    assert "Not checked yet." in said(sign_in(Role.OPERATOR), hostname.get_absolute_url())


def test_a_hostname_page_on_which_all_is_well_does_not_say_that_nothing_was_checked(sign_in: SignIn) -> None:
    page = said(sign_in(Role.OPERATOR), watched(health="up", phrase="").get_absolute_url())
    assert "Every check answers." in page
    assert "Not checked yet." not in page


def test_a_stale_hostname_page_says_so(sign_in: SignIn, broker: Broker) -> None:
    hostname = watched()
    broker.ages[hostname.pk] = 60.0
    assert 'class="is-stale"' in said(sign_in(Role.OPERATOR), hostname.get_absolute_url())


@pytest.mark.parametrize("url", ["/hostnames/nothing.example/", "/servers/nothing/", "/no/such/page"])
def test_what_is_not_there_is_a_404_in_plain_words(sign_in: SignIn, url: str) -> None:
    response = sign_in(Role.OPERATOR).get(url)
    assert response.status_code == 404
    assert b"There is nothing here" in response.content


def test_the_timeline_merges_changes_of_state_and_operations_newest_first(sign_in: SignIn, world: World) -> None:
    now = timezone.now()
    HealthTransition.objects.create(
        at=now - timedelta(minutes=9), label="UCC 6001", hostname=world.hostname, old="up", new="down"
    )
    FailoverOperationFactory.create(
        hostname=world.hostname, state="succeeded", created_at=now - timedelta(minutes=5), requested_by_name="Olga"
    )
    page = said(sign_in(Role.HELPDESK), reverse("dnsops:timeline", args=[world.hostname.fqdn]))
    assert page.index("Failover to SRV2: succeeded") < page.index("UCC 6001: up → down")
    assert "by Olga" in page


def test_readiness_says_what_the_standing_test_found(sign_in: SignIn, world: World) -> None:
    url = reverse("dnsops:readiness", args=[world.hostname.fqdn])
    assert "Not looked at yet." in said(sign_in(Role.HELPDESK), url)
    operator = sign_in(Role.OPERATOR)
    assert "Permission for this record" in operator.post(url).content.decode()
    assert "Writer reachable" in said(operator, url)


@pytest.mark.parametrize(
    ("health", "situation", "words"),
    [
        ("up", "working", "working"),
        ("down", "no_data", "not working, screens open but stay empty"),
        ("up", "on_standby", "working, on the standby server"),
        ("unknown", "unknown", "not known at this moment"),
        ("degraded", "some_uccs_down", "working for some queues, not for others"),
    ],
)
def test_helpdesk_gets_one_plain_sentence(sign_in: SignIn, health: str, situation: str, words: str) -> None:
    hostname = watched(health=health, situation=situation)
    page = said(sign_in(Role.HELPDESK), reverse("pools:helpdesk"))
    assert f"{hostname.service_name}: {words}" in page
    assert "Copy for the ticket" in page
    assert "Fail over" not in page.split('id="list"')[1].split("</main>")[0]


def test_helpdesk_is_not_told_that_a_stale_service_works(sign_in: SignIn, broker: Broker) -> None:
    hostname = watched()
    broker.ages[hostname.pk] = 60.0
    page = said(sign_in(Role.HELPDESK), reverse("pools:helpdesk"))
    assert f"{hostname.service_name}: not known at this moment" in page


def test_helpdesk_sees_who_is_on_it(sign_in: SignIn) -> None:
    hostname = watched(health="down", situation="no_data")
    FailoverOperationFactory.create(hostname=hostname, state="running", requested_by_name="Olga")
    page = said(sign_in(Role.HELPDESK), reverse("pools:helpdesk"))
    assert "Olga is moving it now" in page
    assert "being moved to another server" in page


def test_the_hostnames_page_has_a_table_of_its_uccs(sign_in: SignIn) -> None:
    hostname, browser = watched(), sign_in(Role.HELPDESK)
    url = reverse("pools:hostname-uccs", args=[hostname.fqdn])
    assert url in said(browser, hostname.get_absolute_url())
    page = said(browser, url)
    assert "Where each UCC runs" in page
    assert "is not known" in page
    assert "2 are not known; 0 of 2 as it should be." in page
