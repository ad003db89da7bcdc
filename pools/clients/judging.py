"""Pure: what is wrong with an installed client's settings, in words, and what to enter in their place."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from urllib.parse import urlsplit

from pools.clients.values import ASKS_UCC, ASKS_URLS, ClientKind, Hostname, UccPlace, hostnames_of_ucc

NAMED_AT_MOST = 3
SHOWN = 80


class Fault(StrEnum):
    """What is wrong with one setting."""

    SERVER_NAME = "server_name"
    SERVER_ADDRESS = "server_address"
    BALANCER = "balancer"
    OTHER_POOL = "other_pool"
    UNKNOWN_HOST = "unknown_host"
    WRONG_FORM = "wrong_form"
    WRONG_PATH = "wrong_path"
    NOT_HTTPS = "not_https"
    UCC_UNKNOWN = "ucc_unknown"
    UCC_SPELLING = "ucc_spelling"
    UCC_MISSING = "ucc_missing"
    NO_HOSTNAME = "no_hostname"


@dataclass(frozen=True, slots=True)
class Finding:
    """One wrong setting: what is wrong, what to do, and exactly what to enter ("" where nobody can say that)."""

    fault: Fault
    sentence: str
    fix: str
    value: str = ""


@dataclass(frozen=True, slots=True)
class Installed:
    """An installed client as the inventory has it. ``host`` of a Web Wallboard: its URLs, separated by spaces."""

    kind: ClientKind
    place: str
    host: str
    ucc_name: str = ""


@dataclass(frozen=True, slots=True)
class ServerName:
    """What a server is called, and where it is."""

    id: int
    name: str
    fqdn: str
    address: str
    pool_id: int


@dataclass(frozen=True, slots=True)
class BalancerName:
    """What a virtual service is called, and its virtual IP."""

    name: str
    fqdn: str
    address: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found about one installation, and the hostnames that its clients should use."""

    findings: tuple[Finding, ...]
    hostnames: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings


class Register:
    """What names and addresses mean in this estate; made once, asked for each installation."""

    def __init__(
        self,
        hostnames: Iterable[Hostname],
        servers: Iterable[ServerName],
        uccs: Iterable[UccPlace],
        balancers: Iterable[BalancerName] = (),
    ) -> None:
        self.hostnames = tuple(sorted(hostnames, key=lambda hostname: hostname.fqdn))
        self.by_fqdn = {hostname.fqdn.lower(): hostname for hostname in self.hostnames}
        self.uccs = {_folded(ucc.name): ucc for ucc in uccs}
        self._by_name: dict[str, ServerName] = {}
        self._by_address: dict[str, ServerName] = {}
        self._balancers: dict[str, BalancerName] = {}
        for server in servers:
            self._by_name |= {server.fqdn.lower(): server, server.name.lower(): server}
            self._by_address[server.address] = server
        for balancer in balancers:
            self._balancers |= {name: balancer for name in (balancer.fqdn.lower(), balancer.address) if name}

    def server(self, host: str) -> ServerName | None:
        """The server that a host's name or address belongs to."""
        return self._by_name.get(host) or self._by_address.get(host)

    def is_address(self, host: str) -> bool:
        """Whether it is a server's address."""
        return host in self._by_address

    def balancer(self, host: str) -> BalancerName | None:
        """The virtual service that a host's name or address belongs to."""
        return self._balancers.get(host)

    def expected(self, installed: Installed, hosts: Iterable[str]) -> tuple[Hostname, ...]:
        """Return the hostnames that this client may use: by its UCC, else by what it holds, else the only one."""
        ucc = self.uccs.get(_folded(installed.ucc_name))
        if ucc is not None:
            return hostnames_of_ucc(ucc, self.hostnames)
        for host in hosts:
            if host in self.by_fqdn:
                return (self.by_fqdn[host],)
            server = self.server(host)
            if server is not None:
                own = tuple(one for one in self.hostnames if one.pool_id == server.pool_id)
                return own or tuple(one for one in self.hostnames if server.id in one.leads_to)
            same_label = tuple(one for one in self.hostnames if one.fqdn.lower().partition(".")[0] == host)
            if same_label:
                return same_label
        return self.hostnames if len(self.hostnames) == 1 else ()


def judge(installed: Installed, register: Register) -> Verdict:
    """Return what is wrong with an installed client, the host first."""
    parts = installed.host.split() if installed.kind in ASKS_URLS else [installed.host.strip()]
    hosts = [_host_of(part) for part in parts]
    expected = register.expected(installed, [host for host in hosts if host])
    findings: list[Finding] = []
    for part, host in zip(parts, hosts, strict=True):
        findings += _of_part(installed.kind, part, host, expected, register)
    findings += _of_ucc(installed, register)
    ucc = register.uccs.get(_folded(installed.ucc_name))
    if ucc is not None and not expected:
        findings.append(
            Finding(
                Fault.NO_HOSTNAME,
                f"UCC {ucc.name} is in no pool that has a dedicated hostname, so there is nothing to enter",
                "Enter a dedicated hostname for its trusted application pool in the estate.",
            )
        )
    return Verdict(tuple(findings), tuple(hostname.fqdn for hostname in expected))


def _of_part(
    kind: ClientKind, part: str, host: str, expected: tuple[Hostname, ...], register: Register
) -> list[Finding]:
    """What is wrong with one host or one URL."""
    values = _values(kind, part, expected)
    if not host or (kind in ASKS_URLS) != ("://" in part):
        return [_wrong_form(kind, part, values)]
    fault = _host_fault(host, expected, register)
    if fault is not None:
        return [Finding(*fault, _enter(values), values[0] if len(values) == 1 else "")]
    if kind in ASKS_URLS:
        return _url_faults(part, values)
    bare = part.rstrip(".").lower()
    return [] if bare == host else [_wrong_form(kind, part, values)]


def _wrong_form(kind: ClientKind, part: str, values: tuple[str, ...]) -> Finding:
    wanted = "a URL that begins with https://" if kind in ASKS_URLS else "the hostname alone"
    return Finding(
        Fault.WRONG_FORM,
        f"holds {_shown(part)}; {kind.word} asks for {wanted}",
        _enter(values),
        values[0] if len(values) == 1 else "",
    )


def _host_fault(host: str, expected: tuple[Hostname, ...], register: Register) -> tuple[Fault, str] | None:
    if any(hostname.fqdn.lower() == host for hostname in expected):
        return None
    server = register.server(host)
    if server is not None:
        if register.is_address(host):
            return Fault.SERVER_ADDRESS, f"holds the address of {server.name} ({host}): it stays there after a failover"
        return Fault.SERVER_NAME, f"holds {server.name}’s own name ({host}): it stays there after a failover"
    balancer = register.balancer(host)
    if balancer is not None:
        return Fault.BALANCER, f"holds the load balancer {balancer.name} itself ({host}), not the dedicated hostname"
    other = register.by_fqdn.get(host)
    if other is not None:
        pools = " or ".join(dict.fromkeys(hostname.pool for hostname in expected))
        runs = f"; its UCC runs in {pools}" if pools else ""
        return Fault.OTHER_POOL, f"holds {host}, the hostname of {other.pool}{runs}"
    return Fault.UNKNOWN_HOST, f"holds {_shown(host)}, which is no dedicated hostname of this estate (an old one?)"


def _url_faults(part: str, values: tuple[str, ...]) -> list[Finding]:
    """What is wrong with a URL whose host is right."""
    wanted = [value for value in values if _host_of(value) == _host_of(part)]
    value = wanted[0] if len(wanted) == 1 else ""
    if any(_same_url(part, one) for one in wanted):
        return []
    if part.lower().startswith("http://"):
        sentence = f"holds {_shown(part)}, which is not encrypted"
        return [Finding(Fault.NOT_HTTPS, sentence, _enter(tuple(wanted)), value)]
    sentence = f"holds {_shown(part)}, whose path or port is neither service’s"
    return [Finding(Fault.WRONG_PATH, sentence, _enter(tuple(wanted)), value)]


def _of_ucc(installed: Installed, register: Register) -> list[Finding]:
    name = installed.ucc_name.strip()
    if not name:
        if installed.kind not in ASKS_UCC:
            return []
        return [
            Finding(
                Fault.UCC_MISSING,
                f"no UCC name is entered here, and {installed.kind.word} needs one",
                "Enter the UCC’s name in the inventory.",
            )
        ]
    known = register.uccs.get(_folded(name))
    if known is not None:
        if known.name == name:
            return []
        return [
            Finding(
                Fault.UCC_SPELLING,
                f"the UCC’s name is written {_shown(name)}",
                f"Enter the UCC name exactly as it is: {known.name}.",
                known.name,
            )
        ]
    near = get_close_matches(_folded(name), list(register.uccs), n=1, cutoff=0.7)
    meant = register.uccs[near[0]].name if near else ""
    fix = (
        f"If {meant} is meant, enter exactly that."
        if meant
        else "Enter the name of a UCC of this estate, or remove this client from the inventory."
    )
    return [Finding(Fault.UCC_UNKNOWN, f"there is no UCC {_shown(name)} in this estate", fix, meant)]


def _values(kind: ClientKind, part: str, expected: tuple[Hostname, ...]) -> tuple[str, ...]:
    """What could be entered in place of ``part``."""
    if kind not in ASKS_URLS:
        return tuple(hostname.fqdn for hostname in expected)
    path = urlsplit(part).path.lower() if "://" in part else part.lower()
    found: list[str] = []
    for hostname in expected:
        attendant, dashboard = hostname.attendant_path.lower(), hostname.dashboard_path.lower()
        is_dashboard = path.rstrip("/") == dashboard.rstrip("/") or "dash" in path
        is_attendant = path.rstrip("/") == attendant.rstrip("/") or "attendant" in path
        found += [hostname.attendant_url] if is_attendant or not is_dashboard else []
        found += [hostname.dashboard_url] if is_dashboard or not is_attendant else []
    return tuple(found)


def _enter(values: tuple[str, ...]) -> str:
    if not values:
        return "Which hostname is right cannot be told: enter the client’s UCC name in the inventory."
    if len(values) > NAMED_AT_MOST:
        named = ", ".join(values[:NAMED_AT_MOST])
        return (
            f"Enter the one that serves this place of the {len(values)} that are possible ({named}, …) in place of it."
        )
    return f"Enter {' or '.join(values)} in place of it."


def _host_of(part: str) -> str:
    """Return the host that a setting names, in lower case without the closing dot; "" where it names none."""
    text = part.strip().lower()
    try:
        host = urlsplit(text if "://" in text else f"//{text}").hostname or ""
        return str(ipaddress.ip_address(host)) if ":" in host else host.rstrip(".")
    except ValueError:
        return ""


def _same_url(one: str, other: str) -> bool:
    try:
        left, right = urlsplit(one.lower()), urlsplit(other.lower())
        ports = (left.port or 443, right.port or 443)
    except ValueError:
        return False
    same_path = left.path.rstrip("/") == right.path.rstrip("/") and not left.query
    return left.scheme == right.scheme and ports[0] == ports[1] and same_path


def _folded(name: str) -> str:
    return " ".join(name.split()).lower()


def _shown(text: str) -> str:
    text = "".join(char if char.isprintable() else "�" for char in text)
    return f"“{text if len(text) <= SHOWN else text[: SHOWN - 1] + '…'}”"
