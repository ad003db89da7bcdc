"""The demo's DNS server, message in, message out: answers, TSIG, policy, faults, nonsense."""

import time
from pathlib import Path
from unittest import mock

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rdatatype
import dns.rrset
import dns.tsig
import dns.update
import dns.versioned
import pytest
from dns.rcode import Rcode
from hypothesis import given, strategies as st

from a365admin.lab.dnsserver import DnsServer
from a365admin.lab.faults import DnsFault
from a365admin.lab.zone import parse_zone, serial_of
from tests.unit.lab.conftest import KEY, ZONE, ask, make_server


def swap(
    target: str = "srv2.lab.example.", *, name: str = "a365web1", key: dns.tsig.Key | None = KEY
) -> dns.update.UpdateMessage:
    message = dns.update.UpdateMessage("lab.example.")
    message.replace(name, 60, "CNAME", target)
    if key is not None:
        message.use_tsig(key)
    return message


def active(server: DnsServer) -> str:
    answer = ask(server, dns.message.make_query("a365web1.lab.example.", "CNAME"))
    return str(answer.answer[0][0].to_text())


def test_an_answer_follows_the_cname_within_the_zone_and_is_authoritative(server: DnsServer) -> None:
    answer = ask(server, dns.message.make_query("a365web1.lab.example.", "A"))

    assert [rrset.to_text() for rrset in answer.answer] == [
        "a365web1.lab.example. 60 IN CNAME srv1.lab.example.",
        "srv1.lab.example. 300 IN A 127.77.0.11",
    ]
    assert answer.flags & dns.flags.AA
    assert answer.flags & dns.flags.RD
    assert not answer.flags & dns.flags.RA


@pytest.mark.parametrize(
    ("name", "rdtype", "expected"),
    [
        ("nobody.lab.example.", "A", (Rcode.NXDOMAIN, 0, 1)),
        ("srv1.lab.example.", "AAAA", (Rcode.NOERROR, 0, 1)),
        ("below.lab.example.", "A", (Rcode.NOERROR, 0, 1)),
        ("lab.example.", "SOA", (Rcode.NOERROR, 1, 0)),
        ("lab.example.", "NS", (Rcode.NOERROR, 1, 0)),
        ("lab.example.", "ANY", (Rcode.NOERROR, 2, 0)),
        ("loop1.lab.example.", "A", (Rcode.NOERROR, 2, 0)),
        ("away.lab.example.", "A", (Rcode.NOERROR, 1, 0)),
        ("www.elsewhere.example.", "A", (Rcode.REFUSED, 0, 0)),
        ("lab.example.", "AXFR", (Rcode.REFUSED, 0, 0)),
    ],
)
def test_each_kind_of_question_gets_its_answer(
    server: DnsServer, name: str, rdtype: str, expected: tuple[Rcode, int, int]
) -> None:
    answer = ask(server, dns.message.make_query(name, rdtype))

    assert (answer.rcode(), len(answer.answer), len(answer.authority)) == expected
    assert bool(answer.flags & dns.flags.AA) == (expected[0] != Rcode.REFUSED)


def test_a_negative_answer_says_for_how_long_it_may_be_believed(server: DnsServer) -> None:
    answer = ask(server, dns.message.make_query("nobody.lab.example.", "A"))

    assert answer.authority[0].rdtype == dns.rdatatype.SOA
    assert answer.authority[0].ttl == 30


def test_a_signed_question_gets_a_signed_answer(server: DnsServer) -> None:
    query = dns.message.make_query("a365web1.lab.example.", "CNAME")
    query.use_tsig(KEY)

    assert ask(server, query).had_tsig


def test_an_answer_too_long_for_udp_is_marked_truncated(server: DnsServer) -> None:
    message = dns.update.UpdateMessage("lab.example.", keyring=KEY)
    message.delete("a365web1", "CNAME")
    message.add("a365web1", 60, "A", *[f"127.1.0.{number}" for number in range(100)])
    assert ask(server, message).rcode() == Rcode.NOERROR
    query = dns.message.make_query("a365web1.lab.example.", "A")

    wire = server.handle(query.to_wire(), max_size=1232)

    assert wire is not None
    assert len(wire) <= 512
    assert dns.message.from_wire(wire).flags & dns.flags.TC


def test_other_opcodes_are_not_implemented(server: DnsServer) -> None:
    query = dns.message.make_query("lab.example.", "SOA")
    query.set_opcode(dns.opcode.NOTIFY)

    assert ask(server, query).rcode() == Rcode.NOTIMP


def test_an_answer_is_never_answered(server: DnsServer) -> None:
    response = dns.message.make_response(dns.message.make_query("lab.example.", "SOA"))

    assert server.handle(response.to_wire()) is None


def test_a_newer_version_of_edns_is_refused_by_its_rcode(server: DnsServer) -> None:
    query = dns.message.make_query("lab.example.", "SOA", use_edns=1)

    assert ask(server, query).rcode() == Rcode.BADVERS


def test_a_signed_update_changes_the_record_and_tells_the_follower(zone: dns.versioned.Zone, tmp_path: Path) -> None:
    told: list[bool] = []
    kept = tmp_path / "dns1.zone"
    server = make_server(zone, zone_file=kept, on_change=lambda: told.append(True))

    answer = ask(server, swap())

    assert (answer.rcode(), answer.had_tsig, told) == (Rcode.NOERROR, True, [True])
    assert active(server) == "srv2.lab.example."
    again = parse_zone(kept.read_text())
    assert serial_of(again) == 8
    assert again.to_text() == zone.to_text()


@pytest.mark.parametrize("name", ["srv1", "@", "new"])
def test_the_key_may_write_the_dedicated_hostnames_only(server: DnsServer, name: str) -> None:
    assert ask(server, swap(name=name)).rcode() == Rcode.REFUSED


def test_the_key_may_write_addresses_and_cname_only(server: DnsServer) -> None:
    message = dns.update.UpdateMessage("lab.example.", keyring=KEY)
    message.delete("a365web1")
    message.add("a365web1", 60, "TXT", "x")

    assert ask(server, message).rcode() == Rcode.REFUSED
    assert active(server) == "srv1.lab.example."


def test_an_unsigned_update_is_refused(server: DnsServer) -> None:
    assert ask(server, swap(key=None)).rcode() == Rcode.REFUSED
    assert active(server) == "srv1.lab.example."


def test_a_follower_refuses_updates(zone: dns.versioned.Zone) -> None:
    answer = ask(make_server(zone, is_writer=False), swap())

    assert (answer.rcode(), answer.had_tsig) == (Rcode.REFUSED, True)


@pytest.mark.parametrize(
    ("key", "error"),
    [
        (dns.tsig.Key("ghost.", b"k" * 32), dns.tsig.PeerBadKey),
        (dns.tsig.Key("a365admin.", b"k" * 32, dns.tsig.HMAC_SHA512), dns.tsig.PeerBadKey),
        (dns.tsig.Key("a365admin.", b"wrong" * 8), dns.tsig.PeerBadSignature),
    ],
)
def test_a_wrong_key_is_answered_unsigned_with_what_is_wrong(
    server: DnsServer, key: dns.tsig.Key, error: type[Exception]
) -> None:
    message = swap(key=key)
    wire = server.handle(message.to_wire())
    assert wire is not None

    answer = dns.message.from_wire(wire, keyring=False)
    assert answer.rcode() == Rcode.NOTAUTH
    assert answer.mac == b""
    with pytest.raises(error):
        dns.message.from_wire(wire, keyring=key, request_mac=message.mac)
    assert active(server) == "srv1.lab.example."


@pytest.mark.parametrize("minutes_off", [-10, 10])
def test_a_clock_that_is_off_is_answered_signed_with_our_time(server: DnsServer, minutes_off: int) -> None:
    message = swap()
    with mock.patch("time.time", return_value=time.time() + minutes_off * 60):
        sent = message.to_wire()
    wire = server.handle(sent)
    assert wire is not None

    answer = dns.message.from_wire(wire, keyring=False)
    assert answer.rcode() == Rcode.NOTAUTH
    assert answer.tsig_error == Rcode.BADTIME
    assert answer.tsig is not None
    assert abs(int.from_bytes(answer.tsig[0].other, "big") - time.time()) < 5
    assert answer.mac
    with pytest.raises(dns.tsig.PeerBadTime):
        dns.message.from_wire(wire, keyring=KEY, request_mac=message.mac)
    assert active(server) == "srv1.lab.example."


async def _with(server: DnsServer, *faults: DnsFault) -> DnsServer:
    server.faults = set(faults)
    return server


def test_refusing_refuses_updates_and_answers_questions(server: DnsServer) -> None:
    server.faults = {DnsFault.REFUSING}

    assert ask(server, swap()).rcode() == Rcode.REFUSED
    assert active(server) == "srv1.lab.example."


def test_silent_answers_nothing_and_changes_nothing(server: DnsServer) -> None:
    server.faults = {DnsFault.SILENT}

    assert server.handle(swap().to_wire()) is None
    assert server.handle(dns.message.make_query("lab.example.", "SOA").to_wire()) is None
    server.faults = set()
    assert active(server) == "srv1.lab.example."


def test_reply_lost_makes_the_change_and_says_nothing(server: DnsServer) -> None:
    server.faults = {DnsFault.REPLY_LOST}

    assert server.handle(swap().to_wire()) is None
    assert active(server) == "srv2.lab.example."


@pytest.mark.parametrize("fault", [DnsFault.REFUSING, DnsFault.REPLY_LOST, DnsFault.VANISHING])
def test_a_fault_of_changes_leaves_a_message_alone_that_changes_nothing(server: DnsServer, fault: DnsFault) -> None:
    message = dns.update.UpdateMessage("lab.example.", keyring=KEY)
    message.present("a365web1", "CNAME", "srv1.lab.example.")
    server.faults = {fault}

    assert ask(server, message).rcode() == Rcode.NOERROR
    assert server.faults == {fault}


def test_vanishing_makes_one_change_and_answers_nothing_from_then_on(zone: dns.versioned.Zone) -> None:
    told: list[set[DnsFault]] = []
    server = make_server(zone, on_change=lambda: told.append(set(server.faults)))
    server.faults = {DnsFault.VANISHING}
    assert active(server) == "srv1.lab.example."

    assert server.handle(swap().to_wire()) is None
    assert server.handle(dns.message.make_query("lab.example.", "SOA").to_wire()) is None
    assert server.faults == {DnsFault.SILENT}
    assert told == [{DnsFault.SILENT}]
    server.faults = set()
    assert active(server) == "srv2.lab.example."


def test_a_change_that_is_not_made_lets_nobody_vanish(server: DnsServer) -> None:
    server.faults = {DnsFault.VANISHING}

    assert ask(server, swap(name="srv1")).rcode() == Rcode.REFUSED
    assert server.faults == {DnsFault.VANISHING}


def test_an_edit_by_hand_changes_the_record_and_its_serial_and_tells_the_follower(
    zone: dns.versioned.Zone, tmp_path: Path
) -> None:
    told: list[bool] = []
    server = make_server(zone, zone_file=tmp_path / "dns1.zone", on_change=lambda: told.append(True))
    server.faults = {DnsFault.REFUSING}
    name, target = (dns.name.from_text(text) for text in ("a365web1.lab.example.", "elsewhere.lab.example."))

    server.edit(name, target)
    server.edit(name, target)

    assert active(server) == "elsewhere.lab.example."
    assert (serial_of(zone), told) == (8, [True])
    assert parse_zone((tmp_path / "dns1.zone").read_text()).to_text() == zone.to_text()


def test_a_follower_that_is_stuck_keeps_the_old_answer_until_it_is_mended(zone: dns.versioned.Zone) -> None:
    follower = make_server(parse_zone(ZONE), is_writer=False)
    ask(make_server(zone), swap())
    follower.faults = {DnsFault.STUCK}

    follower.follow(zone)
    assert active(follower) == "srv1.lab.example."
    follower.faults = set()
    follower.follow(zone)

    assert active(follower) == "srv2.lab.example."
    assert serial_of(follower.zone) == serial_of(zone)


def test_a_disk_that_cannot_be_written_does_not_stop_the_server(zone: dns.versioned.Zone, tmp_path: Path) -> None:
    server = make_server(zone, zone_file=tmp_path / "missing" / "dns1.zone")

    assert ask(server, swap()).rcode() == Rcode.NOERROR


@given(st.binary(max_size=600))
def test_random_bytes_never_raise(data: bytes) -> None:
    make_server(parse_zone(ZONE)).handle(data)


SIGNED = swap().to_wire()
SIGNED_LENGTH = len(swap(key=None).to_wire())
SEEDS = [
    SIGNED,
    swap(key=None).to_wire(),
    dns.message.make_query("a365web1.lab.example.", "A", use_edns=0).to_wire(),
]


@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.integers(0, 300), st.integers(0, 255)), min_size=1, max_size=6),
    st.integers(0, 300),
)
def test_damaged_messages_never_raise_and_never_change_the_zone(
    wire: bytes, damage: list[tuple[int, int]], cut: int
) -> None:
    server = make_server(parse_zone(ZONE))
    damaged = bytearray(wire)
    for place, value in damage:
        damaged[place % len(damaged)] = value
    damaged = damaged[: max(len(damaged) - cut, 0)] if cut < 50 else damaged

    answer = server.handle(bytes(damaged))

    assert answer is None or answer[:2] == bytes(damaged[:2])
    # What is signed is everything before the TSIG record, less the id and the count of records (RFC 8945 section 4.3).
    intact = bytes(damaged[2:10] + damaged[12:SIGNED_LENGTH]) == SIGNED[2:10] + SIGNED[12:SIGNED_LENGTH]
    assert serial_of(server.zone) == 7 or intact
