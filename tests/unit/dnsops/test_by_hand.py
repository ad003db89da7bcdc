"""A change that a person makes: it waits, says what is true, notices by itself, and ends truly."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django import Settings

from a365admin.audit.models import AuditEntry
from dnsops import executor, services, wiring
from dnsops.lifecycle import OperationState, StepKind, StepState
from dnsops.models import DnsChange, FailoverOperation, Zone
from dnsops.plan import RRset
from dnsops.providers.base import Endpoint
from dnsops.providers.manual import Manual
from tests.unit.dnsops.world import FQDN, World, cname

pytestmark = pytest.mark.django_db


@pytest.fixture
def by_hand(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """The zone is changed by hand; DNS is in memory, as everywhere here."""

    def provider_for(zone: Zone, writer: Endpoint) -> Manual:
        return Manual(writer)

    monkeypatch.setattr(wiring, "provider_for", provider_for)
    monkeypatch.setattr(
        Manual, "read", lambda self, endpoint, name, *, deadline: world.dns.ask(endpoint, name, timeout_s=1)
    )
    return world


def look(operation: FailoverOperation) -> FailoverOperation:
    """Let a worker take it up as soon as it is due."""
    FailoverOperation.objects.filter(pk=operation.pk, lease_owner="").update(lease_until=timezone.now())
    executor.run(operation.pk, owner="test")
    operation.refresh_from_db()
    return operation


def write_step(operation: FailoverOperation) -> tuple[str, str]:
    step = operation.steps.get(kind=StepKind.WRITE.value)
    return step.state, step.sentence


def do_it(world: World, rrset: RRset | None = None, *servers: str) -> None:
    """What the person does."""
    world.dns.set(FQDN, rrset or cname("SRV2"), *servers)


def test_it_waits_with_the_commands_and_without_a_worker(by_hand: World) -> None:
    operation = by_hand.request()
    again_at = executor.run(operation.pk, owner="test")
    operation.refresh_from_db()
    assert again_at is not None
    assert (operation.state, operation.lease_owner, operation.by_hand) == (OperationState.RUNNING, "", True)
    assert operation.waits_for_hand
    step = operation.steps.get(kind=StepKind.WRITE.value)
    assert "srv2.example.com" in step.evidence["commands"]["powershell"]
    assert "update add a365web1.example.com." in step.evidence["commands"]["nsupdate"]
    assert "dns1 still says CNAME srv1.example.com" in step.sentence
    assert not DnsChange.objects.exists()
    assert by_hand.dns.messages == []


def test_it_notices_by_itself_verifies_and_succeeds(by_hand: World) -> None:
    operation = by_hand.request()
    look(operation)
    do_it(by_hand)
    look(operation)
    FailoverOperation.objects.filter(pk=operation.pk).update(lease_until=timezone.now())
    step = operation.steps.get(kind=StepKind.WAIT_TTL.value)
    step.evidence["until"] = timezone.now().isoformat()
    step.save()
    look(operation)
    assert operation.state == OperationState.SUCCEEDED, operation.result
    assert operation.written_at is not None
    change = DnsChange.objects.get()
    assert change.outcome == "applied"
    assert "Made by hand" in change.sentence
    assert write_step(operation) == (StepState.DONE, change.sentence)


def test_a_longer_ttl_than_planned_is_said(by_hand: World) -> None:
    operation = by_hand.request()
    look(operation)
    do_it(by_hand, cname("SRV2", ttl_s=3600))
    look(operation)
    state, sentence = write_step(operation)
    assert state == StepState.WARNING
    assert "TTL is 3600 s, not" in sentence


def test_another_server_that_does_not_follow_makes_it_incomplete(by_hand: World, settings: Settings) -> None:
    settings.DNSOPS = {**settings.DNSOPS, "verify_max_s": 0.3}
    operation = by_hand.request()
    look(operation)
    do_it(by_hand, None, "dns1")
    look(operation)
    assert operation.state == OperationState.INCOMPLETE
    assert "dns2 still says CNAME srv1.example.com" in operation.result


def test_between_two_commands_it_says_that_there_is_no_record_and_goes_on_waiting(by_hand: World) -> None:
    operation = by_hand.request()
    look(operation)
    by_hand.dns.set(FQDN, None)
    look(operation)
    assert operation.waits_for_hand
    assert "has no record" in write_step(operation)[1]
    do_it(by_hand)
    look(operation)
    assert operation.written_at is not None


def test_a_wrong_value_is_said_and_can_be_put_right(by_hand: World) -> None:
    operation = by_hand.request()
    look(operation)
    do_it(by_hand, cname("SRV9"))
    look(operation)
    assert operation.waits_for_hand
    assert "neither the old nor the new answer" in write_step(operation)[1]


def time_is_up(operation: FailoverOperation) -> None:
    step = operation.steps.get(kind=StepKind.WRITE.value)
    step.evidence["until"] = (timezone.now() - timedelta(seconds=1)).isoformat()
    step.save()


@pytest.mark.parametrize(
    ("now", "state", "words"),
    [
        ("SRV1", OperationState.FAILED, "within 30 min. dns1 still says CNAME srv1.example.com"),
        ("SRV9", OperationState.UNKNOWN, "neither the old nor the new answer"),
        ("", OperationState.UNKNOWN, "no record"),
        ("silent", OperationState.UNKNOWN, "does not answer"),
    ],
)
def test_when_the_time_is_up_the_end_is_what_dns_says(
    by_hand: World, now: str, state: OperationState, words: str
) -> None:
    operation = by_hand.request()
    look(operation)
    if now == "silent":
        by_hand.dns.silent = {"dns1", "dns2"}
    else:
        by_hand.dns.set(FQDN, cname(now) if now else None)
    time_is_up(operation)
    look(operation)
    assert operation.state == state, operation.result
    assert words in operation.result
    assert ("changed nothing" in operation.result) == (state is OperationState.FAILED)


def test_done_at_the_last_moment_counts(by_hand: World) -> None:
    operation = by_hand.request()
    look(operation)
    do_it(by_hand)
    time_is_up(operation)
    look(operation)
    assert operation.written_at is not None


def test_saying_that_it_is_done_looks_at_once_and_only_dns_counts(by_hand: World) -> None:
    operation = by_hand.request()
    executor.run(operation.pk, owner="test")
    operation.refresh_from_db()
    by_hand.nudges.clear()
    services.say_done(operation=operation, user=by_hand.operator)
    operation.refresh_from_db()
    assert operation.lease_until is not None
    assert operation.lease_until <= timezone.now()
    assert AuditEntry.objects.filter(action="operation.done_by_hand").count() == 1
    executor.run(operation.pk, owner="test")
    operation.refresh_from_db()
    assert operation.waits_for_hand
    assert "said at" in write_step(operation)[1]
    assert "but dns1 still says CNAME srv1.example.com" in write_step(operation)[1]


def test_nobody_can_say_it_of_one_that_does_not_wait(by_hand: World) -> None:
    operation = by_hand.request()
    with pytest.raises(services.RequestRefused, match="no longer waits"):
        services.say_done(operation=operation, user=by_hand.operator)


def test_before_anything_was_changed_it_can_be_cancelled(by_hand: World) -> None:
    operation = by_hand.request()
    look(operation)
    services.cancel_operation(operation=operation, user=by_hand.operator)
    operation.refresh_from_db()
    assert operation.state == OperationState.CANCELLED
    assert "do not run the commands any more" in operation.result
    assert executor.run(operation.pk, owner="test") is None


@pytest.mark.parametrize(
    ("now", "words"),
    [("SRV2", "too late to cancel"), ("SRV9", "neither the old nor the new"), ("silent", "gives no answer")],
)
def test_what_may_have_been_changed_cannot_be_cancelled(by_hand: World, now: str, words: str) -> None:
    operation = by_hand.request()
    look(operation)
    if now == "silent":
        by_hand.dns.silent = {"dns1"}
    else:
        do_it(by_hand, cname(now))
    with pytest.raises(services.RequestRefused, match=words):
        services.cancel_operation(operation=operation, user=by_hand.operator)
    operation.refresh_from_db()
    assert operation.state == OperationState.RUNNING


def test_dns_that_has_changed_since_the_click_shows_no_commands(by_hand: World) -> None:
    operation = by_hand.request()
    do_it(by_hand, cname("SRV9"))
    look(operation)
    assert operation.state == OperationState.FAILED
    assert "DNS has changed since the click" in operation.result
    assert not operation.by_hand


def test_done_before_the_commands_were_shown_is_success_too(by_hand: World) -> None:
    operation = by_hand.request()
    do_it(by_hand)
    look(operation)
    assert operation.written_at is not None
    assert operation.steps.get(kind=StepKind.READ_BACK.value).state == StepState.DONE


def test_an_end_that_was_not_known_can_be_asked_again(by_hand: World) -> None:
    operation = by_hand.request()
    look(operation)
    by_hand.dns.set(FQDN, cname("SRV9"))
    time_is_up(operation)
    look(operation)
    assert operation.state == OperationState.UNKNOWN
    do_it(by_hand)
    services.retry_verification(operation=operation, user=by_hand.operator)
    operation.refresh_from_db()
    assert operation.state == OperationState.SUCCEEDED
