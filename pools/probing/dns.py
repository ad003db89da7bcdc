"""What one authoritative server says about one name."""

from __future__ import annotations

import time
from typing import Any

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype

from pools.probing.result import Cause, ProbeResult, cause_of_errno, failed, plain
from pools.specs import Check

VALUES_KEPT = 8


async def ask_dns(check: Check, timeout_s: float) -> ProbeResult:
    """Ask over UDP (TCP where it does not fit), without recursion (RD=0). Never raises for what comes back."""
    started = time.perf_counter()
    query = dns.message.make_query(check.host, check.record_type or "CNAME", flags=0)
    try:
        answer, _ = await dns.asyncquery.udp_with_fallback(
            query, check.address, timeout=timeout_s, port=check.port, ignore_unexpected=True, ignore_errors=True
        )
    except dns.exception.Timeout:
        sentence = f"the name server does not answer within {timeout_s:g} s"
        return failed(check.key, time.time(), Cause.TIMEOUT, sentence, _about(check))
    except dns.exception.DNSException as error:
        sentence = f"the name server's answer is not DNS: {plain(str(error))}"
        return failed(check.key, time.time(), Cause.WRONG_ANSWER, sentence, _about(check))
    except EOFError:
        return failed(check.key, time.time(), Cause.RESET, "the name server cut the connection off", _about(check))
    except OSError as error:
        cause, sentence = cause_of_errno(error.errno or 0)
        return failed(check.key, time.time(), cause, sentence, _about(check))
    return judge_dns(check, time.time(), answer, (time.perf_counter() - started) * 1000)


def judge_dns(check: Check, at: float, answer: dns.message.Message, latency_ms: float) -> ProbeResult:
    """Return the result for an answer. Good is any authoritative answer with data, whatever it says."""
    rcode = answer.rcode()
    evidence = _about(check, rcode=dns.rcode.to_text(rcode), aa=bool(answer.flags & dns.flags.AA))
    if rcode not in {dns.rcode.NOERROR, dns.rcode.NXDOMAIN}:
        return failed(check.key, at, Cause.DNS_RCODE, f"the name server answers {evidence['rcode']}", evidence)
    if not evidence["aa"]:
        sentence = "the name server answers, but is not authoritative for this name"
        return failed(check.key, at, Cause.DNS_RCODE, sentence, evidence)
    name = dns.name.from_text(check.host)
    found = [rrset for rrset in answer.answer if rrset.name == name and rrset.rdtype in _TYPES]
    if not found:
        if rcode == dns.rcode.NXDOMAIN:
            return failed(check.key, at, Cause.NAME_NOT_FOUND, "the name server says: no such name", evidence)
        sentence = f"the name server says: no {check.record_type} record"
        return failed(check.key, at, Cause.WRONG_ANSWER, sentence, evidence)
    rrset = found[0]
    values = sorted(plain(rdata.to_text().lower(), 255) for rdata in rrset)[:VALUES_KEPT]
    evidence |= {"rtype": dns.rdatatype.to_text(rrset.rdtype), "ttl": rrset.ttl, "values": values}
    sentence = f"{evidence['rtype']} {', '.join(values)}"
    return ProbeResult(check.key, at, True, False, Cause.OK, sentence[:300], latency_ms, evidence)


_TYPES = frozenset({dns.rdatatype.CNAME, dns.rdatatype.A, dns.rdatatype.AAAA})


def _about(check: Check, *, rcode: str = "", aa: bool = False) -> dict[str, Any]:
    return {
        "rtype": check.record_type,
        "ttl": None,
        "values": [],
        "rcode": rcode,
        "aa": aa,
        "server": check.name_server or check.label.partition(":")[0],
        "rank": check.rank,
    }
