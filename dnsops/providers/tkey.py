"""Agreeing on a key with a DNS server by Kerberos: TKEY (RFC 2930) as RFC 3645 (GSS-TSIG) uses it, over TCP.

One round trip with Kerberos. ``gssapi`` is an optional extra and is imported only when it is used.
"""

from __future__ import annotations

import socket
import time
import uuid
from pathlib import Path
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.tsig
from dns.rdtypes.ANY.TKEY import TKEY

from dnsops.providers.base import CannotSignError, Endpoint, OutcomeKind

LIFETIME_S = 3600
MAX_ROUNDS = 4
ERRORS = {16: "BADSIG", 17: "BADKEY", 18: "BADTIME", 19: "BADMODE", 20: "BADNAME", 21: "BADALG"}


class RejectedTicketError(CannotSignError):
    """The server did not accept the ticket; with a new one it may."""


class GssContext:
    """What dnspython's GSS-TSIG needs of a GSS-API context (RFC 2743): to take a step, to sign, to verify.

    Samba (seen in 4.17) signs its answers without the two bytes that give the length of the request's MAC (RFC 8945
    section 5.3.1). The request's MAC and the answer are covered all the same, so that form is good, too.
    """

    def __init__(self, context: Any) -> None:
        self._context = context
        self.without_length = False

    @property
    def complete(self) -> bool:
        """Whether both sides have agreed."""
        return bool(self._context.complete)

    def step(self, token: bytes | None = None) -> bytes | None:
        """Take the other side's token, and return the next of ours."""
        said: bytes | None = self._context.step(token)
        return said

    def get_signature(self, data: bytes) -> bytes:
        """Sign."""
        signature: bytes = self._context.get_signature(data)
        return signature

    def verify_signature(self, data: bytes, mac: bytes) -> Any:
        """Raise a GSSError unless the signature is good, in the standard's form or in Samba's."""
        import gssapi

        try:
            return self._context.verify_signature(data, mac)
        except gssapi.exceptions.GSSError:
            verified = self._context.verify_signature(data[2:], mac)
            self.without_length = True
            return verified


class GssKey(dns.tsig.Key):
    """A key that was agreed on. ``label`` is the account that it stands for; its representation shows no more."""

    def __init__(self, name: dns.name.Name, context: GssContext, label: str) -> None:
        secret: Any = context  # dnspython keeps it where other keys have their bytes
        super().__init__(name, secret, dns.tsig.GSS_TSIG)
        self.label = label

    def __repr__(self) -> str:
        return f"<GSS-TSIG key of {self.label}>"

    __str__ = __repr__


def negotiate(server: Endpoint, spn: str, ccache: Path, *, account: str, deadline: float) -> GssKey:
    """Agree on a key for ``account`` with the ticket for ``spn`` in ``ccache``. Raises CannotSignError."""
    try:
        import gssapi
    except ImportError:
        raise CannotSignError(
            OutcomeKind.CONFIG,
            "The optional package gssapi is not installed here, and Kerberos accounts need it. Install "
            "requirements/gssapi.txt (docs/dns.md says how).",
        ) from None
    # A suffix that no zone has: were it shared with the zone, the signature's name would be compressed, and Samba,
    # which packs it again uncompressed, would find that the signature does not fit.
    name = dns.name.from_text(f"{uuid.uuid4().hex[:16]}.gss-tsig-client.")
    try:
        context = GssContext(_context(spn, ccache))
        key = GssKey(name, context, account)
        token = context.step()
        for _ in range(MAX_ROUNDS):
            token = _exchange(server, key, context, token or b"", deadline)
            if context.complete:
                return key
            if not token:
                break
    except gssapi.exceptions.GSSError as error:
        words = str(error).rpartition("):")[2].strip() or str(error)
        raise RejectedTicketError(OutcomeKind.AUTH, f"The ticket for {spn} is not accepted ({words}).") from None
    raise CannotSignError(OutcomeKind.AUTH, f"{server.name} and {account} did not come to an agreement (TKEY).")


def _context(spn: str, ccache: Path) -> Any:
    import gssapi

    kerberos = gssapi.MechType.kerberos
    flags = gssapi.RequirementFlag
    credentials = gssapi.Credentials(usage="initiate", store={"ccache": f"FILE:{ccache}"}, mechs=[kerberos])
    return gssapi.SecurityContext(
        name=gssapi.Name(spn, gssapi.NameType.kerberos_principal),
        creds=credentials,
        usage="initiate",
        mech=kerberos,
        flags=flags.mutual_authentication | flags.integrity | flags.replay_detection,
    )


def _exchange(server: Endpoint, key: GssKey, context: GssContext, token: bytes, deadline: float) -> bytes | None:
    """Send our token, take theirs. Returns the next token of ours, or None."""
    query = tkey_query(key.name, token)
    # It feeds the answer's token to the context before it checks the answer's signature, which is made with it.
    query.keyring = dns.tsig.GSSTSigAdapter({key.name: key})  # type: ignore[no-untyped-call]
    reply = _ask(server, query, deadline)
    if reply.rcode() != dns.rcode.NOERROR:
        raise CannotSignError(*_refusal(server, dns.rcode.to_text(reply.rcode())))
    try:
        answer: Any = reply.find_rrset(reply.answer, key.name, dns.rdataclass.ANY, dns.rdatatype.TKEY)[0]
    except KeyError:
        raise CannotSignError(*_refusal(server, "an answer without a key")) from None
    if answer.error:
        raise _tkey_error(server, key.label, ERRORS.get(answer.error, str(answer.error)))
    if reply.had_tsig or context.complete:
        return None
    return context.step(answer.key)


def tkey_query(name: dns.name.Name, token: bytes) -> dns.message.Message:
    """RFC 3645 section 3.1.2: the question, and our token in the additional section."""
    query = dns.message.make_query(name, dns.rdatatype.TKEY, dns.rdataclass.ANY)
    query.flags &= ~dns.flags.RD
    now = int(time.time())
    record = TKEY(  # type: ignore[no-untyped-call]
        dns.rdataclass.ANY,
        dns.rdatatype.TKEY,
        dns.tsig.GSS_TSIG,
        now,
        now + LIFETIME_S,
        TKEY.GSSAPI_NEGOTIATION,
        0,
        token,
    )
    query.additional.append(dns.rrset.from_rdata(name, 0, record))
    return query


def _ask(server: Endpoint, query: dns.message.Message, deadline: float) -> dns.message.Message:
    left_s = deadline - time.monotonic()
    if left_s <= 0:
        raise CannotSignError(OutcomeKind.UNREACHABLE, f"No time was left to agree on a key with {server.name}.")
    try:
        return dns.query.tcp(query, server.address, timeout=left_s, port=server.port)
    except ConnectionRefusedError:
        problem = "nothing listens there"
    except (TimeoutError, dns.exception.Timeout):
        problem = "no answer in time"
    except (EOFError, ConnectionResetError):
        problem = "the connection was closed without an answer"
    except dns.exception.DNSException as error:
        raise CannotSignError(*_refusal(server, f"an answer that cannot be used: {type(error).__name__}")) from None
    except (OSError, socket.gaierror, ValueError) as error:
        problem = getattr(error, "strerror", None) or str(error)
    raise CannotSignError(
        OutcomeKind.UNREACHABLE,
        f"{server.name} could not be reached to agree on a key ({problem}). Check the server, and TCP port "
        f"{server.port} on the way to it.",
    )


def _refusal(server: Endpoint, said: str) -> tuple[OutcomeKind, str]:
    return OutcomeKind.CONFIG, (
        f"{server.name} does not agree on a key by Kerberos (TKEY: {said}). Check that it takes secure dynamic updates "
        "(GSS-TSIG), and that it is the server that is meant."
    )


def _tkey_error(server: Endpoint, account: str, code: str) -> CannotSignError:
    if code == "BADTIME":
        return CannotSignError(
            OutcomeKind.CLOCK,
            f"The clocks of this machine and {server.name} differ by more than 5 minutes (BADTIME). Set both by NTP.",
        )
    return RejectedTicketError(
        OutcomeKind.AUTH,
        f"{server.name} does not accept the ticket of account {account} ({code}). Check that {server.host_name} is "
        f"{server.name}'s own name, and that its clock is right.",
    )
