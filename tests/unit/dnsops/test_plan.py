"""Plans: data made from facts, or a sentence that says why there is none."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, strategies as st

from dnsops.plan import (
    Aim,
    Answer,
    Plan,
    PlanError,
    PlanFacts,
    RRset,
    Target,
    build_failback_plan,
    build_failover_plan,
    build_put_right_plan,
    digest_of,
    zone_of,
)

SRV1 = Target(1, "SRV1", "srv1.example.com", "10.0.0.1", 1)
SRV2 = Target(2, "SRV2", "srv2.example.com", "10.0.0.2", 2)
SRV3 = Target(3, "SRV3", "srv3.example.com", "10.0.0.3", 3)


def cname(value: str, ttl_s: int = 60) -> RRset:
    return RRset("CNAME", ttl_s, (value,))


ON_PRIMARY = cname("srv1.example.com.")


def facts(rrset: RRset | None = ON_PRIMARY, **changes: object) -> PlanFacts:
    answers = tuple(
        Answer(name, "answered", rrset, rcode="NOERROR" if rrset else "NXDOMAIN") for name in ("dns1", "dns2")
    )
    base = PlanFacts("a365web1.example.com", 7, "CNAME", 30, "example.com", "dns1", (SRV1, SRV2, SRV3), answers)
    return replace(base, **changes)  # type: ignore[arg-type]


def test_a_failover_leads_to_the_best_standby_with_the_ttl_of_the_policy() -> None:
    plan = build_failover_plan(facts())
    assert (plan.from_server, plan.to_server, plan.to_server_id, plan.writer) == ("SRV1", "SRV2", 2, "dns1")
    assert plan.change.expected == cname("srv1.example.com.", 60)
    assert plan.change.new == cname("srv2.example.com.", 30)
    assert (plan.change.zone, plan.change.name) == ("example.com", "a365web1.example.com")


def test_a_failover_leads_to_the_chosen_standby() -> None:
    assert build_failover_plan(facts(), 3).to_server == "SRV3"


def test_from_a_standby_a_failover_leads_to_the_next_one_and_never_to_the_primary() -> None:
    assert build_failover_plan(facts(cname("srv2.example.com."))).to_server == "SRV3"


def test_an_address_is_replaced_by_an_address() -> None:
    plan = build_failover_plan(facts(RRset("A", 60, ("10.0.0.1",)), record_type="A"))
    assert plan.change.new == RRset("A", 30, ("10.0.0.2",))


def test_a_failback_leads_to_the_primary_from_wherever_dns_points() -> None:
    for value, name in (("srv2.example.com.", "SRV2"), ("srv3.example.com.", "SRV3")):
        plan = build_failback_plan(facts(cname(value)))
        assert (plan.from_server, plan.to_server) == (name, "SRV1")


@pytest.mark.parametrize(
    ("given_facts", "to", "words"),
    [
        (facts(), 1, "already points at SRV1"),
        (facts(cname("srv2.example.com.")), 2, "already points at SRV2"),
        (facts(cname("srv2.example.com.")), 1, "is the primary"),
        (facts(), 99, "not a target"),
        (facts(targets=(SRV1,)), None, "has no standby"),
        (facts(cname("srv2.example.com."), targets=(SRV1, SRV2)), None, "its only standby"),
        (facts(cname("elsewhere.example.net.")), None, "none of its targets"),
        (facts(RRset("A", 60, ("10.0.0.1",))), None, "declared as CNAME, but DNS has a A record"),
        (facts(RRset("A", 60, ("10.0.0.1", "10.0.0.2")), record_type="A"), None, "has 2 values"),
        (facts(None), None, "has no record"),
        (facts(zone="", writer=""), None, "No DNS zone"),
        (facts(writer=""), None, "has no writer"),
        (facts(answers=()), None, "not asked"),
    ],
)
def test_where_there_is_no_plan_a_sentence_says_why(given_facts: PlanFacts, to: int | None, words: str) -> None:
    with pytest.raises(PlanError, match=words):
        build_failover_plan(given_facts, to)


def test_there_is_no_failback_to_where_it_is_or_without_a_primary() -> None:
    with pytest.raises(PlanError, match="already points at SRV1"):
        build_failback_plan(facts())
    with pytest.raises(PlanError, match="no primary"):
        build_failback_plan(facts(cname("srv2.example.com."), targets=(SRV2, SRV3)))


SILENT = Answer("dns1", "silent", error="no answer")


@pytest.mark.parametrize(
    ("others", "words"),
    [
        ((), "No other server answers either"),
        ((Answer("dns2", "answered", cname("srv1.example.com.")),), "dns2 says CNAME srv1"),
        (
            (
                Answer("dns2", "answered", cname("srv1.example.com.")),
                Answer("dns3", "answered", cname("srv2.example.com.")),
            ),
            "other servers disagree",
        ),
    ],
)
def test_a_silent_writer_is_said_with_what_the_others_say(others: tuple[Answer, ...], words: str) -> None:
    with pytest.raises(PlanError, match=words):
        build_failover_plan(facts(answers=(SILENT, *others)))


def test_the_writers_answer_counts_where_servers_differ() -> None:
    answers = (
        Answer("dns2", "answered", cname("srv3.example.com.")),
        Answer("dns1", "answered", cname("srv2.example.com.")),
    )
    assert build_failback_plan(facts(answers=answers)).from_server == "SRV2"


def test_a_plan_survives_being_stored() -> None:
    plan = build_failover_plan(facts())
    assert Plan.from_dict(json.loads(json.dumps(plan.as_dict()))) == plan


def test_the_same_facts_give_the_same_digest_and_others_another() -> None:
    digest = build_failover_plan(facts()).digest
    assert len(digest) == 64
    assert build_failover_plan(facts()).digest == digest
    others = [
        build_failover_plan(facts(), 3),
        build_failover_plan(facts(ttl_s=31)),
        build_failover_plan(facts(cname("srv1.example.com.", 61))),
        build_failover_plan(facts(hostname_id=8)),
        build_failback_plan(facts(cname("srv2.example.com."))),
    ]
    assert len({digest, *(plan.digest for plan in others)}) == 6


@given(st.dictionaries(st.text(), st.integers() | st.text()))
def test_a_digest_does_not_depend_on_the_order_of_keys(content: dict[str, int | str]) -> None:
    assert digest_of(content) == digest_of(dict(reversed(content.items())))


def test_the_longest_zone_holds_a_name() -> None:
    zones = ["example.com", "web.example.com", "ample.com"]
    assert zone_of("a.web.example.com", zones) == "web.example.com"
    assert zone_of("web.example.com", zones) == "web.example.com"
    assert zone_of("a.example.com", zones) == "example.com"
    assert zone_of("a.example.net", zones) == ""


def test_equal_data_ignores_the_ttl() -> None:
    assert cname("a.", 1).same_data(cname("a.", 2))
    assert not cname("a.").same_data(cname("b."))
    assert not cname("a.").same_data(RRset("A", 60, ("a.",)))
    assert not cname("a.").same_data(None)


def test_an_answer_is_told_in_a_few_words() -> None:
    assert Answer("dns1", "answered", cname("a.")).text == "CNAME a"
    assert Answer("dns1", "answered", None, rcode="NXDOMAIN").text == "no record (NXDOMAIN)"
    assert SILENT.text == "no answer"
    assert Answer("dns1", "error").text == "error"


# ------------------------------------------------------------------------------------------------------------ put right


def put_right(rrset: RRset | None, to: int = 0, *, recorded: RRset | None = None, **changes: object) -> Plan:
    return build_put_right_plan(facts(rrset, **changes), to=Aim(to), recorded=recorded)


def test_putting_right_leads_to_what_our_records_say() -> None:
    plan = put_right(cname("stranger.example.com."), recorded=cname("srv2.example.com."))
    assert (plan.kind, plan.from_server, plan.to_server) == ("putright", "stranger.example.com", "SRV2")
    assert plan.change.expected == cname("stranger.example.com.")


def test_putting_right_leads_to_the_primary_where_our_records_say_nothing() -> None:
    assert put_right(cname("stranger.example.com.")).to_server == "SRV1"
    assert put_right(cname("stranger.example.com."), recorded=cname("gone.example.com.")).to_server == "SRV1"


def test_putting_right_leads_to_the_chosen_target() -> None:
    assert put_right(cname("stranger.example.com."), 3).to_server == "SRV3"


def test_a_name_that_is_not_there_is_created() -> None:
    plan = put_right(None, recorded=cname("srv2.example.com."))
    assert plan.change.expected == RRset.absent("CNAME")
    assert (plan.from_server, plan.to_server) == ("no record", "SRV2")
    assert Plan.from_dict(json.loads(json.dumps(plan.as_dict()))) == plan


def test_a_name_that_has_other_records_is_left_to_a_person() -> None:
    other = (Answer("dns1", "answered", None, rcode="NOERROR", is_writer=True),)
    with pytest.raises(PlanError, match="something else is at or below"):
        put_right(None, answers=other)


def test_putting_right_never_changes_the_type() -> None:
    with pytest.raises(PlanError, match="never changes the type"):
        put_right(RRset("A", 60, ("10.0.0.9",)))


def test_several_values_are_replaced_by_one() -> None:
    both = RRset("CNAME", 60, ("srv1.example.com.", "srv2.example.com."))
    assert put_right(both).change.new.values == ("srv1.example.com.",)


def test_there_is_nothing_to_put_right_where_dns_points_at_the_target() -> None:
    with pytest.raises(PlanError, match="nothing to do"):
        put_right(ON_PRIMARY)


def test_putting_right_needs_a_target_and_a_writer_that_answers() -> None:
    with pytest.raises(PlanError, match="no target"):
        put_right(None, targets=())
    with pytest.raises(PlanError, match="gives no answer"):
        put_right(None, answers=(Answer("dns1", "silent", is_writer=True),))


def test_an_absent_record_is_what_a_server_without_one_says() -> None:
    assert RRset.absent("CNAME").same_data(None)
    assert RRset.absent("CNAME").same_data(RRset.absent("CNAME"))
    assert not RRset.absent("CNAME").same_data(ON_PRIMARY)
    assert not ON_PRIMARY.same_data(None)
    assert str(RRset.absent("CNAME")) == "no record"
