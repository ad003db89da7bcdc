"""Drift, decided: what DNS says against what is expected."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, strategies as st

from dnsops.drift import Drifted, DriftFacts, DriftKind, Verdict, judge, remedy_for, ttl_warning
from dnsops.plan import Answer, RRset, Target

SRV1 = Target(1, "SRV1", "srv1.example.com", "10.0.0.1", 1)
SRV2 = Target(2, "SRV2", "srv2.example.com", "10.0.0.2", 2)
TARGETS = (SRV1, SRV2)


def cname(*names: str, ttl_s: int = 60) -> RRset:
    return RRset("CNAME", ttl_s, tuple(f"{name}.example.com." for name in names))


ONE, TWO, STRANGE = cname("srv1"), cname("srv2"), cname("stranger")
NONE = RRset.absent("CNAME")
SILENT = "silent"


def said(writer: RRset | str | None, *others: RRset | str | None) -> list[Answer]:
    answers = []
    for number, rrset in enumerate((writer, *others), 1):
        if rrset == SILENT:
            answers.append(Answer(f"dns{number}", "silent", is_writer=number == 1))
        else:
            assert not isinstance(rrset, str)
            answers.append(Answer(f"dns{number}", "answered", rrset, is_writer=number == 1))
    return answers


def facts(*answers: RRset | str | None, **changes: object) -> DriftFacts:
    return replace(DriftFacts(ONE, said(*answers)), **changes)  # type: ignore[arg-type]


def test_servers_that_say_what_is_expected_have_not_drifted() -> None:
    assert judge(facts(ONE, ONE)).verdict is Verdict.AS_EXPECTED


def test_another_ttl_is_no_drift() -> None:
    assert judge(facts(cname("srv1", ttl_s=3600))).verdict is Verdict.AS_EXPECTED


def test_a_record_that_points_elsewhere_has_drifted_and_it_is_told_who_says_so() -> None:
    assert judge(facts(STRANGE, STRANGE, ONE)) == Drifted(Verdict.DRIFTED, DriftKind.MOVED, STRANGE, ("dns1", "dns2"))


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        (TWO, DriftKind.MOVED),
        (None, DriftKind.VANISHED),
        (RRset("A", 60, ("10.0.0.1",)), DriftKind.RETYPED),
        (cname("srv1", "srv2"), DriftKind.SEVERAL),
    ],
)
def test_each_way_of_drifting_has_its_name(found: RRset | None, kind: DriftKind) -> None:
    assert judge(facts(found)).kind is kind


def test_while_an_operation_is_at_work_nothing_is_drift() -> None:
    assert judge(facts(STRANGE, operation_active=True)).verdict is Verdict.BUSY


def test_what_an_operation_without_a_known_result_wrote_is_ours() -> None:
    assert judge(facts(TWO, possible=TWO)).verdict is Verdict.OURS
    assert judge(facts(ONE, possible=TWO)).verdict is Verdict.AS_EXPECTED
    assert judge(facts(STRANGE, possible=TWO)).verdict is Verdict.DRIFTED


def test_a_server_that_says_what_was_there_before_is_late_and_no_drift() -> None:
    assert judge(facts(ONE, TWO, earlier=(TWO,))).verdict is Verdict.AS_EXPECTED


def test_the_writer_saying_what_was_there_before_is_drift() -> None:
    """Somebody has put it back by hand: the writer does not lag behind itself."""
    assert judge(facts(TWO, ONE, earlier=(TWO,))).kind is DriftKind.MOVED


def test_one_server_with_an_answer_of_its_own_is_told() -> None:
    assert judge(facts(ONE, STRANGE, ONE)) == Drifted(Verdict.DRIFTED, DriftKind.ONE_SERVER, STRANGE, ("dns2",))
    assert judge(facts(ONE, None)).kind is DriftKind.ONE_SERVER


def test_with_the_writer_silent_the_others_decide_if_they_agree() -> None:
    assert judge(facts(SILENT, STRANGE, STRANGE)).kind is DriftKind.MOVED
    assert judge(facts(SILENT, STRANGE, ONE)).verdict is Verdict.NOT_KNOWN
    assert judge(facts(SILENT, TWO, earlier=(TWO,))).verdict is Verdict.NOT_KNOWN


def test_where_nobody_answers_nothing_is_known() -> None:
    assert judge(facts(SILENT, SILENT)).verdict is Verdict.NOT_KNOWN
    assert judge(DriftFacts(ONE, [])).verdict is Verdict.NOT_KNOWN


def test_the_first_answer_of_the_writer_becomes_what_is_expected() -> None:
    assert judge(facts(TWO, ONE, expected=None)) == Drifted(Verdict.FIRST, found=TWO)


def test_nothing_is_expected_from_a_name_that_is_not_there_or_a_writer_that_is_silent() -> None:
    assert judge(facts(None, expected=None)).verdict is Verdict.NOT_KNOWN
    assert judge(facts(SILENT, ONE, expected=None)).verdict is Verdict.NOT_KNOWN


RRSETS = st.sampled_from([ONE, TWO, STRANGE, None, SILENT, cname("srv1", "srv2"), RRset("A", 60, ("10.0.0.1",))])


@given(st.lists(RRSETS, min_size=1, max_size=4), st.sampled_from([ONE, TWO]), st.booleans())
def test_drift_is_never_what_is_expected_and_always_somebody_says_it(
    answers: list[RRset | str | None], expected: RRset, busy: bool
) -> None:
    drifted = judge(facts(*answers, expected=expected, operation_active=busy))
    if drifted.verdict is Verdict.DRIFTED:
        assert not busy
        assert drifted.servers
        assert drifted.found is not None
        assert not expected.same_data(drifted.found)
    else:
        assert drifted.kind is None


# ------------------------------------------------------------------------------------------------------------- ways out


def test_a_known_target_can_be_adopted_or_put_right() -> None:
    remedy = remedy_for(DriftKind.MOVED, TWO, expected=ONE, targets=TARGETS, record_type="CNAME")
    assert (remedy.adopt, remedy.put_right) == (SRV2, SRV1)


def test_a_stranger_can_only_be_put_right_until_it_is_a_target() -> None:
    remedy = remedy_for(DriftKind.MOVED, STRANGE, expected=TWO, targets=TARGETS, record_type="CNAME")
    assert (remedy.adopt, remedy.put_right) == (None, SRV2)
    assert "stranger.example.com is none of the hostname's targets" in remedy.why_not_adopt


def test_a_vanished_record_can_only_be_put_right() -> None:
    remedy = remedy_for(DriftKind.VANISHED, NONE, expected=TWO, targets=TARGETS, record_type="CNAME")
    assert (remedy.adopt, remedy.put_right) == (None, SRV2)
    assert "no record to adopt" in remedy.why_not_adopt


def test_where_what_is_expected_is_no_target_any_more_it_is_put_right_to_the_primary() -> None:
    remedy = remedy_for(DriftKind.MOVED, STRANGE, expected=cname("gone"), targets=TARGETS, record_type="CNAME")
    assert remedy.put_right is SRV1


def test_another_type_is_never_put_right_by_us() -> None:
    found = RRset("A", 60, ("10.0.0.1",))
    remedy = remedy_for(DriftKind.RETYPED, found, expected=ONE, targets=TARGETS, record_type="CNAME")
    assert (remedy.adopt, remedy.put_right) == (None, None)
    assert "never changes a record's type" in remedy.why_not_put_right


def test_another_type_that_was_declared_since_can_be_adopted() -> None:
    found = RRset("A", 60, ("10.0.0.2",))
    remedy = remedy_for(DriftKind.RETYPED, found, expected=ONE, targets=TARGETS, record_type="A")
    assert remedy.adopt is SRV2


def test_several_values_are_put_right_and_not_adopted() -> None:
    remedy = remedy_for(DriftKind.SEVERAL, cname("srv1", "srv2"), expected=ONE, targets=TARGETS, record_type="CNAME")
    assert (remedy.adopt, remedy.put_right) == (None, SRV1)


def test_one_server_alone_is_neither_adopted_nor_written_to() -> None:
    remedy = remedy_for(DriftKind.ONE_SERVER, TWO, expected=ONE, targets=TARGETS, record_type="CNAME")
    assert (remedy.adopt, remedy.put_right) == (None, None)
    assert "replication" in remedy.why_not_put_right


@given(
    st.sampled_from(list(DriftKind)),
    st.sampled_from([ONE, TWO, STRANGE, NONE, cname("srv1", "srv2"), RRset("A", 60, ("10.0.0.1",))]),
    st.sampled_from([ONE, TWO, STRANGE]),
    st.sampled_from([(), TARGETS]),
    st.sampled_from(["A", "CNAME"]),
)
def test_what_cannot_be_done_has_its_reason(
    kind: DriftKind, found: RRset, expected: RRset, targets: tuple[Target, ...], record_type: str
) -> None:
    remedy = remedy_for(kind, found, expected=expected, targets=targets, record_type=record_type)
    assert (remedy.adopt is None) == bool(remedy.why_not_adopt)
    assert (remedy.put_right is None) == bool(remedy.why_not_put_right)
    if remedy.put_right is not None:
        assert found.is_absent or found.rtype == record_type


# ------------------------------------------------------------------------------------------------------------------ TTL


def test_a_ttl_of_the_policy_needs_no_word() -> None:
    assert ttl_warning(said(ONE, cname("srv1", ttl_s=5)), policy_ttl_s=60) == ""
    assert ttl_warning(said(SILENT, None), policy_ttl_s=60) == ""


def test_a_longer_ttl_is_told_with_what_it_does() -> None:
    sentence = ttl_warning(said(cname("srv1", ttl_s=3600)), policy_ttl_s=60)
    assert "3600 s and the policy says 60 s" in sentence
    assert "behind for longer" in sentence


def test_a_shorter_ttl_is_told_too() -> None:
    assert "shorter than it need be" in ttl_warning(said(SILENT, cname("srv1", ttl_s=5)), policy_ttl_s=60)
