"""Pure: where a load balancer's statistics can be read, as administrators write it down."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

EXPECTED = (
    "Write unix:/path/to/socket or tcp:address:port for HAProxy’s runtime socket, "
    "or the address of its statistics page, http://address:port/stats;csv."
)


class Via(StrEnum):
    """How the statistics are asked for."""

    UNIX = "unix"
    TCP = "tcp"
    HTTP = "http"
    HTTPS = "https"


@dataclass(frozen=True, slots=True)
class Source:
    """A place where statistics can be read. ``path``: of the socket, or on the web server, with ``;csv``."""

    via: Via
    host: str = ""
    port: int = 0
    path: str = ""


def parse_source(text: str) -> Source:
    """Return the source that ``text`` names. Raises ValueError with a sentence for the user."""
    if any(not c.isprintable() or c == " " for c in text):
        raise ValueError(f"There must be no spaces in it. {EXPECTED}")
    kind, colon, rest = text.partition(":")
    if not colon:
        raise ValueError(f"Found “{text[:80]}”. {EXPECTED}")
    if kind == "unix":
        if not rest.startswith("/") or len(rest) < 2 or len(rest.encode()) > 100:
            raise ValueError(f"A socket’s path starts with “/” and has at most 100 bytes; found “{rest[:120]}”.")
        return Source(Via.UNIX, path=rest)
    if kind == "tcp":
        host, port = _host_and_port(f"//{rest.removeprefix('//')}", text, None)
        return Source(Via.TCP, host, port)
    if kind in {"http", "https"}:
        return _web(text)
    raise ValueError(f"Found “{text[:80]}”. {EXPECTED}")


def _web(text: str) -> Source:
    parts = urlsplit(text)
    if parts.username is not None or parts.password is not None:
        raise ValueError(
            "A user name or password in the address would be kept where everybody can read it. Let the load balancer "
            "allow this machine’s address instead (http-request use-service / acl src)."
        )
    host, port = _host_and_port(text, text, 443 if parts.scheme == "https" else 80)
    path = parts.path or "/"
    query = f"?{parts.query}" if parts.query else ""
    if not path.endswith(";csv") and not query:
        path = f"{path};csv"
    return Source(Via(parts.scheme), host, port, f"{path}{query}")


def _host_and_port(url: str, text: str, default: int | None) -> tuple[str, int]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or default
    except ValueError:
        raise ValueError(f"The address or port in “{text[:80]}” is not valid. {EXPECTED}") from None
    if not host or port is None:
        raise ValueError(f"Found “{text[:80]}”, without {'a port' if host else 'an address'}. {EXPECTED}")
    try:
        return str(ipaddress.ip_address(host)), port
    except ValueError:
        return host, port
