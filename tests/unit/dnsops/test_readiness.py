"""“Can we fail over now?”, decided: facts in, a line for each question out."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, strategies as st

from dnsops.plan import Answer, RRset
from dnsops.readiness import Question, ReadinessFacts, Ready, Ticket, Tried, judge, overall, summary
from dnsops.safety import Finding, Level

RECORD = RRset("CNAME", 60, ("srv1.example.com.",))
SAID = (Answer("dns1", "answered", RECORD, is_writer=True), Answer("dns2", "answered", RECORD))
FINE = Tried(True, "Fine.")
FACTS = ReadinessFacts("SRV2", "", "dns1", SAID, (), FINE, FINE, "CNAME")


def level(question: Question, **changes: object) -> Ready:
    found = [line for line in judge(replace(FACTS, **changes)) if line.question is question]  # type: ignore[arg-type]
    return found[0].level


def words(**changes: object) -> str:
    return summary(judge(replace(FACTS, **changes)))  # type: ignore[arg-type]


def test_where_everything_is_fine_the_answer_is_yes() -> None:
    lines = judge(FACTS)
    assert overall(lines) is Ready.OK
    assert summary(lines) == ""
    assert [line.question for line in lines] == [
        Question.WRITER, Question.KEY, Question.PERMISSION, Question.RECORD
    ]  # fmt: skip


def test_a_writer_that_does_not_answer_forbids_it() -> None:
    assert level(Question.WRITER, answers=(Answer("dns1", "silent", is_writer=True),)) is Ready.BAD
    assert level(Question.WRITER, answers=()) is Ready.BAD
    assert level(Question.WRITER, writer="") is Ready.BAD
    assert words(answers=()) == "the DNS writer does not answer"


def test_a_key_that_is_not_accepted_forbids_it_and_one_that_was_not_tried_is_not_known() -> None:
    assert level(Question.KEY, key=Tried(False, "BADKEY")) is Ready.BAD
    assert level(Question.KEY, key=Tried(None, "Not tried.")) is Ready.UNKNOWN
    assert words(key=Tried(False, "BADKEY")) == "the DNS key is not accepted"


def test_a_record_that_may_not_be_written_is_told_on_the_overview() -> None:
    assert words(permission=Tried(False, "REFUSED")) == "DNS write refused"


def test_by_hand_no_key_and_no_right_are_needed() -> None:
    changes = {"by_hand": True, "key": Tried(None, ""), "permission": Tried(None, "")}
    assert level(Question.KEY, **changes) is Ready.OK
    assert level(Question.PERMISSION, **changes) is Ready.OK


@pytest.mark.parametrize(
    ("skew_s", "found"),
    [
        (0.0, Ready.OK),
        (59.0, Ready.OK),
        (-60.0, Ready.WARN),
        (299.0, Ready.WARN),
        (300.0, Ready.BAD),
        (-900.0, Ready.BAD),
    ],
)
def test_clocks_may_differ_by_less_than_five_minutes(skew_s: float, found: Ready) -> None:
    assert level(Question.CLOCK, skew_s=skew_s) is found


def test_of_clocks_that_an_answer_does_not_show_nothing_is_said() -> None:
    assert not [line for line in judge(FACTS) if line.question is Question.CLOCK]


def test_which_clock_is_ahead_is_told() -> None:
    sentences = [line.sentence for line in judge(replace(FACTS, skew_s=-400.0))]
    assert any("dns1 is 400 s behind ours" in sentence for sentence in sentences)


def test_a_missing_ticket_forbids_it_at_the_writer_and_warns_elsewhere() -> None:
    assert level(Question.TICKET, tickets=(Ticket("dns1", None),)) is Ready.BAD
    assert level(Question.TICKET, tickets=(Ticket("dns1", 36_000.0), Ticket("dns2", None))) is Ready.WARN
    assert level(Question.TICKET, tickets=(Ticket("dns1", 600.0),)) is Ready.WARN
    assert level(Question.TICKET, tickets=(Ticket("dns1", 36_000.0),)) is Ready.OK
    assert level(Question.TICKET, tickets=(Ticket("dns1", -1.0),)) is Ready.BAD


def test_a_record_of_another_type_or_none_forbids_it() -> None:
    other = RRset("A", 60, ("10.0.0.1",))
    assert level(Question.RECORD, answers=(Answer("dns1", "answered", other),)) is Ready.BAD
    assert level(Question.RECORD, answers=(Answer("dns1", "answered", None),)) is Ready.BAD


def test_without_a_plan_there_is_no_way_to_go() -> None:
    lines = judge(replace(FACTS, plan_error="No standby."))
    assert (lines[0].question, lines[0].level, lines[0].sentence) == (Question.PLAN, Ready.BAD, "No standby.")


def test_the_safety_rules_are_part_of_it_and_the_worst_comes_first() -> None:
    findings = (
        Finding("target_web", Level.OK, "web: working."),
        Finding("target_ucc", Level.BLOCK, "UCC 6001: refused."),
        Finding("ttl_policy", Level.WARN, "TTL 3600 s."),
        Finding("cool_down", Level.WARN, "The last operation was 1 min ago."),
        Finding("writer_accepts_key", Level.BLOCK, "said by the test itself"),
    )
    lines = judge(replace(FACTS, findings=findings))
    target = [line for line in lines if line.question is Question.TARGET]
    assert [line.level for line in target] == [Ready.BAD, Ready.OK]
    assert [line.level for line in lines if line.question is Question.TTL] == [Ready.WARN]
    assert lines[-1].question is Question.OTHER
    assert not any("said by the test itself" in line.sentence for line in lines)


def test_a_target_that_is_not_well_is_the_standbys_own_story_on_the_overview() -> None:
    assert words(findings=(Finding("target_ucc", Level.BLOCK, "refused"),)) == ""


def test_where_nothing_was_found_nothing_is_known() -> None:
    assert overall([]) is Ready.UNKNOWN


@given(
    st.sampled_from([True, False, None]),
    st.sampled_from([True, False, None]),
    st.one_of(st.none(), st.floats(-1000, 1000)),
    st.sampled_from(["", "dns1", "dns9"]),
)
def test_yes_is_said_only_where_every_line_is_fine(
    key: bool | None, permission: bool | None, skew_s: float | None, writer: str
) -> None:
    lines = judge(replace(FACTS, key=Tried(key, "k"), permission=Tried(permission, "p"), skew_s=skew_s, writer=writer))
    assert (overall(lines) is Ready.OK) == all(line.level is Ready.OK for line in lines)
    if not (key and permission):
        assert overall(lines) is not Ready.OK
    assert all(line.sentence for line in lines)


def test_where_no_writer_is_entered_nobody_is_said_not_to_answer() -> None:
    assert words(writer="") == "no DNS writer is entered"
