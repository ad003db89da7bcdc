"""What counts as an answer to a question; a message that came before is not read again, and is no less looked at."""

from __future__ import annotations

from collections.abc import Callable

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from dnsops import asking
from dnsops.asking import Question
from dnsops.plan import RRset
from dnsops.providers.base import Endpoint

HOSTNAME = "a365web1.corp.example"
DNS1 = Endpoint("dns1", "192.0.2.1")
RESOLVER = Endpoint("resolver", "192.0.2.9", recursive=True)
Change = Callable[[dns.message.Message], object]


def reply(question: Question, *records: str, change: Change | None = None) -> bytes:
    """What an authoritative server answers: ``records`` as "TTL type value", all at the name that was asked for."""
    query = dns.message.from_wire(question.wire)
    message = dns.message.make_response(query)
    message.flags |= dns.flags.AA
    for record in records:
        ttl, rtype, value = record.split()
        message.answer.append(dns.rrset.from_text(query.question[0].name, int(ttl), "IN", rtype, value))
    if change is not None:
        change(message)
    return message.to_wire()


def test_an_answer_is_read_in_our_form() -> None:
    question = Question(DNS1, HOSTNAME)
    answer = question.parse(reply(question, "60 CNAME SRV1.corp.example."))
    assert answer is not None
    assert (answer.state, answer.rrset) == ("answered", RRset("CNAME", 60, ("srv1.corp.example.",)))


def test_what_a_server_says_next_is_read_anew() -> None:
    said = []
    for record in ("60 CNAME srv1.corp.example.", "60 CNAME srv2.corp.example.", "30 CNAME srv2.corp.example."):
        question = Question(DNS1, HOSTNAME)
        answer = question.parse(reply(question, record))
        assert answer is not None
        said.append(answer.rrset)
    assert len(set(said)) == 3


def test_each_question_has_an_id_of_its_own() -> None:
    assert len({Question(DNS1, HOSTNAME).wire[:2] for _ in range(50)}) > 40


def test_a_message_with_another_id_is_no_answer_even_where_the_rest_has_been_read_before() -> None:
    question = Question(DNS1, HOSTNAME)
    wire = reply(question, "60 CNAME srv1.corp.example.")
    assert question.parse(wire) is not None
    assert question.parse(bytes([wire[0] ^ 1]) + wire[1:]) is None


def test_the_answer_to_another_question_is_no_answer_even_where_it_has_been_read_before() -> None:
    other = Question(DNS1, "a365web2.corp.example")
    wire = reply(other, "60 CNAME srv1.corp.example.")
    assert other.parse(wire) is not None
    question = Question(DNS1, HOSTNAME)
    assert question.parse(question.wire[:2] + wire[2:]) is None


@pytest.mark.parametrize("wire", [b"", b"\0", b"\0" * 12, b"\xff" * 40])
def test_what_is_no_message_is_no_answer(wire: bytes) -> None:
    question = Question(DNS1, HOSTNAME)
    assert question.parse(question.wire[:2] + wire) is None
    assert question.parse(wire) is None


def test_a_query_is_no_answer() -> None:
    question = Question(DNS1, HOSTNAME)
    assert question.parse(question.wire) is None


def test_a_refusal_is_an_error_with_its_rcode() -> None:
    question = Question(DNS1, HOSTNAME)
    answer = question.parse(reply(question, change=lambda message: message.set_rcode(dns.rcode.SERVFAIL)))
    assert answer is not None
    assert (answer.state, answer.rcode, answer.error) == ("error", "SERVFAIL", "it answers SERVFAIL")


def not_authoritative(message: dns.message.Message) -> None:
    message.flags &= ~dns.flags.AA


def test_who_is_not_authoritative_is_believed_as_a_resolver_only() -> None:
    said = []
    for endpoint in (DNS1, RESOLVER):
        question = Question(endpoint, HOSTNAME)
        answer = question.parse(reply(question, "60 CNAME srv1.corp.example.", change=not_authoritative))
        assert answer is not None
        said.append(answer.state)
    assert said == ["error", "answered"]


def test_a_long_answer_is_read_and_not_kept() -> None:
    asking._reply.cache_clear()
    question = Question(DNS1, HOSTNAME)
    wire = reply(question, *(f"60 A 192.0.2.{number}" for number in range(1, 40)))
    assert len(wire) > asking.KEPT_LENGTH
    answer = question.parse(wire)
    assert answer is not None
    assert answer.rrset is not None
    assert len(answer.rrset.values) == 39
    assert asking._reply.cache_info().currsize == 0
