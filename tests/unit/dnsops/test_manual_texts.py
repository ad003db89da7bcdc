"""The commands for a person: exactly the change that was planned, and nothing that a name could smuggle in."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, strategies as st

from dnsops.plan import Answer, Change, RRset
from dnsops.providers.base import Endpoint, OutcomeKind
from dnsops.providers.manual import Manual, UnsafeTextError, commands_for, quoted

WRITER = Endpoint("dc1", "192.0.2.10", 53, is_writer=True, host_name="dc1.ad.example.com")
OLD = RRset("CNAME", 300, ("srv1.example.com.",))
NEW = RRset("CNAME", 60, ("srv2.example.com.",))
CHANGE = Change("example.com", "a365web1.example.com", OLD, NEW)
ADDRESSES = Change(
    "example.com", "vip.example.com", RRset("A", 60, ("192.0.2.1", "192.0.2.2")), RRset("A", 60, ("192.0.2.3",))
)
ABSENT = Change("example.com", "a365web1.example.com", RRset("CNAME", 0, ()), NEW)
PLAIN = re.compile(r"[A-Za-z0-9_.:-]+")


def strings(powershell: str) -> list[str]:
    """What PowerShell reads as single-quoted strings (about_Quoting_Rules): any of five quotes, doubled inside."""
    quotes = "'‘’‚‛"
    found, current, at = [], None, 0
    while at < len(powershell):
        character = powershell[at]
        if current is None:
            current = "" if character in quotes else None
        elif character not in quotes:
            current += character
        elif powershell[at + 1 : at + 2] and powershell[at + 1] in quotes:
            current += character
            at += 1
        else:
            found.append(current)
            current = None
        at += 1
    assert current is None, "a string is not closed"
    return found


def test_the_powershell_gets_compares_removes_and_adds_in_one_block() -> None:
    text = commands_for(CHANGE, WRITER).powershell
    lines = [line.strip() for line in text.splitlines()]
    assert lines[0] == "& {"
    assert lines[-1] == "}"
    assert "$at = @{ ComputerName = 'dc1.ad.example.com'; ZoneName = 'example.com' }" in lines
    assert "$old = @(Get-DnsServerResourceRecord @at -Name 'a365web1' -RRType CName -Node)" in lines
    assert "if ($says -ne 'srv1.example.com.') { throw" in text
    assert "Remove-DnsServerResourceRecord @at -InputObject $_ -Force" in text
    add = "Add-DnsServerResourceRecordCName @at -Name 'a365web1' -HostNameAlias"
    assert f"{add} 'srv2.example.com.' -TimeToLive ([TimeSpan]::FromSeconds(60))" in lines
    assert text.index("throw") < text.index("Remove-") < text.index("srv2")
    put_back = text[text.index("} catch {") :]
    assert f"{add} 'srv1.example.com.' -TimeToLive ([TimeSpan]::FromSeconds(300))" in put_back


def test_addresses_are_compared_as_a_set_and_each_is_added() -> None:
    text = commands_for(ADDRESSES, WRITER).powershell
    assert "-RRType A -Node" in text
    assert "$_.RecordData.IPv4Address.IPAddressToString" in text
    assert "-ne '192.0.2.1 192.0.2.2')" in text
    assert "-IPv4Address '192.0.2.3'" in text
    assert text.count("Add-DnsServerResourceRecordA ") == 3  # the new one, and the two old ones to put back


def test_the_nsupdate_text_is_the_message_that_we_would_send() -> None:
    assert commands_for(CHANGE, WRITER).nsupdate.splitlines() == [
        "server 192.0.2.10 53",
        "zone example.com.",
        "prereq yxrrset a365web1.example.com. CNAME srv1.example.com.",
        "update delete a365web1.example.com. CNAME",
        "update add a365web1.example.com. 60 CNAME srv2.example.com.",
        "send",
        "answer",
    ]
    lines = commands_for(ADDRESSES, WRITER).nsupdate.splitlines()
    assert "prereq yxrrset vip.example.com. A 192.0.2.2" in lines
    assert "prereq nxrrset vip.example.com. CNAME" in lines


def test_where_there_is_no_record_nothing_is_removed() -> None:
    commands = commands_for(ABSENT, WRITER)
    assert "Remove-" not in commands.powershell
    assert "if ($old.Count) { throw" in commands.powershell
    assert "prereq nxdomain a365web1.example.com." in commands.nsupdate
    assert "update delete" not in commands.nsupdate


def test_the_zones_own_name_is_written_as_an_at() -> None:
    text = commands_for(Change("example.com", "example.com", OLD, NEW), WRITER).powershell
    assert "-Name '@'" in text


def test_without_a_host_name_the_address_is_used() -> None:
    text = commands_for(CHANGE, Endpoint("dns1", "2001:db8::1", 53)).powershell
    assert "ComputerName = '2001:db8::1'" in text


@given(st.text(max_size=60))
def test_a_quoted_string_is_exactly_that_text_to_powershell(text: str) -> None:
    assert strings(f"Write-Output {quoted(text)}; Get-Date") == [text]


hostile = st.text(max_size=40) | st.sampled_from(
    ["x'; Remove-Item C:\\ -Recurse; '", "$(Stop-Computer)", "`n", "a\nsend", "a;b", "’; calc; ’", "a b", "a\\.b", "\0"]
)


@given(name=hostile, value=hostile)
def test_no_name_gets_into_a_command_unless_it_is_plain(name: str, value: str) -> None:
    change = Change("example.com", f"{name}.example.com", OLD, RRset("CNAME", 60, (f"{value}.example.com.",)))
    try:
        commands = commands_for(change, WRITER)
    except UnsafeTextError:
        return
    assert PLAIN.fullmatch(change.name)
    assert PLAIN.fullmatch(change.new.values[0])
    assert f"{value}.example.com." in strings(commands.powershell)
    assert len(commands.nsupdate.splitlines()) == 7


@pytest.mark.parametrize(
    ("rrset", "kind", "words"),
    [
        (OLD, OutcomeKind.BY_HAND, "by hand. So far nothing was changed"),
        (NEW, OutcomeKind.ALREADY, "already"),
        (RRset("CNAME", 60, ("srv3.example.com.",)), OutcomeKind.CONFLICT, "no longer"),
        (None, OutcomeKind.CONFLICT, "no longer"),
    ],
)
def test_a_change_is_only_asked_for_where_the_record_is_as_planned(
    monkeypatch: pytest.MonkeyPatch, rrset: RRset | None, kind: OutcomeKind, words: str
) -> None:
    answered = Answer("dc1", "answered", rrset, rcode="NOERROR", is_writer=True)
    monkeypatch.setattr(Manual, "read", lambda self, endpoint, name, *, deadline: answered)
    outcome = Manual(WRITER).change(CHANGE, deadline=time.monotonic() + 1)
    assert outcome.kind is kind
    assert words in outcome.sentence
    assert ("commands" in outcome.evidence) == (kind is OutcomeKind.BY_HAND)


def test_a_writer_that_gives_no_answer_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    silent = Answer("dc1", "silent", error="no answer")
    monkeypatch.setattr(Manual, "read", lambda self, endpoint, name, *, deadline: silent)
    for outcome in (
        Manual(WRITER).change(CHANGE, deadline=time.monotonic() + 1),
        Manual(WRITER).check_writable(CHANGE, deadline=time.monotonic() + 1),
    ):
        assert outcome.kind is OutcomeKind.UNREACHABLE
        assert "nothing was changed" in outcome.sentence


def test_a_record_that_has_no_place_in_a_command_is_refused_before_the_click(monkeypatch: pytest.MonkeyPatch) -> None:
    odd = RRset("CNAME", 60, ("srv\\$1.example.com.",))
    answered = Answer("dc1", "answered", odd, rcode="NOERROR", is_writer=True)
    monkeypatch.setattr(Manual, "read", lambda self, endpoint, name, *, deadline: answered)
    change = Change("example.com", "a365web1.example.com", odd, NEW)
    for outcome in (
        Manual(WRITER).change(change, deadline=time.monotonic() + 1),
        Manual(WRITER).check_writable(change, deadline=time.monotonic() + 1),
    ):
        assert outcome.kind is OutcomeKind.CONFIG
        assert "has no place in a command" in outcome.sentence
