"""The pages of pools and sites: their verdict, what belongs to them, and nothing old told as true."""

from __future__ import annotations

import pytest
from pytest_django import DjangoAssertNumQueries

from a365admin.accounts.models import Role
from pools.models import CheckState, DedicatedHostname, FrontEndPool, Site
from pools.place_pages import url_of
from pools.services import pair_front_end_pools
from tests.factories import FrontEndPoolFactory
from tests.unit.pages.conftest import Broker, SignIn, forget, watched


def in_a_pool(health: str = "up", *, ucc: str = "up") -> DedicatedHostname:
    """A watched hostname whose primary runs its UCCs and whose standby does not."""
    hostname = watched(health=health, phrase="" if health == "up" else "web refused")
    for order, state in ((1, ucc), (2, "down")):
        server = hostname.targets.get(order=order).servers[0]
        for application in hostname.trusted_application_pool.trusted_applications.all():
            CheckState.objects.create(
                key=f"ucc:{server.pk}:{application.pk}", kind="ucc", label=f"UCC on {server}", server=server,
                trusted_application=application, health=state, cause="ok",
            )  # fmt: skip
        CheckState.objects.create(
            key=f"web:{server.pk}:{hostname.pk}", kind="web", label=f"Web of {server}", server=server, health="up",
            hostname=hostname, cause="ok",
        )  # fmt: skip
    return hostname


def text(sign_in: SignIn, path: str) -> str:
    answer = sign_in(Role.HELPDESK).get(path)
    assert answer.status_code == 200
    return str(answer.content.decode())


def test_a_trusted_application_pool_says_which_server_runs_its_uccs(sign_in: SignIn) -> None:
    hostname = in_a_pool()
    one, two = (hostname.targets.get(order=order).servers[0] for order in (1, 2))
    page = text(sign_in, url_of(hostname.trusted_application_pool))
    assert f"The UCC service runs on {one.name}; {two.name} stands by. {hostname.fqdn} works." in page
    assert '<section class="verdict v-up"' in page
    assert "Edit" not in page


def test_a_pool_whose_ucc_service_is_dead_while_web_answers_says_that_clients_get_no_data(sign_in: SignIn) -> None:
    page = text(sign_in, url_of(in_a_pool("down", ucc="down").trusted_application_pool))
    assert "No server runs the UCC service; web still answers: clients get no data." in page
    assert '<section class="verdict v-down"' in page


def test_a_pool_of_which_nobody_looked_lately_is_unknown_and_never_up(sign_in: SignIn, broker: Broker) -> None:
    hostname = in_a_pool()
    broker.ages[hostname.pk] = 60.0
    broker.old_checks = set(CheckState.objects.values_list("key", flat=True))
    forget()
    page = text(sign_in, url_of(hostname.trusted_application_pool))
    assert '<section class="verdict v-unknown"' in page
    assert "runs on" not in page
    assert "the last results are too old to be believed" in page
    assert '<span class="chip c-up"' not in page


@pytest.mark.parametrize(("meant", "health"), [(False, "degraded"), (True, "up")])
def test_where_the_site_means_both_servers_to_run_the_ucc_service_that_is_no_fault(
    sign_in: SignIn, meant: bool, health: str
) -> None:
    pool = in_a_pool().trusted_application_pool
    CheckState.objects.filter(kind="ucc").update(health="up")
    type(pool).objects.update(standby_runs_ucc=False)
    Site.objects.update(standby_runs_ucc=meant)
    assert f'<section class="verdict v-{health}"' in text(sign_in, url_of(pool))


def test_a_front_end_pool_shows_its_pair_and_counts_its_own_hostnames_only(sign_in: SignIn) -> None:
    own, theirs = in_a_pool(), in_a_pool("down")
    pool, other = (hostname.trusted_application_pool.front_end_pool for hostname in (own, theirs))
    pair_front_end_pools(first=pool, second=other)
    page = text(sign_in, url_of(pool))
    assert f'<p class="verdict-phrase">{own.fqdn} works.</p>' in page
    assert "its pair" in page
    assert f"{theirs.fqdn}: web refused." in page


def test_a_site_shows_its_front_end_pools(sign_in: SignIn) -> None:
    hostname = in_a_pool("degraded")
    site = hostname.trusted_application_pool.front_end_pool.site
    FrontEndPoolFactory.create(site=site)
    page = text(sign_in, url_of(site))
    assert f"{hostname.fqdn}: web refused." in page
    assert "No dedicated hostname belongs to it" in page


@pytest.mark.parametrize("path", ["/pools/none.example/", "/front-end-pools/none.example/", "/sites/Nowhere/"])
def test_what_is_not_there_is_not_found(sign_in: SignIn, path: str) -> None:
    assert sign_in(Role.HELPDESK).get(path).status_code == 404


def test_an_administrator_can_go_on_to_edit(sign_in: SignIn) -> None:
    pool = in_a_pool().trusted_application_pool
    page = sign_in(Role.ADMINISTRATOR).get(url_of(pool)).content.decode()
    assert f"/estate/trusted-application-pool/{pool.pk}/" in page


@pytest.mark.parametrize("count", [1, 6])
def test_the_number_of_queries_does_not_grow_with_a_site(
    sign_in: SignIn, django_assert_max_num_queries: DjangoAssertNumQueries, count: int
) -> None:
    hostnames = [in_a_pool() for _ in range(count)]
    site = hostnames[0].trusted_application_pool.front_end_pool.site
    FrontEndPool.objects.update(site=site)
    browser = sign_in(Role.HELPDESK)
    forget()
    with django_assert_max_num_queries(22):
        browser.get(url_of(site))
