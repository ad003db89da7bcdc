"""One authoritative DNS server on loopback, UDP and TCP, with TSIG-signed RFC 2136 updates and switchable faults."""

import asyncio
import logging
from collections.abc import Callable, Set as AbstractSet
from pathlib import Path
from typing import Any, cast

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.tsig
import dns.versioned
from dns.rcode import Rcode
from dns.rdatatype import RdataType

from a365admin.lab.config import DnsServerConfig
from a365admin.lab.dnsanswer import UDP_PAYLOAD, answer_query
from a365admin.lab.dnstsig import Unverified, answer_unverified, read_signed
from a365admin.lab.dnsupdate import UpdateResult, apply_update
from a365admin.lab.estate import RECORD_TTL_S
from a365admin.lab.faults import DnsFault
from a365admin.lab.listening import Listening
from a365admin.lab.zone import copy_zone, remove_name, save_zone, serial_of, set_record

log = logging.getLogger(__name__)

HEADER_LENGTH = 12
MAX_TCP_CONNECTIONS = 256
TCP_IDLE_S = 30.0
WRITABLE_TYPES = frozenset({RdataType.CNAME, RdataType.A, RdataType.AAAA, RdataType.ANY})


class DnsServer:
    """A server of one zone. The writer takes updates; a follower refuses them, and copies when `follow()` is called."""

    def __init__(
        self,
        config: DnsServerConfig,
        zone: dns.versioned.Zone,
        *,
        key: dns.tsig.Key,
        writable: AbstractSet[dns.name.Name],
        zone_file: Path | None = None,
        is_writer: bool = True,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self.config = config
        self.zone = zone
        self.faults: set[DnsFault] = set()
        self.is_writer = is_writer
        self._key = key
        self._writable = writable
        self._zone_file = zone_file
        self._on_change = on_change
        self._listening = Listening(f"The demo's DNS server {config.name}", config.address, config.port)
        self._connections: set[asyncio.StreamWriter] = set()

    @property
    def possible_faults(self) -> tuple[DnsFault, ...]:
        """The faults that make sense here: only a follower can be stuck, only the writer takes updates."""
        if self.is_writer:
            return (DnsFault.REFUSING, DnsFault.REPLY_LOST, DnsFault.VANISHING, DnsFault.SILENT, DnsFault.DOWN)
        return (DnsFault.STUCK, DnsFault.SILENT, DnsFault.DOWN)

    async def start(self) -> None:
        """Listen, unless the server is down. Raises LabError when its port is taken."""
        if DnsFault.DOWN not in self.faults:
            await self._listen()

    async def stop(self) -> None:
        """Close everything at once."""
        for writer in list(self._connections):
            writer.transport.abort()
        await self._listening.close()

    async def set_faults(self, faults: AbstractSet[DnsFault]) -> None:
        """Have exactly these faults from now on."""
        was_down = DnsFault.DOWN in self.faults
        self.faults = set(faults)
        if DnsFault.DOWN in self.faults and not was_down:
            await self.stop()
        elif DnsFault.DOWN not in self.faults and was_down:
            await self._listen()

    def follow(self, source: dns.versioned.Zone) -> None:
        """Copy the writer's zone, unless a fault prevents it."""
        if self.faults & {DnsFault.STUCK, DnsFault.DOWN} or serial_of(source) == serial_of(self.zone):
            return
        copy_zone(source, self.zone)
        self.save()

    def save(self) -> None:
        """Keep the zone in its file. A disk that is full must not stop the server: it is logged."""
        if self._zone_file is None:
            return
        try:
            save_zone(self._zone_file, self.zone)
        except OSError:
            log.exception("%s cannot be written: the demo's records will be lost at a restart.", self._zone_file)

    def handle(self, wire: bytes, *, max_size: int = 65535) -> bytes | None:
        """In: a message from anybody. Out: the answer, or None where none is to be sent. Never raises."""
        if DnsFault.SILENT in self.faults:
            return None
        if len(wire) < HEADER_LENGTH or wire[2] & 0x80:  # not a message, or an answer (two servers must not chat)
            return None
        try:
            request = read_signed(wire, self._key)
        except (dns.exception.DNSException, ValueError, NotImplementedError):
            return _bare_answer(wire, Rcode.FORMERR)
        try:
            return self._answer(request, wire, max_size)
        except Exception:  # a bug of ours or of dnspython's, found by a hostile packet, must not end the server
            log.exception("A DNS message could not be answered.")
            return _bare_answer(wire, Rcode.SERVFAIL)

    def _answer(self, request: dns.message.Message | Unverified, wire: bytes, max_size: int) -> bytes | None:
        if isinstance(request, Unverified):
            return answer_unverified(request, self._key)
        if request.opcode() == dns.opcode.UPDATE:
            result = self._update(request, wire)
            if DnsFault.SILENT in self.faults or (DnsFault.REPLY_LOST in self.faults and _is_change(wire)):
                return None
            response = dns.message.make_response(request)
            response.set_rcode(result.rcode)
        else:
            response = answer_query(self.zone, request)
        if max_size < 65535:
            max_size = min(max(request.payload if request.edns >= 0 else 512, 512), max_size)
        return response.to_wire(max_size=max_size, prefer_truncation=True)

    def _update(self, request: dns.message.Message, wire: bytes) -> UpdateResult:
        if not self.is_writer or not request.had_tsig or (DnsFault.REFUSING in self.faults and _is_change(wire)):
            return UpdateResult(Rcode.REFUSED)
        result = apply_update(self.zone, wire, may_write=self._may_write)
        if result.changed:
            if DnsFault.VANISHING in self.faults:
                self.faults = self.faults - {DnsFault.VANISHING} | {DnsFault.SILENT}
            self.save()
            self._on_change()
        return result

    def edit(
        self, name: dns.name.Name, target: dns.name.Name | str, *, ttl_s: int = RECORD_TTL_S, record_type: str = "CNAME"
    ) -> None:
        """Point a name somewhere else, as somebody does who edits the zone by hand: no key, no question, no update."""
        if set_record(self.zone, name, record_type, str(target), ttl_s=ttl_s):
            self.save()
            self._on_change()

    def remove(self, name: dns.name.Name) -> None:
        """Delete a name, as somebody does who edits the zone by hand, or as scavenging does."""
        if remove_name(self.zone, name):
            self.save()
            self._on_change()

    def _may_write(self, name: dns.name.Name, rdtype: RdataType) -> bool:
        return name in self._writable and rdtype in WRITABLE_TYPES

    async def _listen(self) -> None:
        await self._listening.open(lambda: _Udp(self), self._serve_tcp)

    async def _serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= MAX_TCP_CONNECTIONS or DnsFault.DOWN in self.faults:
            writer.transport.abort()
            return
        self._connections.add(writer)
        try:
            while True:
                async with asyncio.timeout(TCP_IDLE_S):
                    length = int.from_bytes(await reader.readexactly(2), "big")
                    wire = await reader.readexactly(length)
                    answer = self.handle(wire)
                    if answer is not None:
                        writer.write(len(answer).to_bytes(2, "big") + answer)
                        await writer.drain()
        except (OSError, EOFError, TimeoutError):
            pass  # the client has gone, or says nothing more
        finally:
            self._connections.discard(writer)
            writer.close()


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)  # not a subclass in Python 3.11

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        answer = self._server.handle(data, max_size=UDP_PAYLOAD)
        if answer is not None and self._transport is not None:
            self._transport.sendto(answer, addr)


def _is_change(wire: bytes) -> bool:
    """Whether an update message asks for a change, and does not only ask whether it would be listened to."""
    return int.from_bytes(wire[8:10], "big") > 0


def _bare_answer(wire: bytes, rcode: Rcode) -> bytes:
    """A header only: the same id and opcode, the RD bit, and the rcode."""
    flags = dns.flags.QR | (int.from_bytes(wire[2:4], "big") & (0x7800 | dns.flags.RD))
    return wire[:2] + (flags | rcode).to_bytes(2, "big") + bytes(8)
