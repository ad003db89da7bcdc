"""An update message (RFC 2136) in the form in which it is sent, and its TSIG (RFC 8945).

Written straight into bytes: as objects of dnspython, which keep each record in a set, hash it and encode it twice, the
same message took longer to make than the DNS server needs to carry it out. The tests have dnspython read every byte.
"""

from __future__ import annotations

import ipaddress
import re
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass

import dns.name
import dns.rcode
import dns.rdata
import dns.rdtypes.ANY.TSIG
import dns.tsig
from dns.opcode import Opcode
from dns.rdataclass import ANY, IN, NONE
from dns.rdatatype import CNAME, SOA, TSIG, A, RdataType

from dnsops.plan import Change, RRset

LONGEST_WIRE = 65535  # RFC 1035 section 4.2.2: two bytes say how long a message over TCP is
FUDGE_S = 300  # RFC 8945 section 10: by how much the clocks may differ
_HEADER = struct.Struct("!HHHHHH")
_RECORD = struct.Struct("!HHIH")  # type, class, TTL, length of the data
_POINTER, _FURTHEST = 0xC000, 0x3FFF
# Anything else (escapes, wildcards, other alphabets) is left to dnspython.
_SIMPLE_NAME = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")
_LONGEST_NAME = 253  # as text, without the dot at the end (RFC 1035 section 2.3.4)


@dataclass(frozen=True, slots=True)
class Sent:
    """A signed message. ``mac`` is part of what the answer's signature covers."""

    wire: bytes
    key: dns.tsig.Key
    mac: bytes


class UpdateMessage:
    """One message for one zone, not signed yet; its first two bytes, the id, are 0 until then.

    Raises ``dns.exception.DNSException`` or ValueError where a name or value cannot be written in a message.
    """

    def __init__(self, zone: str) -> None:
        self._wire = bytearray(_HEADER.size)
        self._counts = [1, 0, 0]
        self._offsets: dict[str, int] = {}
        self._in_zone = ""
        self._name(zone)
        self._wire += struct.pack("!HH", SOA, IN)
        self._in_zone = f".{_plain(zone)}"

    def __len__(self) -> int:
        return len(self._wire)

    def require(self, change: Change) -> None:
        """Prerequisites: exactly this RRset (RFC 2136 section 2.4.2); of an absent one "name is not in use" (2.4.5).

        Beside a CNAME nothing can stand; beside an address a CNAME must not (it would win).
        """
        if change.expected.is_absent:
            self._record(1, change.name, (RdataType.ANY, NONE))
            return
        rtype = _type_of(change.expected)
        for value in dict.fromkeys(change.expected.values):
            self._record(1, change.name, (rtype, IN), value=value)  # a TTL other than 0 is FORMERR there
        if rtype != CNAME:
            self._record(1, change.name, (CNAME, NONE))

    def swap(self, change: Change) -> None:
        """Delete what was expected (2.5.2), and add the new RRset (2.5.1). Where nothing was, nothing is deleted."""
        if not change.expected.is_absent:
            self._record(2, change.name, (_type_of(change.expected), ANY))
        for value in dict.fromkeys(change.new.values):
            self._record(2, change.name, (_type_of(change.new), IN), ttl_s=change.new.ttl_s, value=value)

    def wire(self, message_id: int = 0) -> bytes:
        """The message without a signature."""
        header = _HEADER.pack(message_id, Opcode.UPDATE << 11, *self._counts, 0)
        return header + bytes(self._wire[_HEADER.size :])

    def signed(self, key: dns.tsig.Key, *, message_id: int) -> Sent:
        """The message with a signature of this moment as its last record. Raises what the key's own method raises."""
        unsigned = self.wire(message_id)
        unset = dns.rdtypes.ANY.TSIG.TSIG(  # type: ignore[no-untyped-call]
            ANY, TSIG, key.algorithm, 0, FUDGE_S, b"", message_id, dns.rcode.NOERROR, b""
        )
        rdata, _ = dns.tsig.sign(unsigned, key, unset, int(time.time()))  # type: ignore[no-untyped-call]
        data = _written(rdata)
        # Its name is never compressed: Samba packs it again uncompressed, and would find that the signature is wrong.
        record = _written(key.name) + _RECORD.pack(TSIG, ANY, 0, len(data)) + data
        return Sent(unsigned[:10] + b"\x00\x01" + unsigned[12:] + record, key, rdata.mac)

    def _record(
        self, section: int, name: str, kind: tuple[RdataType, int], *, ttl_s: int = 0, value: str | None = None
    ) -> None:
        self._name(name)
        self._wire += _RECORD.pack(*kind, ttl_s, 0)
        self._counts[section] += 1
        if value is None:
            return
        (rtype, _), starts = kind, len(self._wire)
        if rtype == CNAME:
            self._name(value)
        elif rtype == A:
            self._wire += ipaddress.IPv4Address(value).packed
        else:
            self._wire += _written(dns.rdata.from_text(IN, rtype, value))
        struct.pack_into("!H", self._wire, starts - 2, len(self._wire) - starts)

    def _name(self, text: str) -> None:
        """Write a name; what came before of it, the whole or the zone, is pointed at (RFC 1035 section 4.1.4)."""
        plain = _plain(text)
        if (known := self._offsets.get(plain)) is not None:
            self._wire += struct.pack("!H", _POINTER | known)
            return
        if len(self._wire) <= _FURTHEST:
            self._offsets[plain] = len(self._wire)
        if not _SIMPLE_NAME.fullmatch(plain) or len(plain) > _LONGEST_NAME:
            self._wire += _written(dns.name.from_text(text))
            return
        own, end = plain, b"\x00"
        if self._in_zone and plain.endswith(self._in_zone):
            own, end = plain[: -len(self._in_zone)], struct.pack("!H", _POINTER | _HEADER.size)
        for label in own.split("."):
            self._wire.append(len(label))
            self._wire += label.encode("ascii")
        self._wire += end


def message_for(changes: Sequence[Change], *, swap: bool = True) -> UpdateMessage:
    """One message for changes in one zone, prerequisites first (RFC 2136 section 2); ``swap`` False: those alone."""
    message = UpdateMessage(changes[0].zone)
    for change in changes:
        message.require(change)
    if swap:
        for change in changes:
            message.swap(change)
    return message


def _written(thing: dns.name.Name | dns.rdata.Rdata) -> bytes:
    return thing.to_wire() or b""


def _plain(name: str) -> str:
    return name.lower().removesuffix(".")


def _type_of(rrset: RRset) -> RdataType:
    return RdataType.from_text(rrset.rtype)
