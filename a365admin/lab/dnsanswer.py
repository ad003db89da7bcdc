"""Answers to queries from a zone, authoritative. PURE: no sockets. RFC 1034 section 4.3.2, RFC 2308, RFC 6604."""

import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.rdtypes.ANY.CNAME
import dns.rdtypes.ANY.SOA
import dns.rrset
import dns.transaction
import dns.versioned
from dns.rcode import Rcode
from dns.rdatatype import RdataType

from a365admin.lab.zone import origin_of

MAX_CHAIN = 8
UDP_PAYLOAD = 1232
NOT_OFFERED = (RdataType.AXFR, RdataType.IXFR)


def answer_query(zone: dns.versioned.Zone, query: dns.message.Message) -> dns.message.Message:
    """In: a query whose signature, if any, is good. Out: the answer, which will be signed as the query was."""
    response = dns.message.make_response(query, our_payload=UDP_PAYLOAD)
    if query.edns > 0:
        response.set_rcode(Rcode.BADVERS)
    elif query.opcode() != dns.opcode.QUERY:
        response.set_rcode(Rcode.NOTIMP)
    elif len(query.question) != 1:
        response.set_rcode(Rcode.FORMERR)
    else:
        question = query.question[0]
        ours = question.name.is_subdomain(origin_of(zone)) and question.rdclass == dns.rdataclass.IN
        if ours and question.rdtype not in NOT_OFFERED:
            with zone.reader() as reader:
                _resolve(reader, origin_of(zone), question.name, question.rdtype, response)
        else:
            response.set_rcode(Rcode.REFUSED)
    return response


def _resolve(
    reader: dns.transaction.Transaction,
    origin: dns.name.Name,
    name: dns.name.Name,
    rdtype: RdataType,
    response: dns.message.Message,
) -> None:
    """Follow CNAME records within the zone, and fill the answer or the authority section."""
    response.flags |= dns.flags.AA
    seen: set[dns.name.Name] = set()
    while name.is_subdomain(origin) and name not in seen and len(seen) < MAX_CHAIN:
        seen.add(name)
        node = reader.get_node(name)
        rdatasets = list(node.rdatasets) if node is not None else []
        found = [rdataset for rdataset in rdatasets if rdtype in (rdataset.rdtype, RdataType.ANY)]
        for rdataset in found:
            response.answer.append(_rrset(name, rdataset))
        if found:
            return
        alias = next((rdataset for rdataset in rdatasets if rdataset.rdtype == RdataType.CNAME), None)
        if alias is None:
            if not rdatasets and not _has_descendants(reader, name):
                response.set_rcode(Rcode.NXDOMAIN)
            response.authority.append(_negative_soa(reader, origin))
            return
        response.answer.append(_rrset(name, alias))
        target = alias[0]
        assert isinstance(target, dns.rdtypes.ANY.CNAME.CNAME)
        name = target.target


def _rrset(name: dns.name.Name, rdataset: dns.rdataset.Rdataset, ttl: int | None = None) -> dns.rrset.RRset:
    return dns.rrset.from_rdata_list(name, rdataset.ttl if ttl is None else ttl, list(rdataset))


def _has_descendants(reader: dns.transaction.Transaction, name: dns.name.Name) -> bool:
    """Whether the name exists only because of names below it (an empty non-terminal, RFC 8020)."""
    return any(other.is_subdomain(name) for other in reader.iterate_names())


def _negative_soa(reader: dns.transaction.Transaction, origin: dns.name.Name) -> dns.rrset.RRset:
    """The SOA record that says for how long "there is no such thing" may be believed (RFC 2308 section 3)."""
    rdataset = reader.get(origin, RdataType.SOA)
    assert rdataset is not None
    soa = rdataset[0]
    assert isinstance(soa, dns.rdtypes.ANY.SOA.SOA)
    return _rrset(origin, rdataset, min(rdataset.ttl, soa.minimum))
