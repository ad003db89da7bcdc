"""The standing readiness test: what it asks, what it keeps, and that nothing is changed in effect."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from a365admin.accounts.models import Role
from dnsops import readying
from dnsops.models import Readiness, Zone
from dnsops.providers.base import Outcome, OutcomeKind
from dnsops.readiness import Question, Ready
from pools import live
from pools.models import DedicatedHostname
from pools.pages import find_hostname
from tests.factories import UserFactory
from tests.unit.dnsops.world import FQDN, World, cname


@pytest.fixture(autouse=True)
def no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "freshness", lambda: live.Freshness(known=False))


def look(world: World) -> dict[str, tuple[str, str]]:
    """Look now; question -> level and sentence of its first line."""
    found = readying.check(find_hostname(FQDN))
    answers: dict[str, tuple[str, str]] = {}
    for question, level, sentence in found.lines:
        answers.setdefault(question, (level, sentence))
    return answers


def refuse(world: World, kind: OutcomeKind, sentence: str) -> None:
    world.dns.outcome = Outcome(kind, "REFUSED", sentence)


def test_the_record_is_changed_for_itself_and_so_not_changed(world: World) -> None:
    answers = look(world)
    (change,) = world.dns.messages
    assert change.expected == change.new == cname("SRV1")
    assert world.points_at() == "SRV1"
    assert answers[Question.PERMISSION] == (
        Ready.OK, "dns1 lets us write this record: it was changed for itself, so nothing changed."
    )  # fmt: skip
    assert answers[Question.KEY][0] == Ready.OK


def test_a_refusal_is_kept_and_told_in_a_few_words(world: World) -> None:
    refuse(world, OutcomeKind.DENIED, "dns1 refused the change (REFUSED).")
    answers = look(world)
    assert answers[Question.PERMISSION] == (Ready.BAD, "dns1 refused the change (REFUSED).")
    assert answers[Question.KEY][0] == Ready.OK
    assert Readiness.objects.get().summary == "DNS write refused"


@pytest.mark.parametrize("kind", [OutcomeKind.AUTH, OutcomeKind.CLOCK])
def test_a_key_that_is_not_accepted_says_nothing_about_permission(world: World, kind: OutcomeKind) -> None:
    refuse(world, kind, "The secret is not the one there.")
    answers = look(world)
    assert answers[Question.KEY] == (Ready.BAD, "The secret is not the one there.")
    assert answers[Question.PERMISSION][0] == Ready.UNKNOWN


@pytest.mark.parametrize("kind", [OutcomeKind.UNKNOWN, OutcomeKind.CONFLICT])
def test_an_answer_that_decides_nothing_is_not_called_fine(world: World, kind: OutcomeKind) -> None:
    refuse(world, kind, "No answer came.")
    assert look(world)[Question.PERMISSION][0] == Ready.UNKNOWN


def test_where_the_zone_says_never_only_the_key_is_tried(world: World) -> None:
    Zone.objects.update(permission_test=Zone.PermissionTest.NEVER)
    answers = look(world)
    assert world.dns.messages == []
    assert answers[Question.KEY][0] == Ready.OK
    assert answers[Question.PERMISSION][0] == Ready.UNKNOWN


def test_by_itself_it_is_made_only_where_it_leaves_no_trace() -> None:
    assert Zone(provider="rfc2136").tests_permission
    assert not Zone(provider="gss").tests_permission
    assert Zone(provider="gss", permission_test=Zone.PermissionTest.ALWAYS).tests_permission
    assert not Zone(provider="rfc2136", permission_test=Zone.PermissionTest.NEVER).tests_permission


def test_while_an_operation_is_under_way_the_record_is_left_alone(world: World) -> None:
    world.request()
    answers = look(world)
    assert world.dns.messages == []
    assert answers[Question.PERMISSION] == (Ready.UNKNOWN, "Not tried while an operation is under way.")


def test_a_record_that_is_not_there_is_not_made(world: World) -> None:
    world.dns.set(FQDN, None)
    answers = look(world)
    assert world.dns.messages == []
    assert answers[Question.RECORD][0] == Ready.BAD
    assert answers[Question.PLAN][0] == Ready.BAD


def test_a_silent_writer_is_asked_for_nothing_more(world: World) -> None:
    world.dns.silent = {"dns1"}
    answers = look(world)
    assert world.dns.messages == []
    assert answers[Question.WRITER][0] == Ready.BAD


def test_a_zone_without_a_key_is_told(world: World) -> None:
    Zone.objects.update(name="other.example")
    assert look(world)[Question.KEY][0] == Ready.BAD


def test_those_whose_turn_it_is_are_looked_at_the_longest_ago_first(world: World) -> None:
    assert readying.check_due() == 1
    assert readying.check_due() == 0
    Readiness.objects.update(checked_at=timezone.now() - timedelta(hours=1))
    assert readying.check_due() == 1


def test_one_that_cannot_be_looked_at_does_not_hold_up_the_others(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = world.hostname.trusted_application_pool
    DedicatedHostname.objects.create(fqdn="z.example.com", service_name="Z", trusted_application_pool=pool)
    real, seen = readying.check, []

    def check(hostname: DedicatedHostname) -> Readiness:
        seen.append(hostname.fqdn)
        if len(seen) == 1:
            raise ValueError("a mistake")
        return real(hostname)

    monkeypatch.setattr(readying, "check", check)
    assert readying.check_due() == 2
    assert len(seen) == 2


# ------------------------------------------------------------------------------------------------------------- the page


def page(role: Role, *, post: bool = False) -> tuple[int, str]:
    client = Client()
    client.force_login(UserFactory.create(role=role))
    url = reverse("dnsops:readiness", args=[FQDN])
    response = client.post(url) if post else client.get(url)
    return response.status_code, response.content.decode()


def test_the_page_shows_each_line_with_its_mark_and_its_age(world: World) -> None:
    look(world)
    _, text = page(Role.HELPDESK)
    assert "Permission for this record" in text
    assert "data-ago" in text
    assert "Look now" not in text


def test_what_is_old_is_grey_and_nothing_in_it_is_good(world: World) -> None:
    look(world)
    Readiness.objects.update(checked_at=timezone.now() - timedelta(hours=1))
    _, text = page(Role.OPERATOR)
    assert "too old to be believed" in text
    assert "rl-ok" not in text
    assert "Not known." in text


def test_before_the_first_look_nothing_is_claimed(world: World) -> None:
    _, text = page(Role.OPERATOR)
    assert "Not looked at yet." in text


def test_a_click_looks_now_and_needs_the_right_to_fail_over(world: World) -> None:
    status, text = page(Role.OPERATOR, post=True)
    assert status == 200
    assert "Permission for this record" in text
    assert page(Role.HELPDESK, post=True)[0] == 403
