"""No page says of what is too old that it is so."""

from __future__ import annotations

import re
import time

import pytest
from django.test import Client

from a365admin import banners
from a365admin.accounts.models import Role
from pools import live
from pools.models import CheckState, DedicatedHostname
from tests.unit.pages.conftest import Broker, SignIn, forget, watched


def text(browser: Client, path: str) -> str:
    return browser.get(path).content.decode()


def with_checks() -> DedicatedHostname:
    hostname = watched()
    server = hostname.targets.get(order=1).servers[0]
    for number in (1, 2):
        CheckState.objects.create(
            key=f"ucc:{server.pk}:{number}", kind="ucc", label=f"UCC {number}", server=server, health="up",
            sentence="answers", cause="ok",
        )  # fmt: skip
    return hostname


def test_helpdesk_is_not_told_that_something_works_when_the_last_look_is_too_long_ago(
    sign_in: SignIn, broker: Broker
) -> None:
    hostname = watched()
    browser = sign_in(Role.HELPDESK)
    assert f"{hostname.service_name}: working" in text(browser, "/helpdesk/")
    broker.ages[hostname.pk] = 13.0
    forget()
    page = text(browser, "/helpdesk/")
    assert f"{hostname.service_name}: not known at this moment" in page
    assert "working" not in page


@pytest.mark.parametrize("known", [True, False])
def test_a_hostname_whose_results_are_old_is_stale_with_all_its_checks(
    sign_in: SignIn, broker: Broker, known: bool
) -> None:
    hostname = with_checks()
    broker.ages[hostname.pk], broker.known = 13.0, known
    page = text(sign_in(Role.HELPDESK), hostname.get_absolute_url())
    assert re.search(r'id="live-part"[^>]*class="is-stale"', page)
    assert re.search(r'id="checks"[^>]*is-stale"', page)


def test_on_a_servers_page_each_check_has_its_own_age(sign_in: SignIn, broker: Broker) -> None:
    hostname = with_checks()
    server = hostname.targets.get(order=1).servers[0]
    broker.old_checks = {f"ucc:{server.pk}:2"}
    page = text(sign_in(Role.HELPDESK), f"/servers/{server.name}/")
    rows = re.findall(r"<tr(.*?)</tr>", page, re.DOTALL)
    assert ["is-stale" in row for row in rows if "UCC" in row] == [False, True]


def test_on_a_servers_page_a_hostname_that_is_old_is_stale(sign_in: SignIn, broker: Broker) -> None:
    hostname = with_checks()
    broker.ages[hostname.pk] = 13.0
    page = text(sign_in(Role.HELPDESK), f"/servers/{hostname.targets.get(order=1).aim.name}/")
    assert f'<li data-id="{hostname.pk}" class="is-stale">' in page


def test_a_prober_that_doubts_itself_is_said_on_every_page(sign_in: SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    since = time.time() - 30
    monkeypatch.setattr(live, "prober_doubt", lambda: live.ProberDoubt(since, "no reference target answers: cut off"))
    banners.doubts.forget()
    page = text(sign_in(Role.HELPDESK), "/helpdesk/")
    assert "The prober may be cut off." in page
    assert "no reference target answers. What fails is shown as unknown" in page
