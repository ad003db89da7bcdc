"""How resolvers and lagging servers turn: who is asked when, who is late, and when clients follow."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, strategies as st

from dnsops.lifecycle import EndFacts, OperationState, Seen, Write, end_state
from dnsops.plan import Answer, RRset
from dnsops.turning import (
    ResolverRow,
    advance,
    clients_moved_by,
    is_late,
    late_after,
    remark,
    told,
    within_lag,
)
from dnsops.verify import Row, patience_s, rows_from, split_late

NOW = datetime(2026, 11, 25, 3, 0, 0, tzinfo=UTC)
OLD, NEW = RRset("CNAME", 20, ("srv1.example.com.",)), RRset("CNAME", 20, ("srv2.example.com.",))
STRANGE = RRset("CNAME", 20, ("srv9.example.com.",))


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def row(name: str = "rdns1", **changes: object) -> ResolverRow:
    base = ResolverRow("1", "Amsterdam", name, "10.0.0.53, port 53", Seen.SILENT, "not asked yet", NOW)
    return replace(base, **changes)  # type: ignore[arg-type]


def says(rrset: RRset | None, ttl_s: int = 12) -> Answer:
    return Answer("1", "answered", replace(rrset, ttl_s=ttl_s) if rrset else None)


def ask(before: ResolverRow, answer: Answer, at: datetime = NOW) -> ResolverRow:
    return advance(before, answer, at=at, new=NEW, old=OLD)


SILENT = Answer("1", "silent", error="no answer")
TURNED = ask(row(), says(NEW))
WAITING = ask(row("rdns2", key="2"), says(OLD))
DUMB = ask(row("rdns3", key="3"), SILENT)
LIMIT = later(30)


def test_a_resolver_with_the_new_answer_has_turned_and_is_not_asked_again() -> None:
    assert (TURNED.seen, TURNED.turned_at, TURNED.ask_at) == (Seen.NEW, NOW, None)


def test_one_that_has_turned_stays_turned_whatever_it_says_later() -> None:
    assert ask(TURNED, says(STRANGE), later(60)) == TURNED


def test_one_with_the_old_answer_is_asked_again_as_it_runs_out_and_not_seldom() -> None:
    assert ask(row(), says(OLD, 4)).ask_at == later(4)
    assert ask(row(), says(OLD, 0)).ask_at == later(0.5)
    assert ask(row(), says(OLD, 3600)).ask_at == later(10)
    assert ask(row(), says(OLD, 12)).turns_by == later(12)


def test_one_that_does_not_answer_is_asked_again_after_a_while() -> None:
    assert DUMB.ask_at == later(5)
    assert DUMB.turns_by is None


def test_between_which_two_askings_it_turned_is_known() -> None:
    turned = ask(ask(row(), says(OLD), later(1)), says(NEW), later(3))
    assert (turned.before, turned.turned_at) == (later(1), later(3))


def test_a_row_survives_being_kept_as_evidence() -> None:
    for kept in (TURNED, WAITING, DUMB, ask(WAITING, says(NEW), later(2))):
        assert ResolverRow.from_dict(kept.as_dict()) == kept


def test_late_is_who_keeps_the_old_answer_after_ttl_and_lag() -> None:
    limit = late_after(changed_at=NOW, old_ttl_s=20, longest_lag_s=8)
    assert limit == later(30)
    assert not is_late(WAITING, now=later(29), limit=limit)
    assert is_late(WAITING, now=later(30), limit=limit)
    assert is_late(ask(row(), says(STRANGE)), now=later(30), limit=limit)
    assert not is_late(TURNED, now=later(99), limit=limit)


def test_who_does_not_answer_is_not_called_late() -> None:
    assert not is_late(DUMB, now=later(99), limit=LIMIT)


@pytest.mark.parametrize(
    ("rows", "at", "words"),
    [
        ((), NOW, "No resolver is named."),
        ((TURNED,), NOW, "The resolver has turned."),
        ((TURNED, TURNED), NOW, "All 2 resolvers have turned."),
        ((TURNED, WAITING), NOW, "1 of 2 resolvers have turned; not yet: rdns2 (Amsterdam)."),
        ((WAITING,), LIMIT, "late: rdns2 (Amsterdam) says CNAME srv1.example.com"),
        ((DUMB,), LIMIT, "could not be asked: rdns3 (Amsterdam) (no answer)"),
    ],
)
def test_one_sentence_says_how_far_they_are(rows: tuple[ResolverRow, ...], at: datetime, words: str) -> None:
    assert words in told(rows, now=at, limit=LIMIT)


def test_the_end_adds_a_remark_about_the_late_only() -> None:
    assert remark([TURNED, WAITING, DUMB], now=NOW, limit=LIMIT) == ""
    assert "Late: rdns2 (Amsterdam) still gives" in remark([TURNED, WAITING, DUMB], now=LIMIT, limit=LIMIT)
    two = [WAITING, replace(WAITING, key="4", name="rdns4")]
    assert "rdns2 (Amsterdam), rdns4 (Amsterdam) still give another" in remark(two, now=LIMIT, limit=LIMIT)


def test_clients_follow_as_was_measured_elsewhere() -> None:
    assert clients_moved_by(changed_at=NOW, old_ttl_s=20, client_cache_s=40) == later(60)


def test_a_resolver_that_keeps_the_old_answer_for_longer_makes_clients_later() -> None:
    stretched = ask(row(), says(OLD, 50))
    turned = ask(row(), says(NEW), later(35))
    assert clients_moved_by(changed_at=NOW, old_ttl_s=20, client_cache_s=40, rows=[stretched]) == later(90)
    assert clients_moved_by(changed_at=NOW, old_ttl_s=20, client_cache_s=40, rows=[turned]) == later(75)
    assert clients_moved_by(changed_at=NOW, old_ttl_s=20, client_cache_s=40, rows=[DUMB]) == later(60)


ANSWERS = st.one_of(
    st.just(SILENT), st.builds(says, st.sampled_from([OLD, NEW, STRANGE, None]), st.integers(0, 86_400))
)


@given(st.lists(st.tuples(ANSWERS, st.integers(0, 100)), max_size=12))
def test_whatever_it_answers_it_is_asked_again_until_it_has_turned(told_: list[tuple[Answer, int]]) -> None:
    now, at = row(), NOW
    for answer, passed in told_:
        at += timedelta(seconds=passed)
        now = ask(now, answer, at)
        assert ResolverRow.from_dict(now.as_dict()) == now
        assert (now.ask_at is None) == (now.turned_at is not None) == (now.seen is Seen.NEW)
        if now.ask_at is not None:
            assert now.ask_at <= at + timedelta(seconds=10)


# ---------------------------------------------------------------------------------------------------- servers that lag


def server(name: str, state: Seen, lag_s: float) -> Row:
    rrset = {Seen.NEW: NEW, Seen.OLD: OLD, Seen.OTHER: STRANGE}.get(state)
    return Row(Answer(name, "answered" if rrset else "silent", rrset), state, NOW, lag_s)


def test_a_server_within_its_lag_is_not_yet_and_after_it_late() -> None:
    rows = [server("dns1", Seen.NEW, 0), server("dns2", Seen.OLD, 5), server("dns3", Seen.OLD, 3600)]
    late, not_yet = split_late(rows, changed_at=NOW, now=later(90))
    assert late == ["dns2 still says CNAME srv1.example.com"]
    assert not_yet == ["dns3 does not yet, which is normal there until 04:00:00 UTC"]
    assert split_late(rows, changed_at=NOW, now=later(3600))[1] == []


def test_who_is_silent_or_says_something_else_does_not_lag() -> None:
    rows = [server("dns2", Seen.SILENT, 3600), server("dns3", Seen.OTHER, 3600)]
    late, not_yet = split_late(rows, changed_at=NOW, now=NOW)
    assert (len(late), not_yet) == (2, [])
    assert not within_lag(Seen.OLD, lag_s=60, changed_at=None, now=NOW)


def test_verification_waits_as_long_as_servers_may_lag_and_not_for_one_that_may_lag_for_hours() -> None:
    assert patience_s([0, 15], least_s=10, most_s=90) == 20
    assert patience_s([0, 15, 10_800], least_s=10, most_s=90) == 20
    assert patience_s([0], least_s=10, most_s=90) == 10
    assert patience_s([], least_s=10, most_s=90) == 10
    assert patience_s([85], least_s=10, most_s=90) == 90


def test_rows_survive_being_kept_as_evidence() -> None:
    rows = [server("dns1", Seen.NEW, 0), server("dns2", Seen.SILENT, 15), server("dns3", Seen.OLD, 3600)]
    assert rows_from({"answers": [kept.as_dict() for kept in rows]}) == rows
    assert rows_from({"answers": [{"server": "dns1"}]}) == []


def end(**changes: object) -> tuple[OperationState, str]:
    base = EndFacts("SRV2", "dns1", (Write.ACKNOWLEDGED,), Seen.NEW, verified=True)
    found = end_state(replace(base, **changes))  # type: ignore[arg-type]
    return found.state, found.sentence


def test_a_server_that_is_not_there_yet_is_not_success_and_not_called_split() -> None:
    state, sentence = end(not_yet=("dns3 does not yet, which is normal there until 04:00:00 UTC",))
    assert state is OperationState.INCOMPLETE
    assert "Every DNS server that should have followed by now answers SRV2; dns3 does not yet" in sentence
    assert "split" not in sentence


def test_a_late_server_outweighs_one_that_is_not_there_yet() -> None:
    state, sentence = end(late=("dns2 still says X",), not_yet=("dns3 does not yet",))
    assert state is OperationState.INCOMPLETE
    assert "Clients may be split" in sentence


def test_a_late_resolver_never_turns_success_into_failure() -> None:
    state, sentence = end(remark="Late: rdns2 (Amsterdam) still gives another answer.")
    assert state is OperationState.SUCCEEDED
    assert sentence.startswith("Every DNS server answers SRV2. Late: rdns2 (Amsterdam)")


def test_a_service_that_does_not_work_is_told_with_the_servers_that_are_not_there_yet() -> None:
    state, sentence = end(service_problem="UCC 6001: refused.", not_yet=("dns3 does not yet",))
    assert state is OperationState.INCOMPLETE
    assert "DNS answers SRV2, but the service is not working there: UCC 6001: refused. dns3 does not yet." in sentence
