"""Pure: a virtual service -> its configuration for HAProxy and for Kemp LoadMaster, ready to paste.

Names may hold anything that people type; what is written holds nothing that either would read as something else.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from pools.statistics_source import Source, Via, parse_source

CHECK_INTERVAL_MS, CHECK_FALL, CHECK_RISE = 2000, 3, 2
HEAVIEST, LIGHTER_BY = 1000, 100

_WORD = re.compile(r"[^A-Za-z0-9_.:-]+")
_POWERSHELL_QUOTES = re.compile("['\u2018\u2019\u201a\u201b]")


@dataclass(frozen=True, slots=True)
class RealServerConfig:
    """A server behind it: where the load balancer reaches its web services."""

    name: str
    fqdn: str
    address: str
    port: int


@dataclass(frozen=True, slots=True)
class ServiceConfig:
    """A virtual service as its load balancer has to know it; ``servers``: the active one first."""

    name: str
    address: str
    port: int
    check_name: str
    check_port: int
    servers: tuple[RealServerConfig, ...]
    statistics: str = ""
    backend: str = ""


def haproxy(service: ServiceConfig, *, interval_ms: int = CHECK_INTERVAL_MS) -> str:
    """Return sections for haproxy.cfg (HAProxy 2.2 or newer). TLS passes through: the certificates stay on the servers.

    The passive servers are backups, used only while the active one is out; connections to a server that goes, and to a
    backup once the active one is back, are closed, so that no client stays on the wrong one.
    """
    name = _word(service.backend or service.name)
    lines = [
        (
            f"# Virtual service {_comment(service.name)}. Health check: TCP port {service.check_port}, "
            f"UCC {_comment(service.check_name)}."
        ),
        "# Check the whole file before reloading: haproxy -c -f /etc/haproxy/haproxy.cfg",
        f"frontend {name}",
        "    mode tcp",
        f"    bind {_endpoint(service.address, service.port)}",
        "    timeout client 1h",
        f"    default_backend {name}",
        "",
        f"backend {name}",
        "    mode tcp",
        "    timeout connect 5s",
        "    timeout server 1h",
        (
            f"    default-server check port {service.check_port} inter {_span(interval_ms)} fall {CHECK_FALL} "
            f"rise {CHECK_RISE} on-marked-down shutdown-sessions"
        ),
        *(_haproxy_server(server, first=index == 0) for index, server in enumerate(service.servers)),
        *_haproxy_statistics(service.statistics),
    ]
    return "\n".join(lines) + "\n"


def _haproxy_server(server: RealServerConfig, *, first: bool) -> str:
    name = server.name if server.name == _word(server.name) else _word(server.fqdn)
    role = "on-marked-up shutdown-backup-sessions" if first else "backup"
    return f"    server {name} {_endpoint(server.address, server.port)} {role}"


def _haproxy_statistics(text: str) -> list[str]:
    """What lets us read which real server is in use; "" where statistics are not read."""
    try:
        source = parse_source(text) if text else None
    except ValueError:
        source = None
    if source is None:
        return []
    if source.via in {Via.UNIX, Via.TCP}:
        where = source.path if source.via is Via.UNIX else f"ipv4@{source.host}:{source.port}"
        if source.via is Via.TCP and ":" in source.host:
            where = f"ipv6@{_endpoint(source.host, source.port)}"
        return ["", "# For a365admin, which only reads. This line belongs into the section “global”:",
                f"#     stats socket {where} level user"]  # fmt: skip
    return _haproxy_page(source)


def _haproxy_page(source: Source) -> list[str]:
    tls = " ssl crt /etc/haproxy/statistics.pem" if source.via is Via.HTTPS else ""
    host = source.host if _is_address(source.host) else "*"
    path = source.path.partition(";")[0]
    return [
        "",
        "# For a365admin, which only reads. Let no other machine in.",
        "frontend a365admin-statistics",
        "    mode http",
        f"    bind {_endpoint(host, source.port)}{tls}",
        "    timeout client 10s",
        "    stats enable",
        f"    stats uri {path if path == _path(path) else '/'}",
        "    # http-request deny unless { src ADDRESS-OF-A365ADMIN }",
    ]


def kemp(service: ServiceConfig) -> str:
    """Return commands of the module Kemp.LoadBalancer.Powershell: fixed weighting uses the heaviest that is up."""
    vip, port = quoted(service.address), service.port
    lines = [
        (
            "# PowerShell, with the module Kemp.LoadBalancer.Powershell. Health check: TCP port "
            f"{service.check_port}, UCC {_comment(service.check_name)}."
        ),
        "$load_master = Read-Host 'Address of the LoadMaster'",
        "Initialize-LmConnectionParameters -Address $load_master -LBPort 443 -Credential (Get-Credential)",
        "",
        (
            f"New-AdcVirtualService -VirtualService {vip} -VSPort {port} -VSProtocol tcp -VSType gen "
            f"-Nickname {quoted(service.name)} -Schedule fixed -CheckType tcp -CheckPort {service.check_port}"
        ),
    ]
    for index, server in enumerate(service.servers):
        weight = max(HEAVIEST - index * LIGHTER_BY, 1)
        lines.append(
            f"New-AdcRealServer -VirtualService {vip} -VSPort {port} -VSProtocol tcp "
            f"-RealServer {quoted(server.address)} -RealServerPort {server.port} -Weight {weight}"
            f"  # {_comment(server.name)}"
        )
    lines += [
        "",
        "# Where the virtual service is there already, this alone moves its health check:",
        (
            f"# Set-AdcVirtualService -VirtualService {vip} -VSPort {port} -VSProtocol tcp -CheckType tcp "
            f"-CheckPort {service.check_port}"
        ),
    ]
    return "\n".join(lines) + "\n"


def quoted(text: str) -> str:
    """A literal string of PowerShell, in which nothing is expanded; every character that it reads as a quote, twice."""
    line = "".join(c if c.isprintable() else " " for c in text)
    return "'" + _POWERSHELL_QUOTES.sub(lambda found: found.group() * 2, line) + "'"


def _span(milliseconds: int) -> str:
    return f"{milliseconds // 1000}s" if milliseconds % 1000 == 0 else f"{milliseconds}ms"


def _word(text: str) -> str:
    """A name as HAProxy takes it: letters, digits and - _ . : only."""
    return _WORD.sub("-", text).strip("-") or "a365"


def _comment(text: str) -> str:
    """One line of plain characters: a comment cannot be ended by what is in it."""
    return "".join(c if c.isprintable() else " " for c in text).replace("\u2028", " ").replace("\u2029", " ")[:120]


def _path(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9/_.-]", "", text)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _endpoint(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
