"""Asking every server at once, until they agree or the time is up."""

from __future__ import annotations

import pytest

from dnsops import asking, verify
from dnsops.lifecycle import Seen
from dnsops.plan import Answer, RRset
from dnsops.providers.base import Endpoint
from dnsops.providers.fake import FakeDns

NAME = "a365web1.example.com"
OLD, NEW = RRset("CNAME", 60, ("srv1.example.com.",)), RRset("CNAME", 60, ("srv2.example.com.",))
SERVERS = [Endpoint(f"dns{n}", f"10.53.0.{n}") for n in (1, 2, 3)]


@pytest.fixture
def dns(monkeypatch: pytest.MonkeyPatch) -> FakeDns:
    fake = FakeDns()
    fake.set(NAME, NEW, "dns1", "dns2", "dns3")
    monkeypatch.setattr(asking, "ask_async", fake.ask_async)
    return fake


def watch(timeout_s: float = 0.2) -> list[verify.Row]:
    return list(verify.watch(SERVERS, NAME, new=NEW, old=OLD, timeout_s=timeout_s))[-1]


def test_when_all_agree_it_ends_at_once(dns: FakeDns) -> None:
    (rows,) = verify.watch(SERVERS, NAME, new=NEW, old=OLD, timeout_s=30)
    assert [row.state for row in rows] == [Seen.NEW] * 3
    assert [row.server for row in rows] == ["dns1", "dns2", "dns3"]


def test_at_the_deadline_it_says_who_is_late(dns: FakeDns) -> None:
    dns.set(NAME, OLD, "dns2")
    dns.silent = {"dns3"}
    rows = watch()
    assert [row.state for row in rows] == [Seen.NEW, Seen.OLD, Seen.SILENT]
    assert rows[1].late == "dns2 still says CNAME srv1.example.com"
    assert rows[2].late == "dns3 could not be asked (no answer)"


def test_a_server_that_follows_is_noticed_and_since_when(dns: FakeDns) -> None:
    dns.set(NAME, OLD, "dns2")
    seen: list[list[Seen]] = []
    for rows in verify.watch(SERVERS, NAME, new=NEW, old=OLD, timeout_s=10):
        seen.append([row.state for row in rows])
        dns.set(NAME, NEW, "dns2")
    assert Seen.OLD in seen[0]
    assert seen[-1] == [Seen.NEW] * 3
    assert rows[1].since > rows[0].since


def test_a_record_that_is_something_else_or_gone_is_neither(dns: FakeDns) -> None:
    dns.set(NAME, RRset("CNAME", 60, ("srv9.example.com.",)), "dns1")
    dns.set(NAME, None, "dns2")
    rows = watch()
    assert [row.state for row in rows] == [Seen.OTHER, Seen.OTHER, Seen.NEW]
    assert rows[1].late == "dns2 says no record (NXDOMAIN)"


def test_evidence_holds_what_the_matrix_shows(dns: FakeDns) -> None:
    found = watch()[0].as_dict()
    assert found["server"] == "dns1"
    assert found["state"] == "answered"
    assert found["rrset"] == NEW.as_dict()
    assert found["seen"] == "new"
    assert found["since"]


def test_nobody_to_ask_gives_no_rows() -> None:
    assert verify.ask_all([], NAME, timeout_s=1) == []


def test_an_error_is_told_from_silence() -> None:
    broken = Answer("dns1", "error", error="nothing listens there")
    assert verify.compare(broken, new=NEW, old=OLD) is Seen.ERROR
