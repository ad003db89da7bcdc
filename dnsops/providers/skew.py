"""How far a server's clock is from ours, as far as its signed answer shows it (RFC 8945 sections 4.2, 5.2.3)."""

from __future__ import annotations

import time

import dns.message
import dns.rcode
import dns.rdtypes.ANY.TSIG


def clock_skew_s(answer: dns.message.Message | None, *, now: float | None = None) -> float | None:
    """In: an answer. Out: by how many seconds the server is ahead of us (below 0: behind); None where it says nothing.

    A server that refuses our time gives its own in "other data"; one that signs gives the time of signing.
    """
    rdata = answer.tsig[0] if answer is not None and answer.tsig is not None else None
    if not isinstance(rdata, dns.rdtypes.ANY.TSIG.TSIG):
        return None
    if rdata.error == dns.rcode.BADTIME:
        if len(rdata.other) != 6:
            return None
        theirs = int.from_bytes(rdata.other, "big")
    elif rdata.error == dns.rcode.NOERROR:
        theirs = rdata.time_signed
    else:
        return None
    return float(theirs - int(time.time() if now is None else now))
