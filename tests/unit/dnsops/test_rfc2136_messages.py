"""The message itself, and what an answer to it means, without a network."""

from __future__ import annotations

import time
from collections.abc import Callable

import dns.message
import dns.rcode
import pytest
from dns.rcode import Rcode

from dnsops.plan import Change, RRset
from dnsops.providers import sentences
from dnsops.providers.base import Endpoint, Outcome, OutcomeKind
from dnsops.providers.rfc2136 import Reply, Rfc2136, judge
from dnsops.providers.update_wire import Sent, message_for
from dnsops.secrets import SafeKey, SecretError

NAME = "a365web1.example.com"
CHANGE = Change(
    "example.com", NAME, RRset("CNAME", 60, ("srv1.example.com.",)), RRset("CNAME", 30, ("srv2.example.com.",))
)
ADDRESS = Change("example.com", NAME, RRset("A", 60, ("10.0.0.1",)), RRset("A", 30, ("10.0.0.2",)))
KEY = SafeKey("k.", b"s" * 32, "hmac-sha256")


def signed(change: Change = CHANGE) -> Sent:
    return message_for([change]).signed(KEY, message_id=4711)


def answer_to(sent: Sent, rcode: Rcode, *, sign: bool = True) -> bytes:
    request = dns.message.from_wire(sent.wire, keyring=KEY)
    if not sign:
        request.tsig = None
    response = dns.message.make_response(request)
    response.set_rcode(rcode)
    return response.to_wire()


@pytest.mark.parametrize(
    ("rcode", "kind"),
    [
        (Rcode.NOERROR, OutcomeKind.APPLIED),
        (Rcode.NXRRSET, OutcomeKind.CONFLICT),
        (Rcode.YXRRSET, OutcomeKind.CONFLICT),
        (Rcode.NXDOMAIN, OutcomeKind.CONFLICT),
        (Rcode.YXDOMAIN, OutcomeKind.CONFLICT),
        (Rcode.REFUSED, OutcomeKind.DENIED),
        (Rcode.NOTAUTH, OutcomeKind.CONFIG),
        (Rcode.NOTZONE, OutcomeKind.CONFIG),
        (Rcode.NOTIMP, OutcomeKind.CONFIG),
        (Rcode.SERVFAIL, OutcomeKind.SERVER),
        (Rcode.FORMERR, OutcomeKind.SERVER),
    ],
)
def test_a_signed_answer_is_believed(rcode: Rcode, kind: OutcomeKind) -> None:
    sent = signed()
    reply = judge(sent, answer_to(sent, rcode))
    assert (reply.kind, reply.rcode, reply.authenticated) == (kind, dns.rcode.to_text(rcode), True)


def test_an_unsigned_success_is_not_believed() -> None:
    sent = signed()
    reply = judge(sent, answer_to(sent, Rcode.NOERROR, sign=False))
    assert (reply.kind, reply.authenticated, reply.problem) == (OutcomeKind.UNKNOWN, False, "the answer is not signed")


def test_our_own_signature_sent_back_is_not_believed() -> None:
    sent = signed()
    reply = judge(sent, sent.wire[:2] + bytes([sent.wire[2] | 0x80]) + sent.wire[3:])
    assert (reply.kind, reply.authenticated, reply.echoed) == (OutcomeKind.UNKNOWN, False, True)


def test_an_answer_signed_with_another_secret_is_not_believed() -> None:
    sent = signed()
    request = dns.message.from_wire(sent.wire, keyring=KEY)
    request.keyring = SafeKey("k.", b"x" * 32, "hmac-sha256")
    reply = judge(sent, dns.message.make_response(request).to_wire())
    assert (reply.kind, reply.authenticated) == (OutcomeKind.UNKNOWN, False)


@pytest.mark.parametrize("cut", [0, 5, 11, 12, 20])
def test_half_an_answer_is_not_believed(cut: int) -> None:
    sent = signed()
    reply = judge(sent, answer_to(sent, Rcode.NOERROR)[:cut])
    assert (reply.kind, reply.authenticated) == (OutcomeKind.UNKNOWN, False)


def test_a_question_or_an_answer_to_another_message_is_not_believed() -> None:
    sent = signed()
    assert judge(sent, sent.wire).kind is OutcomeKind.UNKNOWN
    foreign = answer_to(signed(ADDRESS), Rcode.NOERROR)
    assert judge(sent, sent.wire[:2] + foreign[2:]).kind is OutcomeKind.UNKNOWN


def test_a_secret_that_cannot_be_read_sends_nothing() -> None:
    def broken() -> SafeKey:
        raise SecretError("The key file /x cannot be read.")

    outcome = Rfc2136(Endpoint("dns1", "127.0.0.1", 1), broken).change(CHANGE, deadline=time.monotonic() + 1)
    assert outcome.kind is OutcomeKind.AUTH
    assert "Nothing was sent" in outcome.sentence


def test_after_the_deadline_nothing_is_sent() -> None:
    provider = Rfc2136(Endpoint("dns1", "127.0.0.1", 1), lambda: KEY)
    outcome = provider.change(CHANGE, deadline=time.monotonic() - 1)
    assert outcome.kind is OutcomeKind.UNREACHABLE
    assert "nothing was sent" in outcome.sentence


RCODES = ["NOERROR", "NXRRSET", "REFUSED", "NOTAUTH", "NOTZONE", "NOTIMP", "BADKEY", "BADSIG", "BADTIME", "SERVFAIL",
          "FORMERR", "XYZ", ""]  # fmt: skip


@pytest.mark.parametrize("kind", OutcomeKind)
@pytest.mark.parametrize("rcode", RCODES)
def test_every_outcome_has_a_sentence_that_says_whether_dns_changed(kind: OutcomeKind, rcode: str) -> None:
    text = sentences.sentence(kind, rcode, server="dns1", change=CHANGE, signer="key k", problem="")
    assert "{" not in text
    assert "  " not in text
    assert text.endswith(".")
    said = ("Nothing was changed", "nothing was changed", "is now", "already", "not made", "may or may not")
    assert any(words in text for words in said), text


def test_every_rcode_has_a_sentence_of_its_own() -> None:
    kinds = [OutcomeKind.DENIED] * 2 + [OutcomeKind.CONFIG] * 3 + [OutcomeKind.AUTH] * 2 + [OutcomeKind.SERVER] * 2
    codes = ["REFUSED", "", "NOTAUTH", "NOTZONE", "NOTIMP", "BADKEY", "BADSIG", "SERVFAIL", "FORMERR"]
    texts = {
        sentences.sentence(kind, code, server="dns1", change=CHANGE, signer="key k")
        for kind, code in zip(kinds, codes, strict=True)
    }
    assert len(texts) == len(codes)


class Answering(Rfc2136):
    """Sends nothing: gives the replies that it is told, and remembers which key signed."""

    def __init__(self, replies: list[Reply], *keys: Callable[[], SafeKey]) -> None:
        super().__init__(Endpoint("dns1", "127.0.0.1", 1), *keys)
        self.replies = replies
        self.signed: list[tuple[str, int]] = []

    def _exchange(self, sent: Sent, deadline: float, *, changes: bool) -> Reply:
        self.signed.append((sent.key.name.to_text(), int.from_bytes(sent.wire[:2], "big")))
        return self.replies[len(self.signed) - 1]


NEXT = SafeKey("next.", b"y" * 32, "hmac-sha256")
BADKEY = Reply(OutcomeKind.AUTH, "BADKEY", authenticated=False)
APPLIED = Reply(OutcomeKind.APPLIED, "NOERROR")
UNSIGNED_NO = Reply(OutcomeKind.DENIED, "REFUSED", authenticated=False, problem="the answer is not signed")


def replaced(*replies: Reply, first: Callable[[], SafeKey] = lambda: KEY) -> tuple[Outcome, Answering]:
    provider = Answering(list(replies), first, lambda: NEXT)
    return provider.change(CHANGE, deadline=time.monotonic() + 1), provider


@pytest.mark.parametrize("no", [BADKEY, Reply(OutcomeKind.AUTH, "BADSIG", authenticated=False), UNSIGNED_NO])
def test_where_the_server_does_not_accept_the_key_the_next_one_is_tried(no: Reply) -> None:
    outcome, provider = replaced(no, APPLIED)
    assert outcome.kind is OutcomeKind.APPLIED
    assert outcome.evidence["key"] == "next"
    assert [name for name, _ in provider.signed] == [KEY.name.to_text(), "next."]
    assert provider.signed[0][1] != provider.signed[1][1]  # another message, with another number


def test_a_first_key_that_cannot_be_read_does_not_stand_in_the_way_of_the_next() -> None:
    def gone() -> SafeKey:
        raise SecretError("The key file /x cannot be read.")

    outcome, provider = replaced(APPLIED, first=gone)
    assert outcome.kind is OutcomeKind.APPLIED
    assert [name for name, _ in provider.signed] == ["next."]


@pytest.mark.parametrize(
    "reply",
    [
        Reply(OutcomeKind.CONFLICT, "NXRRSET"),
        Reply(OutcomeKind.DENIED, "REFUSED"),
        Reply(OutcomeKind.CLOCK, "BADTIME", authenticated=False),
        Reply(OutcomeKind.UNKNOWN, authenticated=False, problem="no answer in time"),
        Reply(OutcomeKind.UNREACHABLE, problem="nothing listens there"),
        Reply(OutcomeKind.CONFIG, "NOTAUTH"),
    ],
)
def test_the_next_key_is_tried_for_no_other_reason(reply: Reply) -> None:
    outcome, provider = replaced(reply)
    assert outcome.kind is reply.kind
    assert len(provider.signed) == 1


def test_where_neither_key_is_accepted_both_are_named() -> None:
    outcome, _ = replaced(BADKEY, BADKEY)
    assert outcome.kind is OutcomeKind.AUTH
    assert "does not know key k," in outcome.sentence
    assert "With the next key: dns1 does not know key next" in outcome.sentence
