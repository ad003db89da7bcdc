"""What the pages Certificates show, in a number of queries that does not grow with the estate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import Http404
from django.utils.dateparse import parse_datetime

from pools import overview
from pools.certificates.advice import Advice, advise
from pools.certificates.request import RequestText, certreq_request, names_for, openssl_request
from pools.health import CheckKind, Health
from pools.models import CheckState, DedicatedHostname, Server
from pools.reach import read_reach


@dataclass(frozen=True, slots=True)
class Cell:
    """One server (or virtual service) as one hostname's clients see its certificate."""

    fqdn: str
    service_name: str
    holder: str
    server: str  # "" for a virtual service
    state: CheckState
    advice: Advice
    expires: datetime | None
    age_s: float | None

    @property
    def evidence(self) -> dict[str, Any]:
        """What was seen."""
        found: dict[str, Any] = self.state.evidence
        return found

    @property
    def fingerprint(self) -> str:
        """The first bytes, as Windows shows them."""
        text = str(self.evidence.get("fingerprint", ""))[:16].upper()
        return ":".join(text[place : place + 2] for place in range(0, len(text), 2))


@dataclass(frozen=True, slots=True)
class HostnameLine:
    """A hostname with its cells, and what is missing where."""

    fqdn: str
    service_name: str
    cells: Sequence[Cell]

    @property
    def rank(self) -> int:
        """How urgent its most urgent cell is."""
        return min(cell.advice.rank for cell in self.cells)


@dataclass(frozen=True, slots=True)
class CertificatesPage:
    """The matrix, and the cells that need action."""

    lines: Sequence[HostnameLine]
    todo: Sequence[Cell]
    good: int
    unknown: int


def certificates_page() -> CertificatesPage:
    """Read all of it, what needs action first."""
    cells = sorted(_cells(), key=lambda cell: (cell.advice.rank, _end(cell), cell.fqdn, cell.holder))
    by_hostname: dict[str, list[Cell]] = {}
    for cell in cells:
        by_hostname.setdefault(cell.fqdn, []).append(cell)
    lines = [HostnameLine(fqdn, own[0].service_name, own) for fqdn, own in by_hostname.items()]
    todo = [cell for cell in cells if cell.advice.needs_action]
    unknown = sum(cell.advice.status == "unknown" for cell in cells)
    return CertificatesPage(
        sorted(lines, key=lambda line: (line.rank, line.fqdn)), todo, len(cells) - len(todo) - unknown, unknown
    )


def _cells(**only: Any) -> list[Cell]:
    states = CheckState.objects.filter(kind=CheckKind.CERT.value, hostname__isnull=False, **only).select_related(
        "hostname", "server", "virtual_service"
    )
    ages, now = overview.ages.get(), overview.clock()
    cells = []
    for state in states:
        hostname, holder = state.hostname, state.server or state.virtual_service
        if hostname is None or holder is None:
            continue
        seen = ages.oldest.get(hostname.pk)
        advice = advise(
            health=state.health, cause=state.cause, urgent=bool(state.evidence.get("urgent")),
            stale=ages.is_stale(hostname.pk, now),
        )  # fmt: skip
        cells.append(
            Cell(
                fqdn=hostname.fqdn, service_name=hostname.service_name, holder=holder.name,
                server=state.server.name if state.server else "", state=state, advice=advice,
                expires=parse_datetime(str(state.evidence.get("expires", ""))),
                age_s=None if seen is None else max(now - seen, 0.0),
            )
        )  # fmt: skip
    return cells


def _end(cell: Cell) -> str:
    return str(cell.evidence.get("expires", "9999"))


@dataclass(frozen=True, slots=True)
class RequestPage:
    """One server: what it shows, which names it needs, and the request for a new certificate."""

    server: Server
    cells: Sequence[Cell]
    names: Sequence[str]
    missing: Sequence[str]
    requests: Sequence[tuple[str, str, RequestText]]


def request_page(name: str) -> RequestPage:
    """Gather a server's page. Raises Http404."""
    server = Server.objects.select_related("trusted_application_pool").filter(name__iexact=name).first()
    if server is None:
        raise Http404(f"There is no server “{name}” in this estate.")
    ids = read_reach().of_server.get(server.pk, frozenset())
    hostnames = list(DedicatedHostname.objects.filter(pk__in=ids).values_list("fqdn", flat=True))
    names = names_for(server.fqdn, hostnames)
    cells = sorted(_cells(server=server), key=lambda cell: (cell.advice.rank, cell.fqdn))
    return RequestPage(
        server=server,
        cells=cells,
        names=names,
        missing=sorted(
            cell.fqdn
            for cell in cells
            if cell.state.cause == "wrong_name" and cell.state.health == Health.DEGRADED.value
        ),
        requests=[
            (
                "On Windows, on the server itself",
                "The key never leaves the server.",
                certreq_request(server.name, names),
            ),
            ("With OpenSSL", "Keep the key file secret; it has no passphrase.", openssl_request(server.name, names)),
        ],
    )
