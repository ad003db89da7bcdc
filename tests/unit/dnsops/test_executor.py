"""Carrying out an operation, with DNS in memory: every end is reachable, and each says what is true."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import DatabaseError
from django.utils import timezone
from pytest_django import Settings

from a365admin.audit.models import AuditEntry
from dnsops import claims, executor, services, writing
from dnsops.lifecycle import OperationState, StepKind, StepState
from dnsops.models import DnsChange, FailoverOperation
from dnsops.providers.base import Outcome, OutcomeKind
from tests.unit.dnsops.world import FQDN, World, cname


def steps(operation: FailoverOperation) -> dict[str, str]:
    """Each step's state."""
    return {step.kind: step.state for step in operation.steps.all()}


def refusal(kind: OutcomeKind, rcode: str = "REFUSED", *, authenticated: bool = True) -> Outcome:
    """The server says no."""
    return Outcome(kind, rcode, "dns1 refused the change. Nothing was changed.", authenticated)


def test_it_moves_the_hostname_and_ends_in_success(world: World) -> None:
    done = world.run(world.request())
    assert done.state == OperationState.SUCCEEDED, done.result
    assert done.result == "Every DNS server answers SRV2."
    assert world.points_at() == "SRV2"
    assert len(world.dns.messages) == 1
    found = steps(done)
    assert found.pop(StepKind.RESOLVERS) == StepState.SKIPPED  # none is named
    assert set(found.values()) == {StepState.DONE}
    assert done.written_at
    assert done.ended_at


def test_the_row_of_the_change_is_completed_with_the_answer(world: World) -> None:
    done = world.run(world.request())
    change = DnsChange.objects.get(operation=done)
    assert change.outcome == OutcomeKind.APPLIED
    assert change.before == cname("SRV1").as_dict()
    assert change.after == cname("SRV2").as_dict()
    assert change.answered_at


def test_its_end_is_in_the_audit_log_with_who_asked_for_it(world: World) -> None:
    done = world.run(world.request())
    entry = AuditEntry.objects.get(action="operation.ended")
    assert entry.object_id == str(done.pk)
    assert entry.actor_name == "otto"
    assert entry.before["server"] == "SRV1"
    assert entry.after["server"] == "SRV2"


def test_it_lets_the_worker_go_while_the_old_ttl_runs_out(world: World) -> None:
    operation = world.request()
    until = executor.run(operation.pk, owner="one")
    assert until is not None
    operation.refresh_from_db()
    assert operation.state == OperationState.RUNNING
    assert operation.lease_owner == ""
    assert operation.lease_until == until
    assert 50 < (until - timezone.now()).total_seconds() <= 60
    assert executor.run(operation.pk, owner="two") is None  # too early: nobody can take it


def test_the_wait_is_capped(world: World, settings: Settings) -> None:
    settings.DNSOPS = {**settings.DNSOPS, "max_ttl_wait_s": 5.0}
    until = executor.run(world.request().pk, owner="one")
    assert until is not None
    assert (until - timezone.now()).total_seconds() <= 5


def test_a_click_of_this_moment_is_carried_out_without_a_second_look(world: World) -> None:
    done = world.run(world.request())
    first = done.steps.get(kind=StepKind.CHECK_AGAIN)
    assert first.state == StepState.DONE
    assert "makes the change only if it still says CNAME srv1.example.com" in first.sentence


def test_dns_that_changed_at_the_moment_of_the_click_is_refused_by_the_writer_itself(world: World) -> None:
    operation = world.request()
    world.dns.set(FQDN, cname("SRV3"))
    done = world.run(operation)
    assert done.state == OperationState.FAILED
    assert "dns1 now says CNAME srv3.example.com" in done.result
    assert "changed nothing" in done.result
    assert world.dns.applied == []
    assert world.points_at() == "SRV3"


def test_dns_that_became_as_desired_at_the_moment_of_the_click_is_success(world: World) -> None:
    operation = world.request()
    world.dns.set(FQDN, cname("SRV2"))
    done = world.run(operation)
    assert done.state == OperationState.SUCCEEDED
    assert world.dns.applied == []
    assert DnsChange.objects.get(operation=done).outcome == OutcomeKind.ALREADY


def test_an_operation_from_a_clock_that_is_ahead_gets_its_second_look(world: World) -> None:
    operation = world.age(world.request(), by_s=-30)
    world.dns.set(FQDN, cname("SRV3"))
    done = world.run(operation)
    assert done.state == OperationState.FAILED
    assert world.dns.messages == []


def test_an_answer_that_could_not_be_recorded_is_found_in_dns_by_the_next_worker(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    operation = world.request()
    with monkeypatch.context() as context:

        def lost(self: claims.Claim, **fields: object) -> None:
            raise DatabaseError("gone")

        context.setattr(claims.Claim, "renew", lost)
        assert executor.run(operation.pk, owner="one") is None
    assert DnsChange.objects.get(operation=operation).outcome == ""
    assert world.points_at() == "SRV2"
    world.leave(operation)
    done = world.run(operation)
    assert done.state == OperationState.SUCCEEDED
    assert len(world.dns.messages) == 1


def test_dns_that_changed_since_the_click_fails_and_sends_nothing(world: World) -> None:
    operation = world.age(world.request())
    world.dns.set(FQDN, cname("SRV3"))
    done = world.run(operation)
    assert done.state == OperationState.FAILED
    assert "changed since the click" in done.result
    assert "changed nothing" in done.result
    assert world.dns.messages == []
    assert steps(done)[StepKind.CHECK_AGAIN] == StepState.FAILED
    assert steps(done)[StepKind.WRITE] == StepState.SKIPPED


def test_dns_that_is_as_desired_already_is_success_without_a_message(world: World) -> None:
    operation = world.age(world.request())
    world.dns.set(FQDN, cname("SRV2"))
    done = world.run(operation)
    assert done.state == OperationState.SUCCEEDED
    assert "Nothing had to be written" in done.result
    assert world.dns.messages == []


def test_a_silent_writer_fails_and_sends_nothing(world: World) -> None:
    operation = world.age(world.request())
    world.dns.silent = {"dns1"}
    done = world.run(operation)
    assert done.state == OperationState.FAILED
    assert "gives no answer" in done.result
    assert world.dns.messages == []


@pytest.mark.parametrize(
    "kind",
    [
        OutcomeKind.DENIED, OutcomeKind.AUTH, OutcomeKind.CLOCK, OutcomeKind.CONFIG, OutcomeKind.SERVER,
        OutcomeKind.UNREACHABLE,
    ],
)  # fmt: skip
def test_a_refused_write_fails_and_says_that_nothing_changed(world: World, kind: OutcomeKind) -> None:
    operation = world.request()
    world.dns.outcome = refusal(kind)
    done = world.run(operation)
    assert done.state == OperationState.FAILED
    assert done.result.startswith("dns1 refused the change.")
    assert steps(done)[StepKind.WRITE] == StepState.FAILED
    assert len(world.dns.messages) == 1


def test_a_lost_answer_is_success_when_reading_shows_the_change(world: World) -> None:
    operation = world.request()
    world.dns.lose_answer = True
    done = world.run(operation)
    assert done.state == OperationState.SUCCEEDED, done.result
    assert len(world.dns.applied) == 1
    assert DnsChange.objects.get(operation=done).outcome == OutcomeKind.APPLIED


def test_a_message_that_was_swallowed_is_sent_again_and_then_is_unknown(world: World) -> None:
    operation = world.request()
    world.dns.swallow = True
    done = world.run(operation)
    assert done.state == OperationState.UNKNOWN
    assert "may or may not" in done.result
    assert "still says CNAME srv1.example.com" in done.result
    assert len(world.dns.messages) == writing.MAX_ATTEMPTS
    assert world.points_at() == "SRV1"


def test_an_unsigned_refusal_is_believed_once_reading_confirms_it(world: World) -> None:
    operation = world.request()
    world.dns.outcome = refusal(OutcomeKind.DENIED, authenticated=False)
    assert world.run(operation).state == OperationState.FAILED


def test_an_acknowledged_change_that_is_not_served_is_unknown(world: World) -> None:
    operation = world.request()
    world.dns.outcome = Outcome(OutcomeKind.APPLIED, "NOERROR", "dns1 made the change.")
    done = world.run(operation)
    assert done.state == OperationState.UNKNOWN
    assert "confirmed the change" in done.result


def test_a_server_that_stays_behind_makes_it_incomplete_and_is_named(world: World) -> None:
    operation = world.request()
    world.dns.stuck = {"dns2"}
    done = world.run(operation)
    assert done.state == OperationState.INCOMPLETE
    assert "dns2 still says CNAME srv1.example.com" in done.result
    found = steps(done)
    assert found[StepKind.VERIFY] == StepState.WARNING
    assert found[StepKind.WAIT_TTL] == StepState.SKIPPED


def test_a_server_that_is_silent_makes_it_incomplete_and_is_named(world: World) -> None:
    operation = world.request()
    world.dns.silent = {"dns2"}
    done = world.run(operation)
    assert done.state == OperationState.INCOMPLETE
    assert "dns2 could not be asked" in done.result


def test_a_service_that_is_dead_after_the_move_is_not_success(world: World) -> None:
    operation = world.request()
    world.bad["SRV2"] = "refused"
    done = world.run(operation)
    assert done.state == OperationState.INCOMPLETE
    assert "UCC 6001 on SRV2: refused" in done.result


def test_dns_that_is_changed_by_somebody_while_the_ttl_runs_out_is_not_success(world: World) -> None:
    operation = world.request()
    executor.run(operation.pk, owner="one")
    world.dns.set(FQDN, cname("SRV3"))
    world.leave(operation)
    done = world.run(operation)
    assert done.state == OperationState.UNKNOWN
    assert "srv3" in done.result


def test_an_operation_that_waited_too_long_for_a_worker_is_not_carried_out(world: World) -> None:
    operation = world.request()
    FailoverOperation.objects.filter(pk=operation.pk).update(created_at=timezone.now() - timedelta(hours=1))
    done = world.run(operation)
    assert done.state == OperationState.FAILED
    assert "60 min" in done.result
    assert world.dns.messages == []


def test_after_a_wait_in_the_queue_the_target_is_probed_again(world: World) -> None:
    operation = world.request()
    FailoverOperation.objects.filter(pk=operation.pk).update(created_at=timezone.now() - timedelta(minutes=1))
    world.bad["SRV2"] = "refused"
    done = world.run(operation)
    assert done.state == OperationState.FAILED
    assert "no longer works" in done.result


def test_a_second_worker_with_the_same_message_does_nothing(world: World) -> None:
    operation = world.request()
    assert claims.claim(operation.pk, owner="one") is not None
    assert claims.claim(operation.pk, owner="two") is None
    executor.run(operation.pk, owner="two")
    assert world.dns.messages == []


def test_a_worker_whose_lease_was_taken_over_writes_nothing(world: World) -> None:
    operation = world.request()
    first = claims.claim(operation.pk, owner="one")
    assert first is not None
    world.leave(operation)
    assert claims.claim(operation.pk, owner="two") is not None
    with pytest.raises(claims.LeaseLostError):
        first.renew()


def test_a_cancelled_operation_is_left_alone_by_its_worker(world: World) -> None:
    operation = world.request()
    taken = claims.claim(operation.pk, owner="one")
    assert taken is not None
    services.cancel_operation(operation=operation, user=world.operator)
    executor.Execution(taken)
    with pytest.raises(claims.LeaseLostError):
        executor.Execution(taken).go()
    assert world.dns.messages == []
    operation.refresh_from_db()
    assert operation.state == OperationState.CANCELLED


def test_a_mistake_of_ours_is_logged_and_ends_in_a_true_state(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    operation = world.request()

    def broken(self: executor.Execution) -> None:
        raise TypeError("a bug")

    monkeypatch.setattr(executor.Execution, "_verify", broken)
    done = world.run(operation)
    assert done.state == OperationState.INCOMPLETE
    assert "not all asked" in done.result
    assert "a bug" in caplog.text


def test_a_lost_database_leaves_the_operation_to_the_next_worker(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    operation = world.request()
    with monkeypatch.context() as context:

        def lost(self: executor.Execution) -> None:
            raise DatabaseError("gone")

        context.setattr(executor.Execution, "_verify", lost)
        assert executor.run(operation.pk, owner="one") is None
    operation.refresh_from_db()
    assert operation.state == OperationState.RUNNING
    world.leave(operation)
    done = world.run(operation)
    assert done.state == OperationState.SUCCEEDED
    assert len(world.dns.messages) == 1


def test_asking_again_turns_incomplete_into_success_when_all_servers_agree(world: World) -> None:
    operation = world.request()
    world.dns.stuck = {"dns2"}
    done = world.run(operation)
    again = services.retry_verification(operation=done, user=world.operator)
    assert again.state == OperationState.INCOMPLETE
    world.dns.set(FQDN, cname("SRV2"), "dns2")
    again = services.retry_verification(operation=again, user=world.operator)
    assert again.state == OperationState.SUCCEEDED
    assert steps(again)[StepKind.VERIFY] == StepState.DONE
    assert AuditEntry.objects.filter(action="operation.asked_again").count() == 2
    with pytest.raises(services.RequestRefused, match="has its end"):
        services.retry_verification(operation=again)


def test_asking_again_after_a_later_operation_is_refused(world: World) -> None:
    operation = world.request()
    world.dns.stuck = {"dns2"}
    first = world.run(operation)
    world.dns.set(FQDN, cname("SRV2"))
    world.dns.stuck = set()
    world.run(world.request("SRV3"))
    with pytest.raises(services.RequestRefused) as refused:
        services.retry_verification(operation=first, user=world.operator)
    assert refused.value.code == "superseded"
