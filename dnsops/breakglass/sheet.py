"""The offline sheet of a hostname: the commands to move it without us, by dig, nsupdate and PowerShell."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from dnsops.breakglass.bundle import Bundle, BundledHostname, BundledZone
from dnsops.plan import Target
from dnsops.providers.base import Endpoint

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
            f"Resolve-DnsName -Server {_windows(s.address)} -Type {rtype} -DnsOnly {_windows(hostname.fqdn)}"
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
    return Move(
        target=target,
        back=target.order == 1,
        value=value,
        expected=expected,
        nsupdate=_nsupdate(hostname, zone, writer, expected=expected, value=value),
        powershell=_powershell(hostname, zone, writer, expected=expected, value=value),
    )


def _nsupdate(hostname: BundledHostname, zone: BundledZone, writer: Endpoint, *, expected: str, value: str) -> str:
    """One message: the record is still what it was, delete it, add the new one (RFC 2136)."""
    name, rtype = f"{hostname.fqdn}.", hostname.record_type
    lines = [
        f"server {writer.address} {writer.port}",
        f"zone {zone.name}.",
        f"prereq yxrrset {name} {rtype} {expected}",
        f"update delete {name} {rtype}",
        f"update add {name} {hostname.ttl_s} {rtype} {value}",
        "send",
    ]
    return "\n".join([f"nsupdate -v {_key(zone)} <<'END'", *lines, "END"])


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


def _powershell(hostname: BundledHostname, zone: BundledZone, writer: Endpoint, *, expected: str, value: str) -> str:
    """Get, compare, set: for a Windows DNS server, by its DnsServer module."""
    relative = hostname.fqdn.removesuffix(f".{zone.name}") if hostname.fqdn != zone.name else "@"
    cname = hostname.record_type == "CNAME"
    kind, member = ("CName", "HostNameAlias") if cname else ("A", "IPv4Address")
    new_value = _windows(value) if cname else f"[ipaddress]{_windows(value)}"
    return "\n".join(
        [
            f"$at = @{{ ComputerName = {_windows(writer.address)}; ZoneName = {_windows(zone.name)} }}",
            f"$old = Get-DnsServerResourceRecord @at -Name {_windows(relative)} -RRType {kind}",
            f'$now = "$($old.RecordData.{member})"',
            f'if ($now -ne {_windows(expected)}) {{ throw "DNS says: $now" }}',
            "$new = $old.Clone()",
            f"$new.RecordData.{member} = {new_value}",
            f"$new.TimeToLive = [TimeSpan]::FromSeconds({hostname.ttl_s})",
            "Set-DnsServerResourceRecord @at -OldInputObject $old -NewInputObject $new -PassThru",
        ]
    )


def _posix(text: str) -> str:
    return shlex.quote(text)


def _windows(text: str) -> str:
    """A PowerShell string that says just this: in single quotes nothing but a quote means anything."""
    quoted = text.translate({ord(mark): "''" for mark in "'\u2018\u2019\u201a\u201b"})
    return f"'{quoted}'"
