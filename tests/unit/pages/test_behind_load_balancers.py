"""Pages of hostnames behind load balancers: no button where nothing has to be done, and the right words for all."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from a365admin.accounts.models import Role
from pools.health import Health, Situation
from pools.helpdesk import helpdesk_lines
from pools.models import DedicatedHostname, HostnameStatus, VirtualService, VirtualServiceStatus
from pools.overview import read_overview
from tests.factories import UserFactory, make_balanced, make_global

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin(client: Client) -> Client:
    client.force_login(UserFactory.create(role=Role.ADMINISTRATOR))
    return client


def status_of(hostname: DedicatedHostname, active: int = 1, **changed: object) -> HostnameStatus:
    targets = list(hostname.targets.order_by("order"))
    other = next((target for target in targets if target.order != active), None)
    return HostnameStatus.objects.create(
        hostname=hostname,
        active_virtual_service=targets[active - 1].virtual_service,
        standby_virtual_service=other.virtual_service if other else None,
        on_primary=active == 1,
        **{"health": Health.UP.value, "situation": Situation.WORKING.value, **changed},
    )


def page(client: Client, name: str, *arguments: str) -> str:
    response = client.get(reverse(name, args=arguments))
    assert response.status_code == 200
    return response.content.decode()


def test_a_hostname_with_one_virtual_service_says_that_nothing_has_to_be_done_in_place_of_a_button(
    admin: Client,
) -> None:
    hostname = make_balanced()
    status_of(hostname)
    shown = page(admin, "pools:hostname", hostname.fqdn)
    assert "Failover here needs no action: the load balancer does it by itself." in shown
    assert "go-failover" not in shown
    assert "the load balancer fails over by itself" in page(admin, "pools:overview")
    assert "Fail over" not in page(admin, "pools:row", hostname.fqdn)


def test_a_global_hostname_has_a_button_to_the_other_datacentre(admin: Client) -> None:
    hostname = make_global()
    near, far = (target.name for target in hostname.targets.order_by("order"))
    status_of(hostname)
    shown = page(admin, "pools:hostname", hostname.fqdn)
    assert f"Fail over to {far}" in shown
    assert shown.index(f">{near}</a>") < shown.index(f">{far}</a>")
    assert f"Active</span> <b>{near}</b>" in page(admin, "pools:row", hostname.fqdn)


def test_after_a_datacentre_failover_the_button_leads_back(admin: Client) -> None:
    hostname = make_global()
    near = hostname.targets.get(order=1).name
    status_of(hostname, active=2, situation=Situation.ON_STANDBY.value)
    assert f"Fail back to {near}" in page(admin, "pools:hostname", hostname.fqdn)


@pytest.mark.parametrize("role", [Role.HELPDESK, Role.AUDITOR])
def test_everybody_may_see_a_virtual_services_page_and_only_administrators_edit(client: Client, role: Role) -> None:
    service = VirtualService.objects.get(targets__hostname=make_balanced())
    client.force_login(UserFactory.create(role=role))
    shown = page(client, "pools:virtual-service", service.name.lower())
    assert "Which real server clients are on is not known." in shown
    assert f"default-server check port {service.health_check.port} " in shown
    assert "New-AdcVirtualService" in shown
    edit = reverse("pools:estate-edit", args=["virtual-service", service.pk])
    assert (edit in shown) is False
    assert client.get(edit).status_code == 403


def test_a_virtual_services_page_says_who_serves_since_when_and_how_long_it_took(admin: Client) -> None:
    service = VirtualService.objects.get(targets__hostname=make_balanced())
    one, two = service.servers
    VirtualServiceStatus.objects.create(
        virtual_service=service, health="up", in_use=two, moved_from=one.name, took_s=6.5
    )
    shown = page(admin, "pools:virtual-service", service.name)
    assert f"Clients are on {two}" in shown
    assert f"before that on {one}" in shown
    assert f"The load balancer took 6.5 s from our seeing {one} down" in shown


def test_there_is_no_page_for_what_there_is_not(admin: Client) -> None:
    assert admin.get(reverse("pools:virtual-service", args=["nobody"])).status_code == 404


def test_pages_ask_no_more_of_the_database_for_more_virtual_services(admin: Client) -> None:
    def queries(url: str) -> int:
        admin.get(url)
        with CaptureQueriesContext(connection) as seen:
            assert admin.get(url).status_code == 200
        return len(seen)

    hostname = make_global()
    urls = [reverse("pools:hostname", args=[hostname.fqdn]), reverse("pools:estate")]
    service = hostname.targets.get(order=1).name
    urls.append(reverse("pools:virtual-service", args=[service]))
    before = [queries(url) for url in urls]
    for _ in range(3):
        make_global()
        make_balanced()
    after = [queries(url) for url in urls]  # what is read at most once a second comes and goes: hence the few
    assert all(count <= once + 4 for count, once in zip(after, before, strict=True)), (before, after)


@pytest.mark.parametrize(
    ("situation", "health", "said"),
    [
        (Situation.BEHIND_GREEN, Health.DOWN, "calls come in, but screens do not open"),
        (Situation.BEHIND_GREEN, Health.DEGRADED, "working"),
        (Situation.CHECK_UCC_GONE, Health.DOWN, "not working"),
        (Situation.CHECK_UCC_GONE, Health.DEGRADED, "working"),
        (Situation.BALANCER_DISAGREES, Health.DEGRADED, "working, but we are looking at it"),
        (Situation.ON_STANDBY, Health.UP, "working, in the other datacentre"),
    ],
)
def test_helpdesk_has_words_for_each(situation: Situation, health: Health, said: str) -> None:
    status_of(make_global(), situation=situation.value, health=health.value)
    overview = read_overview()
    (line,) = helpdesk_lines(replace(overview, stale=frozenset()), {})
    assert line.words.said == said
