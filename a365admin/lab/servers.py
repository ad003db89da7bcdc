"""A fake A365 server: the UCC service's ports and the HTTPS web services, on a loopback address of its own.

The two know nothing of each other. As on a real server, the web services go on answering 200 when the UCC service is
dead, and tell their clients nothing (domain.md section 1, "The trap").
"""

import asyncio
import contextlib
import ssl
from collections.abc import Set as AbstractSet
from datetime import timedelta
from html import escape
from pathlib import Path

from a365admin.lab import estate, pki
from a365admin.lab.config import ServerConfig
from a365admin.lab.faults import ServerFault, UccAction
from a365admin.lab.httpserver import Request, Response, serve_connection
from a365admin.lab.ports import Mode, Port

SLOW_S = 1.5
UCC_IDLE_S = 3600.0
READ_SIZE = 4096
PAGES = {
    "/Attendant": "Attendant",
    "/DashboardService": "Dashboard service",
    "/Snapper": "Snapper",
}
# What kills connections and listeners of either half, and what makes either half silent.
EXPIRING_LIFE = timedelta(days=5, hours=12)
UCC_CLOSED = frozenset({ServerFault.UCC_DOWN, ServerFault.DEAD})
WEB_CLOSED = frozenset({ServerFault.WEB_DOWN, ServerFault.DEAD})


class A365Server:
    """One server of the demo estate. `faults` and `ucc_running` say how it is; `set_state` changes both."""

    def __init__(self, config: ServerConfig, *, directory: Path, domain: str) -> None:
        self.config = config
        self.faults: set[ServerFault] = set()
        self.ucc_running = config.ucc_running
        short = config.name.lower()
        self._right = _context(
            pki.create_certificate(directory, file_name=f"{short}.pem", names=(config.fqdn, *config.hostnames))
        )
        self._wrong = _context(
            pki.create_certificate(
                directory, file_name=f"{short}-wrong.pem", names=(estate.fqdn(f"retired-{short}", domain),)
            )
        )
        names = (config.fqdn, *config.hostnames)
        self._expiring = _context(
            pki.create_certificate(directory, file_name=f"{short}-expiring.pem", names=names, life=EXPIRING_LIFE)
        )
        self._right.sni_callback = self._choose_certificate
        self._ucc = [Port(config.address, port, self._serve_ucc) for port in config.ucc_ports]
        self._web = Port(config.address, config.web_port, self._serve_web, tls=self._right)

    @property
    def ucc_answers(self) -> bool:
        """Whether a client that connects to the UCC ports gets through."""
        return self._ucc_mode() is Mode.OPEN

    async def start(self) -> None:
        """Listen, as far as the present state allows. Raises LabError when a port is taken."""
        await self._apply()

    async def stop(self) -> None:
        """Close everything at once."""
        for port in (*self._ucc, self._web):
            await port.set_mode(Mode.REFUSED)

    async def set_state(self, *, faults: AbstractSet[ServerFault], ucc_running: bool) -> None:
        """Have exactly these faults, and the UCC service running or not, from now on."""
        self.faults = set(faults)
        self.ucc_running = ucc_running
        await self._apply()

    async def act(self, action: UccAction) -> None:
        """Start or stop the UCC service. Starting also ends a `ucc_down`, as starting a crashed service does."""
        if action is UccAction.START:
            await self.set_state(faults=self.faults - {ServerFault.UCC_DOWN}, ucc_running=True)
        else:
            await self.set_state(faults=self.faults, ucc_running=False)

    async def _apply(self) -> None:
        for index, port in enumerate(self._ucc):
            gone = index == 0 and ServerFault.FIRST_REMOVED in self.faults
            await port.set_mode(self._mode(closed=True) if gone else self._ucc_mode())
        await self._web.set_mode(self._mode(closed=bool(self.faults & WEB_CLOSED)))

    def _ucc_mode(self) -> Mode:
        return self._mode(closed=bool(self.faults & UCC_CLOSED) or not self.ucc_running)

    def _mode(self, *, closed: bool) -> Mode:
        if ServerFault.SILENT in self.faults and ServerFault.DEAD not in self.faults:
            return Mode.SILENT  # of a host that does not answer nobody can tell what else is wrong with it
        return Mode.REFUSED if closed else Mode.OPEN

    def _choose_certificate(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        """For each handshake: so a certificate is exchanged without closing the port."""
        if ServerFault.WRONG_CERTIFICATE in self.faults:
            connection.context = self._wrong
        elif ServerFault.EXPIRING_CERTIFICATE in self.faults:
            connection.context = self._expiring

    async def _serve_ucc(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """No banner: read and forget, until the client goes."""
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(UCC_IDLE_S):
                while await reader.read(READ_SIZE):
                    pass

    async def _serve_web(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await serve_connection(reader, writer, self._answer)

    async def _answer(self, request: Request) -> Response:
        if ServerFault.SLOW in self.faults:
            await asyncio.sleep(SLOW_S)
        headers = (("Server", "Microsoft-IIS/10.0"), ("X-Powered-By", "ASP.NET"), ("Cache-Control", "no-store"))
        if request.method not in ("GET", "HEAD"):
            return Response(405, _page("405 Method not allowed", self.config.fqdn), headers=(("Allow", "GET, HEAD"),))
        path = request.path.rstrip("/")
        if path in PAGES:
            return Response(200, _page(PAGES[path], self.config.fqdn), headers=headers)
        if not path:
            return Response(200, _page("IIS Windows Server", self.config.fqdn), headers=headers)
        return Response(404, _page("404 Not found", self.config.fqdn), headers=headers)


def _page(title: str, fqdn: str) -> bytes:
    links = "".join(f'<li><a href="{path}">{escape(name)}</a></li>' for path, name in PAGES.items())
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title></head>'
        f"<body><h1>{escape(title)}</h1><p>Anywhere365 web services on {escape(fqdn)} (a demo)</p><ul>{links}</ul>"
        "</body></html>\n"
    ).encode()


def _context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context
