"""A caching resolver on loopback, as a site's clients have one: it asks the demo's DNS servers and keeps the answers.

Real TTLs: an answer is kept until the first of its records runs out, and is given with what is left of each TTL.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence, Set as AbstractSet
from typing import Any, cast

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdatatype
import dns.rrset
from dns.rdatatype import RdataType

from a365admin.lab.config import DnsServerConfig, ResolverConfig
from a365admin.lab.dnsanswer import UDP_PAYLOAD
from a365admin.lab.faults import ResolverFault
from a365admin.lab.listening import Listening

log = logging.getLogger(__name__)

UPSTREAM_TIMEOUT_S = 0.6
STRETCHED_S = 60
KEPT_AT_MOST = 1000
Key = tuple[dns.name.Name, RdataType]


class Resolver:
    """One resolver. ``faults``: it is down, silent, or keeps answers for longer than it may."""

    def __init__(
        self,
        config: ResolverConfig,
        upstream: Sequence[DnsServerConfig],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.config = config
        self.faults: set[ResolverFault] = set()
        self._upstream = tuple(upstream)
        self._clock = clock
        self._kept: dict[Key, tuple[dns.message.Message, float, float]] = {}
        self._forgot = 0
        self._listening = Listening(f"The demo's resolver {config.name}", config.address, config.port)
        self._asking: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen, unless it is down. Raises LabError when its port is taken."""
        if ResolverFault.DOWN not in self.faults:
            await self._listen()

    async def stop(self) -> None:
        """Close everything, and forget what was kept."""
        for task in list(self._asking):
            task.cancel()
        self.forget()
        await self._listening.close()

    async def set_faults(self, faults: AbstractSet[ResolverFault]) -> None:
        """Have exactly these faults from now on."""
        was_down = ResolverFault.DOWN in self.faults
        self.faults = set(faults)
        if ResolverFault.DOWN in self.faults and not was_down:
            await self.stop()
        elif ResolverFault.DOWN not in self.faults and was_down:
            await self._listen()

    def forget(self) -> None:
        """Clear the cache, as an administrator does with a resolver that is late; what is being asked is not kept."""
        self._kept.clear()
        self._forgot += 1

    def knows(self, name: dns.name.Name) -> tuple[str, int] | None:
        """What it keeps about a name, and for how many seconds more; None where it keeps nothing."""
        for rdtype in (RdataType.A, RdataType.CNAME):
            kept = self._from_cache((name, rdtype))
            for rrset in kept.answer if kept is not None else ():
                if rrset.name == name:
                    return f"{dns.rdatatype.to_text(rrset.rdtype)} {rrset[0].to_text()}", rrset.ttl
        return None

    async def answer(self, wire: bytes) -> bytes | None:
        """In: a message from anybody. Out: the answer, or None where none is to be sent. Never raises."""
        if ResolverFault.SILENT in self.faults:
            return None
        try:
            query = dns.message.from_wire(wire)
        except (dns.exception.DNSException, ValueError):
            return None
        if query.flags & dns.flags.QR:
            return None
        response = dns.message.make_response(query, recursion_available=True, our_payload=UDP_PAYLOAD)
        if query.opcode() != dns.opcode.QUERY or len(query.question) != 1:
            response.set_rcode(dns.rcode.NOTIMP)
        elif not query.flags & dns.flags.RD:
            response.set_rcode(dns.rcode.REFUSED)  # nobody looks into our cache
        else:
            question = query.question[0]
            found = await self._resolve((question.name, question.rdtype))
            response.set_rcode(found.rcode())
            response.answer, response.authority = found.answer, found.authority
        return response.to_wire(max_size=65535)

    async def _resolve(self, key: Key) -> dns.message.Message:
        kept = self._from_cache(key)
        if kept is not None:
            return kept
        forgot = self._forgot
        for server in self._upstream:
            query = dns.message.make_query(key[0], key[1], flags=0)
            try:
                found = await dns.asyncquery.udp(
                    query, server.address, timeout=UPSTREAM_TIMEOUT_S, port=server.port, ignore_unexpected=True
                )
            except (dns.exception.DNSException, OSError):
                continue
            if found.rcode() in {dns.rcode.NOERROR, dns.rcode.NXDOMAIN}:
                if forgot == self._forgot:
                    self._keep(key, found)
                return found
        failed = dns.message.Message()
        failed.set_rcode(dns.rcode.SERVFAIL)
        return failed

    def _keep(self, key: Key, found: dns.message.Message) -> None:
        ttls = [rrset.ttl for rrset in (*found.answer, *found.authority)]
        if not ttls:
            return
        if len(self._kept) >= KEPT_AT_MOST:
            self._kept.clear()
        now = self._clock()
        self._kept[key] = (found, now, now + min(ttls))

    def _from_cache(self, key: Key) -> dns.message.Message | None:
        """What is kept, with what is left of each TTL. One that stretches TTLs gives 1 s for what has run out."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        found, since, until = kept
        now = self._clock()
        until += STRETCHED_S if ResolverFault.STRETCHING in self.faults else 0
        if now >= until:
            return None
        aged = dns.message.Message()
        aged.set_rcode(found.rcode())
        age_s = int(now - since)
        for section, source in ((aged.answer, found.answer), (aged.authority, found.authority)):
            for rrset in source:
                left_s = max(rrset.ttl - age_s, 1)
                section.append(dns.rrset.from_rdata_list(rrset.name, left_s, list(rrset)))
        return aged

    async def _listen(self) -> None:
        await self._listening.open(lambda: _Udp(self), self._serve_tcp)

    def take(self, wire: bytes, reply: Callable[[bytes], None]) -> None:
        """Answer in a task of its own: a slow server behind it does not hold up other questions."""

        async def work() -> None:
            answer = await self.answer(wire)
            if answer is not None:
                reply(answer)

        task = asyncio.get_running_loop().create_task(work())
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(5):
                length = int.from_bytes(await reader.readexactly(2), "big")
                answer = await self.answer(await reader.readexactly(length))
                if answer is not None:
                    writer.write(len(answer).to_bytes(2, "big") + answer)
                    await writer.drain()
        except (OSError, EOFError, TimeoutError):
            pass  # the client has gone, or says nothing
        finally:
            writer.close()


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)  # not a subclass in Python 3.11

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        transport = self._transport
        if transport is not None:
            self._resolver.take(data, lambda answer: transport.sendto(answer, addr))
