"""The page Maintenance, and how what is out shows on the others."""

from __future__ import annotations

import html
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from a365admin.accounts.models import Role
from pools.maintenance.models import Maintenance
from pools.models import HostnameStatus, Server
from pools.services import begin_maintenance
from tests.factories import make_pair
from tests.unit.pages.conftest import SignIn, watched

PAGE = "/maintenance/"
HOUR = timedelta(hours=1)


def said(browser: Client, url: str = PAGE) -> str:
    return html.unescape(browser.get(url).content.decode())


def out(reason: str = "patches") -> Maintenance:
    server = watched().targets.get(order=1).servers[0]
    return begin_maintenance(thing=server, reason=reason, ends_at=timezone.now() + HOUR)


def test_an_administrator_takes_a_site_out_and_everybody_sees_why_and_by_whom(sign_in: SignIn) -> None:
    hostname = watched()
    site = hostname.trusted_application_pool.front_end_pool.site
    data = {"thing": f"site:{site.pk}", "reason": "power work", "duration_min": "60"}
    assert sign_in(Role.ADMINISTRATOR).post(f"{PAGE}begin/", data).status_code == 302
    row = Maintenance.objects.get()
    HostnameStatus.objects.update(active_server=hostname.targets.get(order=1).servers[0])
    page = said(sign_in(Role.HELPDESK))
    for words in (
        "power work",
        row.by_name,
        str(site),
        hostname.fqdn,
        *(t.servers[0].name for t in hostname.targets.all()),
    ):
        assert words in page
    assert all(server.in_maintenance for server in Server.objects.all())


def test_times_are_those_of_the_readers_zone(sign_in: SignIn) -> None:
    server = make_pair().targets.get(order=1).servers[0]
    data = {
        "thing": f"server:{server.pk}",
        "reason": "x",
        "starts_at": "2030-07-01T12:00",
        "ends_at": "2030-07-01T14:00",
    }
    sign_in(Role.ADMINISTRATOR).post(f"{PAGE}begin/", {**data, "duration_min": ""})
    row = Maintenance.objects.get()
    assert row.starts_at == datetime(2030, 7, 1, 12, tzinfo=ZoneInfo("Europe/Amsterdam"))
    assert not row.began


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"reason": " "}, "Say why"),
        ({"thing": "server:999999"}, "not in the estate any more"),
        ({"thing": ""}, "Choose what is taken out"),
        ({"duration_min": ""}, "Say when it ends"),
        ({"ends_at": "2030-07-01T14:00"}, "not both"),
        ({"duration_min": "", "ends_at": "2020-07-01T14:00"}, "must end in the future"),
        ({"duration_min": "", "ends_at": "soon"}, "Enter a valid date/time"),
    ],
)
def test_what_is_wrong_is_said_beside_its_field_and_nothing_is_lost(
    sign_in: SignIn, wrong: dict[str, str], words: str
) -> None:
    server = make_pair().targets.get(order=1).servers[0]
    data = {"thing": f"server:{server.pk}", "reason": "keep these words", "duration_min": "60"} | wrong
    response = sign_in(Role.ADMINISTRATOR).post(f"{PAGE}begin/", data)
    assert response.status_code == 422
    page = html.unescape(response.content.decode())
    assert words in page
    assert data["reason"].strip() in page
    assert not Maintenance.objects.exists()


def test_its_end_is_moved_and_it_is_ended_early(sign_in: SignIn) -> None:
    row, browser = out(), sign_in(Role.ADMINISTRATOR)
    browser.post(f"{PAGE}{row.pk}/move/", {"ends_at": "2026-13-01T00:00"})
    row.refresh_from_db()
    before = row.ends_at
    later = timezone.localtime(before + HOUR, ZoneInfo("Europe/Amsterdam")).strftime("%Y-%m-%dT%H:%M")
    browser.post(f"{PAGE}{row.pk}/move/", {"ends_at": later})
    row.refresh_from_db()
    assert row.ends_at > before
    assert "is ended" in html.unescape(browser.post(f"{PAGE}{row.pk}/end/", follow=True).content.decode())
    row.refresh_from_db()
    assert row.ended_at is not None
    assert "over already" in browser.post(f"{PAGE}{row.pk}/end/", follow=True).content.decode()


def test_ending_a_servers_own_says_what_still_keeps_it_out(sign_in: SignIn) -> None:
    row = out()
    assert row.server
    begin_maintenance(thing=row.server.trusted_application_pool, reason="moving racks", ends_at=timezone.now() + HOUR)
    page = html.unescape(sign_in(Role.ADMINISTRATOR).post(f"{PAGE}{row.pk}/end/", follow=True).content.decode())
    assert "stays in maintenance all the same" in page
    assert "moving racks" in page


@pytest.mark.parametrize("role", [Role.HELPDESK, Role.AUDITOR, Role.OPERATOR])
def test_others_read_it_and_may_change_nothing(sign_in: SignIn, role: Role) -> None:
    row, browser = out(), sign_in(role)
    page = said(browser)
    assert "patches" in page
    assert f"{PAGE}begin/" not in page
    for url in (f"{PAGE}begin/", f"{PAGE}{row.pk}/move/", f"{PAGE}{row.pk}/end/"):
        assert browser.post(url, {"reason": "x"}).status_code == 403
        assert url not in page
    assert Maintenance.objects.get().ended_at is None


@pytest.mark.parametrize("place", ["begin/", "1/move/", "1/end/"])
def test_changes_are_posted(sign_in: SignIn, place: str) -> None:
    assert sign_in(Role.ADMINISTRATOR).get(f"{PAGE}{place}").status_code == 405


def test_a_hostname_that_is_down_in_maintenance_shows_as_such_and_is_not_counted_as_down(sign_in: SignIn) -> None:
    row, browser = out(), sign_in(Role.HELPDESK)
    HostnameStatus.objects.update(health="down", situation="no_data", planned=True, version=2)
    page = said(browser, reverse("pools:overview"))
    assert "<title>a365admin</title>" in page
    assert 'data-section="maintenance"' in page
    assert "st-maintenance" in page
    assert 'data-count="down">0<' in page
    assert 'data-count="maintenance">1<' in page
    helpdesk = said(browser, reverse("pools:helpdesk"))
    assert "in planned maintenance" in helpdesk
    assert "This is planned maintenance. Screens open but stay empty" in helpdesk
    hostname = HostnameStatus.objects.get().hostname
    assert "v-maintenance" in said(browser, hostname.get_absolute_url())
    assert row.server
    assert "In maintenance" in said(browser, reverse("pools:server", args=[row.server.name]))


def test_the_number_of_queries_does_not_grow_with_the_estate(
    sign_in: SignIn, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    browser = sign_in(Role.ADMINISTRATOR)
    for _ in range(6):
        out()
    with django_assert_max_num_queries(24):
        browser.get(PAGE)
