"""Pure: an IP address with or without a port, as people write it."""

from __future__ import annotations

import ipaddress

KERBEROS_PORT = 88


def parse_address(text: str, *, port: int = KERBEROS_PORT) -> tuple[str, int]:
    """``192.0.2.1``, ``192.0.2.1:8888``, ``2001:db8::1`` or ``[2001:db8::1]:8888`` -> address and port.

    Raises ValueError for anything else; a name is refused, for looking it up may need what has failed.
    """
    host, number = text.strip(), str(port)
    if host.startswith("["):
        host, bracket, rest = host[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError(text)
        number = rest[1:] if rest else number
    elif host.count(":") == 1:
        host, _, number = host.partition(":")
    if not (number.isascii() and number.isdecimal() and 0 < int(number) < 65536):
        raise ValueError(text)
    return str(ipaddress.ip_address(host)), int(number)


def parse_addresses(text: str, *, port: int = KERBEROS_PORT) -> tuple[tuple[str, int], ...]:
    """Several of them, separated by commas or space. Raises ValueError."""
    return tuple(parse_address(part, port=port) for part in text.replace(",", " ").split())
