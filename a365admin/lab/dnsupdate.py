"""RFC 2136: prerequisites (section 3.2) and updates (section 3.4) against a zone, all or nothing. PURE: no sockets.

The records are read from the wire here, and not taken from dnspython's UpdateMessage, because that one drops the TTL of
empty records, which section 3.2 says must be checked.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import dns.exception
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.rdtypes.ANY.SOA
import dns.serial
import dns.transaction
import dns.versioned
import dns.wire
from dns.rcode import Rcode
from dns.rdataclass import RdataClass
from dns.rdatatype import RdataType

from a365admin.lab.zone import origin_of, serial_of

MAX_TTL_S = 0x7FFFFFFF
ZONE_TRANSFER_TYPES = (RdataType.AXFR, RdataType.IXFR, RdataType.MAILA, RdataType.MAILB)

MayWrite = Callable[[dns.name.Name, RdataType], bool]


class RefusedError(Exception):
    """The message must be answered with this rcode, and nothing may have changed."""

    def __init__(self, rcode: Rcode) -> None:
        super().__init__(dns.rcode.to_text(rcode))
        self.rcode = rcode


@dataclass(frozen=True, slots=True)
class Record:
    """A resource record as it stood on the wire. `rdata` is None where there were no data."""

    name: dns.name.Name
    rdtype: RdataType
    rdclass: int
    ttl: int
    rdata: dns.rdata.Rdata | None


@dataclass(frozen=True, slots=True)
class UpdateRequest:
    """The sections of an update message: zone name, type and class, prerequisites, updates."""

    zone_name: dns.name.Name
    zone_type: RdataType
    zone_class: int
    prerequisites: tuple[Record, ...]
    updates: tuple[Record, ...]


@dataclass(frozen=True, slots=True)
class UpdateResult:
    """The rcode to answer with, and whether the zone is different now."""

    rcode: Rcode
    changed: bool = False


def read_update(wire: bytes) -> UpdateRequest:
    """Read the sections of an update message. Raises RefusedError with FORMERR for anything that is not one."""
    parser = dns.wire.Parser(wire)
    try:
        _id, _flags, zones, prerequisites, updates, _additional = parser.get_struct("!HHHHHH")
        if zones != 1:
            raise RefusedError(Rcode.FORMERR)
        zone_name = parser.get_name(decompress=True)
        zone_type, zone_class = parser.get_struct("!HH")
        return UpdateRequest(
            zone_name,
            RdataType.make(zone_type),
            zone_class,
            tuple(_read_record(parser) for _ in range(prerequisites)),
            tuple(_read_record(parser) for _ in range(updates)),
        )
    except (dns.exception.DNSException, ValueError) as error:
        raise RefusedError(Rcode.FORMERR) from error


def _read_record(parser: dns.wire.Parser) -> Record:
    name = parser.get_name(decompress=True)
    rdtype, rdclass, ttl, length = parser.get_struct("!HHIH")
    rdata = None
    if length:
        with parser.restrict_to(length):
            rdata = dns.rdata.from_wire_parser(RdataClass.IN, RdataType.make(rdtype), parser)
    return Record(name, RdataType.make(rdtype), rdclass, ttl, rdata)


def apply_update(zone: dns.versioned.Zone, wire: bytes, *, may_write: MayWrite) -> UpdateResult:
    """Carry out an update message, in the order of RFC 2136 section 3: zone, prerequisites, permission, updates.

    In: the zone; the whole message, whose signature has been checked already; who may write what. Out: the rcode, and
    whether anything changed (then the serial went up, section 3.6). Never raises for what a sender can put in a
    message.
    """
    try:
        request = read_update(wire)
        check_zone(zone, request)
        with zone.writer() as transaction:
            check_prerequisites(transaction, origin_of(zone), request.prerequisites)
            check_updates(origin_of(zone), request.updates)
            if not all(may_write(record.name, record.rdtype) for record in request.updates):
                raise RefusedError(Rcode.REFUSED)
            before, serial = _snapshot(transaction, request.updates), serial_of(zone)
            for record in request.updates:
                _apply(transaction, origin_of(zone), record)
            if _snapshot(transaction, request.updates) == before:
                transaction.rollback()
                return UpdateResult(Rcode.NOERROR)
            if _soa(transaction, origin_of(zone)).serial == serial:
                transaction.update_serial(1, relative=True, name=origin_of(zone))
        return UpdateResult(Rcode.NOERROR, changed=True)
    except RefusedError as refusal:
        return UpdateResult(refusal.rcode)


def check_zone(zone: dns.versioned.Zone, request: UpdateRequest) -> None:
    """Section 3.1: the zone section names a zone, and we are its server."""
    if request.zone_type != RdataType.SOA:
        raise RefusedError(Rcode.FORMERR)
    if request.zone_name != origin_of(zone) or request.zone_class != RdataClass.IN:
        raise RefusedError(Rcode.NOTAUTH)


def check_prerequisites(
    transaction: dns.transaction.Transaction, origin: dns.name.Name, records: Iterable[Record]
) -> None:
    """Section 3.2: raise RefusedError with the rcode of the first prerequisite that does not hold."""
    wanted: dict[tuple[dns.name.Name, RdataType], set[dns.rdata.Rdata]] = {}
    for record in records:
        if record.ttl != 0:
            raise RefusedError(Rcode.FORMERR)
        if not record.name.is_subdomain(origin):
            raise RefusedError(Rcode.NOTZONE)
        if record.rdclass == RdataClass.IN:
            if record.rdata is None or dns.rdatatype.is_metatype(record.rdtype):
                raise RefusedError(Rcode.FORMERR)
            wanted.setdefault((record.name, record.rdtype), set()).add(record.rdata)
        else:
            _check_existence(transaction, record)
    for (name, rdtype), rdatas in wanted.items():
        present = transaction.get(name, rdtype)
        if present is None or set(present) != rdatas:
            raise RefusedError(Rcode.NXRRSET)


def _check_existence(transaction: dns.transaction.Transaction, record: Record) -> None:
    if record.rdclass not in (RdataClass.ANY, RdataClass.NONE) or record.rdata is not None:
        raise RefusedError(Rcode.FORMERR)
    must_exist = record.rdclass == RdataClass.ANY
    if record.rdtype == RdataType.ANY:
        if _in_use(transaction, record.name) != must_exist:
            raise RefusedError(Rcode.NXDOMAIN if must_exist else Rcode.YXDOMAIN)
    elif (transaction.get(record.name, record.rdtype) is not None) != must_exist:
        raise RefusedError(Rcode.NXRRSET if must_exist else Rcode.YXRRSET)


def check_updates(origin: dns.name.Name, records: Iterable[Record]) -> None:
    """Section 3.4.1: everything in the update section is well formed and of this zone, before anything is done."""
    for record in records:
        if not record.name.is_subdomain(origin):
            raise RefusedError(Rcode.NOTZONE)
        if record.rdclass == RdataClass.IN:
            sound = record.rdata is not None and not dns.rdatatype.is_metatype(record.rdtype)
        elif record.rdclass == RdataClass.ANY:
            sound = record.ttl == 0 and record.rdata is None and record.rdtype not in ZONE_TRANSFER_TYPES
        elif record.rdclass == RdataClass.NONE:
            sound = record.ttl == 0 and record.rdata is not None and not dns.rdatatype.is_metatype(record.rdtype)
        else:
            sound = False
        if not sound:
            raise RefusedError(Rcode.FORMERR)


def _apply(transaction: dns.transaction.Transaction, origin: dns.name.Name, record: Record) -> None:
    """Section 3.4.2: one record of the update section."""
    if record.rdclass == RdataClass.IN:
        _add(transaction, origin, record)
    elif record.rdclass == RdataClass.ANY:
        _delete_rrsets(transaction, origin, record)
    else:
        _delete_one(transaction, origin, record)


def _add(transaction: dns.transaction.Transaction, origin: dns.name.Name, record: Record) -> None:
    """Section 3.4.2.2. What must not stand beside a CNAME, or a CNAME beside it, is ignored without a word."""
    assert record.rdata is not None
    types = _types_at(transaction, record.name)
    if record.rdtype == RdataType.CNAME and types - {RdataType.CNAME}:
        return
    if record.rdtype != RdataType.CNAME and RdataType.CNAME in types:
        return
    ttl = record.ttl if record.ttl <= MAX_TTL_S else 0
    kept: list[dns.rdata.Rdata] = []
    if isinstance(record.rdata, dns.rdtypes.ANY.SOA.SOA):
        if record.name != origin or not _newer(record.rdata.serial, _soa(transaction, origin).serial):
            return
    elif record.rdtype != RdataType.CNAME:
        present = transaction.get(record.name, record.rdtype)
        kept = [rdata for rdata in present or () if rdata != record.rdata]
    # One TTL for the whole RRset (RFC 2181 section 5.2): the last one that was given.
    transaction.replace(record.name, dns.rdataset.from_rdata_list(ttl, [*kept, record.rdata]))


def _delete_rrsets(transaction: dns.transaction.Transaction, origin: dns.name.Name, record: Record) -> None:
    """Section 3.4.2.3. The zone's own SOA and NS RRsets cannot be deleted."""
    types = _types_at(transaction, record.name) if record.rdtype == RdataType.ANY else {record.rdtype}
    if record.name == origin:
        types = types - {RdataType.SOA, RdataType.NS}
    for rdtype in types:
        transaction.delete(record.name, rdtype)


def _delete_one(transaction: dns.transaction.Transaction, origin: dns.name.Name, record: Record) -> None:
    """Section 3.4.2.4. A SOA, and the zone's last NS record, cannot be deleted."""
    present = transaction.get(record.name, record.rdtype)
    if present is None or record.rdata not in present or record.rdtype == RdataType.SOA:
        return
    kept = [rdata for rdata in present if rdata != record.rdata]
    if kept:
        transaction.replace(record.name, dns.rdataset.from_rdata_list(present.ttl, kept))
    elif not (record.name == origin and record.rdtype == RdataType.NS):
        transaction.delete(record.name, record.rdtype)


def _types_at(transaction: dns.transaction.Transaction, name: dns.name.Name) -> set[RdataType]:
    node = transaction.get_node(name)
    return {rdataset.rdtype for rdataset in node.rdatasets} if node is not None else set()


def _in_use(transaction: dns.transaction.Transaction, name: dns.name.Name) -> bool:
    return bool(_types_at(transaction, name))


def _soa(transaction: dns.transaction.Transaction, origin: dns.name.Name) -> dns.rdtypes.ANY.SOA.SOA:
    rdataset = transaction.get(origin, RdataType.SOA)
    assert rdataset is not None
    soa = rdataset[0]
    assert isinstance(soa, dns.rdtypes.ANY.SOA.SOA)
    return soa


def _newer(serial: int, than: int) -> bool:
    return bool(dns.serial.Serial(serial) > dns.serial.Serial(than))


def _snapshot(
    transaction: dns.transaction.Transaction, records: Iterable[Record]
) -> dict[dns.name.Name, frozenset[tuple[RdataType, int, frozenset[dns.rdata.Rdata]]]]:
    """What the names of these records hold now: by this it is known whether an update changed anything."""
    content = {}
    for name in {record.name for record in records}:
        node = transaction.get_node(name)
        rdatasets = node.rdatasets if node is not None else ()
        content[name] = frozenset((rdataset.rdtype, rdataset.ttl, frozenset(rdataset)) for rdataset in rdatasets)
    return content
