"""Pure: the guided entry. What is asked for each topology, and the estate that follows from the answers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Side:
    """One front-end pool, with the servers of its trusted application pool and the hostnames that have a home there."""

    label: str
    servers: int
    hostname: bool


@dataclass(frozen=True, slots=True)
class Topology:
    """One of the three that the specification knows. ``failing_over``: what a failover means in it."""

    slug: str
    title: str
    lead: str
    failing_over: str
    sides: tuple[Side, ...]

    @property
    def paired(self) -> bool:
        """Whether there are two front-end pools, which are paired."""
        return len(self.sides) > 1


TOPOLOGIES = (
    Topology(
        "one-pool",
        "One front-end pool",
        "One enterprise trusted application pool with two servers, active and passive.",
        "Within the pool: the hostname goes from one server to the other.",
        (Side("The front-end pool", 2, hostname=True),),
    ),
    Topology(
        "two-pools-single",
        "Two paired pools, a single server each",
        "Active in one site, passive in the other.",
        "To the other site: the hostname goes to the paired pool’s server, and the UCCs’ endpoints have to be moved.",
        (Side("The active pool", 1, hostname=True), Side("The passive pool", 1, hostname=False)),
    ),
    Topology(
        "two-pools-enterprise",
        "Two paired pools, two servers each",
        "Four servers, two pairs, a dedicated hostname for each pair.",
        "Within the pair first; when a whole site is lost, the hostname goes to the paired pool’s server.",
        (Side("The first pool", 2, hostname=True), Side("The second pool", 2, hostname=True)),
    ),
)


class LineError(ValueError):
    """A line of a list that cannot be read; the message says which, what was found and what was expected."""


@dataclass(frozen=True, slots=True)
class UccLine:
    """A UCC and its port in its own pool, and in the paired one (None: it is no trusted application there)."""

    name: str
    port: int
    other_port: int | None = None


@dataclass(frozen=True, slots=True)
class DnsLine:
    """A DNS server; the first one of a list is the writer."""

    name: str
    address: str
    port: int = 53


def read_uccs(text: str, *, paired: bool) -> tuple[UccLine, ...]:
    """Read "Service Desk, 6001" or, with paired pools, "Service Desk, 6001, 6101", one a line. Raises LineError."""
    found = []
    for number, line in _lines(text):
        cells = [cell.strip() for cell in re.split(r"[,;\t]", line)]
        most = 3 if paired else 2
        if not 2 <= len(cells) <= most or not cells[0]:
            example = "Service Desk, 6001, 6101" if paired else "Service Desk, 6001"
            raise LineError(f"Line {number}: found “{line}”; expected a name and its port, such as “{example}”.")
        ports = [_port(cell, number) for cell in cells[1:] if cell]
        found.append(UccLine(cells[0], ports[0], ports[1] if len(ports) > 1 else None))
    if not found:
        raise LineError("Enter at least one UCC with its port: without one, nothing tells a dead UCC service.")
    return tuple(found)


def read_dns_servers(text: str) -> tuple[DnsLine, ...]:
    """Read "dns1 10.0.0.53" or "dns1 10.0.0.53 5353", one a line, the writer first. Raises LineError."""
    found = []
    for number, line in _lines(text):
        cells = line.replace(",", " ").split()
        if not 2 <= len(cells) <= 3:
            raise LineError(f"Line {number}: found “{line}”; expected a name and an address, such as “dns1 10.0.0.53”.")
        found.append(DnsLine(cells[0], cells[1], _port(cells[2], number) if len(cells) > 2 else 53))
    if not found:
        raise LineError("Enter every authoritative DNS server of the zone, one a line; the first is the writer.")
    return tuple(found)


def _lines(text: str) -> list[tuple[int, str]]:
    return [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]


def _port(text: str, line: int) -> int:
    if not text.isdecimal() or not 1 <= int(text[:6]) <= 65535 or len(text) > 5:
        raise LineError(f"Line {line}: a port is a number from 1 to 65535; found “{text}”.")
    return int(text)


def short_name(fqdn: str) -> str:
    """A server's short name: srv1.example.com is SRV1."""
    return fqdn.partition(".")[0].upper()


def estate_of(topology: Topology, answers: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The estate that follows from the answers, in the form of the import's file."""
    found: dict[str, list[dict[str, Any]]] = {
        "sites": [], "front_end_pools": [], "trusted_application_pools": [], "servers": [], "uccs": [],
        "trusted_applications": [], "dedicated_hostnames": [],
    }  # fmt: skip
    for place, side in enumerate(topology.sides, 1):
        found["sites"].append({"name": answers[f"site_{place}"]})
        pool: dict[str, Any] = {"fqdn": answers[f"front_end_{place}"], "site": answers[f"site_{place}"]}
        if topology.paired:
            pool["paired_with"] = answers[f"front_end_{3 - place}"]
        found["front_end_pools"].append(pool)
        found["trusted_application_pools"].append(
            {
                "fqdn": answers[f"pool_{place}"],
                "front_end_pool": answers[f"front_end_{place}"],
                "standby_runs_ucc": bool(answers["standby_runs_ucc"]),
            }
        )
        found["servers"] += [
            {"name": short_name(fqdn), "fqdn": fqdn, "address": answers[f"address_{place}_{number}"],
             "trusted_application_pool": answers[f"pool_{place}"]}
            for number in range(1, side.servers + 1)
            for fqdn in [answers[f"server_{place}_{number}"]]
        ]  # fmt: skip
        if side.hostname:
            _add_home(found, topology, answers, place)
    found["sites"] = [dict(pair) for pair in dict.fromkeys(tuple(site.items()) for site in found["sites"])]
    return found


def _add_home(
    found: dict[str, list[dict[str, Any]]], topology: Topology, answers: Mapping[str, Any], place: int
) -> None:
    """The UCCs and the hostname that have their home in this pool: own servers first, then the paired pool's."""
    uccs: Sequence[UccLine] = answers[f"uccs_{place}"]
    own, other = answers[f"pool_{place}"], answers.get(f"pool_{3 - place}", "")
    for ucc in uccs:
        found["uccs"].append({"name": ucc.name, "description": ucc.name, "home_pool": own})
        found["trusted_applications"].append(_application(ucc.name, own, ucc.port))
        if ucc.other_port is not None:
            found["trusted_applications"].append(_application(ucc.name, other, ucc.other_port))
    order = [place, *(3 - place for _ in range(topology.paired))]
    targets = [
        answers[f"server_{at}_{number}"] for at in order for number in range(1, topology.sides[at - 1].servers + 1)
    ]
    found["dedicated_hostnames"].append(
        {
            "fqdn": answers[f"hostname_{place}"],
            "service_name": answers[f"service_{place}"],
            "trusted_application_pool": own,
            "ttl_s": answers["ttl_s"],
            "targets": targets,
        }
    )


def _application(ucc: str, pool: str, port: int) -> dict[str, Any]:
    slug = re.sub(r"[^a-z0-9]+", "-", ucc.lower()).strip("-") or f"ucc-{port}"
    return {"trusted_application_pool": pool, "application_id": f"urn:application:{slug}", "ucc": ucc, "port": port}
