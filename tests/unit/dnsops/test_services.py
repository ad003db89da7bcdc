"""The click: who may, what is refused and why, and that each attempt is in the audit log."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError
from django.utils import timezone
from pytest_django import Settings

from a365admin.accounts.models import Role
from a365admin.audit.context import Acting, act_as
from a365admin.audit.models import AuditEntry
from dnsops import executor, requesting, services, tasks
from dnsops.lifecycle import STEP_ORDER, OperationKind, OperationState, StepState
from dnsops.models import FailoverOperation, NameServer, Zone
from dnsops.plan import RRset
from dnsops.providers.base import Outcome, OutcomeKind
from dnsops.safety import Level
from pools import live
from pools.health import CheckKind, Health
from pools.models import CheckState, DedicatedHostname, FailoverTarget
from pools.services import begin_maintenance
from tests.unit.dnsops.world import FQDN, World, cname


def look(world: World, to: str = "SRV2", kind: OperationKind = OperationKind.FAILOVER) -> services.Preflight:
    return services.preflight(hostname=world.hostname, kind=kind, to_server=world.servers[to])


def refused(world: World, code: str, **changes: Any) -> services.RequestRefused:
    """The click is refused with this code, and the log has it."""
    before = AuditEntry.objects.count()
    with pytest.raises(services.RequestRefused) as error:
        world.request(**changes)
    assert error.value.code == code, error.value.sentence
    entry = AuditEntry.objects.first()
    assert entry is not None
    assert AuditEntry.objects.count() > before
    assert entry.after["code"] == code
    assert entry.action == ("failover.denied" if code == "not_permitted" else "failover.refused")
    return error.value


def force(world: World, **changes: Any) -> FailoverOperation:
    fields: dict[str, Any] = {"user": world.administrator, "forced": True, "typed_hostname": FQDN}
    return world.request(**(fields | changes))


def healthy_since(world: World, name: str, seconds: float, health: Health = Health.UP) -> None:
    CheckState.objects.update_or_create(
        key=f"ucc:{name}",
        defaults={
            "kind": CheckKind.UCC.value,
            "label": f"UCC 6001 on {name}",
            "server": world.servers[name],
            "health": health.value,
            "since": timezone.now() - timedelta(seconds=seconds),
        },
    )


class TestPreflight:
    def test_it_shows_plan_findings_and_what_every_server_says(self, world: World) -> None:
        seen = look(world)
        assert not seen.blocked
        assert seen.plan is not None
        assert seen.plan.to_server == "SRV2"
        assert [answer.server for answer in seen.answers] == ["dns1", "dns2"]
        assert seen.old_ttl_s == 60
        assert len(seen.digest) == 64
        assert seen.from_server == world.servers["SRV1"]

    def test_it_changes_nothing(self, world: World) -> None:
        look(world)
        assert world.dns.messages == []
        assert FailoverOperation.objects.count() == 0

    def test_the_same_facts_give_the_same_digest(self, world: World) -> None:
        assert look(world).digest == look(world).digest
        assert look(world).digest != look(world, "SRV3").digest

    def test_without_a_plan_it_says_why_and_there_is_no_digest(self, world: World) -> None:
        seen = look(world, "SRV1")
        assert seen.plan is None
        assert "already points at SRV1" in seen.plan_error
        assert seen.blocked
        assert not seen.forcible
        assert seen.digest == ""

    def test_one_that_fails_is_in_the_audit_log_with_the_rules(self, world: World) -> None:
        world.bad["SRV2"] = "refused"
        assert look(world).blocked
        entry = AuditEntry.objects.get(action="failover.preflight")
        assert entry.outcome == "failed"
        assert entry.after["rules"] == ["target_ucc"]

    def test_one_without_probes_uses_what_the_standing_checks_know(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        healthy_since(world, "SRV2", 100, Health.DOWN)
        fresh = live.Freshness(known=True, oldest={world.hostname.pk: timezone.now().timestamp()})
        monkeypatch.setattr(live, "freshness", lambda: fresh)
        seen = services.preflight(
            hostname=world.hostname, kind=OperationKind.FAILOVER, to_server=world.servers["SRV2"], probe=False
        )
        assert [f.rule for f in seen.blocking] == ["target_ucc"]
        assert not AuditEntry.objects.exists()

    def test_one_without_probes_and_without_the_live_store_does_not_know(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        healthy_since(world, "SRV2", 100)
        monkeypatch.setattr(live, "freshness", lambda: live.Freshness(known=False))
        seen = services.preflight(hostname=world.hostname, kind=OperationKind.FAILOVER, probe=False)
        assert [f.rule for f in seen.blocking] == ["health_fresh"]

    def test_a_failback_to_anything_but_the_primary_is_no_plan(self, world: World) -> None:
        world.dns.set(FQDN, cname("SRV3"))
        assert "primary only" in look(world, "SRV2", OperationKind.FAILBACK).plan_error

    def test_a_zone_without_a_key_is_said(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        from dnsops import wiring

        monkeypatch.setattr(wiring, "provider_for", lambda zone, writer: None)
        assert "no update key" in look(world).blocking[0].sentence

    def test_a_hostname_without_a_zone_is_said(self, world: World) -> None:
        NameServer.objects.all().delete()
        Zone.objects.all().delete()
        assert "No DNS zone" in look(world).plan_error


class TestRequest:
    def test_it_makes_a_pending_operation_with_its_steps_and_tells_a_worker(
        self, world: World, django_capture_on_commit_callbacks: Any
    ) -> None:
        with (
            act_as(Acting(world.operator.pk, "otto", "192.0.2.7", "req-1")),
            django_capture_on_commit_callbacks(execute=True),
        ):
            operation = world.request(ticket=" INC-1 ")
        assert operation.state == OperationState.PENDING
        assert [step.kind for step in operation.steps.all()] == list(STEP_ORDER)
        assert {step.state for step in operation.steps.all()} == {StepState.WAITING}
        assert world.nudges == [str(operation.pk)]
        assert (operation.from_text, operation.to_text, operation.ticket) == ("SRV1", "SRV2", "INC-1")
        assert operation.request_id == "req-1"
        assert world.dns.messages == []

    def test_it_is_in_the_audit_log_with_before_and_after(self, world: World) -> None:
        operation = world.request()
        entry = AuditEntry.objects.get(action="failover.requested")
        assert entry.object_id == str(operation.pk)
        assert entry.reason == "UCC service down"
        assert entry.before["answer"] == "CNAME srv1.example.com"
        assert entry.after["answer"] == "CNAME srv2.example.com"

    @pytest.mark.parametrize("role", [Role.HELPDESK, Role.AUDITOR])
    def test_who_may_not_is_denied(self, world: World, role: Role) -> None:
        world.operator.role = role
        error = refused(world, "not_permitted", user=world.operator)
        assert "Ask an operator" in error.sentence
        assert FailoverOperation.objects.count() == 0

    def test_without_a_reason_it_is_refused(self, world: World) -> None:
        refused(world, "reason_missing", reason="  ")

    def test_with_another_digest_it_is_refused_as_stale(self, world: World) -> None:
        assert "Look again" in refused(world, "stale", digest="0" * 64).sentence

    def test_when_dns_has_changed_since_it_is_refused(self, world: World) -> None:
        seen = look(world)
        world.dns.set(FQDN, cname("SRV3"))
        refused(world, "stale", digest=seen.digest)

    def test_when_the_target_has_failed_since_it_is_refused_and_says_so(self, world: World) -> None:
        seen = look(world)
        world.bad["SRV2"] = "refused"
        assert "refused" in refused(world, "stale", digest=seen.digest).sentence

    def test_when_the_target_has_recovered_since_it_is_refused_too(self, world: World) -> None:
        world.bad["SRV2"] = "refused"
        seen = look(world)
        world.bad.clear()
        refused(world, "stale", digest=seen.digest)

    def test_when_somebody_has_already_moved_it_it_is_refused(self, world: World) -> None:
        seen = look(world)
        world.dns.set(FQDN, cname("SRV2"))
        refused(world, "plan", digest=seen.digest)

    def test_what_blocks_is_refused(self, world: World) -> None:
        world.bad["SRV2"] = "refused"
        assert "UCC 6001" in refused(world, "blocked").sentence

    def test_maintenance_blocks(self, world: World) -> None:
        begin_maintenance(thing=world.servers["SRV2"], reason="patches", ends_at=timezone.now() + timedelta(hours=1))
        assert "maintenance" in refused(world, "blocked").sentence

    def test_a_key_that_the_writer_does_not_accept_blocks(self, world: World) -> None:
        world.dns.writable = Outcome(OutcomeKind.AUTH, "BADSIG", "The secret differs.")
        assert refused(world, "blocked").sentence == "The secret differs."

    def test_a_double_click_gives_the_same_operation(self, world: World) -> None:
        first = world.request(idempotency_key="k1")
        assert world.request(idempotency_key="k1", digest="other") == first
        assert FailoverOperation.objects.count() == 1

    def test_somebody_elses_page_cannot_be_used_again(self, world: World) -> None:
        world.request(idempotency_key="k1")
        refused(world, "stale", idempotency_key="k1", user=world.administrator)

    def test_without_a_key_against_double_clicks_it_is_refused(self, world: World) -> None:
        refused(world, "stale", idempotency_key="")
        refused(world, "stale", idempotency_key="k" * 65)

    def test_a_second_operation_for_the_same_hostname_is_refused_and_names_who_and_which(self, world: World) -> None:
        first = world.request()
        error = refused(world, "active_operation", user=world.administrator)
        assert error.operation == first
        assert "otto" in error.sentence

    def test_the_database_itself_refuses_a_second_one(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        seen = look(world)
        first = world.request()
        with monkeypatch.context() as context:
            context.setattr(requesting, "gather", lambda **_: seen)
            error = refused(world, "active_operation", digest=seen.digest)
        assert error.operation == first
        with pytest.raises(IntegrityError):
            FailoverOperation.objects.create(
                hostname=world.hostname, hostname_fqdn=FQDN, kind="failover", plan={}, idempotency_key="z"
            )

    def test_with_the_broker_lost_it_waits_and_says_so(
        self, world: World, django_capture_on_commit_callbacks: Any
    ) -> None:
        world.broker_lost = True
        with django_capture_on_commit_callbacks(execute=True):
            operation = world.request()
        operation.refresh_from_db()
        assert operation.state == OperationState.PENDING
        assert "broker cannot be reached" in operation.result
        assert world.run(operation).state == OperationState.SUCCEEDED

    def test_the_next_operation_may_begin_while_the_last_one_waits_for_the_old_ttl(self, world: World) -> None:
        first = world.request()
        executor.run(first.pk, owner="one")
        second = world.request("SRV3")
        first.refresh_from_db()
        assert first.state == OperationState.SUCCEEDED
        assert "by the next operation" in first.result
        assert first.steps.get(kind="probe").state == StepState.SKIPPED
        assert world.run(second).state == OperationState.SUCCEEDED
        assert world.points_at() == "SRV3"
        executor.run(first.pk, owner="late")  # its message comes late: nothing happens
        assert world.points_at() == "SRV3"

    def test_soon_after_the_last_one_it_warns(self, world: World) -> None:
        world.run(world.request())
        findings = {finding.rule: finding.level for finding in look(world, "SRV3").findings}
        assert findings["cool_down"] is Level.WARN


class TestForce:
    def test_an_administrator_may_and_each_rule_is_recorded(self, world: World) -> None:
        world.bad["SRV2"] = "refused"
        operation = force(world)
        assert operation.forced
        assert operation.overridden == ["target_ucc"]
        entry = AuditEntry.objects.get(action="failover.forced")
        assert entry.after["overridden"] == ["target_ucc"]

    def test_an_operator_may_not(self, world: World) -> None:
        world.bad["SRV2"] = "refused"
        refused(world, "not_permitted", forced=True, typed_hostname=FQDN)

    def test_the_hostname_has_to_be_typed(self, world: World) -> None:
        world.bad["SRV2"] = "refused"
        refused(world, "typed_wrong", user=world.administrator, forced=True, typed_hostname="a365web2.example.com")

    def test_where_nothing_blocks_it_is_an_ordinary_operation(self, world: World) -> None:
        operation = force(world, typed_hostname=f" {FQDN.upper()}. ")
        assert not operation.forced
        assert operation.overridden == []

    def test_a_plan_that_changed_cannot_be_forced(self, world: World) -> None:
        refused(world, "stale", user=world.administrator, forced=True, typed_hostname=FQDN, digest="0" * 64)

    def test_another_type_of_record_cannot_be_forced(self, world: World) -> None:
        world.dns.set(FQDN, RRset("A", 60, ("10.0.0.1",)))
        refused(world, "plan", user=world.administrator, forced=True, typed_hostname=FQDN)

    def test_another_operation_cannot_be_forced(self, world: World) -> None:
        world.request()
        refused(world, "active_operation", user=world.administrator, forced=True, typed_hostname=FQDN)

    def test_servers_that_disagree_can_be_forced(self, world: World) -> None:
        world.dns.set(FQDN, cname("SRV9"), "dns2")
        refused(world, "blocked")
        operation = force(world)
        assert operation.overridden == ["answers_agree"]
        assert world.run(operation).state == OperationState.SUCCEEDED


class TestFailback:
    def test_too_early_is_refused(self, world: World) -> None:
        world.dns.set(FQDN, cname("SRV2"))
        healthy_since(world, "SRV1", 10)
        error = refused(world, "blocked", to="SRV1", kind=OperationKind.FAILBACK)
        assert "healthy for 10 s" in error.sentence

    def test_to_an_unhealthy_primary_is_refused(self, world: World) -> None:
        world.dns.set(FQDN, cname("SRV2"))
        healthy_since(world, "SRV1", 1000, Health.DOWN)
        assert "not healthy" in refused(world, "blocked", to="SRV1", kind=OperationKind.FAILBACK).sentence

    def test_after_the_stability_time_it_is_done(self, world: World) -> None:
        world.dns.set(FQDN, cname("SRV2"))
        healthy_since(world, "SRV1", 1000)
        done = world.run(world.request("SRV1", OperationKind.FAILBACK))
        assert done.state == OperationState.SUCCEEDED
        assert world.points_at() == "SRV1"
        assert AuditEntry.objects.filter(action="failback.requested").exists()

    def test_it_is_possible_while_a_server_is_behind_that_already_says_the_primary(self, world: World) -> None:
        world.dns.set(FQDN, cname("SRV2"), "dns1")
        healthy_since(world, "SRV1", 1000)
        assert world.run(world.request("SRV1", OperationKind.FAILBACK)).state == OperationState.SUCCEEDED


class TestCancel:
    def test_before_the_write_it_is_cancelled_and_nothing_is_sent(self, world: World) -> None:
        operation = world.request()
        services.cancel_operation(operation=operation, user=world.administrator)
        assert operation.state == OperationState.CANCELLED
        assert "Cancelled by ada" in operation.result
        assert {step.state for step in operation.steps.all()} == {StepState.SKIPPED}
        executor.run(operation.pk, owner="late")
        assert world.dns.messages == []
        assert AuditEntry.objects.filter(action="operation.cancelled").count() == 1

    def test_after_the_write_it_is_too_late(self, world: World) -> None:
        operation = world.request()
        executor.run(operation.pk, owner="one")
        with pytest.raises(services.RequestRefused) as error:
            services.cancel_operation(operation=operation, user=world.operator)
        assert error.value.code == "too_late"
        operation.refresh_from_db()
        assert operation.state == OperationState.RUNNING

    def test_who_may_not_is_denied(self, world: World) -> None:
        operation = world.request()
        world.operator.role = Role.HELPDESK
        with pytest.raises(services.RequestRefused):
            services.cancel_operation(operation=operation, user=world.operator)
        assert AuditEntry.objects.filter(action="operation.cancel_denied", outcome="denied").exists()

    def test_another_operation_can_follow(self, world: World) -> None:
        services.cancel_operation(operation=world.request(), user=world.operator)
        assert world.run(world.request()).state == OperationState.SUCCEEDED


class TestSweeper:
    def test_it_nudges_what_nobody_works_on(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        alive: list[str] = []
        monkeypatch.setattr(live, "mark_alive", alive.append)
        operation = world.request()
        tasks.sweep_operations()
        assert world.nudges == []  # too young: its own message is on the way
        FailoverOperation.objects.update(created_at=timezone.now() - timedelta(seconds=4))
        tasks.sweep_operations()
        assert world.nudges == [str(operation.pk)]
        assert alive == ["operations", "operations"]

    def test_it_leaves_alone_what_is_worked_on_and_takes_up_what_was_left(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(live, "mark_alive", lambda what: None)
        operation = world.request()
        executor.run(operation.pk, owner="one")
        tasks.sweep_operations()
        assert world.nudges == []
        world.leave(operation)
        tasks.sweep_operations()
        assert world.nudges == [str(operation.pk)]

    def test_the_task_comes_back_when_the_old_ttl_has_passed(self, world: World, settings: Settings) -> None:
        settings.DNSOPS = {**settings.DNSOPS, "max_ttl_wait_s": 20.0}
        operation = world.request()
        tasks.run_operation(str(operation.pk))
        assert world.nudges == [str(operation.pk)]

    def test_a_long_wait_is_left_to_the_sweeper(self, world: World) -> None:
        tasks.run_operation(str(world.request().pk))
        assert world.nudges == []


def test_each_name_server_is_asked_about_each_hostname_of_its_zone(world: World) -> None:
    other = DedicatedHostname.objects.get(pk=world.hostname.pk)
    other.pk, other.fqdn = None, "a365web9.example.net"
    other.save()
    checks = [check for check in services.dns_checks() if check.kind is CheckKind.DNS]
    assert {check.key for check in checks} == {
        f"dns:{server.pk}:{world.hostname.pk}" for server in NameServer.objects.all()
    }
    assert {check.record_type for check in checks} == {"CNAME"}
    assert [(check.name_server, check.rank) for check in checks] == [("dns1", 0), ("dns2", 1)]


def test_each_hostname_is_asked_for_its_service_where_its_name_servers_say(world: World) -> None:
    other = DedicatedHostname.objects.get(pk=world.hostname.pk)
    other.pk, other.fqdn = None, "a365web9.example.com"  # without a target there is nothing to reach
    other.save()
    (check,) = [check for check in services.dns_checks() if check.kind is CheckKind.SERVICE]
    primary = world.hostname.targets.get(order=1).servers[0]
    assert (check.key, check.host, check.port) == (
        f"service:{world.hostname.pk}",
        world.hostname.fqdn,
        primary.web_port,
    )
    assert check.ask_at == tuple(NameServer.objects.order_by("-is_writer", "name").values_list("address", "port"))
    assert (primary.fqdn, primary.address) in check.known


def test_the_standing_checks_take_a_constant_number_of_queries(
    world: World, django_assert_max_num_queries: Any
) -> None:
    primary = world.hostname.targets.get(order=1).servers[0]
    for number in range(5):
        other = DedicatedHostname.objects.get(pk=world.hostname.pk)
        other.pk, other.fqdn = None, f"more{number}.example.com"
        other.save()
        FailoverTarget.objects.create(hostname=other, server=primary, order=1)
    with django_assert_max_num_queries(6):
        assert sum(check.kind is CheckKind.SERVICE for check in services.dns_checks()) == 6


def test_a_preflight_takes_a_constant_number_of_queries(world: World, django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(12):
        look(world)
