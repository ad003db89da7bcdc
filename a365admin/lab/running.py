"""The demo estate in operation: all servers on one event loop, their faults, and what follows from a change."""

import asyncio
import logging
from typing import Any

import dns.exception
import dns.name
import dns.rdatatype
import dns.tsig

from a365admin.lab.config import LabConfig, write_private
from a365admin.lab.dnsserver import DnsServer
from a365admin.lab.errors import LabError
from a365admin.lab.estate import RECORD_TTL_S
from a365admin.lab.faults import FORGET, DnsFault, ResolverFault, ServerFault, UccAction
from a365admin.lab.resolver import Resolver
from a365admin.lab.servers import A365Server
from a365admin.lab.state import KeptState, ServerState, from_json, to_json
from a365admin.lab.zone import (
    copy_zone,
    load_zone,
    parse_zone,
    save_zone,
    serial_of,
    zone_text,
)

log = logging.getLogger(__name__)

FOLLOW_LAG_S = 0.2
MAX_TTL_S = 86_400


class Estate:
    """Everything that the demo runs, except its control. To be made within the event loop that will run it."""

    def __init__(self, config: LabConfig) -> None:
        self.config = config
        self.servers = {
            server.name: A365Server(server, directory=config.directory, domain=config.domain)
            for server in config.servers
        }
        self.dns = {server.name: self._dns_server(index) for index, server in enumerate(config.dns)}
        self.resolvers = {resolver.name: Resolver(resolver, config.dns) for resolver in config.resolvers}
        self._changing = asyncio.Lock()
        self._follow_later: asyncio.TimerHandle | None = None
        self._state_file = config.directory / "state.json"

    @property
    def writer(self) -> DnsServer:
        """The DNS server that takes updates."""
        return self.dns[self.config.dns[0].name]

    async def start(self) -> None:
        """Listen everywhere, with the faults of the last run. Raises LabError when an address or port is taken."""
        kept = self._load_state()
        try:
            for name, server in self.servers.items():
                state = kept.servers.get(name, ServerState(server.config.ucc_running))
                await server.set_state(faults=state.faults, ucc_running=state.ucc_running)
            for name, dns_server in self.dns.items():
                await dns_server.set_faults(kept.dns.get(name, frozenset()))
                await dns_server.start()
            for name, resolver in self.resolvers.items():
                await resolver.set_faults(kept.resolvers.get(name, frozenset()))
                await resolver.start()
        except LabError:
            await self.stop()
            raise
        self._follow()

    async def stop(self) -> None:
        """Close everything at once."""
        if self._follow_later is not None:
            self._follow_later.cancel()
        for server in self.servers.values():
            await server.stop()
        for dns_server in self.dns.values():
            await dns_server.stop()
        for resolver in self.resolvers.values():
            await resolver.stop()

    def state(self) -> dict[str, Any]:
        """What GET /state answers: every server with its faults, addresses and what it is."""
        return {
            "domain": self.config.domain,
            "servers": [
                {
                    "name": server.config.name,
                    "fqdn": server.config.fqdn,
                    "address": server.config.address,
                    "web_port": server.config.web_port,
                    "ucc_ports": list(server.config.ucc_ports),
                    "ucc_running": server.ucc_running,
                    "ucc_answers": server.ucc_answers,
                    "hostnames": list(server.config.hostnames),
                    "faults": sorted(server.faults),
                    "possible_faults": [fault.value for fault in ServerFault],
                }
                for server in self.servers.values()
            ],
            "dns": [
                {
                    "name": server.config.name,
                    "address": server.config.address,
                    "port": server.config.port,
                    "is_writer": server.is_writer,
                    "serial": serial_of(server.zone),
                    "answers": self._answers(server),
                    "faults": sorted(server.faults),
                    "possible_faults": [fault.value for fault in server.possible_faults],
                }
                for server in self.dns.values()
            ],
            "resolvers": [self._resolver_state(resolver) for resolver in self.resolvers.values()],
        }

    async def set_fault(self, target: str, fault: str, *, on: bool) -> None:
        """Break or mend one thing, or start or stop a UCC service. Raises LabError for what there is not."""
        async with self._changing:
            if target in self.servers:
                await self._set_server_fault(self.servers[target], fault, on=on)
            elif target in self.resolvers:
                await self._set_resolver_fault(self.resolvers[target], fault, on=on)
            elif target in self.dns:
                await self._set_dns_fault(self.dns[target], fault, on=on)
            else:
                raise LabError(f"The demo has no server {target!r}. It has {', '.join([*self.servers, *self.dns])}.")
            self._save_state()

    async def edit(self, hostname: str, target: str, *, ttl_s: int = RECORD_TTL_S) -> None:
        """Change a dedicated hostname's record on the writer by hand, behind everybody's back.

        In: its FQDN; the FQDN that it is to be an alias of; a TTL in seconds. The writer's faults do not matter: who
        edits by hand sits at the server. Raises LabError for a hostname that there is not, and for what is no name.
        """
        name = self._hostname(hostname)
        if not 0 <= ttl_s <= MAX_TTL_S:
            raise LabError(f"A TTL is 0 to {MAX_TTL_S} seconds; found {ttl_s}.")
        try:
            alias_of = dns.name.from_text(target)
        except (dns.exception.DNSException, ValueError) as error:
            raise LabError(f"{target!r} is not a name that a record of the demo can point at.") from error
        if alias_of in {name, dns.name.root}:
            raise LabError(f"{target!r} is not a name that {hostname} can point at.")
        async with self._changing:
            self.writer.edit(name, alias_of, ttl_s=ttl_s)

    async def remove(self, hostname: str) -> None:
        """Delete a dedicated hostname's record on the writer, as scavenging does. Raises LabError."""
        name = self._hostname(hostname)
        async with self._changing:
            self.writer.remove(name)

    def _hostname(self, hostname: str) -> dns.name.Name:
        known = [config.fqdn for config in self.config.hostnames]
        if hostname not in known:
            raise LabError(f"The demo has no dedicated hostname {hostname!r}. It has {', '.join(known)}.")
        return dns.name.from_text(hostname)

    async def reset(self, *, start_over: bool = False) -> None:
        """Mend everything: no faults, and the UCC service running wherever an untouched demo runs it.

        A UCC service that was started on a cold standby keeps running, and DNS keeps what it says: clients depend on
        both by now. With `start_over` these too are as in an untouched demo.
        """
        async with self._changing:
            for server in self.servers.values():
                runs = server.config.ucc_running or (server.ucc_running and not start_over)
                await server.set_state(faults=frozenset(), ucc_running=runs)
            for dns_server in self.dns.values():
                await dns_server.set_faults(frozenset())
            for resolver in self.resolvers.values():
                await resolver.set_faults(frozenset())
            if start_over:
                text = zone_text(self.config, serial=serial_of(self.writer.zone) + 1)
                copy_zone(parse_zone(text), self.writer.zone)
                self.writer.save()
                for resolver in self.resolvers.values():
                    resolver.forget()
            self._follow()
            self._save_state()

    async def _set_server_fault(self, server: A365Server, fault: str, *, on: bool) -> None:
        if fault in set(UccAction):
            action = UccAction(fault)
            if not on:
                action = UccAction.STOP if action is UccAction.START else UccAction.START
            await server.act(action)
        elif fault in set(ServerFault):
            chosen = {ServerFault(fault)}
            faults = server.faults | chosen if on else server.faults - chosen
            await server.set_state(faults=faults, ucc_running=server.ucc_running)
        else:
            known = ", ".join([*ServerFault, *UccAction])
            raise LabError(f"A server of the demo has no fault {fault!r}. It has {known}.")

    async def _set_dns_fault(self, server: DnsServer, fault: str, *, on: bool) -> None:
        if fault not in set(server.possible_faults):
            known = ", ".join(server.possible_faults)
            raise LabError(f"{server.config.name} of the demo has no fault {fault!r}. It has {known}.")
        chosen = {DnsFault(fault)}
        await server.set_faults(server.faults | chosen if on else server.faults - chosen)
        self._follow()

    async def _set_resolver_fault(self, resolver: Resolver, fault: str, *, on: bool) -> None:
        if fault == FORGET:
            resolver.forget()
        elif fault in set(ResolverFault):
            chosen = {ResolverFault(fault)}
            await resolver.set_faults(resolver.faults | chosen if on else resolver.faults - chosen)
        else:
            known = ", ".join([*ResolverFault, FORGET])
            raise LabError(f"A resolver of the demo has no fault {fault!r}. It has {known}.")

    def _resolver_state(self, resolver: Resolver) -> dict[str, Any]:
        """One resolver: for each dedicated hostname what it keeps, and for how many seconds more."""
        kept = {hostname.fqdn: resolver.knows(dns.name.from_text(hostname.fqdn)) for hostname in self.config.hostnames}
        return {
            "name": resolver.config.name,
            "site": resolver.config.site,
            "address": resolver.config.address,
            "port": resolver.config.port,
            "answers": {fqdn: f"{found[0]}, {found[1]} s left" for fqdn, found in kept.items() if found},
            "faults": sorted(resolver.faults),
            "possible_faults": [fault.value for fault in ResolverFault],
        }

    def _answers(self, server: DnsServer) -> dict[str, str]:
        """What this server has for each dedicated hostname: "CNAME srv1.lab.example." or nothing."""
        answers = {}
        for hostname in self.config.hostnames:
            node = server.zone.get_node(dns.name.from_text(hostname.fqdn))
            records = [
                f"{dns.rdatatype.to_text(rdataset.rdtype)} {rdata.to_text()}"
                for rdataset in (node.rdatasets if node is not None else ())
                for rdata in rdataset
            ]
            answers[hostname.fqdn] = ", ".join(sorted(records))
        return answers

    def _dns_server(self, index: int) -> DnsServer:
        server = self.config.dns[index]
        zone_file = self.config.directory / f"{server.name}.zone"
        zone = load_zone(zone_file, self.config)
        if not zone_file.exists():
            save_zone(zone_file, zone)
        return DnsServer(
            server,
            zone,
            key=dns.tsig.Key(self.config.tsig.name, self.config.tsig_secret(), self.config.tsig.algorithm),
            writable=frozenset(dns.name.from_text(hostname.fqdn) for hostname in self.config.hostnames),
            zone_file=zone_file,
            is_writer=index == 0,
            on_change=self._dns_changed,
        )

    def _dns_changed(self) -> None:
        """The second DNS server hears of a change a moment later, as by a notification."""
        self._save_state()  # the writer may have fallen silent with this change, and stays so after a restart
        if self._follow_later is None:
            self._follow_later = asyncio.get_running_loop().call_later(FOLLOW_LAG_S, self._follow)

    def _follow(self) -> None:
        self._follow_later = None
        if self.writer.faults & {DnsFault.DOWN, DnsFault.SILENT}:
            return  # nobody can copy from it now; asked again when it is mended
        for server in self.dns.values():
            if not server.is_writer:
                server.follow(self.writer.zone)

    def _save_state(self) -> None:
        state = KeptState(
            {name: ServerState(server.ucc_running, frozenset(server.faults)) for name, server in self.servers.items()},
            {name: frozenset(server.faults) for name, server in self.dns.items()},
            {name: frozenset(resolver.faults) for name, resolver in self.resolvers.items()},
        )
        try:
            write_private(self._state_file, to_json(state))
        except OSError:
            log.exception("%s cannot be written: the demo's faults will be lost at a restart.", self._state_file)

    def _load_state(self) -> KeptState:
        try:
            return from_json(self._state_file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return KeptState()
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("%s cannot be used (%r): starting with nothing broken.", self._state_file, error)
            return KeptState()
