"""RFC 2136: every prerequisite, every kind of update, all or nothing."""

import random
import struct

import dns.message
import dns.name
import dns.rdataclass
import dns.rdatatype
import dns.update
import dns.versioned
import pytest
from dns.rcode import Rcode
from hypothesis import given, strategies as st

from a365admin.lab.dnsupdate import UpdateResult, apply_update
from a365admin.lab.zone import parse_zone, serial_of
from tests.unit.lab.conftest import ZONE

ANY, NONE, IN = dns.rdataclass.ANY, dns.rdataclass.NONE, dns.rdataclass.IN


def update(zone: str = "lab.example.") -> dns.update.UpdateMessage:
    return dns.update.UpdateMessage(zone)


def apply(zone: dns.versioned.Zone, message: dns.update.UpdateMessage) -> UpdateResult:
    return apply_update(zone, message.to_wire(), may_write=lambda _name, _type: True)


def values(zone: dns.versioned.Zone, name: str, rdtype: str) -> list[str]:
    rdataset = zone.get_rdataset(dns.name.from_text(name, dns.name.from_text("lab.example.")), rdtype)
    return sorted(rdata.to_text() for rdata in rdataset or ())


def ttl(zone: dns.versioned.Zone, name: str, rdtype: str) -> int:
    rdataset = zone.get_rdataset(dns.name.from_text(name, dns.name.from_text("lab.example.")), rdtype)
    assert rdataset is not None
    return int(rdataset.ttl)


def raw_update(
    *,
    prerequisites: list[bytes] | None = None,
    updates: list[bytes] | None = None,
    zone: str = "lab.example.",
    zone_type: int = dns.rdatatype.SOA,
    zone_class: int = IN,
    zones: int = 1,
) -> bytes:
    """An update message byte by byte: for what dnspython refuses to write."""
    prerequisites, updates = prerequisites or [], updates or []
    header = struct.pack("!HHHHHH", 1, 5 << 11, zones, len(prerequisites), len(updates), 0)
    section = (dns.name.from_text(zone).to_wire() or b"") + struct.pack("!HH", zone_type, zone_class)
    return header + section * zones + b"".join(prerequisites) + b"".join(updates)


def record(name: str, rdtype: str, rdclass: int, *, ttl: int = 0, data: bytes = b"") -> bytes:
    wire = dns.name.from_text(name, dns.name.from_text("lab.example.")).to_wire() or b""
    return wire + struct.pack("!HHIH", dns.rdatatype.from_text(rdtype), rdclass, ttl, len(data)) + data


def apply_raw(zone: dns.versioned.Zone, wire: bytes) -> Rcode:
    return apply_update(zone, wire, may_write=lambda _name, _type: True).rcode


@pytest.mark.parametrize(
    ("name", "rdtype", "expected"),
    [
        ("a365web1", "CNAME", Rcode.NOERROR),
        ("a365web1", "A", Rcode.NXRRSET),
        ("nobody", "CNAME", Rcode.NXRRSET),
        ("a365web1", None, Rcode.NOERROR),
        ("nobody", None, Rcode.NXDOMAIN),
        ("below", None, Rcode.NXDOMAIN),  # an empty non-terminal owns nothing
    ],
)
def test_a_prerequisite_that_something_is_there(
    zone: dns.versioned.Zone, name: str, rdtype: str | None, expected: Rcode
) -> None:
    message = update()
    message.present(name, *([rdtype] if rdtype else []))

    assert apply(zone, message).rcode == expected


@pytest.mark.parametrize(
    ("name", "rdtype", "expected"),
    [
        ("a365web1", "CNAME", Rcode.YXRRSET),
        ("a365web1", "A", Rcode.NOERROR),
        ("nobody", "CNAME", Rcode.NOERROR),
        ("a365web1", None, Rcode.YXDOMAIN),
        ("nobody", None, Rcode.NOERROR),
        ("below", None, Rcode.NOERROR),
    ],
)
def test_a_prerequisite_that_nothing_is_there(
    zone: dns.versioned.Zone, name: str, rdtype: str | None, expected: Rcode
) -> None:
    message = update()
    message.absent(name, *([rdtype] if rdtype else []))

    assert apply(zone, message).rcode == expected


@pytest.mark.parametrize(
    ("name", "rdtype", "wanted", "expected"),
    [
        ("a365web1", "CNAME", ["srv1.lab.example."], Rcode.NOERROR),
        ("a365web1", "CNAME", ["SRV1.LAB.EXAMPLE."], Rcode.NOERROR),
        ("a365web1", "CNAME", ["srv2.lab.example."], Rcode.NXRRSET),
        ("nobody", "CNAME", ["srv1.lab.example."], Rcode.NXRRSET),
        ("two", "A", ["127.77.0.1", "127.77.0.2"], Rcode.NOERROR),
        ("two", "A", ["127.77.0.2", "127.77.0.1"], Rcode.NOERROR),
        ("two", "A", ["127.77.0.1"], Rcode.NXRRSET),
        ("two", "A", ["127.77.0.1", "127.77.0.2", "127.77.0.3"], Rcode.NXRRSET),
        ("two", "AAAA", ["::1"], Rcode.NXRRSET),
    ],
)
def test_a_prerequisite_that_an_rrset_is_exactly_this(
    zone: dns.versioned.Zone, name: str, rdtype: str, wanted: list[str], expected: Rcode
) -> None:
    message = update()
    message.present(name, rdtype, *wanted)

    assert apply(zone, message).rcode == expected


def test_the_first_prerequisite_that_fails_gives_the_rcode_and_nothing_changes(zone: dns.versioned.Zone) -> None:
    message = update()
    message.present("a365web1", "CNAME")
    message.absent("two")
    message.present("nobody")
    message.replace("a365web1", 60, "CNAME", "srv2.lab.example.")

    assert apply(zone, message) == UpdateResult(Rcode.YXDOMAIN)
    assert values(zone, "a365web1", "CNAME") == ["srv1.lab.example."]
    assert serial_of(zone) == 7


@pytest.mark.parametrize(
    ("prerequisite", "expected"),
    [
        (record("a365web1", "CNAME", ANY, ttl=1), Rcode.FORMERR),
        (record("a365web1", "CNAME", NONE, ttl=1), Rcode.FORMERR),
        (record("srv1", "A", IN, ttl=1, data=b"\x7f\x4d\x00\x0b"), Rcode.FORMERR),
        (record("srv1", "A", ANY, data=b"\x7f\x4d\x00\x0b"), Rcode.FORMERR),
        (record("srv1", "A", NONE, data=b"\x7f\x4d\x00\x0b"), Rcode.FORMERR),
        (record("srv1", "A", IN), Rcode.FORMERR),
        (record("srv1", "ANY", IN, data=b"x"), Rcode.FORMERR),
        (record("srv1", "A", dns.rdataclass.CH, data=b"\x7f\x4d\x00\x0b"), Rcode.FORMERR),
        (record("srv1.elsewhere.example.", "A", ANY), Rcode.NOTZONE),
    ],
)
def test_a_malformed_prerequisite_is_refused_by_its_rcode(
    zone: dns.versioned.Zone, prerequisite: bytes, expected: Rcode
) -> None:
    assert apply_raw(zone, raw_update(prerequisites=[prerequisite])) == expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (record("x", "A", IN, ttl=1, data=b"\x7f\0\0\1"), Rcode.NOERROR),
        (record("x", "A", IN, ttl=1), Rcode.FORMERR),
        (record("x", "ANY", IN, data=b"x"), Rcode.FORMERR),
        (record("x", "A", ANY, ttl=1), Rcode.FORMERR),
        (record("x", "A", ANY, data=b"\x7f\0\0\1"), Rcode.FORMERR),
        (record("x", "AXFR", ANY), Rcode.FORMERR),
        (record("x", "ANY", ANY), Rcode.NOERROR),
        (record("x", "A", NONE, ttl=1, data=b"\x7f\0\0\1"), Rcode.FORMERR),
        (record("x", "A", NONE), Rcode.FORMERR),
        (record("x", "ANY", NONE, data=b"x"), Rcode.FORMERR),
        (record("x", "A", dns.rdataclass.CH, data=b"\x7f\0\0\1"), Rcode.FORMERR),
        (record("x.elsewhere.example.", "A", IN, data=b"\x7f\0\0\1"), Rcode.NOTZONE),
    ],
)
def test_the_update_section_is_checked_before_anything_is_done(
    zone: dns.versioned.Zone, change: bytes, expected: Rcode
) -> None:
    good = record("srv1", "A", ANY)

    assert apply_raw(zone, raw_update(updates=[good, change])) == expected
    assert values(zone, "srv1", "A") == ([] if expected == Rcode.NOERROR else ["127.77.0.11"])


@pytest.mark.parametrize(
    ("wire", "expected"),
    [
        (raw_update(zone_type=dns.rdatatype.A), Rcode.FORMERR),
        (raw_update(zones=0), Rcode.FORMERR),
        (raw_update(zones=2), Rcode.FORMERR),
        (raw_update(zone="elsewhere.example."), Rcode.NOTAUTH),
        (raw_update(zone="sub.lab.example."), Rcode.NOTAUTH),
        (raw_update(zone_class=dns.rdataclass.CH), Rcode.NOTAUTH),
        (raw_update()[:-3], Rcode.FORMERR),
        (raw_update(), Rcode.NOERROR),
    ],
)
def test_the_zone_section_must_name_our_zone(zone: dns.versioned.Zone, wire: bytes, expected: Rcode) -> None:
    assert apply_raw(zone, wire) == expected


def test_a_swap_in_one_message_replaces_the_record_and_raises_the_serial_once(zone: dns.versioned.Zone) -> None:
    message = update()
    message.present("a365web1", "CNAME", "srv1.lab.example.")
    message.delete("a365web1", "CNAME")
    message.add("a365web1", 20, "CNAME", "srv2.lab.example.")

    assert apply(zone, message) == UpdateResult(Rcode.NOERROR, changed=True)
    assert values(zone, "a365web1", "CNAME") == ["srv2.lab.example."]
    assert ttl(zone, "a365web1", "CNAME") == 20
    assert serial_of(zone) == 8


def test_a_swap_to_the_same_value_changes_nothing_and_keeps_the_serial(zone: dns.versioned.Zone) -> None:
    message = update()
    message.delete("a365web1", "CNAME")
    message.add("a365web1", 60, "CNAME", "srv1.lab.example.")

    assert apply(zone, message) == UpdateResult(Rcode.NOERROR)
    assert serial_of(zone) == 7


def test_a_new_ttl_alone_is_a_change(zone: dns.versioned.Zone) -> None:
    message = update()
    message.add("two", 20, "A", "127.77.0.1")

    assert apply(zone, message).changed
    assert values(zone, "two", "A") == ["127.77.0.1", "127.77.0.2"]
    assert ttl(zone, "two", "A") == 20


def test_an_address_beside_a_cname_is_ignored_without_a_word(zone: dns.versioned.Zone) -> None:
    message = update()
    message.add("a365web1", 60, "A", "127.77.0.1")

    assert apply(zone, message) == UpdateResult(Rcode.NOERROR)
    assert values(zone, "a365web1", "A") == []


def test_a_cname_beside_an_address_is_ignored_without_a_word(zone: dns.versioned.Zone) -> None:
    message = update()
    message.add("srv1", 60, "CNAME", "srv2.lab.example.")

    assert apply(zone, message) == UpdateResult(Rcode.NOERROR)
    assert values(zone, "srv1", "A") == ["127.77.0.11"]


def test_a_second_cname_replaces_the_first(zone: dns.versioned.Zone) -> None:
    message = update()
    message.add("a365web1", 60, "CNAME", "srv2.lab.example.")

    assert apply(zone, message).changed
    assert values(zone, "a365web1", "CNAME") == ["srv2.lab.example."]


def test_a_record_changes_its_type_when_the_old_one_is_deleted_first(zone: dns.versioned.Zone) -> None:
    message = update()
    message.delete("a365web1")
    message.add("a365web1", 60, "A", "127.77.0.12")

    assert apply(zone, message).changed
    assert values(zone, "a365web1", "CNAME") == []
    assert values(zone, "a365web1", "A") == ["127.77.0.12"]


def test_one_value_of_an_rrset_can_be_deleted_and_the_last_one_deletes_the_name(zone: dns.versioned.Zone) -> None:
    for address, left in (("127.77.0.9", 2), ("127.77.0.1", 1), ("127.77.0.2", 0)):
        message = update()
        message.delete("two", "A", address)
        apply(zone, message)
        assert len(values(zone, "two", "A")) == left

    message = update()
    message.absent("two")
    assert apply(zone, message).rcode == Rcode.NOERROR


def test_the_zones_own_soa_and_ns_cannot_be_deleted(zone: dns.versioned.Zone) -> None:
    message = update()
    message.delete("@")
    message.delete("@", "SOA")
    message.delete("@", "NS")

    assert apply(zone, message) == UpdateResult(Rcode.NOERROR)
    assert len(values(zone, "@", "NS")) == 2


def test_the_last_ns_of_the_zone_cannot_be_deleted(zone: dns.versioned.Zone) -> None:
    message = update()
    message.delete("@", "NS", "dns1.lab.example.")
    message.delete("@", "NS", "dns2.lab.example.")

    apply(zone, message)

    assert values(zone, "@", "NS") == ["dns2.lab.example."]


@pytest.mark.parametrize(("serial", "after"), [(6, 7), (7, 7), (100, 100)])
def test_a_soa_is_taken_only_when_its_serial_is_newer(zone: dns.versioned.Zone, serial: int, after: int) -> None:
    message = update()
    message.add("@", 300, "SOA", f"dns1.lab.example. hostmaster.lab.example. {serial} 3600 600 86400 30")

    apply(zone, message)

    assert serial_of(zone) == after


def test_a_soa_elsewhere_than_at_the_zones_name_is_ignored(zone: dns.versioned.Zone) -> None:
    message = update()
    message.add("srv1", 300, "SOA", "dns1.lab.example. hostmaster.lab.example. 100 3600 600 86400 30")

    assert apply(zone, message) == UpdateResult(Rcode.NOERROR)


def test_who_may_not_write_one_of_the_names_changes_none_of_them(zone: dns.versioned.Zone) -> None:
    message = update()
    message.replace("a365web1", 60, "CNAME", "srv2.lab.example.")
    message.replace("srv1", 60, "A", "127.77.0.12")
    allowed = dns.name.from_text("a365web1.lab.example.")

    result = apply_update(zone, message.to_wire(), may_write=lambda name, _type: name == allowed)

    assert result == UpdateResult(Rcode.REFUSED)
    assert values(zone, "a365web1", "CNAME") == ["srv1.lab.example."]


def test_a_prerequisite_that_fails_is_told_before_the_lack_of_permission(zone: dns.versioned.Zone) -> None:
    message = update()
    message.present("nobody")
    message.add("srv1", 60, "A", "127.77.0.12")

    assert apply_update(zone, message.to_wire(), may_write=lambda _name, _type: False).rcode == Rcode.NXDOMAIN


def test_a_ttl_beyond_31_bits_counts_as_zero(zone: dns.versioned.Zone) -> None:
    wire = raw_update(updates=[record("x", "A", IN, ttl=0xFFFFFFFF, data=b"\x7f\0\0\1")])

    assert apply_raw(zone, wire) == Rcode.NOERROR
    assert ttl(zone, "x", "A") == 0


def test_of_twenty_who_race_with_the_prerequisite_exactly_one_wins(zone: dns.versioned.Zone) -> None:
    messages = []
    for number in range(20):
        message = update()
        message.present("a365web1", "CNAME", "srv1.lab.example.")
        message.delete("a365web1", "CNAME")
        message.add("a365web1", 60, "CNAME", f"winner{number}.lab.example.")
        messages.append(message)
    random.shuffle(messages)

    rcodes = [apply(zone, message).rcode for message in messages]

    assert rcodes == [Rcode.NOERROR] + [Rcode.NXRRSET] * 19
    assert serial_of(zone) == 8


NAMES = st.sampled_from(["a365web1", "two", "srv1", "@", "x"])
CHANGES = st.one_of(
    st.tuples(st.just("add"), NAMES, st.sampled_from([("A", "127.0.0.9"), ("CNAME", "srv2.lab.example.")])),
    st.tuples(st.just("delete"), NAMES, st.sampled_from([("A",), ("CNAME",), ("NS",), (), ("A", "127.77.0.1")])),
)


@given(st.lists(CHANGES, max_size=8))
def test_whatever_is_sent_no_cname_ever_has_company_and_the_zone_keeps_its_soa_and_ns(
    changes: list[tuple[str, str, tuple[str, ...]]],
) -> None:
    zone = parse_zone(ZONE)
    message = update()
    for kind, name, rest in changes:
        if kind == "add":
            message.add(name, 60, *rest)
        else:
            message.delete(name, *rest)

    result = apply(zone, message)

    assert result.rcode == Rcode.NOERROR
    assert serial_of(zone) == (8 if result.changed else 7)
    assert values(zone, "@", "NS")
    for node in zone.nodes.values():
        types = {rdataset.rdtype for rdataset in node.rdatasets}
        assert dns.rdatatype.CNAME not in types or len(types) == 1
