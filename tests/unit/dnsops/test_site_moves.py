"""Moving a site, with DNS in memory: what is planned, begun, stopped, resumed, and what is true however it goes."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from pytest_django import Settings

from a365admin.accounts.models import Role
from a365admin.audit.models import AuditEntry
from dnsops import asking_many, executor, gathering, services, site_moves, together
from dnsops.batch import Batch
from dnsops.lifecycle import OperationKind, OperationState, StepKind
from dnsops.models import DnsChange, FailoverOperation, NameServer, Resolver, SiteMove, UpdateKey, Zone
from dnsops.plan import PlanError, RRset
from dnsops.providers.base import Outcome, OutcomeKind
from dnsops.requesting import RequestRefused
from dnsops.site_gathering import Scope
from dnsops.site_plan import Direction
from pools.models import Server
from tests.factories import make_global
from tests.unit.dnsops.sites import NAMES, Sites, build_sites, cname, set_health
from tests.unit.dnsops.world import OLD_TTL_S, World

SUCCEEDED = [OperationState.SUCCEEDED] * 4


@pytest.fixture
def sites(world: World, monkeypatch: pytest.MonkeyPatch) -> Sites:
    gathering._accepted.clear()
    return build_sites(world, monkeypatch)


# ------------------------------------------------------------------------------------------------------------ the plan


def test_the_plan_lists_each_hostname_with_its_target_outside_the_site(sites: Sites) -> None:
    plan = sites.look()
    assert [entry.hostname for entry in plan.entries] == list(NAMES)
    assert {entry.plan.to_server for entry in plan.entries if entry.plan} == {"SRV9"}
    assert len(plan.ready) == 4
    assert plan.warnings == ("SRV9 would serve 4 of these hostnames: make sure that it can bear them.",)


def test_it_can_be_what_is_behind_one_front_end_pool(sites: Sites) -> None:
    pool = sites.world.hostname.trusted_application_pool.front_end_pool
    assert len(sites.look(scope=Scope(front_end_pool=pool)).entries) == 4


def test_a_hostname_that_points_elsewhere_is_not_part_of_it(sites: Sites) -> None:
    sites.world.dns.set(NAMES[2], cname("SRV9"))
    assert [entry.hostname for entry in sites.look().entries] == [NAMES[0], NAMES[1], NAMES[3]]


def test_a_site_that_nothing_points_into_has_nothing_to_move(sites: Sites) -> None:
    with pytest.raises(PlanError, match="No hostname points into Rotterdam"):
        sites.look(scope=Scope(site=sites.rotterdam))


def test_a_target_that_does_not_work_blocks_its_hostnames_and_says_why(sites: Sites) -> None:
    sites.down = {"SRV9"}
    plan = sites.look()
    assert plan.ready == ()
    assert len(plan.forcible) == 4
    assert "UCC 6001 (Service Desk) on SRV9: refused" in plan.entries[0].blocking[0].sentence


def test_the_number_of_queries_does_not_grow_with_the_hostnames(
    sites: Sites, django_assert_max_num_queries: Any
) -> None:
    with django_assert_max_num_queries(30) as four:
        sites.look()
    for name in NAMES[1:]:
        sites.hostnames[name].targets.all().delete()
    with django_assert_max_num_queries(30) as one:
        sites.look()
    assert len(four) == len(one)


# ------------------------------------------------------------------------------------------------------- one by one


def test_it_moves_every_hostname_each_with_an_operation_of_its_own(sites: Sites) -> None:
    move = sites.finish(sites.request())
    assert sites.points_at() == ["SRV9"] * 4
    assert sites.states(move) == SUCCEEDED
    assert len(sites.world.dns.messages) == 4
    assert (move.state, move.result) == ("ended", "All 4 hostnames have moved.")
    assert move.ended_at


def test_each_operation_has_the_same_evidence_as_one_that_was_clicked(sites: Sites) -> None:
    move = sites.finish(sites.request())
    for operation in FailoverOperation.objects.filter(move_member__move=move):
        # No resolver is named here.
        assert {step.state for step in operation.steps.exclude(kind="resolvers")} == {"done"}
        answers = operation.steps.get(kind=StepKind.VERIFY).evidence["answers"]
        assert [answer["seen"] for answer in answers] == ["new", "new"]
        assert DnsChange.objects.get(operation=operation).outcome == OutcomeKind.APPLIED


def test_request_begin_and_end_are_in_the_audit_log_under_the_name_of_who_asked(sites: Sites) -> None:
    sites.finish(sites.request())
    actions = list(AuditEntry.objects.values_list("action", "actor_name"))
    assert actions.count(("failover.requested", "otto")) == 4
    assert actions.count(("operation.ended", "otto")) == 4
    assert ("site_move.ended", "otto") in actions


def test_no_more_begin_at_once_than_was_said(sites: Sites, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    claim = Batch.claim.__func__  # type: ignore[attr-defined]

    def counted(cls: type[Batch], ids: Any, *, owner: str) -> Batch:
        sizes.append(len(list(ids)))
        return claim(cls, ids, owner=owner)  # type: ignore[no-any-return]

    monkeypatch.setattr(Batch, "claim", classmethod(counted))
    sites.drive(sites.request(at_once=1))
    assert sizes == [1, 1, 1, 1]


def test_one_that_is_being_moved_by_somebody_else_is_left_out_and_the_rest_goes(sites: Sites) -> None:
    move = sites.request()
    hostname = sites.hostnames[NAMES[1]]
    FailoverOperation.objects.create(
        hostname=hostname, hostname_fqdn=hostname.fqdn, kind="failover", from_text="SRV1", to_text="SRV9", plan={},
        digest="", reason="", requested_by_name="ada", idempotency_key="x", state="running",
        lease_until=timezone.now() + timedelta(hours=1), lease_owner="ada",
    )  # fmt: skip
    move = sites.finish(move)
    assert move.members.get(hostname=hostname).sentence == "ada was already moving it to SRV9."
    assert sites.states(move) == ["succeeded", "left_out", "succeeded", "succeeded"]
    assert move.result == "3 of 4 hostnames have moved; 1 left out."


def test_a_record_that_has_changed_fails_alone_and_nothing_of_it_is_written(sites: Sites) -> None:
    move = sites.request()
    sites.world.dns.set(NAMES[0], cname("SRV2"))
    move = sites.finish(move)
    assert sites.states(move) == ["failed", "succeeded", "succeeded", "succeeded"]
    assert sites.points_at()[0] == "SRV2"


def test_a_lost_answer_is_success_when_reading_shows_the_change(sites: Sites) -> None:
    move = sites.request()
    sites.world.dns.lose_answer = True
    assert sites.states(sites.finish(move)) == SUCCEEDED


def test_a_swallowed_message_is_left_to_the_single_operation_which_ends_not_known(sites: Sites) -> None:
    move = sites.request()
    sites.world.dns.swallow = True
    move = sites.finish(move)
    assert sites.states(move) == ["unknown"] * 4
    assert sites.points_at() == ["SRV1"] * 4


def test_a_server_that_stays_behind_makes_them_incomplete_and_is_named(sites: Sites) -> None:
    sites.world.dns.stuck = {"dns2"}
    move = sites.finish(sites.request())
    assert sites.states(move) == ["incomplete"] * 4
    operation = FailoverOperation.objects.filter(move_member__move=move).first()
    assert operation is not None
    assert "dns2 still says CNAME srv1.example.com" in operation.result


def test_a_writer_that_cannot_be_reached_is_tried_once_and_not_for_each(sites: Sites) -> None:
    move = sites.request()
    sites.world.dns.outcome = Outcome(OutcomeKind.UNREACHABLE, "", "dns1 could not be reached. Nothing was changed.")
    sites.drive(move)
    assert len(sites.world.dns.messages) == 1
    assert sites.states(sites.finish(move)) == ["failed"] * 4


def test_a_target_that_failed_while_the_move_waited_is_not_moved_to(sites: Sites) -> None:
    move = sites.request()
    SiteMove.objects.update(planned_at=timezone.now() - timedelta(seconds=60))
    sites.down = {"SRV9"}
    move = sites.finish(move)
    assert sites.states(move) == ["failed"] * 4
    assert sites.world.dns.messages == []


# ---------------------------------------------------------------------------------------------------- stop and resume


def test_after_a_stop_no_new_ones_begin_and_those_that_run_end_truly(sites: Sites) -> None:
    move = sites.request(at_once=1)
    step = together.Together.go

    def stop_after_the_first(self: together.Together) -> None:
        step(self)
        site_moves.stop_move(move=SiteMove.objects.get(pk=move.pk), user=sites.world.operator)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(together.Together, "go", stop_after_the_first)
        sites.drive(move)
    move = sites.finish(move)
    assert sites.points_at() == ["SRV9", "SRV1", "SRV1", "SRV1"]
    assert move.state == "stopped"
    assert sites.states(move) == ["succeeded", "waiting", "waiting", "waiting"]
    site_moves.resume_move(move=move, user=sites.world.operator)
    move = sites.finish(move)
    assert sites.states(move) == SUCCEEDED
    assert move.state == "ended"


def test_resume_leaves_out_what_is_blocked_by_now(sites: Sites) -> None:
    move = sites.request()
    site_moves.stop_move(move=move, user=sites.world.operator)
    sites.world.dns.set(NAMES[3], cname("SRV2"), "dns2")
    site_moves.resume_move(move=move, user=sites.world.operator)
    move = sites.finish(move)
    assert sites.states(move) == ["succeeded", "succeeded", "succeeded", "left_out"]
    assert "disagree" in move.members.get(hostname_fqdn=NAMES[3]).sentence


def test_where_that_was_asked_for_it_stops_at_the_first_failure(sites: Sites) -> None:
    move = sites.request(at_once=1, stop_at_failure=True)
    sites.world.dns.set(NAMES[0], cname("SRV2"))
    move = sites.finish(move)
    assert move.state == "stopped"
    assert move.result.startswith(f"{NAMES[0]} did not go well")
    assert sites.points_at()[1:] == ["SRV1"] * 3


def test_a_plan_that_waited_too_long_stops_the_move(sites: Sites, settings: Settings) -> None:
    move = sites.request()
    SiteMove.objects.update(planned_at=timezone.now() - timedelta(hours=1))
    move = sites.drive(move)
    assert move.state == "stopped"
    assert sites.world.dns.messages == []


# ----------------------------------------------------------------------------------------------------- all or nothing


def test_all_or_nothing_is_one_message(sites: Sites) -> None:
    move = sites.finish(sites.request(together=True))
    assert sites.states(move) == SUCCEEDED
    assert [len(changes) for changes in sites.world.dns.many] == [4]
    assert sites.world.dns.messages == []


def test_one_record_that_is_not_what_it_was_stops_all_before_anything_is_sent(sites: Sites) -> None:
    move = sites.request(together=True)
    sites.world.dns.set(NAMES[1], cname("SRV2"))
    move = sites.finish(move)
    assert sites.states(move) == ["failed"] * 4
    assert sites.world.dns.many == []
    results = list(FailoverOperation.objects.values_list("result", flat=True))
    assert all("changed nothing" in result for result in results)
    assert sum(f"because of {NAMES[1]}" in result for result in results) == 3


def test_a_conflict_at_the_server_changes_nothing_and_says_which_record_it_was(
    sites: Sites, monkeypatch: pytest.MonkeyPatch
) -> None:
    move = sites.request(together=True)

    def race(name: str) -> None:
        if name == "change_recorded":
            sites.world.dns.set(NAMES[2], cname("SRV3"))

    monkeypatch.setattr(together, "checkpoint", race)
    move = sites.finish(move)
    assert sites.states(move) == ["failed"] * 4
    assert sites.points_at() == ["SRV1", "SRV1", "SRV3", "SRV1"]
    assert all(
        f"It was: {NAMES[2]} says CNAME srv3.example.com" in result
        for result in FailoverOperation.objects.values_list("result", flat=True)
    )


def test_a_lost_answer_to_all_is_success_when_reading_shows_all_changes(sites: Sites) -> None:
    move = sites.request(together=True)
    sites.world.dns.lose_answer = True
    assert sites.states(sites.finish(move)) == SUCCEEDED
    assert len(sites.world.dns.many) == 1


def test_a_message_for_all_that_was_swallowed_is_sent_again_and_then_not_known(sites: Sites) -> None:
    move = sites.request(together=True)
    sites.world.dns.swallow = True
    assert sites.states(sites.finish(move)) == ["unknown"] * 4
    assert len(sites.world.dns.many) == together.MAX_ATTEMPTS


def test_a_refusal_of_all_fails_each_and_says_that_nothing_changed(sites: Sites) -> None:
    move = sites.request(together=True)
    sites.world.dns.outcome = Outcome(OutcomeKind.DENIED, "REFUSED", "dns1 refused the change. Nothing was changed.")
    assert sites.states(sites.finish(move)) == ["failed"] * 4


def test_all_or_nothing_follows_resolvers_while_old_answers_run_out(sites: Sites) -> None:
    resolver = Resolver.objects.create(site=sites.amsterdam, name="rdns1", address="10.0.1.1")
    sites.world.dns.records[str(resolver.pk)] = {}
    move = sites.drive(sites.request(together=True))
    operations = list(FailoverOperation.objects.filter(move_member__move=move))
    assert len(operations) == len(NAMES)
    for operation in operations:
        assert executor.run(operation.pk, owner="test") is not None, "at once, and back when the wait is over"
        states = dict(operation.steps.values_list("kind", "state"))
        assert (states["verify"], states["wait_ttl"]) == ("done", "running")
        assert states["resolvers"] not in {"waiting", "skipped"}


def test_nobody_else_may_write_an_operation_of_all_or_nothing(sites: Sites) -> None:
    move = sites.request(together=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(together.Together, "go", lambda self: None)
        sites.drive(move)
    operation = FailoverOperation.objects.first()
    assert operation is not None
    FailoverOperation.objects.update(lease_until=timezone.now())
    assert executor.run(operation.pk, owner="sweeper") is None
    operation.refresh_from_db()
    assert operation.written_at is None
    assert sites.states(sites.finish(move)) == SUCCEEDED


def test_one_that_is_cancelled_before_the_message_stops_all(sites: Sites, monkeypatch: pytest.MonkeyPatch) -> None:
    move = sites.request(together=True)

    def cancel(name: str) -> None:
        if name == "asked_again":
            one = FailoverOperation.objects.get(hostname_fqdn=NAMES[0])
            services.cancel_operation(operation=one, user=sites.world.operator)

    monkeypatch.setattr(together, "checkpoint", cancel)
    move = sites.finish(move)
    assert sites.states(move) == ["cancelled", "failed", "failed", "failed"]
    assert sites.world.dns.many == []


# ---------------------------------------------------------------------------------------------------- killed anywhere


class KilledError(BaseException):
    """In place of SIGKILL: nothing of ours catches it."""


POINTS = (
    "claimed", "asked_again", "change_recorded", "answer_received", "write_recorded", "read_back",
    "read_back_recorded", "verified", "verify_recorded",
)  # fmt: skip


@pytest.mark.parametrize("all_together", [False, True])
@pytest.mark.parametrize("point", POINTS)
def test_a_killed_worker_loses_nothing(
    sites: Sites, monkeypatch: pytest.MonkeyPatch, point: str, all_together: bool
) -> None:
    move = sites.request(together=all_together)

    def kill(name: str) -> None:
        if name == point:
            raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(together, "checkpoint", kill)
        with pytest.raises(KilledError):
            sites.drive(move)
    SiteMove.objects.update(lease_until=timezone.now())
    FailoverOperation.objects.exclude(lease_until=None).update(lease_until=timezone.now())
    move = sites.finish(move)
    assert sites.states(move) == SUCCEEDED, [o.result for o in FailoverOperation.objects.all()]
    assert sites.points_at() == ["SRV9"] * 4
    assert move.state == "ended"
    assert len(sites.world.dns.applied) == 4


# ------------------------------------------------------------------------------------------------------- back, refused


def test_back_is_a_fresh_plan_to_the_primaries(sites: Sites) -> None:
    sites.finish(sites.request())
    plan = sites.look(Direction.BACK)
    assert {entry.plan.kind for entry in plan.entries if entry.plan} == {OperationKind.FAILBACK}
    move = sites.finish(sites.request(Direction.BACK, typed=""))
    assert sites.states(move) == SUCCEEDED
    assert sites.points_at() == ["SRV1"] * 4


def test_back_is_blocked_until_the_primary_has_been_healthy_long_enough(sites: Sites) -> None:
    sites.finish(sites.request())
    set_health(sites, since_s=10)
    plan = sites.look(Direction.BACK)
    assert plan.ready == ()
    assert "healthy for 10 s" in plan.entries[0].blocking[0].sentence


def refused(sites: Sites, **changes: Any) -> RequestRefused:
    with pytest.raises(RequestRefused) as caught:
        sites.request(**changes)
    assert SiteMove.objects.count() == 0
    return caught.value


def test_a_hostname_that_has_changed_since_it_was_shown_is_left_out_and_the_rest_goes(sites: Sites) -> None:
    shown = [entry.token for entry in sites.look().entries]
    sites.world.dns.set(NAMES[1], cname("SRV9"))  # somebody moved it: it is no longer part of the move
    sites.world.dns.set(NAMES[2], cname("SRV2"), "dns2")
    move = sites.finish(sites.request(shown=shown))
    assert sites.states(move) == ["succeeded", "left_out", "succeeded"]
    assert "disagree" in move.members.get(hostname_fqdn=NAMES[2]).sentence


def test_all_or_nothing_is_refused_where_one_has_changed_since_it_was_shown(sites: Sites) -> None:
    shown = [entry.token for entry in sites.look().entries]
    sites.world.dns.set(NAMES[2], cname("SRV2"), "dns2")
    said = refused(sites, shown=shown, together=True)
    assert said.code == "stale"
    assert said.sentence.startswith(NAMES[2])


def test_what_has_become_better_since_it_was_shown_goes(sites: Sites) -> None:
    sites.down = {"SRV9"}
    shown = [entry.token for entry in sites.look().entries]
    sites.down = set()
    assert sites.states(sites.finish(sites.request(shown=shown))) == SUCCEEDED


def test_a_click_on_what_has_changed_is_refused(sites: Sites) -> None:
    tokens = [f"{entry.hostname_id}:0:" for entry in sites.look().entries]
    assert refused(sites, shown=tokens).code == "stale"
    assert AuditEntry.objects.get(action="site_move.refused").after["code"] == "stale"


def test_without_a_reason_it_is_refused(sites: Sites) -> None:
    assert refused(sites, reason=" ").code == "reason_missing"


def test_who_may_not_fail_over_may_not_move_a_site(sites: Sites) -> None:
    sites.world.operator.role = Role.HELPDESK
    assert refused(sites).code == "not_permitted"


def test_what_is_blocked_needs_to_be_forced_by_somebody_who_may_and_who_types_the_name(sites: Sites) -> None:
    sites.down = {"SRV9"}
    assert refused(sites).code == "blocked"
    assert refused(sites, forced=True).code == "not_permitted"
    assert refused(sites, forced=True, user=sites.world.administrator).code == "typed_wrong"
    move = sites.request(forced=True, user=sites.world.administrator, typed="amsterdam")
    assert move.forced
    assert sites.states(sites.finish(move))[0] in {"succeeded", "incomplete"}
    assert FailoverOperation.objects.filter(forced=True).count() == 4


def test_more_at_once_than_the_policy_lets_pass_have_to_be_confirmed(sites: Sites, settings: Settings) -> None:
    settings.DNSOPS = {**settings.DNSOPS, "at_once_block": 3}
    said = refused(sites)
    assert said.code == "typed_wrong"
    assert said.sentence == "To move 4 hostnames at once, type the name exactly: Amsterdam."
    assert sites.request(typed="Amsterdam").members.count() == 4


def test_only_what_was_ticked_is_moved(sites: Sites) -> None:
    move = sites.request(shown=[sites.look().entries[1].token])
    sites.finish(move)
    assert sites.points_at() == ["SRV1", "SRV9", "SRV1", "SRV1"]


def test_a_double_click_is_one_move(sites: Sites) -> None:
    first = sites.request(idempotency_key="same")
    assert sites.request(idempotency_key="same").pk == first.pk
    assert SiteMove.objects.count() == 1


# ------------------------------------------------------------------------------------------------------ command line


def command(*arguments: str) -> str:
    out = io.StringIO()
    call_command("move_site", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_shows_the_plan_and_changes_nothing(sites: Sites) -> None:
    text = command("amsterdam")
    assert f"ok  {NAMES[0]}  SRV1 -> SRV9  all rules pass" in text
    assert "Nothing was changed." in text
    assert sites.points_at() == ["SRV1"] * 4


def test_the_command_moves_without_a_worker(sites: Sites, settings: Settings) -> None:
    settings.DNSOPS = {**settings.DNSOPS, "max_ttl_wait_s": 0.01}
    text = command("Amsterdam", "--go", "--user", "otto", "--reason", "drill", "--together")
    assert "All 4 hostnames have moved." in text
    assert sites.points_at() == ["SRV9"] * 4
    assert AuditEntry.objects.get(action="site_move.requested").actor_name == "otto"


def test_the_command_says_what_is_wrong_with_what_was_typed(sites: Sites) -> None:
    with pytest.raises(CommandError, match=r"no site or front-end pool “Paris”. Sites: Amsterdam, Rotterdam"):
        command("Paris")
    with pytest.raises(CommandError, match="no user “nobody”"):
        command("Amsterdam", "--go", "--user", "nobody")
    with pytest.raises(CommandError, match="Give a reason"):
        command("Amsterdam", "--go", "--user", "otto")
    with pytest.raises(CommandError, match="nothing to move back"):
        command("Amsterdam", "--back")


def test_hostnames_of_a_zone_that_is_changed_by_hand_are_left_to_their_own_pages(sites: Sites) -> None:
    Zone.objects.update(provider="manual")
    plan = sites.look()
    assert plan.entries
    for entry in plan.entries:
        assert any("is changed by hand" in finding.sentence for finding in entry.findings), entry


# ---------------------------------------------------------------------------------------------------- virtual services


def test_a_hostname_on_a_virtual_service_goes_to_the_other_datacentres(sites: Sites) -> None:
    for server in Server.objects.all():  # out of the way of the factories' names
        Server.objects.filter(pk=server.pk).update(name=f"{server.name}-old")
    hostname = make_global()
    zone = Zone.objects.create(name="corp.example", key=UpdateKey.objects.first())
    for number, name in enumerate(("dns1", "dns2"), 1):
        NameServer.objects.create(zone=zone, name=name, address=f"10.53.9.{number}", is_writer=number == 1)
    first, second = hostname.targets.with_aims().order_by("order")
    record = RRset("CNAME", OLD_TTL_S, (f"{first.fqdn}.",))
    sites.world.dns.set(hostname.fqdn, record, "dns1", "dns2")
    for server in Server.objects.all():
        sites.world.servers[server.name] = server
    scope = Scope(site=first.site)
    plan = sites.look(scope=scope)
    assert [(e.hostname, e.plan.to_server) for e in plan.entries if e.plan] == [(hostname.fqdn, second.name)]
    move = sites.finish(sites.request(scope=scope, shown=[entry.token for entry in plan.entries]))
    operation = FailoverOperation.objects.get(move_member__move=move)
    assert (operation.state, operation.to_virtual_service) == ("succeeded", second.virtual_service)
    assert sites.world.dns.records["dns1"][hostname.fqdn].values == (f"{second.fqdn}.",)


def test_a_writer_that_lost_a_question_is_asked_once_more(sites: Sites, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    real = sites.world.dns.ask_pairs

    def lossy(pairs: Any, *, timeout_s: float) -> Any:
        asked.append(len(pairs))
        found = real(pairs, timeout_s=timeout_s)
        if len(asked) == 1:
            lost = next(pair for pair in found if pair[0].is_writer)
            found[lost] = replace(found[lost], state="silent", rrset=None)
        return found

    monkeypatch.setattr(asking_many, "ask_pairs", lossy)
    assert len(sites.look().ready) == 4
    assert asked == [8, 1]
