"""The service as clients reach it: asked over HTTPS where the authoritative servers say that the hostname leads."""

from __future__ import annotations

import time
from dataclasses import replace

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
from dns.rdtypes.IN.A import A

from pools.probing.result import SENTENCE_LIMIT, Cause, ProbeResult, failed, plain
from pools.probing.tls import Contexts
from pools.probing.web import ask_web
from pools.specs import Check

LINKS_MAX = 8
LOOK_UP_S = 1.0


class _Nowhere(Exception):  # noqa: N818 (it is a state of the world, and reads as one)
    """Where the hostname leads cannot be found; ``cause`` says whether that is bad or only not known."""

    def __init__(self, cause: Cause, sentence: str) -> None:
        super().__init__(sentence)
        self.cause = cause


async def ask_service(check: Check, contexts: Contexts, timeout_s: float) -> ProbeResult:
    """Look the hostname up at its authoritative servers (``check.ask_at``) and ask for its page at the address found.

    Never raises for what anybody answers. Where no name server answers, or the target's address is nobody's to know,
    the result is not known: the DNS checks tell of that.
    """
    started = time.monotonic()
    try:
        target, address = await _lead(check, timeout_s)
    except _Nowhere as nowhere:
        return failed(check.key, time.time(), nowhere.cause, str(nowhere))
    left_s = max(timeout_s - (time.monotonic() - started), 0.1)
    (result,) = await ask_web(replace(check, address=address), None, contexts, left_s)
    where = f" at {target}" if target == address else f" at {target}, {address}"
    return result._replace(
        sentence=f"{result.sentence}{where}"[:SENTENCE_LIMIT],
        evidence={**result.evidence, "target": target, "address": address},
    )


async def _lead(check: Check, timeout_s: float) -> tuple[str, str]:
    """Return the name at the end of the hostname's chain and its address, by the first server that answers."""
    for address, port in check.ask_at:
        wait_s = min(LOOK_UP_S, timeout_s / (len(check.ask_at) + 1))
        answer = await _ask(check.host, address, port, wait_s)
        if answer is None or not answer.flags & dns.flags.AA:
            continue
        name, found = _follow(answer, dns.name.from_text(check.host))
        said = plain(name.to_text(omit_final_dot=True).lower(), 253)
        if not found:
            found = dict(check.known).get(said, "")
        if not found and said != check.host:
            further = await _ask(said, address, port, wait_s)
            name, found = _follow(further, name) if further is not None else (name, "")
        if found:
            return said, found
        if said == check.host:
            raise _Nowhere(Cause.NAME_NOT_FOUND, "there is no such name in DNS, or it has no address")
        raise _Nowhere(Cause.NOT_SEEN, f"leads to {said}, whose address its name servers do not know")
    raise _Nowhere(Cause.NOT_SEEN, "not asked: no name server of its zone answers")


async def _ask(name: str, address: str, port: int, wait_s: float) -> dns.message.Message | None:
    """One name server's answer for the A records of a name, without recursion; None where there is none."""
    query = dns.message.make_query(name, dns.rdatatype.A, flags=0)
    try:
        answer, _ = await dns.asyncquery.udp_with_fallback(
            query, address, timeout=wait_s, port=port, ignore_unexpected=True, ignore_errors=True
        )
    except (dns.exception.DNSException, OSError, EOFError):
        return None
    return answer if answer.rcode() in {dns.rcode.NOERROR, dns.rcode.NXDOMAIN} else None


def _follow(answer: dns.message.Message, name: dns.name.Name) -> tuple[dns.name.Name, str]:
    """Follow CNAMEs within an answer; return the last name, and its first address ("" where there is none)."""
    for _ in range(LINKS_MAX):
        for rrset in answer.answer:
            if rrset.name == name and rrset.rdtype == dns.rdatatype.A:
                return name, next((rdata.address for rdata in rrset if isinstance(rdata, A)), "")
        link = next(
            (rrset for rrset in answer.answer if rrset.name == name and rrset.rdtype == dns.rdatatype.CNAME), None
        )
        if link is None:
            return name, ""
        name = next(iter(link)).target
    return name, ""
