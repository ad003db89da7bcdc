"""A clock that is set, forwards or back, while an operation waits, runs or counts down: one change, and a true end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine
from django.utils import timezone

from dnsops import claims, countdown, executor, services
from dnsops.lifecycle import OperationKind, OperationState, StepKind, StepState
from dnsops.models import FailoverOperation, OperationStep
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


class Machine:
    """The uptime of the machine that the operation is carried out on; ``move`` to another one, or let time pass."""

    def __init__(self) -> None:
        self.boot, self.seconds = "one", 1000.0

    def uptime(self) -> countdown.Uptime:
        return countdown.Uptime(self.boot, self.seconds)


@pytest.fixture
def machine(world: World, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()
    monkeypatch.setattr(countdown, "uptime", made.uptime)
    monkeypatch.setattr("dnsops.executor.SHORT_WAIT_S", 0.01)
    return made


def waiting(world: World) -> FailoverOperation:
    operation = world.request()
    assert executor.run(operation.pk, owner="one") is not None
    return operation


def wait_step(operation: FailoverOperation) -> OperationStep:
    return operation.steps.get(kind=StepKind.WAIT_TTL)


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
def test_a_countdown_lasts_as_long_as_it_should_whatever_the_clock_is_set_to(
    world: World, machine: Machine, jump: timedelta
) -> None:
    operation = waiting(world)
    old_s = wait_step(operation).evidence["waited_s"]
    machine.seconds += old_s / 2
    with time_machine.travel(datetime.now(UTC) + jump, tick=True):
        assert due() == [str(operation.pk)]
        again_at = executor.run(operation.pk, owner="two")
        assert again_at is not None
        assert (again_at - timezone.now()).total_seconds() == pytest.approx(old_s / 2, abs=1)
        assert due() == []
        step = wait_step(operation)
        assert (step.state, step.sentence.partition(".")[0]) == (StepState.RUNNING, "A clock was set meanwhile")
    machine.seconds += old_s / 2
    with time_machine.travel(again_at + timedelta(seconds=1), tick=True):
        assert executor.run(operation.pk, owner="two") is None
    operation.refresh_from_db()
    assert operation.state == OperationState.SUCCEEDED
    assert wait_step(operation).state == StepState.DONE


def test_a_countdown_on_another_machine_does_not_outlast_a_clock_that_was_set_back_and_claims_no_more_than_it_knows(
    world: World, machine: Machine
) -> None:
    operation = waiting(world)
    machine.boot = "two"
    with time_machine.travel(datetime.now(UTC) - HOUR, tick=True):
        assert due() == [str(operation.pk)]
        assert executor.run(operation.pk, owner="two") is None
    operation.refresh_from_db()
    assert operation.state == OperationState.SUCCEEDED
    assert wait_step(operation).state == StepState.WARNING
    assert "set back" in wait_step(operation).sentence


def test_on_another_machine_the_time_of_day_is_all_that_there_is(world: World, machine: Machine) -> None:
    operation = waiting(world)
    machine.boot = "two"
    with time_machine.travel(datetime.now(UTC) + HOUR, tick=True):
        assert executor.run(operation.pk, owner="two") is None
    operation.refresh_from_db()
    assert operation.state == OperationState.SUCCEEDED


def test_this_machine_knows_its_uptime() -> None:
    first, second = countdown.uptime(), countdown.uptime()
    assert first is not None
    assert second is not None
    assert first.boot == second.boot
    assert 0 < first.seconds <= second.seconds


def test_a_system_that_does_not_tell_its_uptime_goes_by_the_clock(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(countdown, "BOOT_ID", tmp_path / "nothing")
    now = timezone.now()
    kept = countdown.begin(wait_s=30.0, old_ttl_s=30, now=now)
    assert countdown.left(kept, now=now + timedelta(seconds=10)) == (20.0, False)


def test_the_last_operation_is_never_said_to_be_in_the_future(world: World) -> None:
    world.run(world.request())
    FailoverOperation.objects.update(written_at=timezone.now() + HOUR)
    seen = services.preflight(hostname=world.hostname, kind=OperationKind.FAILBACK)
    cool_down = next(finding for finding in seen.findings if finding.rule == "cool_down")
    assert "was 0 s ago" in cool_down.sentence
