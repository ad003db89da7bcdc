"""The chain, as pure functions."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, strategies as st

from a365admin.audit import chain
from a365admin.audit.chain import GENESIS, Head

AT = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


@dataclass(frozen=True)
class Entry:
    pk: int
    previous_hash: str = ""
    hash: str = ""
    at: datetime = AT
    actor_id: int | None = 1
    actor_name: str = "anna"
    action: str = "failover.requested"
    object_type: str = ""
    object_id: str = ""
    object_name: str = ""
    outcome: str = "ok"
    reason: str = "why"
    address: str | None = "127.0.0.1"
    request_id: str = ""
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)


def linked(count: int) -> list[Entry]:
    entries, previous = [], GENESIS
    for pk in range(1, count + 1):
        entry = Entry(pk, previous, after={"n": pk})
        entry = replace(entry, hash=chain.hash_of(previous, chain.content_of(entry)))
        entries.append(entry)
        previous = entry.hash
    return entries


def head(entries: list[Entry]) -> Head:
    return Head(len(entries), entries[-1].hash if entries else GENESIS)


def test_an_untouched_chain_verifies() -> None:
    entries = linked(5)
    report = chain.verify(entries, head(entries))
    assert report.ok
    assert (report.count, report.last_hash, report.broken_at) == (5, entries[-1].hash, None)


def test_an_empty_log_verifies() -> None:
    assert chain.verify([], Head(0, GENESIS)).ok


@pytest.mark.parametrize("place", range(5))
@pytest.mark.parametrize(
    "change",
    [
        {"at": AT + timedelta(microseconds=1)},
        {"actor_id": 2},
        {"actor_name": "bob"},
        {"action": "x.y"},
        {"object_type": "site"},
        {"object_id": "1"},
        {"object_name": "x"},
        {"outcome": "failed"},
        {"reason": ""},
        {"address": None},
        {"request_id": "r"},
        {"before": {"a": 1}},
        {"after": {}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_changed_field_is_found_at_its_own_entry(place: int, change: dict[str, Any]) -> None:
    entries = linked(5)
    ends = head(entries)
    entries[place] = replace(entries[place], **change)
    report = chain.verify(entries, ends)
    assert not report.ok
    assert report.broken_at == place + 1
    assert report.count == place


@pytest.mark.parametrize("place", range(4))
def test_a_removed_entry_is_found_at_the_next_one(place: int) -> None:
    entries = linked(5)
    ends = head(entries)
    del entries[place]
    assert chain.verify(entries, ends).broken_at == place + 2


def test_entries_cut_off_at_the_end_are_missed() -> None:
    entries = linked(5)
    report = chain.verify(entries[:3], head(entries))
    assert not report.ok
    assert report.broken_at is None
    assert "2 of 5 entries are missing" in report.sentence


def test_a_log_that_was_emptied_is_noticed() -> None:
    assert not chain.verify([], head(linked(2))).ok


def test_a_replaced_end_is_noticed() -> None:
    entries = linked(3)
    assert not chain.verify(entries, Head(3, "f" * 64)).ok


def test_an_end_that_was_removed_is_noticed() -> None:
    assert not chain.verify(linked(3), Head(0, GENESIS)).ok


def test_swapped_entries_are_noticed() -> None:
    entries = linked(3)
    assert chain.verify([entries[1], entries[0], entries[2]], head(entries)).broken_at == 2


def test_entries_appended_while_it_verifies_are_no_fault() -> None:
    entries = linked(5)
    assert chain.verify(entries, head(entries[:3])).ok


def test_the_time_zone_in_which_an_instant_is_given_makes_no_difference() -> None:
    east = replace(linked(1)[0], at=AT.astimezone(timezone(timedelta(hours=2))))
    assert chain.canonical(chain.content_of(east)) == chain.canonical(chain.content_of(linked(1)[0]))


@given(
    after=st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.text(), max_size=5),
    reason=st.text(),
    other=st.text(),
)
def test_different_contents_have_different_hashes(after: dict[str, Any], reason: str, other: str) -> None:
    one = chain.content_of(Entry(1, after=after, reason=reason))
    two = chain.content_of(Entry(1, after=after, reason=other))
    assert (chain.hash_of(GENESIS, one) == chain.hash_of(GENESIS, two)) == (reason == other)
