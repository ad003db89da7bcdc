"""The offline sheet: exact commands for each target, and nothing in a name that a shell could take for its own."""

from __future__ import annotations

import shlex
from dataclasses import replace

from hypothesis import given, strategies as st

from dnsops.breakglass.sheet import _posix, sheet_of
from tests.unit.breakglass.samples import FQDN, TSIG, bundle, hostname, zone


def test_each_target_has_its_commands_and_the_way_back_comes_last() -> None:
    sample = bundle()
    sheet = sheet_of(sample, sample.hostname(FQDN))
    assert [(move.target.name, move.back) for move in sheet.moves] == [("SRV2", False), ("SRV1", True)]
    over = sheet.moves[0]
    lines = over.nsupdate.splitlines()
    assert lines[0] == "nsupdate -v -k /etc/a365admin/tsig.key <<'END'"
    assert lines[-1] == "END"
    assert "prereq yxrrset a365web1.example.com. CNAME srv1.example.com." in lines
    assert "update add a365web1.example.com. 60 CNAME srv2.example.com." in lines
    assert "Get-DnsServerResourceRecord @at -Name 'a365web1'" in over.powershell
    assert "throw" in over.powershell
    assert sheet.uccs == ("Reception",)
    assert sheet.digs[0] == "dig @192.0.2.53 -p 53 +norecurse +noall +answer a365web1.example.com CNAME"
    assert len(sheet.resolves) == 2


def test_an_address_record_is_written_as_one() -> None:
    sample = bundle(hostnames=(hostname(record_type="A"),))
    over = sheet_of(sample, sample.hostname(FQDN)).moves[0]
    assert "update add a365web1.example.com. 60 A 192.0.2.2" in over.nsupdate
    assert "Add-DnsServerResourceRecordA @at -Name 'a365web1' -IPv4Address '192.0.2.2'" in over.powershell


def test_a_key_from_the_environment_is_named_and_not_shown() -> None:
    sample = bundle(zones=(zone(replace(TSIG, reference="env:A365_TSIG")),))
    assert '-y "hmac-sha256:a365admin:$A365_TSIG"' in sheet_of(sample, sample.hostname(FQDN)).moves[0].nsupdate


def test_without_a_zone_or_a_writer_there_are_no_commands() -> None:
    for zones in ((), (zone(endpoints=()),)):
        sample = bundle(zones=zones)
        assert sheet_of(sample, sample.hostname(FQDN)).moves == ()


@given(st.text())
def test_a_name_is_one_word_to_a_shell_whatever_is_in_it(text: str) -> None:
    assert shlex.split(_posix(text)) == [text]


def test_a_name_that_has_no_place_in_a_command_is_not_put_into_one() -> None:
    sample = bundle(hostnames=(hostname(domain="example.com\nEND\nrm -rf /"),))
    moves = sheet_of(sample, sample.hostnames[0]).moves
    assert all("rm -rf" not in move.nsupdate for move in moves)
