"""A proxy before a DNS server that does what broken servers and networks do. UDP always passes, so reading works."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum

from dnsops.providers.base import Endpoint
from tests.integration.bind import free_port

NOERROR, REFUSED = 0, 5
UPDATE = 5  # the opcode (RFC 2136 section 1.3)


class Mode(StrEnum):
    """What happens to an update over TCP. Anything else passes, such as agreeing on a key."""

    PASS = "pass"
    SILENT = "silent"  # taken, never answered, never passed on
    REPLY_LOST = "reply_lost"  # passed on, the answer thrown away, the connection closed
    REPLY_HANGS = "reply_hangs"  # passed on, the answer thrown away, the connection kept
    UNSIGNED = "unsigned"  # passed on, answered without signature
    UNSIGNED_LIE = "unsigned_lie"  # not passed on, answered NOERROR without signature
    UNSIGNED_REFUSED = "unsigned_refused"  # not passed on, answered REFUSED without signature
    ECHOED = "echoed"  # passed on, answered with the client's own message and signature
    ECHOED_LIE = "echoed_lie"  # not passed on, answered so, NOERROR
    ECHOED_REFUSED = "echoed_refused"  # not passed on, answered so, REFUSED
    TRUNCATED = "truncated"  # passed on, half of the answer
    TRUNCATED_SAYS_SO = "truncated_says_so"  # passed on, answered with a header alone that says TC
    GARBAGE = "garbage"  # passed on, answered with a message of somebody else's


PASSED_ON = {
    Mode.PASS, Mode.REPLY_LOST, Mode.REPLY_HANGS, Mode.UNSIGNED, Mode.ECHOED, Mode.TRUNCATED,
    Mode.TRUNCATED_SAYS_SO, Mode.GARBAGE,
}  # fmt: skip


class DnsProxy:
    """Listens on ``endpoint``; ``mode`` may be changed at any time; ``messages`` counts the updates that came."""

    def __init__(self, server: Endpoint) -> None:
        self.mode = Mode.PASS
        self.messages = 0
        self._server = (server.address, server.port)
        port = free_port()
        self.endpoint = replace(server, address="127.0.0.1", port=port)
        self._tcp = socket.create_server(("127.0.0.1", port))
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", port))
        self._kept: list[socket.socket] = []
        self._threads = [threading.Thread(target=job, daemon=True) for job in (self._serve_tcp, self._serve_udp)]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stop listening."""
        with contextlib.suppress(OSError):
            self._tcp.shutdown(socket.SHUT_RDWR)
        self._tcp.close()
        with contextlib.suppress(OSError):
            self._udp.sendto(b"", self._udp.getsockname())  # wakes the thread; an empty datagram ends it
        for kept in self._kept:
            kept.close()
        for thread in self._threads:
            thread.join(3)
        self._udp.close()

    def _serve_tcp(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._tcp.accept()
                threading.Thread(target=self._one, args=(client,), daemon=True).start()

    def _one(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            query = _receive(client)
            update = query[2] >> 3 & 0xF == UPDATE
            mode = self.mode if update else Mode.PASS
            self.messages += update
            reply = self._ask(query) if mode in PASSED_ON else b""
            answer = _answer(mode, query, reply)
            if answer is None:
                self._kept.append(client)
                return
            if answer:
                client.sendall(struct.pack("!H", len(answer)) + answer)
            client.close()

    def _ask(self, query: bytes) -> bytes:
        with socket.create_connection(self._server, timeout=5) as server:
            server.sendall(struct.pack("!H", len(query)) + query)
            return _receive(server)

    def _serve_udp(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                query, client = self._udp.recvfrom(4096)
                if not query:
                    return
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
                    server.settimeout(1)
                    server.sendto(query, self._server)
                    with contextlib.suppress(TimeoutError):
                        self._udp.sendto(server.recv(4096), client)


def _receive(connection: socket.socket) -> bytes:
    (length,) = struct.unpack("!H", connection.recv(2, socket.MSG_WAITALL))
    return connection.recv(length, socket.MSG_WAITALL)


def _answer(mode: Mode, query: bytes, reply: bytes) -> bytes | None:
    """The bytes to send; b"" closes without an answer, None keeps the connection open in silence."""
    if mode in {Mode.SILENT, Mode.REPLY_HANGS}:
        return None
    altered = {
        Mode.PASS: reply,
        Mode.REPLY_LOST: b"",
        Mode.TRUNCATED: reply[: len(reply) // 2],
        Mode.TRUNCATED_SAYS_SO: query[:2] + bytes([0xAA, NOERROR]) + b"\0" * 8,
        Mode.GARBAGE: bytes([query[0] ^ 0xFF, query[1]]) + reply[2:],
    }
    if mode in altered:
        return altered[mode]
    rcode = REFUSED if mode in {Mode.UNSIGNED_REFUSED, Mode.ECHOED_REFUSED} else NOERROR
    if mode in {Mode.ECHOED, Mode.ECHOED_LIE, Mode.ECHOED_REFUSED}:
        return query[:2] + bytes([query[2] | 0x80, (query[3] & 0xF0) | rcode]) + query[4:]
    return query[:2] + bytes([0xA8, rcode]) + b"\0" * 8


@contextmanager
def proxy_before(server: Endpoint) -> Iterator[DnsProxy]:
    """A proxy before ``server``, closed afterwards."""
    proxy = DnsProxy(server)
    try:
        yield proxy
    finally:
        proxy.close()
