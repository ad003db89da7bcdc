"""A clock that is set, forwards or back, while an operation waits, runs or counts down: one change, and a true end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.utils import timezone

from dnsops import claims, executor, services
from dnsops.lifecycle import OperationKind, OperationState, StepKind, StepState
from dnsops.models import FailoverOperation
from tests.unit.dnsops.world import World

HOUR = timedelta(hours=1)


def due() -> list[str]:
    """What the sweeper would nudge now."""
    return claims.due(timezone.now(), pending_for_s=3.0)


def test_a_pending_operation_from_before_the_clock_was_set_back_is_found_and_done_once(world: World) -> None:
    operation = world.request()
    with time_machine.travel(datetime.now(UTC) - HOUR, tick=True):
        assert due() == [str(operation.pk)]
        done = world.run(operation)
    assert done.state == OperationState.SUCCEEDED, done.result
    assert len(world.dns.applied) == 1


def test_a_pending_operation_is_probed_again_where_a_clock_was_set_back(world: World) -> None:
    operation = world.request()
    world.bad["SRV2"] = "refused"
    with time_machine.travel(datetime.now(UTC) - HOUR, tick=True):
        done = world.run(operation)
    assert done.state == OperationState.FAILED
    assert "no longer works" in done.result


def test_a_pending_operation_is_refused_where_the_clock_was_set_forwards(world: World) -> None:
    operation = world.request()
    with time_machine.travel(datetime.now(UTC) + HOUR, tick=True):
        done = world.run(operation)
    assert done.state == OperationState.FAILED
    assert world.dns.messages == []


def test_an_operation_whose_worker_died_before_the_clock_was_set_back_is_taken_over(world: World) -> None:
    operation = world.request()
    assert claims.claim(operation.pk, owner="died") is not None
    assert due() == []
    with time_machine.travel(datetime.now(UTC) - HOUR, tick=True):
        assert due() == [str(operation.pk)]
        done = world.run(operation)
    assert done.state == OperationState.SUCCEEDED
    assert len(world.dns.applied) == 1


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
def test_a_worker_that_was_overtaken_because_a_clock_was_set_writes_nothing_more(world: World, jump: timedelta) -> None:
    operation = world.request()
    first = claims.claim(operation.pk, owner="one")
    assert first is not None
    with time_machine.travel(datetime.now(UTC) + jump, tick=True):
        assert claims.claim(operation.pk, owner="two") is not None
        with pytest.raises(claims.LeaseLostError):
            first.renew()


def test_machines_whose_clocks_differ_a_little_leave_each_others_operations_alone(world: World) -> None:
    operation = world.request()
    assert claims.claim(operation.pk, owner="one") is not None
    with time_machine.travel(datetime.now(UTC) - timedelta(seconds=20), tick=True):
        assert due() == []
        assert claims.claim(operation.pk, owner="two") is None


def test_a_countdown_does_not_outlast_a_clock_that_was_set_back_and_claims_no_more_than_it_knows(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dnsops.executor.SHORT_WAIT_S", 0.01)
    operation = world.request()
    assert executor.run(operation.pk, owner="one") is not None
    with time_machine.travel(datetime.now(UTC) - HOUR, tick=True):
        assert due() == [str(operation.pk)]
        assert executor.run(operation.pk, owner="two") is None
    operation.refresh_from_db()
    assert operation.state == OperationState.SUCCEEDED
    waited = operation.steps.get(kind=StepKind.WAIT_TTL)
    assert waited.state == StepState.WARNING
    assert "set back" in waited.sentence


def test_a_countdown_ends_where_the_clock_was_set_forwards(world: World) -> None:
    operation = world.request()
    assert executor.run(operation.pk, owner="one") is not None
    with time_machine.travel(datetime.now(UTC) + HOUR, tick=True):
        assert due() == [str(operation.pk)]
        assert executor.run(operation.pk, owner="two") is None
    operation.refresh_from_db()
    assert operation.state == OperationState.SUCCEEDED


def test_the_last_operation_is_never_said_to_be_in_the_future(world: World) -> None:
    world.run(world.request())
    FailoverOperation.objects.update(written_at=timezone.now() + HOUR)
    seen = services.preflight(hostname=world.hostname, kind=OperationKind.FAILBACK)
    cool_down = next(finding for finding in seen.findings if finding.rule == "cool_down")
    assert "was 0 s ago" in cool_down.sentence
