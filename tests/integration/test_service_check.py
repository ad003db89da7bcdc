"""The service through its hostname: where the name servers say, over real UDP and TLS."""

from __future__ import annotations

from collections.abc import Callable

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from pools.health import CheckKind
from pools.probing.result import Cause, ProbeResult
from pools.specs import Check
from tests.integration.test_probing import (
    ADDRESS,
    HOST,
    Authority,
    ask,
    authority,
    name_server,
    reply,
    web_server,
)

__all__ = ["authority"]
pytestmark = [pytest.mark.enable_socket, pytest.mark.once]
TARGET = "srv1.corp.example"
Answer = Callable[[dns.message.Message], bytes | None]


def service(port: int, *name_servers: int, known: bool = False) -> Check:
    return Check(
        "service:1", CheckKind.SERVICE, "x", "192.0.2.1", port, host=HOST, hostname_id=1, timeout_s=2.0,
        ask_at=tuple((ADDRESS, number) for number in name_servers), known=((TARGET, ADDRESS),) if known else (),
    )  # fmt: skip


def asked(authority: Authority, answer: Answer, *, known: bool = False, status: str = "200 OK") -> ProbeResult:
    with web_server(authority.context(HOST), reply(status)) as port, name_server(answer) as dns_port:
        return ask(service(port, dns_port, known=known))["service:1"]


def answered(query: dns.message.Message, *records: str, rcode: dns.rcode.Rcode = dns.rcode.NOERROR) -> bytes:
    response = dns.message.make_response(query)
    response.flags |= dns.flags.AA
    response.set_rcode(rcode)
    for record in records:
        name, ttl, rdclass, rdtype, value = record.split()
        response.answer.append(dns.rrset.from_text(name, int(ttl), rdclass, rdtype, value))
    return response.to_wire()


def says(*records: str, rcode: dns.rcode.Rcode = dns.rcode.NOERROR) -> Answer:
    return lambda query: answered(query, *records, rcode=rcode)


ALIAS, PLACE = f"{HOST}. 20 IN CNAME {TARGET}.", f"{TARGET}. 20 IN A {ADDRESS}"


@pytest.mark.parametrize(
    "records",
    [
        (ALIAS, PLACE),
        (f"{HOST}. 20 IN A {ADDRESS}",),
        (ALIAS, f"{TARGET}. 20 IN CNAME deep.x.", f"deep.x. 20 IN A {ADDRESS}"),
    ],
)
def test_it_is_asked_at_the_address_that_dns_gives(authority: Authority, records: tuple[str, ...]) -> None:
    result = asked(authority, says(*records))
    assert (result.ok, result.cause, result.evidence["address"]) == (True, Cause.OK, ADDRESS)
    assert ADDRESS in result.sentence


def test_a_targets_address_that_is_not_in_the_answer_is_known_from_the_estate(authority: Authority) -> None:
    result = asked(authority, says(ALIAS), known=True)
    assert (result.ok, result.sentence) == (True, f"HTTP 200 at {TARGET}, {ADDRESS}")


def test_else_it_is_asked_for(authority: Authority) -> None:
    def answer(query: dns.message.Message) -> bytes:
        return answered(query, PLACE if TARGET in str(query.question[0].name) else ALIAS)

    assert asked(authority, answer).ok is True


def test_an_address_that_nobody_knows_is_not_known_and_not_bad(authority: Authority) -> None:
    result = asked(authority, says(ALIAS))
    assert (result.ok, result.cause) == (None, Cause.NOT_SEEN)
    assert result.sentence == f"leads to {TARGET}, whose address its name servers do not know"


def test_a_name_that_is_not_there_is_bad(authority: Authority) -> None:
    result = asked(authority, says(rcode=dns.rcode.NXDOMAIN))
    assert (result.ok, result.cause) == (False, Cause.NAME_NOT_FOUND)


def test_what_answers_wrongly_under_the_name_is_bad(authority: Authority) -> None:
    result = asked(authority, says(ALIAS, PLACE), status="503 Service Unavailable")
    assert (result.ok, result.cause) == (False, Cause.HTTP_STATUS)
    assert TARGET in result.sentence


def test_a_loop_of_aliases_ends(authority: Authority) -> None:
    result = asked(authority, says(ALIAS, f"{TARGET}. 20 IN CNAME {HOST}."))
    assert result.ok is not True


def test_a_silent_name_server_is_passed_over_and_without_any_nothing_is_known(authority: Authority) -> None:
    with (
        web_server(authority.context(HOST), reply("200 OK")) as port,
        name_server(lambda query: None) as silent,
        name_server(says(ALIAS, PLACE)) as good,
    ):
        assert ask(service(port, silent, good))["service:1"].ok is True
        result = ask(service(port, silent))["service:1"]
    assert (result.ok, result.sentence) == (None, "not asked: no name server of its zone answers")
