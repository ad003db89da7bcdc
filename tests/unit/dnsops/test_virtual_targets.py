"""Plans and preflights whose targets are virtual services: global load balancing."""

from __future__ import annotations

import pytest

from dnsops import target_health
from dnsops.behind_vip import counting_checks
from dnsops.models import FailoverOperation
from dnsops.pages import ids_of, to_of, to_of_plan
from dnsops.plan import Aim, Answer, Plan, PlanError, PlanFacts, RRset, Target, build_failback_plan, build_failover_plan
from dnsops.safety import Level, Rule, TargetCheck, TargetCheckKind, evaluate
from pools.health import CheckKind
from tests.factories import make_balanced, make_global
from tests.unit.dnsops.test_safety import facts as safety_facts

AMS = Target(0, "AMS-VIP", "ams.corp.example", "10.1.0.1", 1, virtual_service_id=7)
RTM = Target(0, "RTM-VIP", "rtm.corp.example", "10.2.0.1", 2, virtual_service_id=8)


def plan_facts(*targets: Target, rtype: str = "CNAME", value: str = "ams.corp.example.") -> PlanFacts:
    answer = Answer("dns1", "answered", RRset(rtype, 60, (value,)), "NOERROR", is_writer=True)
    return PlanFacts("a365web.corp.example", 1, rtype, 60, "corp.example", "dns1", targets or (AMS, RTM), (answer,))


def test_a_datacentre_failover_changes_the_cname_to_the_other_datacentres_name() -> None:
    plan = build_failover_plan(plan_facts())
    assert (plan.from_server, plan.to_server) == ("AMS-VIP", "RTM-VIP")
    assert plan.change.new == RRset("CNAME", 60, ("rtm.corp.example.",))
    assert (plan.to_server_id, plan.to_virtual_service_id) == (0, 8)
    assert Plan.from_dict(plan.as_dict()) == plan


def test_and_back() -> None:
    plan = build_failback_plan(plan_facts(value="rtm.corp.example."))
    assert plan.change.new.values == ("ams.corp.example.",)
    assert plan.to_virtual_service_id == 7


def test_an_a_record_changes_to_the_other_vip_and_stays_an_a_record() -> None:
    plan = build_failover_plan(plan_facts(rtype="A", value="10.1.0.1"))
    assert plan.change.new == RRset("A", 60, ("10.2.0.1",))


def test_the_target_that_is_meant_may_be_a_server_with_the_same_number() -> None:
    server = Target(8, "SRV8", "srv8.corp.example", "10.0.0.8", 3)
    assert build_failover_plan(plan_facts(AMS, RTM, server), to=Aim(8)).to_server == "SRV8"
    assert build_failover_plan(plan_facts(AMS, RTM, server), to=Aim(virtual_service_id=8)).to_server == "RTM-VIP"
    with pytest.raises(PlanError, match="is not a target"):
        build_failover_plan(plan_facts(), to=Aim(8))


def test_a_single_virtual_service_has_nowhere_to_fail_over_to() -> None:
    with pytest.raises(PlanError, match="has no standby"):
        build_failover_plan(plan_facts(AMS))


def test_a_dead_vip_blocks() -> None:
    dead = TargetCheck(TargetCheckKind.VIP, "VIP of RTM-VIP", False, "refused")
    case = safety_facts(checks=(*safety_facts().checks, dead))
    found = {finding.rule: finding for finding in evaluate(case)}
    assert found[Rule.TARGET_VIP].level is Level.BLOCK
    assert found[Rule.TARGET_VIP].sentence == "VIP of RTM-VIP: refused."


@pytest.mark.django_db
def test_of_the_real_servers_only_the_one_that_serves_counts() -> None:
    hostname = make_global()
    target = hostname.targets.get(order=2)
    checks = target_health.checks_of(target.aim, hostname)
    cold, warm = target.servers

    def counting(open_on: int | None) -> set[int | None]:
        answers = [check.server_id == open_on if check.kind is CheckKind.UCC else True for check in checks]
        return {check.server_id for check in counting_checks(checks, answers)}

    assert counting(warm.pk) == {None, warm.pk}
    assert counting(cold.pk) == {None, cold.pk}
    none = [check for check in counting_checks(checks, [False] * len(checks)) if check.server_id]
    assert {check.port for check in none} == {target.aim.health_check.port}  # type: ignore[union-attr]


@pytest.mark.django_db
def test_a_target_is_named_in_an_address_in_a_way_that_comes_back() -> None:
    target = make_balanced().targets.get()
    assert ids_of(to_of(target)) == (0, target.virtual_service_id)
    assert ids_of("12") == (12, 0)
    assert to_of_plan(build_failover_plan(plan_facts())) == "v8"
    for hostile in ("", "v", "-1", "v-1", "١٢", "9" * 30, "v1;drop"):
        assert ids_of(hostile) == (0, 0)


@pytest.mark.django_db
def test_an_operation_knows_where_it_leads_whichever_kind_that_is() -> None:
    target = make_balanced().targets.get()
    assert FailoverOperation(to_virtual_service=target.virtual_service).to_target == target.aim
    assert FailoverOperation().to_target is None
