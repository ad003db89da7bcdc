"""A small TCP load balancer, for a demo on a machine without HAProxy; it behaves as HAProxy does as we configure it."""

import asyncio
import contextlib
import time
from dataclasses import dataclass, field

from a365admin.lab.config import BalancerConfig
from a365admin.lab.httpserver import Request, Response, serve_connection
from a365admin.lab.ports import Mode, Port
from pools.balancer_config import CHECK_FALL, CHECK_RISE, RealServerConfig, ServiceConfig

CONNECT_TIMEOUT_S = 2.0
READ_SIZE = 16 * 1024
COLUMNS = "# pxname,svname,status,act,bck,lastchg,type,addr,"


@dataclass(slots=True)
class _Real:
    """A real server as the load balancer knows it. `streak`: results in a row that contradict `up`."""

    config: RealServerConfig
    backup: bool
    up: bool = True
    streak: int = 0
    changed_at: float = field(default_factory=time.monotonic)
    sessions: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def status(self) -> str:
        """As HAProxy writes it: also how far a change has come."""
        if not self.streak:
            return "UP" if self.up else "DOWN"
        return f"UP {CHECK_FALL - self.streak}/{CHECK_FALL}" if self.up else f"DOWN {self.streak}/{CHECK_RISE}"


class PlainBalancer:
    """One virtual service: the first real server that is up gets the clients."""

    def __init__(self, service: ServiceConfig, config: BalancerConfig) -> None:
        self._service = service
        self._interval_s = config.check_interval_ms / 1000
        self._servers = [_Real(server, backup=index > 0) for index, server in enumerate(service.servers)]
        self._vip = Port(config.address, config.port, self._serve)
        self._statistics = Port(config.address, config.statistics_port, self._serve_statistics)
        self._checking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen, and check the real servers. Raises LabError when a port is taken."""
        if self._checking is None:
            self._checking = asyncio.get_running_loop().create_task(self._check_for_ever())
        await self._vip.set_mode(Mode.OPEN)
        await self._statistics.set_mode(Mode.OPEN)

    async def stop(self) -> None:
        """Close everything at once."""
        if self._checking is not None:
            self._checking.cancel()
            self._checking = None
        await self._vip.set_mode(Mode.REFUSED)
        await self._statistics.set_mode(Mode.REFUSED)

    # --------------------------------------------------------------------------------------------------- health checks

    async def _check_for_ever(self) -> None:
        while True:
            answers = await asyncio.gather(*(self._answers(server.config) for server in self._servers))
            for server, answered in zip(self._servers, answers, strict=True):
                self._advance(server, answered)
            await asyncio.sleep(self._interval_s)

    async def _answers(self, server: RealServerConfig) -> bool:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                _, writer = await asyncio.open_connection(server.address, self._service.check_port)
        except (OSError, TimeoutError):
            return False
        writer.close()
        return True

    def _advance(self, server: _Real, answered: bool) -> None:
        if answered is server.up:
            server.streak = 0
            return
        server.streak += 1
        if server.streak < (CHECK_RISE if answered else CHECK_FALL):
            return
        server.up, server.streak, server.changed_at = answered, 0, time.monotonic()
        # No client stays on a server that went, nor on a backup once the active one is back.
        left = [server] if not answered else [other for other in self._servers if other.backup and not server.backup]
        for other in left:
            for writer in list(other.sessions):
                writer.transport.abort()

    # -------------------------------------------------------------------------------------------------------- sessions

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server = next((server for server in self._servers if server.up), None)
        if server is None:
            writer.transport.abort()
            return
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                from_server, to_server = await asyncio.open_connection(server.config.address, server.config.port)
        except (OSError, TimeoutError):
            writer.transport.abort()
            return
        server.sessions.add(writer)
        try:
            await asyncio.gather(_pass_on(reader, to_server), _pass_on(from_server, writer))
        finally:
            server.sessions.discard(writer)
            to_server.transport.abort()

    # ------------------------------------------------------------------------------------------------------ statistics

    async def _serve_statistics(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await serve_connection(reader, writer, self._answer)

    async def _answer(self, request: Request) -> Response:
        now = time.monotonic()
        lines = [COLUMNS]
        for server in self._servers:
            config, changed_s = server.config, int(now - server.changed_at)
            active, backup = int(not server.backup), int(server.backup)
            lines.append(
                f"{self._service.name},{config.name},{server.status},{active},{backup},{changed_s},2,"
                f"{config.address}:{config.port},"
            )
        return Response(200, ("\n".join(lines) + "\n").encode(), "text/plain; charset=utf-8")


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass everything on until one side ends it."""
    with contextlib.suppress(OSError):
        while data := await reader.read(READ_SIZE):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
