"""The bytes of an update message: dnspython, which had no part in writing them, reads the same in them."""

from __future__ import annotations

from collections.abc import Sequence

import dns.exception
import dns.message
import dns.name
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.tsig
import dns.update
import pytest
from hypothesis import given, strategies as st

from dnsops.plan import Change, RRset
from dnsops.providers.update_wire import UpdateMessage, message_for
from dnsops.secrets import SafeKey

ZONE = "example.com"
NAME = f"a365web1.{ZONE}"
CHANGE = Change(ZONE, NAME, RRset("CNAME", 60, (f"srv1.{ZONE}.",)), RRset("CNAME", 30, (f"srv2.{ZONE}.",)))
ADDRESS = Change(ZONE, NAME, RRset("A", 60, ("10.0.0.1",)), RRset("A", 30, ("10.0.0.2", "10.0.0.3")))
FIRST = Change(ZONE, NAME, RRset.absent("CNAME"), RRset("CNAME", 30, (f"srv2.{ZONE}.",)))
OTHER_TYPE = Change(ZONE, NAME, RRset("AAAA", 60, ("2001:db8::1",)), RRset("AAAA", 30, ("2001:db8::2",)))
KEY = SafeKey("k.", b"s" * 32, "hmac-sha256")


def read(message: UpdateMessage) -> dns.update.UpdateMessage:
    parsed = dns.message.from_wire(message.wire(7))
    assert isinstance(parsed, dns.update.UpdateMessage)
    return parsed


def by_dnspython(changes: Sequence[Change]) -> dns.update.UpdateMessage:
    """The same message made of dnspython's own objects."""
    message = dns.update.UpdateMessage(dns.name.from_text(changes[0].zone), id=7)
    for change in changes:
        name, expected = dns.name.from_text(change.name), change.expected
        if expected.is_absent:
            message.absent(name)
            continue
        message.present(name, dns.rdataset.from_text_list("IN", expected.rtype, 0, list(expected.values)))
        if expected.rtype != "CNAME":
            message.absent(name, "CNAME")
    for change in changes:
        name = dns.name.from_text(change.name)
        if not change.expected.is_absent:
            message.delete(name, change.expected.rtype)
        new = change.new
        message.add(name, dns.rdataset.from_text_list("IN", new.rtype, new.ttl_s, list(new.values)))
    return message


def records(message: dns.update.UpdateMessage) -> list[list[str]]:
    return [
        sorted(f"{one.to_text()} {one.deleting} {one.rdtype}" for one in section)
        for section in (message.zone, message.prerequisite, message.update)
    ]


def assert_the_same(changes: Sequence[Change]) -> None:
    ours, theirs = message_for(changes), by_dnspython(changes)
    assert records(read(ours)) == records(dns.message.from_wire(theirs.to_wire()))  # type: ignore[arg-type]
    assert read(ours).flags == theirs.flags


def test_one_message_holds_prerequisite_deletion_and_addition_in_this_order() -> None:
    message = read(message_for([CHANGE]))
    assert [str(one) for one in message.prerequisite] == [f"{NAME}. 0 IN CNAME srv1.example.com."]
    assert [(one.rdtype, one.deleting) for one in message.update] == [
        (dns.rdatatype.CNAME, dns.rdataclass.ANY),
        (dns.rdatatype.CNAME, None),
    ]
    assert str(message.update[1]) == f"{NAME}. 30 IN CNAME srv2.example.com."


def test_an_address_is_changed_only_where_no_cname_stands() -> None:
    kinds = {(one.rdtype, one.deleting) for one in read(message_for([ADDRESS])).prerequisite}
    assert kinds == {(dns.rdatatype.A, None), (dns.rdatatype.CNAME, dns.rdataclass.NONE)}


def test_where_nothing_stands_nothing_is_deleted() -> None:
    message = read(message_for([FIRST]))
    assert [(one.rdtype, one.deleting) for one in message.prerequisite] == [(dns.rdatatype.ANY, dns.rdataclass.NONE)]
    assert [one.deleting for one in message.update] == [None]


def test_a_message_that_only_asks_changes_nothing() -> None:
    assert read(message_for([CHANGE], swap=False)).update == []


@pytest.mark.parametrize("change", [CHANGE, ADDRESS, FIRST, OTHER_TYPE])
def test_dnspython_reads_what_it_would_have_written_itself(change: Change) -> None:
    assert_the_same([change])


labels = st.from_regex(r"[a-z0-9_]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
odd_labels = st.sampled_from(["*", r"a\\.b", r"\\064x", "x" * 63])
zones = st.lists(labels, min_size=1, max_size=3).map(".".join)
dots = st.sampled_from(["", "."])


@st.composite
def changes_in_one_zone(draw: st.DrawFn) -> list[Change]:
    zone = draw(zones)
    name = st.lists(labels | odd_labels, min_size=0, max_size=3).map(lambda own: ".".join([*own, zone]))
    far = st.lists(labels | odd_labels, min_size=1, max_size=4).map(".".join)
    address = st.ip_addresses(v=4).map(str)
    ttl_s = st.integers(0, 2**31 - 1)

    def rrset(rtype: str) -> st.SearchStrategy[RRset]:
        one = st.tuples(name | far).map(lambda value: (f"{value[0]}.",))
        values = one if rtype == "CNAME" else st.lists(address, min_size=1, max_size=3, unique=True).map(tuple)
        return st.builds(RRset, st.just(rtype), ttl_s, values)

    names = draw(st.lists(name, min_size=1, max_size=12, unique=True))
    found = []
    for own in names:
        rtype = draw(st.sampled_from(["CNAME", "A"]))
        expected = draw(st.just(RRset.absent(rtype)) | rrset(rtype))
        found.append(Change(zone, own + draw(dots), expected, draw(rrset(rtype))))
    return found


@given(changes_in_one_zone())
def test_any_changes_of_a_zone_are_written_as_dnspython_would(changes: list[Change]) -> None:
    assert_the_same(changes)


def test_a_long_message_points_no_further_than_a_pointer_can() -> None:
    changes = [
        Change(ZONE, f"host{n}.{ZONE}", RRset("CNAME", 60, (f"old{n}.{ZONE}.",)), RRset("CNAME", 60, (f"new{n}.far.",)))
        for n in range(500)
    ]
    assert len(message_for(changes)) > 0x4000
    assert_the_same(changes)


@pytest.mark.parametrize("name", [f"{'x' * 64}.{ZONE}", ".".join(["x" * 60] * 5), f"a..{ZONE}"])
def test_a_name_that_cannot_be_written_is_refused(name: str) -> None:
    with pytest.raises(dns.exception.DNSException):
        message_for([Change(ZONE, name, RRset.absent("A"), RRset("A", 30, ("10.0.0.1",)))])


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"10\.0\.0"):
        message_for([Change(ZONE, NAME, RRset.absent("A"), RRset("A", 30, ("10.0.0",)))])


@pytest.mark.parametrize("algorithm", ["hmac-sha256", "hmac-sha384", "hmac-sha512"])
def test_the_signature_is_good_and_covers_the_whole_message(algorithm: str) -> None:
    key = SafeKey("k.example.com.", b"s" * 32, algorithm)
    sent = message_for([CHANGE]).signed(key, message_id=4711)
    parsed = dns.message.from_wire(sent.wire, keyring=key)
    assert (parsed.id, parsed.had_tsig, parsed.mac) == (4711, True, sent.mac)
    for place in range(2, len(message_for([CHANGE]))):
        broken = bytearray(sent.wire)
        broken[place] ^= 1
        with pytest.raises((dns.exception.DNSException, ValueError)):
            dns.message.from_wire(bytes(broken), keyring=key)


def test_the_name_of_the_key_is_not_compressed() -> None:
    key = SafeKey(f"k.{ZONE}.", b"s" * 32, "hmac-sha256")
    unsigned = message_for([CHANGE]).wire(1)
    sent = message_for([CHANGE]).signed(key, message_id=1)
    assert sent.wire[len(unsigned) :].startswith(key.name.to_wire() or b"?")
