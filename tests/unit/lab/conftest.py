"""A zone and helpers for the demo estate's DNS, without sockets."""

from collections.abc import Callable
from pathlib import Path

import dns.message
import dns.tsig
import dns.versioned
import pytest

from a365admin.lab.config import DnsServerConfig
from a365admin.lab.dnsserver import DnsServer
from a365admin.lab.zone import parse_zone

ZONE = """$ORIGIN lab.example.
$TTL 300
@ SOA dns1 hostmaster 7 3600 600 86400 30
@ NS dns1
@ NS dns2
dns1 A 127.0.0.1
dns2 A 127.0.0.1
srv1 A 127.77.0.11
srv2 A 127.77.0.12
two A 127.77.0.1
two A 127.77.0.2
a365web1 60 CNAME srv1
a365web2 60 CNAME srv2
deep.below TXT "x"
loop1 CNAME loop2
loop2 CNAME loop1
away CNAME www.elsewhere.example.
"""
KEY = dns.tsig.Key("a365admin.", b"k" * 32)


@pytest.fixture
def zone() -> dns.versioned.Zone:
    return parse_zone(ZONE)


@pytest.fixture
def server(zone: dns.versioned.Zone) -> DnsServer:
    return make_server(zone)


def make_server(
    zone: dns.versioned.Zone,
    *,
    is_writer: bool = True,
    zone_file: Path | None = None,
    on_change: Callable[[], None] = lambda: None,
) -> DnsServer:
    writable = frozenset({dns.name.from_text("a365web1.lab.example."), dns.name.from_text("a365web2.lab.example.")})
    return DnsServer(
        DnsServerConfig("dns1", "127.0.0.1", 1),
        zone,
        key=KEY,
        writable=writable,
        zone_file=zone_file,
        is_writer=is_writer,
        on_change=on_change,
    )


def ask(server: DnsServer, message: dns.message.Message) -> dns.message.Message:
    """Send a message as if over TCP, and read the answer, checking its signature where the message was signed."""
    wire = server.handle(message.to_wire())
    assert wire is not None
    return dns.message.from_wire(wire, keyring=message.keyring, request_mac=message.mac or b"")
