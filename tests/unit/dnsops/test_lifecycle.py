"""States, steps and ends: what may follow what, and that no end claims more than is known."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, strategies as st

from dnsops.lifecycle import (
    ACTIVE,
    STEP_ENDED,
    STEP_TRANSITIONS,
    TERMINAL,
    TRANSITIONS,
    VERIFIABLE_AGAIN,
    EndFacts,
    OperationState as State,
    Seen,
    StepState,
    Write,
    end_state,
    may_follow,
    step_may_follow,
)

EVERYTHING = st.builds(
    EndFacts,
    to_server=st.just("SRV2"),
    writer=st.just("dns1"),
    writes=st.lists(st.sampled_from([w for w in Write if w is not Write.NONE]), max_size=3).map(tuple),
    at_writer=st.sampled_from(Seen),
    writer_text=st.just("CNAME srv7.example.com."),
    verified=st.booleans(),
    late=st.sampled_from([(), ("dns2 still says CNAME srv1.example.com.",)]),
    service_problem=st.sampled_from(["", "UCC 6001: refused."]),
    refusal=st.sampled_from(["", "dns1 refused the change."]),
    cancelled=st.booleans(),
    by_hand=st.booleans(),
)


def facts(*writes: Write, at_writer: Seen = Seen.NEW, **rest: object) -> EndFacts:
    return EndFacts("SRV2", "dns1", writes, at_writer, "CNAME srv7.", **{"verified": True, **rest})  # type: ignore[arg-type]


def test_every_state_is_active_or_an_end() -> None:
    assert set(State) == ACTIVE | TERMINAL
    assert not ACTIVE & TERMINAL
    assert set(TRANSITIONS) == set(State)
    assert set(STEP_TRANSITIONS) == set(StepState)


def test_nothing_leaves_an_end_except_by_asking_again() -> None:
    for old, new in itertools.product(TERMINAL, State):
        if may_follow(old, new):
            assert old in VERIFIABLE_AGAIN
            assert new in {State.SUCCEEDED, State.INCOMPLETE}


def test_nothing_becomes_pending_again() -> None:
    assert not any(may_follow(old, State.PENDING) for old in State)


def test_an_operation_is_cancelled_only_while_it_is_active() -> None:
    assert {old for old in State if may_follow(old, State.CANCELLED)} == set(ACTIVE)


def test_a_step_never_goes_back() -> None:
    for old in StepState:
        assert not step_may_follow(old, StepState.WAITING)
    for old in STEP_ENDED:
        assert STEP_TRANSITIONS[old] <= {StepState.DONE}
    assert not step_may_follow(StepState.DONE, StepState.FAILED)


@given(EVERYTHING)
def test_success_is_claimed_only_with_proof_from_everywhere(known: EndFacts) -> None:
    end = end_state(known)
    if end.state is State.SUCCEEDED:
        assert known.at_writer is Seen.NEW
        assert known.verified
        assert not known.late
        assert not known.service_problem


@given(EVERYTHING)
def test_nothing_changed_is_claimed_only_where_every_message_was_refused(known: EndFacts) -> None:
    end = end_state(known)
    if end.state in {State.FAILED, State.CANCELLED}:
        assert known.at_writer is not Seen.NEW or known.cancelled
        assert set(known.writes) <= {Write.REFUSED, Write.CONFLICT}
        # Whoever has the commands may have run them: only the old answer itself proves that nobody has.
        assert not known.by_hand or known.at_writer is Seen.OLD or known.writes or known.cancelled
        assert "nothing" in end.sentence or "anything" in end.sentence


@given(EVERYTHING)
def test_every_end_is_an_end_with_a_sentence(known: EndFacts) -> None:
    end = end_state(known)
    assert end.state in TERMINAL
    assert may_follow(State.RUNNING, end.state)
    assert end.sentence.endswith(".")
    assert "  " not in end.sentence


@given(EVERYTHING)
def test_a_cancelled_operation_that_sent_something_is_not_called_cancelled(known: EndFacts) -> None:
    assert (end_state(known).state is State.CANCELLED) == (known.cancelled and not known.writes)


@given(EVERYTHING)
def test_more_messages_without_an_answer_never_make_it_surer(known: EndFacts) -> None:
    if Write.UNANSWERED in known.writes and known.at_writer is not Seen.NEW:
        assert end_state(known).state in {State.UNKNOWN, State.INCOMPLETE}


@pytest.mark.parametrize(
    ("known", "state", "words"),
    [
        (facts(Write.ACKNOWLEDGED), State.SUCCEEDED, "Every DNS server answers SRV2."),
        (facts(), State.SUCCEEDED, "Nothing had to be written"),
        (facts(Write.CONFLICT), State.SUCCEEDED, "Every DNS server answers SRV2."),
        (facts(Write.UNANSWERED), State.SUCCEEDED, "Every DNS server answers SRV2."),
        (facts(Write.ACKNOWLEDGED, verified=False), State.INCOMPLETE, "not all asked"),
        (facts(Write.ACKNOWLEDGED, late=("dns2 still says X",)), State.INCOMPLETE, "dns2 still says X"),
        (facts(Write.ACKNOWLEDGED, service_problem="UCC dead."), State.INCOMPLETE, "UCC dead."),
        (facts(Write.ACKNOWLEDGED, at_writer=Seen.SILENT), State.INCOMPLETE, "has not answered since"),
        (facts(Write.ACKNOWLEDGED, at_writer=Seen.ERROR), State.INCOMPLETE, "has not answered since"),
        (facts(Write.ACKNOWLEDGED, at_writer=Seen.OTHER), State.UNKNOWN, "now says CNAME srv7."),
        (facts(Write.ACKNOWLEDGED, at_writer=Seen.OLD), State.UNKNOWN, "confirmed the change"),
        (facts(Write.UNANSWERED, at_writer=Seen.OLD), State.UNKNOWN, "still says CNAME srv7."),
        (facts(Write.UNANSWERED, at_writer=Seen.OTHER), State.UNKNOWN, "neither the old nor the new"),
        (facts(Write.UNANSWERED, at_writer=Seen.SILENT), State.UNKNOWN, "does not answer questions either"),
        (facts(Write.UNANSWERED, Write.CONFLICT, at_writer=Seen.OTHER), State.UNKNOWN, "may or may not"),
        (facts(Write.UNANSWERED, Write.REFUSED, at_writer=Seen.OLD), State.UNKNOWN, "may or may not"),
        (facts(Write.REFUSED, at_writer=Seen.OLD, refusal="No."), State.FAILED, "No. This operation changed nothing."),
        (facts(Write.CONFLICT, at_writer=Seen.OTHER, refusal="No."), State.FAILED, "dns1 now says CNAME srv7."),
        (facts(at_writer=Seen.SILENT), State.FAILED, "changed nothing"),
        (facts(at_writer=Seen.OLD, by_hand=True), State.FAILED, "do not run its commands any more"),
        (facts(at_writer=Seen.OTHER, by_hand=True), State.UNKNOWN, "neither the old nor the new"),
        (facts(at_writer=Seen.ERROR, by_hand=True), State.UNKNOWN, "dns1 does not answer"),
        (facts(Write.ACKNOWLEDGED, by_hand=True), State.SUCCEEDED, "Every DNS server answers SRV2."),
        (facts(at_writer=Seen.OLD, cancelled=True), State.CANCELLED, "Cancelled before anything was written"),
    ],
)
def test_each_end_says_what_is_true(known: EndFacts, state: State, words: str) -> None:
    end = end_state(known)
    assert end.state is state, end
    assert words in end.sentence
