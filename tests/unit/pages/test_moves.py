"""The pages that move a site: each works, needs its right, and bears a stale page."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from a365admin.accounts.models import Role
from dnsops import gathering, move_pages
from dnsops.lifecycle import OperationState
from dnsops.models import FailoverOperation, SiteMove
from dnsops.move_models import MoveState
from pools.models import FailoverTarget
from tests.factories import FailoverOperationFactory
from tests.unit.dnsops.sites import NAMES, Sites, build_sites, set_health
from tests.unit.dnsops.world import World
from tests.unit.pages.conftest import SignIn

pytestmark = pytest.mark.django_db


@pytest.fixture
def sites(world: World, monkeypatch: pytest.MonkeyPatch) -> Sites:
    gathering._accepted.clear()
    return build_sites(world, monkeypatch)


def url_of(sites: Sites, direction: str = "away") -> str:
    return f"{reverse('dnsops:move-new')}?site={sites.amsterdam.pk}&direction={direction}"


def open_plan(browser: Client, sites: Sites) -> tuple[str, dict[str, Any]]:
    page = html.unescape(browser.get(url_of(sites)).content.decode())
    form: dict[str, Any] = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page))
    form["hostname"] = re.findall(r'name="hostname" value="([^"]+)"', page)
    return page, form | {"at_once": "25", "how": "each", "reason": "Power failure"}


def test_the_choice_lists_sites_and_front_end_pools(sign_in: SignIn, sites: Sites) -> None:
    page = sign_in(Role.OPERATOR).get(reverse("dnsops:moves")).content.decode()
    assert "Amsterdam" in page
    assert "fepool9.example.com" in page


def test_the_plan_shows_each_hostname_its_target_and_why(sign_in: SignIn, sites: Sites) -> None:
    page, form = open_plan(sign_in(Role.OPERATOR), sites)
    assert all(name in page for name in NAMES)
    assert "It is number 2 in the order, in Rotterdam, and works." in page
    assert len(form["hostname"]) == 4
    assert SiteMove.objects.count() == 0


def test_a_click_starts_the_move_and_leads_to_its_page(sign_in: SignIn, sites: Sites) -> None:
    browser = sign_in(Role.OPERATOR)
    _, form = open_plan(browser, sites)
    response = browser.post(url_of(sites), form)
    move = SiteMove.objects.get()
    assert response.headers["Location"] == move.get_absolute_url()
    page = browser.get(move.get_absolute_url()).content.decode()
    assert "0 of 4 hostnames have the new answer" in page
    assert "Stop</button>" in page


def test_all_or_nothing_is_a_choice_of_the_form(sign_in: SignIn, sites: Sites) -> None:
    browser = sign_in(Role.OPERATOR)
    _, form = open_plan(browser, sites)
    browser.post(url_of(sites), form | {"how": "together", "stop_at_failure": "1"})
    move = SiteMove.objects.get()
    assert (move.together, move.stop_at_failure) == (True, True)


def test_a_refusal_says_why_and_keeps_what_was_typed(sign_in: SignIn, sites: Sites) -> None:
    browser = sign_in(Role.OPERATOR)
    _, form = open_plan(browser, sites)
    response = browser.post(url_of(sites), form | {"hostname": [form["hostname"][0].split(":")[0] + ":0:"]})
    page = response.content.decode()
    assert response.status_code == 409
    assert "Since it was shown, it has changed" in page
    assert "Power failure</textarea>" in page
    assert len(re.findall(r'name="hostname"[^>]* checked', page)) == 1


def test_only_who_may_fail_over_sees_the_plan_and_steers(sign_in: SignIn, sites: Sites) -> None:
    browser = sign_in(Role.HELPDESK)
    assert browser.get(url_of(sites)).status_code == 403
    assert browser.post(url_of(sites), {}).status_code == 403
    move = sites.request()
    assert browser.get(move.get_absolute_url()).status_code == 200
    for name in ("dnsops:move-stop", "dnsops:move-resume"):
        assert browser.post(reverse(name, args=[move.pk])).status_code == 403
    assert SiteMove.objects.get().state == MoveState.RUNNING


def test_stop_and_resume_take_posts_only(sign_in: SignIn, sites: Sites) -> None:
    browser, move = sign_in(Role.OPERATOR), sites.request()
    stop, resume = (reverse(f"dnsops:move-{word}", args=[move.pk]) for word in ("stop", "resume"))
    assert browser.get(stop).status_code == 405
    assert browser.get(resume).status_code == 405
    browser.post(stop)
    assert SiteMove.objects.get().state == MoveState.STOPPED
    assert "It is not running any more." in browser.post(stop, follow=True).content.decode()
    browser.post(resume)
    assert SiteMove.objects.get().state == MoveState.RUNNING
    assert "It is not stopped." in browser.post(resume, follow=True).content.decode()


def test_the_end_is_told_with_counts_and_the_way_back(sign_in: SignIn, sites: Sites) -> None:
    move = sites.finish(sites.request())
    page = sign_in(Role.OPERATOR).get(move.get_absolute_url()).content.decode()
    assert "All 4 hostnames have moved." in page
    assert "after the click" in page
    assert "direction=back" in page


def test_what_went_wrong_comes_first(sites: Sites) -> None:
    move = sites.finish(sites.request())
    last = move.members.order_by("-order").first()
    assert last is not None
    assert last.operation is not None
    FailoverOperation.objects.filter(pk=last.operation.pk).update(state=OperationState.FAILED)
    lines = move_pages.move_page(move).lines
    assert [lines[0].member.pk, lines[0].status] == [last.pk, "down"]
    assert [line.member.order for line in lines[1:]] == sorted(line.member.order for line in lines[1:])


def test_the_number_of_queries_of_a_moves_page_does_not_grow(sites: Sites, django_assert_num_queries: Any) -> None:
    move = sites.finish(sites.request())
    with django_assert_num_queries(2):
        move_pages.move_page(move)


def test_a_move_with_news_has_another_mark(sites: Sites) -> None:
    move = sites.request()
    before = move_pages.move_marks([str(move.pk)])
    sites.drive(move)
    assert move_pages.move_marks([str(move.pk)]) != before
    assert move_pages.move_marks(None).keys() == before.keys()


def test_what_is_neither_away_nor_back_is_not_found(sign_in: SignIn, sites: Sites) -> None:
    assert sign_in(Role.OPERATOR).get(url_of(sites, "sideways")).status_code == 404
    assert sign_in(Role.OPERATOR).get(reverse("dnsops:move-new") + "?site=x").status_code == 404


def test_the_hostnames_page_says_which_target_is_next_and_why(sign_in: SignIn, sites: Sites) -> None:
    set_health(sites, SRV1="up", SRV9="down")
    page = sign_in(Role.OPERATOR).get(sites.hostnames[NAMES[0]].get_absolute_url()).content.decode()
    assert "Next: SRV9." in page
    assert "it is not ready" in page


def test_the_dialog_proposes_the_first_target_that_works_and_says_why(sign_in: SignIn, sites: Sites) -> None:
    hostname = sites.hostnames[NAMES[0]]
    hostname.targets.filter(order=2).update(order=3)
    FailoverTarget.objects.create(hostname=hostname, server=sites.world.servers["SRV2"], order=2)
    set_health(sites, SRV2="down")
    page = html.unescape(sign_in(Role.OPERATOR).get(reverse("dnsops:preflight", args=[hostname.fqdn])).content.decode())
    assert "to <b>SRV9</b>?" in page
    assert "It is the first in the order that works, in Rotterdam. Passed over: SRV2" in page


def lines_of(page: str) -> list[str]:
    body = page.split("<tbody>", maxsplit=1)[1].split("</tbody>", maxsplit=1)[0]
    return [re.sub(r"<[^>]+>", " ", line) for line in body.split("<tr>")[1:]]


def test_in_the_list_a_move_is_one_line_that_counts_its_hostnames(sign_in: SignIn, sites: Sites) -> None:
    alone = FailoverOperationFactory.create(hostname=sites.world.hostname, state="failed", to_text="SRV2")
    move = sites.finish(sites.request())
    FailoverOperation.objects.filter(move_member__move=move, hostname_fqdn=NAMES[0]).update(state="incomplete")
    page = html.unescape(sign_in(Role.AUDITOR).get(reverse("dnsops:operations")).content.decode())
    of_move, other = lines_of(page)
    assert "Move away from Amsterdam" in of_move
    assert "4 hostnames: 3 succeeded, 1 incomplete" in of_move
    assert "Degraded" not in of_move
    assert "Ended" in of_move
    assert move.get_absolute_url() in page
    assert f"Failover of {alone.hostname_fqdn}" in other


def test_whoever_looks_for_one_of_a_move_finds_it_with_the_way_to_the_move(sign_in: SignIn, sites: Sites) -> None:
    move = sites.finish(sites.request())
    browser = sign_in(Role.AUDITOR)
    for query in (f"?q={NAMES[1]}", "?show=succeeded"):
        page = html.unescape(browser.get(reverse("dnsops:operations") + query).content.decode())
        assert f"Failover of {NAMES[1]}" in page
        assert f'in the <a href="{move.get_absolute_url()}">move away from Amsterdam</a>' in page
    assert len(lines_of(page)) == 4


def test_a_move_of_which_nothing_has_begun_is_no_line_of_operations(sign_in: SignIn, sites: Sites) -> None:
    sites.request()
    page = sign_in(Role.AUDITOR).get(reverse("dnsops:operations")).content.decode()
    assert "No operation yet" in page
