"""One listening TCP port that can be open, refusing, or silent (as behind a firewall that drops packets)."""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from enum import StrEnum

from a365admin.lab.errors import LabError

BACKLOG = 256
TLS_HANDSHAKE_TIMEOUT_S = 10.0
STUFFING = 4  # connections that fill the queue of a silent port; the kernel takes one, and drops the others' SYN


class Mode(StrEnum):
    """What a port does with a client that connects."""

    OPEN = "open"
    REFUSED = "refused"
    SILENT = "silent"


OnConnect = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Port:
    """A TCP port of one address. It starts closed; `set_mode` does the rest."""

    def __init__(self, address: str, port: int, on_connect: OnConnect, *, tls: ssl.SSLContext | None = None) -> None:
        self.address = address
        self.port = port
        self.mode = Mode.REFUSED
        self._on_connect = on_connect
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._stuffed: list[socket.socket] = []
        self._connections: set[asyncio.StreamWriter] = set()

    async def set_mode(self, mode: Mode) -> None:
        """Change what happens from now on. Raises LabError when the port is taken by another program.

        Connections that were there are cut when the port refuses, and are left open without an answer when it is
        silent, as they are when a host stops.
        """
        if mode is self.mode:
            return
        before, self.mode = self.mode, mode
        self._close_listener()
        try:
            if mode is Mode.SILENT:
                self._freeze()
                self._listen_without_answering()
            else:
                if mode is Mode.REFUSED or before is Mode.SILENT:
                    self._cut()
                if mode is Mode.OPEN:
                    await self._open()
        except LabError:
            self._close_listener()
            self.mode = Mode.REFUSED
            raise
        await asyncio.sleep(0)  # the loop closes what was closed in its next round

    async def _open(self) -> None:
        handshake_timeout_s = TLS_HANDSHAKE_TIMEOUT_S if self._tls is not None else None
        listener = self._bound()
        try:
            self._server = await asyncio.start_server(
                self._serve,
                sock=listener,
                backlog=BACKLOG,
                ssl=self._tls,
                ssl_handshake_timeout=handshake_timeout_s,
            )
        except OSError as error:
            listener.close()
            raise self._taken(error) from error

    def _listen_without_answering(self) -> None:
        """Listen with a queue of one, and fill it ourselves: the kernel then drops every further SYN."""
        listener = self._bound()
        self._stuffed.append(listener)
        try:
            listener.listen(0)
        except OSError as error:
            raise self._taken(error) from error
        for _ in range(STUFFING):
            client = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            self._stuffed.append(client)
            client.setblocking(False)
            client.connect_ex((self.address, self.port))

    def _bound(self) -> socket.socket:
        # Named by its number, or asyncio does not switch Nagle's algorithm off: answers then came 40 ms late.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setblocking(False)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((self.address, self.port))
        except OSError as error:
            listener.close()
            raise self._taken(error) from error
        return listener

    def _taken(self, error: OSError) -> LabError:
        return LabError(
            f"The demo estate cannot listen on {self.address} port {self.port}: {error.strerror}. "
            "Is the demo running already? If not, remove lab.json and start again."
        )

    def _close_listener(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        # The clients first: closing the listener first would answer their waiting SYNs.
        for stuffed in reversed(self._stuffed):
            stuffed.close()
        self._stuffed.clear()

    def _cut(self) -> None:
        for writer in list(self._connections):
            _reset(writer)

    def _freeze(self) -> None:
        for writer in self._connections:
            _pause(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.mode is Mode.REFUSED:  # it was accepted a moment before
            _reset(writer)
            return
        self._connections.add(writer)
        if self.mode is Mode.SILENT:
            _pause(writer)
        try:
            await self._on_connect(reader, writer)
        finally:
            self._connections.discard(writer)
            writer.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection as a killed process does: by a reset, at once."""
    endpoint = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def _pause(writer: asyncio.StreamWriter) -> None:
    """Read nothing more from a connection, and leave it open."""
    with contextlib.suppress(RuntimeError):  # it is closing
        transport = writer.transport
        assert isinstance(transport, asyncio.ReadTransport)
        transport.pause_reading()
