"""The offline sheet of a hostname: the commands to move it without us, by dig, nsupdate and PowerShell."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from dnsops.breakglass.bundle import Bundle, BundledHostname, BundledZone
from dnsops.plan import Change, RRset, Target
from dnsops.providers.base import Endpoint
from dnsops.providers.manual import Commands, UnsafeTextError, commands_for, quoted

WINDOWS_PORT = 53


@dataclass(frozen=True, slots=True)
class Move:
    """How to point the hostname at one target. ``expected`` is what the commands expect DNS to say before."""

    target: Target
    back: bool
    value: str
    expected: str
    nsupdate: str
    powershell: str


@dataclass(frozen=True, slots=True)
class Sheet:
    """Everything on one hostname's sheet; without a zone or a writer it has no ``moves``. The way back comes last."""

    hostname: BundledHostname
    zone: str
    key: str
    writer: Endpoint | None
    servers: tuple[Endpoint, ...]
    targets: tuple[Target, ...]
    uccs: tuple[str, ...]
    digs: tuple[str, ...]
    resolves: tuple[str, ...]
    moves: tuple[Move, ...]
    written_on: str


def sheet_of(bundle: Bundle, hostname: BundledHostname) -> Sheet:
    """Make a hostname's sheet from the bundle; it holds no secret."""
    zone = bundle.zone_for(hostname.fqdn)
    servers = zone.endpoints if zone else ()
    writer = zone.writer if zone else None
    targets = tuple(found.target for found in hostname.targets)
    name, rtype = _posix(hostname.fqdn), hostname.record_type
    moves = [_move(hostname, zone, writer, target, targets) for target in targets] if zone and writer else []
    return Sheet(
        hostname=hostname,
        zone=zone.name if zone else "",
        key=_label(zone) if zone else "",
        writer=writer,
        servers=servers,
        targets=targets,
        uccs=tuple(bundle.uccs_of(hostname)),
        digs=tuple(f"dig @{s.address} -p {s.port} +norecurse +noall +answer {name} {rtype}" for s in servers),
        resolves=tuple(
            f"Resolve-DnsName -Server {quoted(s.address)} -Type {rtype} -DnsOnly {quoted(hostname.fqdn)}"
            for s in servers
            if s.port == WINDOWS_PORT  # Resolve-DnsName knows no other
        ),
        moves=tuple(sorted(moves, key=lambda move: move.back)),
        written_on=bundle.written_at[:16].replace("T", " "),
    )


def _move(
    hostname: BundledHostname, zone: BundledZone, writer: Endpoint, target: Target, targets: tuple[Target, ...]
) -> Move:
    old = next((other for other in targets if other is not target), target)  # the primary, or the first standby
    value, expected = target.value(hostname.record_type), old.value(hostname.record_type)
    change = Change(zone.name, hostname.fqdn, _rrset(hostname, expected), _rrset(hostname, value))
    try:
        commands = commands_for(change, writer)
    except UnsafeTextError as error:
        commands = Commands(powershell=f"# {error}", nsupdate="")
    return Move(
        target=target,
        back=target.order == 1,
        value=value,
        expected=expected,
        nsupdate=f"nsupdate -v {_key(zone)} <<'END'\n{commands.nsupdate}END" if commands.nsupdate else "",
        powershell=commands.powershell.rstrip(),
    )


def _rrset(hostname: BundledHostname, value: str) -> RRset:
    return RRset(hostname.record_type, hostname.ttl_s, (value.lower(),))


def _key(zone: BundledZone) -> str:
    """How nsupdate is given the key: by where it is, never by what it is."""
    key = next(iter(zone.setup.keys), None) if zone.setup else None
    if key is None or key.principal:
        return "-g"
    scheme, _, where = key.reference.partition(":")
    return f"-k {_posix(where)}" if scheme == "file" else f'-y "{key.algorithm}:{key.name}:${where}"'


def _label(zone: BundledZone) -> str:
    """The name of the TSIG key; "" where there is none."""
    keys = zone.setup.keys if zone.setup else ()
    return next((key.name for key in keys if not key.principal), "")


def _posix(text: str) -> str:
    return shlex.quote(text)
