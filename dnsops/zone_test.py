"""Trying without changing anything: does every name server answer, does the writer accept our key; resolvers too."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import cast

from dnsops import resolving, wiring
from dnsops.asking import ask
from dnsops.models import Resolver, Zone
from dnsops.plan import Answer, Change, RRset
from dnsops.providers.base import Endpoint, KeepsTickets, OutcomeKind
from dnsops.secrets import SecretError

TIMEOUT_S = 5.0
ASK_TIMEOUT_S = 2.0
_PROBE = "a365admin-test"
"""A name that should not exist: the message asks for a record there that is not, so it can change nothing."""


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that was tried, how it went, and the sentence about it."""

    what: str
    ok: bool
    sentence: str


def try_resolvers(name: str) -> list[Line]:
    """Ask every resolver for ``name`` as a client does, all at once."""
    found = resolving.resolvers()
    answers = resolving.ask(found, name, timeout_s=ASK_TIMEOUT_S)
    return [_resolver_line(resolver, answer, name) for resolver, answer in zip(found, answers, strict=True)]


def _resolver_line(resolver: Resolver, answer: Answer, name: str) -> Line:
    what = f"{resolver} ({resolver.site})"
    if answer.rrset is not None:
        return Line(what, True, f"Answers {answer.rrset}, and keeps it for {answer.rrset.ttl_s} s more.")
    if answer.answered:
        return Line(what, False, f"Answers that there is no such name: {name}. Does it know the way to its zone?")
    return Line(what, False, f"Cannot be used: {answer.text}. Check address and port, and whether it may ask for us.")


def try_zone(zone: Zone) -> list[Line]:
    """Ask every name server, and send the writer a signed message that holds nothing but a prerequisite."""
    endpoints = wiring.endpoints_of(zone)
    if not endpoints:
        return [Line("Name servers", False, "This zone has no name server yet. Add every authoritative server of it.")]
    with ThreadPoolExecutor(max_workers=min(len(endpoints), 16)) as pool:
        lines = list(pool.map(lambda endpoint: _ask(endpoint, zone.name), endpoints))
    writer = wiring.writer_of(endpoints)
    if writer is None:
        return [*lines, Line("Writer", False, "No name server is the writer. Say which one changes are sent to.")]
    nothing = RRset("CNAME", 60, (f"{_PROBE}.invalid.",))
    change = Change(zone.name, f"{_PROBE}.{zone.name}", expected=nothing, new=nothing)
    outcome = wiring.check_writable(zone, writer, change, timeout_s=TIMEOUT_S)
    what = "By hand" if wiring.is_by_hand(zone) else "Key"
    signed = Line(f"{what} at {writer.name}", outcome.kind is OutcomeKind.READY, outcome.sentence)
    return [*lines, signed, *_tickets(zone, writer)]


def _tickets(zone: Zone, writer: Endpoint) -> list[Line]:
    """For a Kerberos account: whether a ticket is kept for each name server, so that no KDC is needed in need."""
    provider = wiring.provider_for(zone, writer)
    if provider is None or not provider.capabilities.tickets:
        return []
    keeper = cast("KeepsTickets", provider)
    try:
        problems = keeper.keep_warm(deadline=time.monotonic() + TIMEOUT_S)
        return [_ticket(keeper, endpoint, problems.get(endpoint, "")) for endpoint in keeper.endpoints]
    except SecretError as error:
        return [Line("Tickets", False, str(error))]


def _ticket(keeper: KeepsTickets, endpoint: Endpoint, problem: str) -> Line:
    until = keeper.kept_until(endpoint)
    left = f"One is kept for {(until - time.time()) / 3600:.1f} h; no KDC is needed until then." if until else ""
    return Line(f"Ticket for {endpoint.name}", bool(until) and not problem, f"{problem} {left}".strip())


def _ask(endpoint: Endpoint, name: str) -> Line:
    answer = ask(endpoint, name, timeout_s=ASK_TIMEOUT_S)
    if answer.answered:
        return Line(str(endpoint), True, "Answers, and is authoritative for the zone.")
    return Line(str(endpoint), False, f"Cannot be used: {answer.error or answer.state}. Check address, port and zone.")
