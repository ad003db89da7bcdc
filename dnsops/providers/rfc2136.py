"""Dynamic update (RFC 2136) signed with TSIG (RFC 8945), always over TCP: one message for each change."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import dns.entropy
import dns.exception
import dns.message
import dns.rcode
import dns.tsig
from dns.rcode import Rcode

from dnsops.asking import ask, connect_tcp, receive_tcp
from dnsops.checkpoints import checkpoint
from dnsops.plan import Answer, Change
from dnsops.providers import sentences
from dnsops.providers.base import (
    CannotSignError,
    Capabilities,
    Endpoint,
    KeySetup,
    Outcome,
    OutcomeKind,
    ProviderKind,
    Setup,
)
from dnsops.providers.skew import clock_skew_s
from dnsops.providers.update_wire import LONGEST_WIRE, Sent, UpdateMessage, message_for
from dnsops.secrets import SecretError, load_key

CONNECT_S = 3.0
ROOM_FOR_TSIG = 512

KIND_BY_RCODE = {
    Rcode.NOERROR: OutcomeKind.APPLIED,
    Rcode.NXRRSET: OutcomeKind.CONFLICT,
    Rcode.YXRRSET: OutcomeKind.CONFLICT,
    Rcode.NXDOMAIN: OutcomeKind.CONFLICT,
    Rcode.YXDOMAIN: OutcomeKind.CONFLICT,
    Rcode.REFUSED: OutcomeKind.DENIED,
    Rcode.NOTAUTH: OutcomeKind.CONFIG,
    Rcode.NOTZONE: OutcomeKind.CONFIG,
    Rcode.NOTIMP: OutcomeKind.CONFIG,
}

# What the server says about our signature. Such an answer is itself unsigned (RFC 8945 section 5.3.2).
TSIG_ERRORS: dict[type[Exception], tuple[OutcomeKind, str]] = {
    dns.tsig.PeerBadTime: (OutcomeKind.CLOCK, "BADTIME"),
    dns.tsig.BadTime: (OutcomeKind.CLOCK, "BADTIME"),
    dns.tsig.PeerBadKey: (OutcomeKind.AUTH, "BADKEY"),
    dns.tsig.PeerBadSignature: (OutcomeKind.AUTH, "BADSIG"),
}


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back, before it is put into words."""

    kind: OutcomeKind
    rcode: str = ""
    authenticated: bool = True
    problem: str = ""
    echoed: bool = False
    skew_s: float | None = None


class Rfc2136:
    """Changes records on one writer. Each of ``keys`` gives a key at each use, or raises SecretError.

    Where the server does not accept the first key, the next is tried: so a key can be replaced without a gap.
    """

    def __init__(self, writer: Endpoint, *keys: Callable[[], dns.tsig.Key], endpoints: Sequence[Endpoint] = ()) -> None:
        self._writer = writer
        self._keys = keys
        self._endpoints = tuple(endpoints) or (writer,)

    @property
    def capabilities(self) -> Capabilities:
        """The server compares and swaps."""
        return Capabilities()

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Every authoritative server, the writer first."""
        return self._endpoints

    @property
    def writer(self) -> Endpoint:
        """The one server that is changed."""
        return self._writer

    def _signers(self, deadline: float) -> Sequence[Callable[[], dns.tsig.Key]]:
        """What may sign a message that has to be answered by ``deadline``, in the order in which they are tried."""
        return self._keys

    def read(self, endpoint: Endpoint, name: str, *, deadline: float) -> Answer:
        """What ``endpoint`` says about ``name``; not recursive."""
        return ask(endpoint, name, timeout_s=max(deadline - time.monotonic(), 0.001))

    def check_writable(self, change: Change, *, deadline: float) -> Outcome:
        """Send the prerequisite alone, signed. READY proves key, clock and zone, but not permission to write."""
        outcome = self._send(message_for([change], swap=False), change, deadline, changes=False)
        if outcome.kind in {OutcomeKind.APPLIED, OutcomeKind.CONFLICT} and self._accepted(outcome):
            label = outcome.evidence["key"]
            said = f"{self._writer.name} accepts {_noun(label)} {label}. Nothing was changed."
            return Outcome(OutcomeKind.READY, outcome.rcode, said, evidence=outcome.evidence)
        return outcome

    def change(self, change: Change, *, deadline: float) -> Outcome:
        """Send one message: if the record is exactly ``expected``, delete it and add ``new``; else nothing."""
        return self._send(message_for([change]), change, deadline, changes=True)

    def refusal_of_many(self, changes: Sequence[Change]) -> str:
        """Why these changes cannot go in one message, as a sentence; "" where they can."""
        zones = {change.zone for change in changes}
        if len(zones) > 1:
            return f"One message changes one zone only, and these are in {len(zones)}: {', '.join(sorted(zones))}."
        if len(message_for(changes)) + ROOM_FOR_TSIG <= LONGEST_WIRE:
            return ""
        return (
            f"{len(changes)} changes do not fit into one DNS message, which holds {LONGEST_WIRE:,} bytes. "
            "Choose fewer hostnames, or let them be changed one by one."
        )

    def change_many(self, changes: Sequence[Change], *, deadline: float) -> Outcome:
        """Send one message for all of them, each with a prerequisite of its own: all are changed, or none is.

        RFC 2136 section 3.2: the first prerequisite that fails ends it, and the answer does not say which that was.
        """
        if refused := self.refusal_of_many(changes):
            return Outcome(OutcomeKind.CONFIG, "", f"{refused} Nothing was sent.")
        outcome = self._send(message_for(changes), changes[0], deadline, changes=True)
        count, server = len(changes), self._writer.name
        if outcome.kind is OutcomeKind.APPLIED:
            return replace(outcome, sentence=f"{server} made all {count} changes, in one message.")
        if outcome.kind is OutcomeKind.CONFLICT:
            return replace(
                outcome,
                sentence=f"At least one of {count} records is not on {server} what it was ({outcome.rcode}), so "
                "none was changed.",
            )
        return outcome

    def _accepted(self, outcome: Outcome) -> bool:
        """Whether an answer shows that the server accepted the key."""
        return outcome.authenticated

    def _send(self, message: UpdateMessage, change: Change, deadline: float, *, changes: bool) -> Outcome:
        """Send it with the first key; with the next where the server does not accept that one."""
        outcomes: list[Outcome] = []
        for signer in self._signers(deadline):
            outcome = self._send_signed(message, change, deadline, signer, changes=changes)
            if not _another_key_may_do(outcome):
                return outcome
            outcomes.append(outcome)
        return _none_accepted(outcomes)

    def _send_signed(
        self,
        message: UpdateMessage,
        change: Change,
        deadline: float,
        signer: Callable[[], dns.tsig.Key],
        *,
        changes: bool,
    ) -> Outcome:
        try:
            key = signer()
        except SecretError as error:
            return Outcome(OutcomeKind.AUTH, "", f"{error} Nothing was sent, so DNS is as it was.")
        except CannotSignError as error:
            return Outcome(error.kind, "", f"{error} Nothing was sent, so DNS is as it was.")
        sent = message.signed(key, message_id=dns.entropy.random_16())
        label = label_of(key)
        started = time.monotonic()
        reply = self._exchange(sent, deadline, changes=changes)
        evidence: dict[str, Any] = {
            "server": str(self._writer),
            "key": label,
            "ms": round((time.monotonic() - started) * 1000, 1),
            "authenticated": reply.authenticated,
        }
        if reply.problem:
            evidence["problem"] = reply.problem
        if reply.echoed:
            evidence["echoed"] = True
        if reply.skew_s is not None:
            evidence["clock_skew_s"] = reply.skew_s
        sentence = sentences.sentence(
            reply.kind,
            reply.rcode,
            server=self._writer.name,
            change=change,
            signer=f"{_noun(label)} {label}",
            problem=reply.problem,
        )
        return Outcome(reply.kind, reply.rcode, sentence, reply.authenticated, evidence)

    def _exchange(self, sent: Sent, deadline: float, *, changes: bool) -> Reply:
        """Connect, send, receive. Until the first byte is sent, nothing can have changed; after that, it may have."""
        left = min(deadline - time.monotonic(), CONNECT_S)
        if left <= 0:
            return Reply(OutcomeKind.UNREACHABLE, problem="no time was left to send it")
        try:
            tcp = connect_tcp(self._writer, timeout_s=left)
        except OSError as error:
            return Reply(OutcomeKind.UNREACHABLE, problem=_network_problem(error))
        with tcp:
            if deadline - time.monotonic() <= 0:
                return Reply(OutcomeKind.UNREACHABLE, problem="no time was left to send it")
            try:
                tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                tcp.sendall(struct.pack("!H", len(sent.wire)) + sent.wire)
                if changes:
                    checkpoint("message_sent")
                answer = receive_tcp(tcp, deadline)
            except (OSError, EOFError) as error:
                return Reply(OutcomeKind.UNKNOWN, authenticated=False, problem=_network_problem(error))
        return judge(sent, answer)


def label_of(key: dns.tsig.Key) -> str:
    """What a key is called in sentences: its name, or the account that it stands for."""
    return str(getattr(key, "label", "") or key.name.to_text(omit_final_dot=True))


def _noun(label: str) -> str:
    return "account" if "@" in label else "key"


def _another_key_may_do(outcome: Outcome) -> bool:
    """Whether the trouble is with the key. PowerDNS says REFUSED, unsigned, to a key that it does not know."""
    unsigned_no = outcome.kind is OutcomeKind.DENIED and not outcome.authenticated
    return outcome.kind is OutcomeKind.AUTH or unsigned_no


def _none_accepted(outcomes: Sequence[Outcome]) -> Outcome:
    """What became of the first key; where there was another, that it did not do either."""
    if not outcomes:
        return Outcome(OutcomeKind.CONFIG, "", "There is no key to sign with, so nothing was sent. Choose one.")
    if len(outcomes) == 1:
        return outcomes[0]
    others = " ".join(outcome.sentence for outcome in outcomes[1:])
    return replace(outcomes[0], sentence=f"{outcomes[0].sentence} With the next key: {others}")


def judge(sent: Sent, answer: bytes) -> Reply:
    """Say what an answer means. One without a good signature is believed only when it says no; reading decides."""
    if len(answer) < 12 or answer[:2] != sent.wire[:2] or not answer[2] & 0x80:
        return Reply(OutcomeKind.UNKNOWN, authenticated=False, problem="the answer does not belong to the message")
    try:
        response = dns.message.from_wire(answer, keyring=sent.key, request_mac=sent.mac)
    except (dns.tsig.PeerError, dns.tsig.BadTime) as error:
        kind, rcode = TSIG_ERRORS.get(type(error), (OutcomeKind.AUTH, dns.rcode.to_text(Rcode(answer[3] & 15))))
        # Not signed, but about the clock there is nobody else to ask.
        skew_s = clock_skew_s(_unverified(answer)) if kind is OutcomeKind.CLOCK else None
        return Reply(kind, rcode, authenticated=False, skew_s=skew_s)
    except (dns.exception.DNSException, ValueError) as error:
        return _unauthenticated(sent, answer, type(error).__name__)
    if not response.had_tsig:
        return _unauthenticated(sent, answer, "unsigned")
    kind = KIND_BY_RCODE.get(response.rcode(), OutcomeKind.SERVER)
    return Reply(kind, dns.rcode.to_text(response.rcode()), skew_s=clock_skew_s(response))


def _unauthenticated(sent: Sent, answer: bytes, why: str) -> Reply:
    """An unsigned answer, our own signature sent back (Samba, Windows), or a signature that is not the server's."""
    rcode = Rcode(answer[3] & 15)
    kind = KIND_BY_RCODE.get(rcode, OutcomeKind.SERVER)
    if kind is OutcomeKind.APPLIED:
        kind = OutcomeKind.UNKNOWN
    problem, echoed = "the answer is not signed as it should be", False
    parsed = _unverified(answer)
    if parsed is None:
        problem, kind = f"the answer cannot be read ({why})", OutcomeKind.UNKNOWN
    elif parsed.tsig is None:
        problem = sentences.NOT_SIGNED
    elif parsed.tsig[0].mac == sent.mac:
        problem, echoed = "the answer is our own signature, sent back", True
    return Reply(kind, dns.rcode.to_text(rcode), authenticated=False, problem=problem, echoed=echoed)


def _unverified(answer: bytes) -> dns.message.Message | None:
    """What an answer says, whoever it is from; None where it cannot be read."""
    try:
        return dns.message.from_wire(answer, keyring=False, continue_on_error=True, ignore_trailing=True)
    except (dns.exception.DNSException, ValueError):
        return None


def _network_problem(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, EOFError | ConnectionResetError):
        return "the connection was closed without an answer"
    return getattr(error, "strerror", None) or str(error)


def tsig_key(setup: KeySetup) -> Callable[[], dns.tsig.Key]:
    """What gives a TSIG key; its secret is read anew at each use."""
    return partial(load_key, name=setup.name, algorithm=setup.algorithm, reference=setup.reference)


def _build(setup: Setup) -> Rfc2136:
    return Rfc2136(setup.endpoints[0], *map(tsig_key, setup.keys), endpoints=setup.endpoints)


KIND = ProviderKind("rfc2136", "Dynamic update (RFC 2136) with TSIG", "tsig", _build)
