"""Operations follow resolvers and servers that lag, and what is late is told without failing anything."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.db import IntegrityError
from django.utils import timezone

from a365admin.accounts.models import Role, User
from a365admin.audit.models import AuditEntry
from dnsops import executor, following, resolving, services, watch_tasks
from dnsops.lifecycle import OperationState, StepKind, StepState
from dnsops.matrix import clients
from dnsops.models import FailoverOperation, NameServer, OperationStep, Resolver
from dnsops.operation_list import operation_lines
from dnsops.pages import find_operations, operation_page
from dnsops.plan import Plan
from dnsops.turning import ResolverRow
from pools.models import Site
from tests.unit.dnsops.world import FQDN, World, cname


def name_resolver(world: World, name: str = "rdns1", *, keeps: int | None = 12) -> Resolver:
    """Enter a resolver; ``keeps``: it has the old answer, for that many seconds more."""
    site = Site.objects.get()
    resolver = Resolver.objects.create(site=site, name=name, address=f"10.0.1.{Resolver.objects.count() + 1}")
    if keeps is not None:
        world.dns.set(FQDN, cname("SRV1", keeps), str(resolver.pk))
        world.dns.stuck.add(str(resolver.pk))
    else:
        world.dns.records[str(resolver.pk)] = {}
    return resolver


def turn(world: World, resolver: Resolver) -> None:
    """Its old answer runs out."""
    world.dns.stuck.discard(str(resolver.pk))
    world.dns.set(FQDN, cname("SRV2"), str(resolver.pk))


def step(operation: FailoverOperation) -> OperationStep:
    return operation.steps.get(kind=StepKind.RESOLVERS)


def rows(operation: FailoverOperation) -> dict[str, ResolverRow]:
    return {row.name: row for row in resolving.rows_of(step(operation))}


def age(operation: FailoverOperation, seconds: float) -> None:
    """Let time pass: everything in the operation becomes older."""
    by = timedelta(seconds=seconds)
    found = step(operation)
    for row in found.evidence["resolvers"]:
        for key in ("asked_at", "turned_at", "before"):
            if row[key]:
                row[key] = (datetime.fromisoformat(row[key]) - by).isoformat()
    found.save()
    operation.refresh_from_db()
    assert operation.written_at is not None
    FailoverOperation.objects.filter(pk=operation.pk).update(written_at=operation.written_at - by)


def begun(world: World) -> FailoverOperation:
    """An operation that waits for the old TTL."""
    operation = world.request()
    assert executor.run(operation.pk, owner="test") is not None
    operation.refresh_from_db()
    return operation


def test_without_resolvers_the_step_says_where_they_are_named(world: World) -> None:
    done = world.run(world.request())
    assert step(done).state == StepState.SKIPPED
    assert "Estate → DNS" in step(done).sentence


def test_a_resolver_that_kept_nothing_turns_at_once(world: World) -> None:
    name_resolver(world, keeps=None)
    operation = begun(world)
    assert step(operation).state == StepState.DONE
    assert rows(operation)["rdns1"].turned_at is not None
    assert "The resolver has turned." in step(operation).sentence


def test_one_that_keeps_the_old_answer_is_followed_to_the_moment_when_it_turns(world: World) -> None:
    first, second = name_resolver(world, keeps=12), name_resolver(world, "rdns2", keeps=None)
    assert first.pk != second.pk
    operation = begun(world)
    assert step(operation).state == StepState.RUNNING
    assert rows(operation)["rdns1"].ttl_s == 12
    assert "1 of 2 resolvers have turned; not yet: rdns1" in step(operation).sentence

    turn(world, first)
    following.follow()
    assert rows(operation)["rdns1"].turned_at is None, "its old answer has not run out: it is not asked"
    age(operation, 11)
    following.follow()
    assert rows(operation)["rdns1"].turned_at is not None
    assert step(operation).state == StepState.DONE


def test_a_late_resolver_is_told_and_fails_nothing(world: World) -> None:
    name_resolver(world, keeps=500)
    operation = begun(world)
    age(operation, 120)
    done = world.run(operation_due(world, operation))
    assert done.state == OperationState.SUCCEEDED
    assert "Late: rdns1 (Amsterdam) still gives another answer" in done.result
    assert step(done).state == StepState.WARNING


def operation_due(world: World, operation: FailoverOperation) -> FailoverOperation:
    """Its wait is over."""
    world.leave(operation)
    operation.steps.filter(kind=StepKind.WAIT_TTL).update(evidence={"until": timezone.now().isoformat()})
    return operation


def test_a_silent_resolver_is_told_and_fails_nothing(world: World) -> None:
    resolver = name_resolver(world)
    world.dns.silent.add(str(resolver.pk))
    done = world.run(world.request())
    assert done.state == OperationState.SUCCEEDED
    assert done.result == "Every DNS server answers SRV2."
    assert "could not be asked: rdns1 (Amsterdam)" in step(done).sentence


def test_a_late_resolver_is_followed_after_the_end_until_it_turns(world: World) -> None:
    resolver = name_resolver(world)
    done = world.run(world.request())
    assert step(done).state == StepState.WARNING
    turn(world, resolver)
    age(done, 20)
    following.follow()
    assert step(done).state == StepState.DONE


def test_after_the_next_operation_nobody_follows_the_one_before(world: World) -> None:
    resolver = name_resolver(world)
    done = world.run(world.request())
    world.request("SRV3")
    turn(world, resolver)
    age(done, 20)
    following.follow()
    assert step(done).state == StepState.WARNING


def test_a_resolver_that_was_deleted_meanwhile_is_told(world: World) -> None:
    resolver = name_resolver(world)
    done = world.run(world.request())
    resolver.delete()
    age(done, 20)
    following.follow()
    assert "no longer entered here" in step(done).sentence


def test_asking_again_by_hand_asks_the_resolvers_that_have_not_turned(world: World) -> None:
    resolver = name_resolver(world)
    done = world.run(world.request())
    turn(world, resolver)
    services.ask_resolvers_again(operation=done, user=world.operator)
    assert step(done).state == StepState.DONE
    assert AuditEntry.objects.filter(action="operation.resolvers_asked").exists()
    with pytest.raises(services.RequestRefused) as error:
        services.ask_resolvers_again(operation=done, user=world.operator)
    assert error.value.code == "too_late"


def test_asking_again_needs_the_right_to_fail_over(world: World) -> None:
    name_resolver(world)
    done = world.run(world.request())
    helper = User.objects.create_user(username="hans", role=Role.HELPDESK)
    with pytest.raises(services.RequestRefused) as error:
        services.ask_resolvers_again(operation=done, user=helper)
    assert error.value.code == "not_permitted"


def test_two_that_ask_at_once_keep_what_either_knows(world: World) -> None:
    resolver = name_resolver(world)
    operation = begun(world)
    stale = resolving.rows_of(step(operation))
    turn(world, resolver)
    limit = resolving.limit_of(operation)
    fresh = resolving.ask_rows(stale, Plan.from_dict(operation.plan))
    resolving.record(step(operation).pk, fresh, limit=limit, over=False)
    resolving.record(step(operation).pk, stale, limit=limit, over=False)
    assert rows(operation)["rdns1"].turned_at is not None


def test_the_page_says_when_clients_should_have_moved_and_who_is_late(world: World) -> None:
    name_resolver(world, keeps=500)
    operation = begun(world)
    page = operation_page(find_operations().get(pk=operation.pk))
    assert page.clients is not None
    assert page.clients.late == ""
    assert page.clients.moved_by is not None
    assert page.clients.lines[0].word == "Not yet: old answer"
    age(operation, 120)
    page = operation_page(find_operations().get(pk=operation.pk))
    assert page.clients is not None
    assert page.clients.late == "rdns1 (Amsterdam)"
    assert page.clients.lines[0].word == "Late: old answer"


def test_before_the_write_there_is_nothing_to_follow(world: World) -> None:
    assert clients(world.request(), {}) is None


def test_a_resolver_stands_once_at_its_address(world: World) -> None:
    resolver = name_resolver(world)
    with pytest.raises(IntegrityError):
        Resolver.objects.create(site=resolver.site, name="other", address=resolver.address, port=resolver.port)


# ---------------------------------------------------------------------------------------------------- servers that lag


def test_a_server_within_its_lag_is_no_fault_and_the_end_becomes_success_when_it_follows(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "SERVERS_EVERY_S", 0.0)
    NameServer.objects.filter(name="dns2").update(expected_lag_s=3600)
    world.dns.stuck = {"dns2"}
    done = world.run(world.request())
    assert done.state == OperationState.INCOMPLETE
    assert "dns2 does not yet, which is normal there until" in done.result
    assert done.steps.get(kind=StepKind.WAIT_TTL).state == StepState.DONE
    page = operation_page(find_operations().get(pk=done.pk))
    assert (page.word, page.status) == ("Changed, not everywhere yet", "switching")
    (line,) = operation_lines([FailoverOperation.objects.get(pk=done.pk)], folded=True)
    assert (line.word, line.status) == (page.word, page.status)
    assert [row.word for row in page.matrix] == ["New answer", "Not yet: old answer"]

    _pass(done, 30)
    following.follow()
    done.refresh_from_db()
    assert done.state == OperationState.INCOMPLETE

    world.dns.set(FQDN, cname("SRV2"), "dns2")
    following.follow()
    done.refresh_from_db()
    assert done.state == OperationState.SUCCEEDED
    entry = AuditEntry.objects.get(action="operation.asked_again")
    assert entry.actor_name == "system"


def test_a_server_that_does_not_follow_within_its_lag_is_late(world: World) -> None:
    NameServer.objects.filter(name="dns2").update(expected_lag_s=3600)
    world.dns.stuck = {"dns2"}
    done = world.run(world.request())
    _pass(done, 4000)
    following.follow()
    done.refresh_from_db()
    assert done.state == OperationState.INCOMPLETE
    assert "Clients may be split" in done.result
    page = operation_page(find_operations().get(pk=done.pk))
    assert page.word == "Incomplete"
    (line,) = operation_lines([FailoverOperation.objects.get(pk=done.pk)], folded=True)
    assert line.word == "Incomplete"
    assert page.matrix[1].word == "Late: old answer"


def _pass(operation: FailoverOperation, seconds: float) -> None:
    by = timedelta(seconds=seconds)
    operation.refresh_from_db()
    assert operation.written_at is not None
    FailoverOperation.objects.filter(pk=operation.pk).update(written_at=operation.written_at - by)
    for found in operation.steps.filter(kind=StepKind.VERIFY):
        for answer in found.evidence["answers"]:
            answer["since"] = (datetime.fromisoformat(answer["since"]) - by).isoformat()
        assert found.ended_at is not None
        found.ended_at -= by
        found.save()


@pytest.mark.parametrize("lags", [True, False])
def test_each_second_it_is_followed_only_while_something_is_open(
    world: World, monkeypatch: pytest.MonkeyPatch, lags: bool
) -> None:
    told: list[dict[str, object]] = []
    monkeypatch.setattr(watch_tasks.follow, "apply_async", lambda **options: told.append(options))
    watch_tasks.watch()
    assert told == [], "nothing has been moved yet"

    if lags:
        NameServer.objects.filter(name="dns2").update(expected_lag_s=3600)
        world.dns.stuck = {"dns2"}
        operation = world.run(world.request())
    else:
        resolver = name_resolver(world)
        operation = begun(world)
    watch_tasks.watch()
    assert told == [{"expires": 2}]

    if lags:
        world.dns.set(FQDN, cname("SRV2"), "dns2")
        services.retry_verification(operation=operation)
    else:
        turn(world, resolver)
        age(operation, 20)
        following.follow()
    watch_tasks.watch()
    assert len(told) == 1, "all have turned"
