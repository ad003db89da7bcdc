"""The safety rules, one by one: facts in, a finding out."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, strategies as st

from dnsops import safety
from dnsops.lifecycle import OperationKind
from dnsops.plan import Answer, RRset
from dnsops.safety import Finding, Level, Limits, OtherOperation, Rule, SafetyFacts, TargetCheck, TargetCheckKind

OLD, NEW = RRset("CNAME", 60, ("srv1.example.com.",)), RRset("CNAME", 60, ("srv2.example.com.",))
STRANGE = RRset("CNAME", 60, ("srv9.example.com.",))
UCC, WEB, CERT = TargetCheckKind.UCC, TargetCheckKind.WEB, TargetCheckKind.CERTIFICATE
GOOD = (
    TargetCheck(UCC, "UCC 6001", True),
    TargetCheck(UCC, "UCC 6002", True),
    TargetCheck(WEB, "web services", True),
    TargetCheck(CERT, "certificate", True),
)


def answers(*rrsets: RRset | None) -> tuple[Answer, ...]:
    return tuple(
        Answer(f"dns{n}", "answered" if rrset else "silent", rrset, error="" if rrset else "no answer")
        for n, rrset in enumerate(rrsets, 1)
    )


def facts(**changes: object) -> SafetyFacts:
    base = SafetyFacts(
        kind=OperationKind.FAILOVER,
        hostname="a365web1.example.com",
        from_server="SRV1",
        to_server="SRV2",
        record_type="CNAME",
        policy_ttl_s=60,
        expected=OLD,
        new=NEW,
        writer="dns1",
        answers=answers(OLD, OLD),
        checks=GOOD,
        writable=True,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def level(finding: Finding | None) -> Level | None:
    return finding.level if finding else None


def test_with_everything_well_nothing_blocks_or_warns() -> None:
    found = safety.evaluate(facts())
    assert {finding.level for finding in found} == {Level.OK}
    assert {finding.rule for finding in found} == {
        Rule.TARGET_UCC, Rule.TARGET_WEB, Rule.TARGET_CERTIFICATE, Rule.WRITER_ACCEPTS_KEY, Rule.ANSWERS_AGREE,
        Rule.TTL_POLICY,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "kind"), [(safety.target_ucc, UCC), (safety.target_web, WEB), (safety.target_certificate, CERT)]
)
def test_a_target_that_does_not_work_blocks_and_says_what(rule: object, kind: TargetCheckKind) -> None:
    bad = TargetCheck(kind, "this one", False, "refused")
    finding = rule(facts(checks=(*GOOD, bad)))  # type: ignore[operator]
    assert finding.level is Level.BLOCK
    assert finding.sentence == "this one: refused."
    assert finding.subject == "this one"
    assert finding.overridable


def test_many_bad_ports_are_told_in_short() -> None:
    bad = tuple(TargetCheck(UCC, f"UCC {6000 + n}", False, "refused") for n in range(6))
    finding = safety.target_ucc(facts(checks=bad))
    assert finding is not None
    assert finding.sentence.endswith("(and 2 more).")
    assert finding.subject.count(",") == 5


def test_four_bad_ports_are_told_in_full() -> None:
    bad = tuple(TargetCheck(UCC, f"UCC {6000 + n}", False, "refused") for n in range(4))
    finding = safety.target_ucc(facts(checks=bad))
    assert finding is not None
    assert "more" not in finding.sentence


def test_a_degraded_target_warns() -> None:
    finding = safety.target_web(facts(checks=(TargetCheck(WEB, "web", True, "slow", degraded=True),)))
    assert finding is not None
    assert (finding.level, finding.sentence) == (Level.WARN, "web: slow.")


def test_what_was_not_asked_is_not_called_good() -> None:
    assert safety.target_ucc(facts(checks=())) is None
    assert safety.target_ucc(facts(checks=(TargetCheck(UCC, "x", None),))) is None


def test_maintenance_blocks_with_its_reason() -> None:
    finding = safety.target_maintenance(facts(target_in_maintenance=True, maintenance_reason="patches"))
    assert finding is not None
    assert finding.level is Level.BLOCK
    assert "(patches)" in finding.sentence
    assert safety.target_maintenance(facts()) is None


@pytest.mark.parametrize(
    ("age_s", "expected"), [(0, None), (15, None), (16, Level.WARN), (60, Level.WARN), (61, Level.BLOCK)]
)
def test_old_knowledge_warns_and_then_blocks(age_s: float, expected: Level | None) -> None:
    checks = (*GOOD, TargetCheck(UCC, "old", True, age_s=age_s))
    assert level(safety.health_fresh(facts(checks=checks))) is expected


def test_what_is_not_known_blocks() -> None:
    assert level(safety.health_fresh(facts(checks=()))) is Level.BLOCK
    finding = safety.health_fresh(facts(checks=(*GOOD, TargetCheck(WEB, "web", None))))
    assert finding is not None
    assert (finding.level, finding.subject) == (Level.BLOCK, "web")


def test_already_there_blocks_and_cannot_be_forced() -> None:
    finding = safety.already_there(facts(new=replace(OLD, ttl_s=1)))
    assert finding is not None
    assert finding.level is Level.BLOCK
    assert not finding.overridable
    assert safety.already_there(facts()) is None


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ((OLD, OLD), Level.OK),
        ((OLD, replace(OLD, ttl_s=5)), Level.OK),
        ((OLD, STRANGE), Level.BLOCK),
        ((OLD, NEW), Level.WARN),
        ((OLD, None), Level.WARN),
        ((OLD, None, STRANGE), Level.BLOCK),
        ((OLD, NEW, STRANGE), Level.BLOCK),
    ],
)
def test_servers_that_disagree_block_unless_the_change_makes_them_agree(
    said: tuple[RRset | None, ...], expected: Level
) -> None:
    assert level(safety.answers_agree(facts(answers=answers(*said)))) is expected


def test_a_server_without_the_record_disagrees() -> None:
    missing = Answer("dns2", "answered", None, rcode="NXDOMAIN")
    finding = safety.answers_agree(facts(answers=(*answers(OLD), missing)))
    assert finding is not None
    assert finding.level is Level.BLOCK
    assert "dns2 says no record (NXDOMAIN)" in finding.sentence


def test_the_record_type_never_changes_and_force_does_not_help() -> None:
    address = RRset("A", 60, ("10.0.0.2",))
    for case in (facts(new=address), facts(expected=address), facts(record_type="A")):
        finding = safety.record_type(case)
        assert finding is not None
        assert finding.level is Level.BLOCK
        assert not finding.overridable
    assert safety.record_type(facts()) is None


@pytest.mark.parametrize(
    ("ttl_s", "expected", "words"),
    [(60, Level.OK, "within 60 s"), (300, Level.WARN, "which this change sets"), (301, Level.WARN, "for 5 min"),
     (7200, Level.WARN, "for 2 h")],
)  # fmt: skip
def test_a_ttl_beside_the_policy_warns_with_how_long_clients_stay_behind(
    ttl_s: int, expected: Level, words: str
) -> None:
    finding = safety.ttl_policy(facts(expected=replace(OLD, ttl_s=ttl_s)))
    assert finding is not None
    assert finding.level is expected
    assert words in finding.sentence


def test_another_operation_blocks_and_cannot_be_forced() -> None:
    finding = safety.no_other_operation(facts(other_operation=OtherOperation("ada", "SRV2", "running")))
    assert finding is not None
    assert finding.level is Level.BLOCK
    assert not finding.overridable
    assert "ada" in finding.sentence
    assert safety.no_other_operation(facts()) is None


def test_an_operation_that_only_waits_for_the_old_ttl_is_no_obstacle() -> None:
    other = OtherOperation("ada", "SRV2", "running", superseding=True)
    assert level(safety.no_other_operation(facts(other_operation=other))) is Level.WARN


@pytest.mark.parametrize(("since_s", "expected"), [(None, None), (0, Level.WARN), (299, Level.WARN), (300, None)])
def test_soon_after_the_last_operation_it_warns(since_s: float | None, expected: Level | None) -> None:
    assert level(safety.cool_down(facts(since_last_operation_s=since_s))) is expected


def test_a_writer_that_does_not_answer_blocks_and_cannot_be_forced() -> None:
    for said in (answers(None, OLD), (Answer("dns2", "answered", OLD),)):
        finding = safety.writer_reachable(facts(answers=said))
        assert finding is not None
        assert finding.level is Level.BLOCK
        assert not finding.overridable
    assert safety.writer_reachable(facts()) is None


def test_a_writer_that_does_not_accept_our_key_blocks_with_its_sentence() -> None:
    finding = safety.writer_accepts_key(facts(writable=False, writable_sentence="The secret differs."))
    assert finding is not None
    assert (finding.level, finding.sentence, finding.overridable) == (Level.BLOCK, "The secret differs.", True)
    assert safety.writer_accepts_key(facts(writable=None)) is None


@pytest.mark.parametrize(
    ("healthy_s", "expected"), [(None, Level.BLOCK), (0, Level.BLOCK), (299, Level.BLOCK), (300, Level.OK)]
)
def test_a_failback_waits_for_the_stability_time(healthy_s: float | None, expected: Level) -> None:
    case = facts(kind=OperationKind.FAILBACK, primary_healthy_for_s=healthy_s)
    assert level(safety.stability_time(case)) is expected
    assert safety.stability_time(replace(case, kind=OperationKind.FAILOVER)) is None


def test_what_is_too_early_is_not_the_same_as_what_is_unhealthy() -> None:
    early = safety.stability_time(facts(kind=OperationKind.FAILBACK, primary_healthy_for_s=1.0))
    ill = safety.stability_time(facts(kind=OperationKind.FAILBACK))
    assert early is not None
    assert ill is not None
    assert early.subject != ill.subject


@pytest.mark.parametrize(
    ("others", "expected"), [(0, None), (4, None), (5, Level.WARN), (24, Level.WARN), (25, Level.BLOCK)]
)
def test_many_hostnames_at_once_warn_and_then_block(others: int, expected: Level | None) -> None:
    assert level(safety.hostnames_at_once(facts(other_hostnames_active=others))) is expected


def test_the_limits_are_the_installations() -> None:
    strict = Limits(at_once_warn=1, at_once_block=2)
    assert level(safety.hostnames_at_once(facts(other_hostnames_active=2, limits=strict))) is Level.BLOCK


def test_every_rule_has_its_function_and_its_name() -> None:
    assert len(safety.RULES) == len(Rule)
    assert {rule.__name__ for rule in safety.RULES} == {rule.value for rule in Rule}


def test_only_these_rules_can_never_be_overridden() -> None:
    assert {
        Rule.RECORD_TYPE, Rule.NO_OTHER_OPERATION, Rule.ALREADY_THERE, Rule.WRITER_REACHABLE,
    } == safety.NEVER_OVERRIDABLE  # fmt: skip


@given(
    ages=st.lists(st.floats(0, 50), min_size=1, max_size=4),
    since=st.floats(0, 1e6),
)
def test_what_a_digest_is_made_of_holds_no_ages(ages: list[float], since: float) -> None:
    checks = tuple(TargetCheck(UCC, f"UCC {n}", False, "refused", age_s=age) for n, age in enumerate(ages))
    found = safety.evaluate(facts(checks=checks, since_last_operation_s=since))
    young = safety.evaluate(facts(checks=tuple(replace(c, age_s=0.0) for c in checks)))

    def blocking(findings: list[Finding]) -> list[tuple[str, str]]:
        return [(f.rule, f.subject) for f in findings if f.level is Level.BLOCK]

    assert blocking(found) == blocking(young)
