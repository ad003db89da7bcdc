"""UDP and TCP on one address of loopback, opened and closed together, as each of the demo's DNS servers does it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from a365admin.lab.errors import LabError


class Listening:
    """``what``: who listens, for the sentence that says that it cannot."""

    def __init__(self, what: str, address: str, port: int) -> None:
        self._what = what
        self._where = (address, port)
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None

    async def open(
        self,
        udp: Callable[[], asyncio.DatagramProtocol],
        tcp: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    ) -> None:
        """Listen. Raises LabError where the port is taken; then nothing listens."""
        try:
            self._udp, _protocol = await asyncio.get_running_loop().create_datagram_endpoint(
                udp, local_addr=self._where
            )
            self._tcp = await asyncio.start_server(tcp, *self._where, reuse_address=True)
        except OSError as error:
            await self.close()
            raise LabError(
                f"{self._what} cannot listen on {self._where[0]} port {self._where[1]}: {error.strerror}. Is the demo "
                "running already? If not, remove lab.json and start again."
            ) from error

    async def close(self) -> None:
        """Stop listening; connections that are open stay so."""
        if self._udp is not None:
            self._udp.abort()
        if self._tcp is not None:
            self._tcp.close()
        self._udp = self._tcp = None
        await asyncio.sleep(0)  # the loop closes the sockets in its next round
