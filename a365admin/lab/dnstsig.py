"""TSIG (RFC 8945) on the server's side: check a request's signature, and answer each error as section 5.3 says."""

import time
from dataclasses import dataclass

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.TSIG
import dns.rrset
import dns.tsig
from dns.rcode import Rcode

FUDGE_S = 300


@dataclass(frozen=True, slots=True)
class Unverified:
    """A request whose signature is not good: the message as read without checking, and the TSIG error."""

    message: dns.message.Message
    error: Rcode


def read_signed(wire: bytes, key: dns.tsig.Key) -> dns.message.Message | Unverified:
    """Read a message and check its signature, if it has one.

    Out: the message (`had_tsig` says whether it was signed, and then the signature is good), or Unverified. Raises
    dns.exception.DNSException or ValueError for what is not a DNS message at all.
    """
    try:
        return dns.message.from_wire(wire, keyring={key.name: key})
    except (dns.message.UnknownTSIGKey, dns.tsig.BadKey, dns.tsig.BadAlgorithm):
        error = Rcode.BADKEY
    except dns.tsig.BadSignature:
        error = Rcode.BADSIG
    except dns.tsig.BadTime:
        error = Rcode.BADTIME
    return Unverified(dns.message.from_wire(wire, keyring=False), error)


def answer_unverified(unverified: Unverified, key: dns.tsig.Key) -> bytes:
    """The answer to a request whose signature is not good: NOTAUTH, and a TSIG record that says why.

    BADKEY and BADSIG are answered unsigned, BADTIME signed and with our clock in it (RFC 8945 section 5.3.2).
    """
    request = unverified.message
    assert request.tsig is not None
    theirs = request.tsig[0]
    assert isinstance(theirs, dns.rdtypes.ANY.TSIG.TSIG)
    request.keyring = None  # so that make_response() does not sign
    response = dns.message.make_response(request)
    response.set_rcode(Rcode.NOTAUTH)
    in_step = unverified.error == Rcode.BADTIME
    record = dns.rdtypes.ANY.TSIG.TSIG(  # type: ignore[no-untyped-call]
        dns.rdataclass.ANY,
        dns.rdatatype.TSIG,
        theirs.algorithm,
        theirs.time_signed,
        FUDGE_S,
        b"",
        request.id,
        unverified.error,
        int(time.time()).to_bytes(6, "big") if in_step else b"",
    )
    if in_step:
        unsigned = response.to_wire(max_size=65535)
        record, _context = dns.tsig.sign(  # type: ignore[no-untyped-call]
            unsigned, key, record, theirs.time_signed, theirs.mac
        )
    response.tsig = dns.rrset.from_rdata(request.tsig.name, 0, record)
    return response.to_wire(max_size=65535)
