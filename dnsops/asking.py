"""Ask a DNS server for the record at a name, UDP first, TCP where UDP is cut short.

An authoritative server is asked for its own data (RD=0) and must say that it is; a resolver is asked as its clients
ask it (RD=1), and the TTL is what is left of that of the record at the name itself, not of what it leads to.
"""

from __future__ import annotations

import asyncio
import secrets
import selectors
import socket
import struct
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Self, cast

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from dnsops.plan import Answer, RRset
from dnsops.providers.base import Endpoint

RESEND_AFTER_S = 0.4
WANTED = (dns.rdatatype.CNAME, dns.rdatatype.A)
ID_LENGTH = 2
NO_ID = bytes(ID_LENGTH)
KEPT_LENGTH = 512
"""Answers to such questions are short; a longer one is read, but not remembered."""


class Question:
    """One query, and what makes an answer its own. Asked for A, a server gives a CNAME too (RFC 1034 3.6.2)."""

    def __init__(self, endpoint: Endpoint, name: str) -> None:
        self.endpoint = endpoint
        self.name = name
        self._query = _query(name, recursive=endpoint.recursive)
        self.wire = secrets.token_bytes(ID_LENGTH) + self._query

    def parse(self, wire: bytes) -> Answer | None:
        """Return the answer; None where the message is not an answer to this question."""
        if wire[:ID_LENGTH] != self.wire[:ID_LENGTH]:
            return None
        read = _reply if len(wire) <= KEPT_LENGTH else _reply.__wrapped__
        reply = read(self._query, wire[ID_LENGTH:])
        if reply is None:
            return None
        if reply.rcode not in {"NOERROR", "NXDOMAIN"}:
            return self.error(f"it answers {reply.rcode}", reply.rcode)
        if not reply.authoritative and not self.endpoint.recursive:
            return self.error("it is not authoritative for this name", reply.rcode)
        return Answer(self.endpoint.name, "answered", reply.rrset, rcode=reply.rcode, is_writer=self.endpoint.is_writer)

    def cut_short(self, wire: bytes) -> bool:
        """Whether the header says that the answer did not fit (TC)."""
        return len(wire) > 3 and wire[:2] == self.wire[:2] and bool(wire[2] & 0x02)

    def silent(self) -> Answer:
        """Nothing came in time."""
        return Answer(self.endpoint.name, "silent", is_writer=self.endpoint.is_writer, error="no answer")

    def error(self, text: str, rcode: str = "") -> Answer:
        """Something came that is no answer, or the network said no."""
        return Answer(self.endpoint.name, "error", rcode=rcode, is_writer=self.endpoint.is_writer, error=text)


@dataclass(frozen=True, slots=True)
class _Reply:
    """What counts of a message that answers a query."""

    rcode: str
    authoritative: bool
    rrset: RRset | None


@lru_cache(maxsize=1024)
def _query(name: str, *, recursive: bool) -> bytes:
    """The query, but for its id. Raises what dnspython raises for what is no name."""
    query = dns.message.make_query(dns.name.from_text(name), dns.rdatatype.A)
    if not recursive:
        query.flags &= ~dns.flags.RD
    return query.to_wire()[ID_LENGTH:]


@lru_cache(maxsize=4096)
def _reply(query: bytes, reply: bytes) -> _Reply | None:
    """Both without their ids; None where the one does not answer the other.

    A server that is asked each second says the same thing each second: it is read once.
    """
    try:
        asked = dns.message.from_wire(NO_ID + query)
        message = dns.message.from_wire(NO_ID + reply, ignore_trailing=True, raise_on_truncation=False)
    except (dns.exception.DNSException, ValueError):
        return None
    if not asked.is_response(message):
        return None
    name = asked.question[0].name
    found = (message.get_rrset(message.answer, name, dns.rdataclass.IN, rtype) for rtype in WANTED)
    rrset = next((rrset_of(rrset) for rrset in found if rrset is not None), None)
    return _Reply(dns.rcode.to_text(message.rcode()), bool(message.flags & dns.flags.AA), rrset)


def rrset_of(rrset: dns.rrset.RRset) -> RRset:
    """Our form of a dnspython RRset: values as sorted lower-case text, names absolute."""
    values = sorted(rdata.to_text().lower() for rdata in rrset)
    return RRset(dns.rdatatype.to_text(rrset.rdtype), rrset.ttl, tuple(values))


def ask(endpoint: Endpoint, name: str, *, timeout_s: float) -> Answer:
    """Ask and wait, in this thread, at most ``timeout_s``. Network trouble is in the answer, never raised."""
    question = Question(endpoint, name)
    deadline = time.monotonic() + timeout_s
    try:
        answer = _udp(question, deadline)
    except _CutShortError:
        answer = _tcp(question, deadline)
    except OSError as error:
        answer = question.error(_said(error))
    return answer or question.silent()


class Asking:
    """All of some servers, asked at once; between the asking and ``answers()`` the caller may do other things.

    Without an event loop: making and closing one costs more than a few questions do. A context manager.
    """

    def __init__(self, endpoints: Sequence[Endpoint], name: str, *, timeout_s: float) -> None:
        """Send. ``timeout_s`` counts from now."""
        self._endpoints = endpoints
        self._name = name
        self._deadline = time.monotonic() + timeout_s
        self._questions = [Question(endpoint, name) for endpoint in endpoints]
        self._found: dict[int, Answer] = {}
        self._sockets = ExitStack()
        self._selector = self._sockets.enter_context(selectors.DefaultSelector())
        for number, question in enumerate(self._questions):
            try:
                udp = self._sockets.enter_context(_udp_socket(question))
                udp.setblocking(False)
                udp.send(question.wire)
            except OSError as error:
                self._found[number] = question.error(_said(error))
            else:
                self._selector.register(udp, selectors.EVENT_READ, number)
        self._resend_at = time.monotonic() + RESEND_AFTER_S

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sockets.close()

    def answers(self) -> list[Answer]:
        """Wait, in this thread, until all have answered or the time is up; in the endpoints' order."""
        try:
            # What has come by now counts, also where the caller came back for it after the time was up.
            while len(self._found) < len(self._questions) and self._collect():
                pass
        except _CutShortError:  # rare: all of them anew, side by side, so that one slow TCP delays no other
            return asyncio.run(_ask_all_async(self._endpoints, self._name, self._deadline))
        return [self._found.get(number) or question.silent() for number, question in enumerate(self._questions)]

    def _collect(self) -> bool:
        """Take what comes next. False: the time is up."""
        now = time.monotonic()
        in_time = now < self._deadline
        if in_time and now >= self._resend_at:
            self._resend_at = now + RESEND_AFTER_S
            _send_again(self._selector, self._questions)
        for key, _ in self._selector.select(max(min(self._deadline, self._resend_at) - now, 0)):
            udp = cast("socket.socket", key.fileobj)
            answer = _received(udp, self._questions[key.data])
            if answer is not None:
                self._selector.unregister(udp)
                self._found[key.data] = answer
        return in_time


def ask_together(endpoints: Sequence[Endpoint], name: str, *, timeout_s: float) -> list[Answer]:
    """Ask all of them at once and wait, in this thread, at most ``timeout_s``; answers in the endpoints' order."""
    with Asking(endpoints, name, timeout_s=timeout_s) as asking:
        return asking.answers()


def _udp_socket(question: Question) -> socket.socket:
    udp = socket.socket(socket.AF_INET6 if ":" in question.endpoint.address else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        udp.connect((question.endpoint.address, question.endpoint.port))
    except OSError:
        udp.close()
        raise
    return udp


def _send_again(selector: selectors.BaseSelector, questions: Sequence[Question]) -> None:
    for key in list(selector.get_map().values()):
        with suppress(OSError):  # what is wrong with the network shows when we listen
            cast("socket.socket", key.fileobj).send(questions[key.data].wire)


class _CutShortError(Exception):
    """The answer did not fit into a datagram."""


async def _ask_all_async(endpoints: Sequence[Endpoint], name: str, deadline: float) -> list[Answer]:
    left_s = max(deadline - time.monotonic(), 0.001)
    return list(await asyncio.gather(*(ask_async(endpoint, name, timeout_s=left_s) for endpoint in endpoints)))


def _received(udp: socket.socket, question: Question) -> Answer | None:
    """What a readable socket has: an answer, or None for a datagram that is none of ours. Raises _CutShortError."""
    try:
        wire = udp.recv(65535)
    except BlockingIOError:
        return None
    except OSError as error:
        return question.error(_said(error))
    if question.cut_short(wire):
        raise _CutShortError
    return question.parse(wire)


def _udp(question: Question, deadline: float) -> Answer | None:
    """The answer; None where none came in time. Raises _CutShortError, OSError."""
    with _udp_socket(question) as udp:
        while (left := deadline - time.monotonic()) > 0:
            udp.send(question.wire)
            resend_at = time.monotonic() + min(left, RESEND_AFTER_S)
            while (wait := resend_at - time.monotonic()) > 0:
                udp.settimeout(wait)
                try:
                    wire = udp.recv(65535)
                except TimeoutError:
                    break
                if question.cut_short(wire):
                    raise _CutShortError
                if (answer := question.parse(wire)) is not None:
                    return answer
    return None


def _tcp(question: Question, deadline: float) -> Answer | None:
    left = max(deadline - time.monotonic(), 0.001)
    try:
        with connect_tcp(question.endpoint, timeout_s=left) as tcp:
            tcp.sendall(struct.pack("!H", len(question.wire)) + question.wire)
            return question.parse(receive_tcp(tcp, deadline))
    except TimeoutError:
        return None
    except (OSError, EOFError) as error:
        return question.error(_said(error))


def connect_tcp(endpoint: Endpoint, *, timeout_s: float) -> socket.socket:
    """Connect. Raises TimeoutError, OSError. An address needs no resolver, which ``create_connection`` would ask."""
    tcp = socket.socket(socket.AF_INET6 if ":" in endpoint.address else socket.AF_INET, socket.SOCK_STREAM)
    try:
        tcp.settimeout(timeout_s)
        tcp.connect((endpoint.address, endpoint.port))
    except OSError:
        tcp.close()
        raise
    return tcp


def receive_tcp(tcp: socket.socket, deadline: float) -> bytes:
    """Read one message with its length in front (RFC 1035 4.2.2). Raises TimeoutError, EOFError, OSError."""
    received, wanted = b"", 2
    while len(received) < wanted:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("no answer in time")
        tcp.settimeout(left)
        part = tcp.recv(65537 - len(received))
        if not part:
            raise EOFError("closed without an answer")
        received += part
        if len(received) >= 2:
            wanted = 2 + struct.unpack_from("!H", received)[0]
    return received[2:wanted]


async def ask_async(endpoint: Endpoint, name: str, *, timeout_s: float) -> Answer:
    """The same, for many servers at once in one loop."""
    question = Question(endpoint, name)
    try:
        async with asyncio.timeout(timeout_s):
            wire = await _udp_async(question)
            if question.cut_short(wire):
                wire = await _tcp_async(question)
    except TimeoutError:
        return question.silent()
    except (OSError, EOFError) as error:
        return question.error(_said(error))
    return question.parse(wire) or question.silent()


class _Receiver(asyncio.DatagramProtocol):
    """Waits for the first datagram that answers the question."""

    def __init__(self, question: Question, done: asyncio.Future[bytes]) -> None:
        self.question = question
        self.done = done

    def datagram_received(self, data: bytes, addr: object) -> None:
        """Take an answer; anything else is not ours, and the wait goes on."""
        if not self.done.done() and (self.question.cut_short(data) or self.question.parse(data) is not None):
            self.done.set_result(data)

    def error_received(self, exc: Exception) -> None:
        """The other machine said that nobody listens there."""
        if not self.done.done():
            self.done.set_exception(exc)


async def _udp_async(question: Question) -> bytes:
    loop = asyncio.get_running_loop()
    done: asyncio.Future[bytes] = loop.create_future()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _Receiver(question, done), remote_addr=(question.endpoint.address, question.endpoint.port)
    )
    try:
        while True:
            transport.sendto(question.wire)
            finished, _ = await asyncio.wait({done}, timeout=RESEND_AFTER_S)
            if finished:
                return done.result()
    finally:
        transport.abort()


async def _tcp_async(question: Question) -> bytes:
    reader, writer = await asyncio.open_connection(question.endpoint.address, question.endpoint.port)
    try:
        writer.write(struct.pack("!H", len(question.wire)) + question.wire)
        await writer.drain()
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        return await reader.readexactly(length)
    finally:
        writer.close()


def _said(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return "closed without an answer"
