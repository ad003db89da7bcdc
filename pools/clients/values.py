"""Pure: the exact values that are entered when a client is installed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum


class ClientKind(StrEnum):
    """A client of the web services."""

    WEB_WALLBOARD = "web_wallboard"
    WALLBOARD = "wallboard"
    SNAPPER = "snapper"
    ATTENDANT = "attendant"
    INFLIGHT_WALLBOARD = "inflight_wallboard"
    WEBCHAT_PLUS = "webchat_plus"

    @property
    def word(self) -> str:
        """As the vendor spells it."""
        return " ".join(part.capitalize() for part in self.value.split("_"))


ASKS_URLS = frozenset({ClientKind.WEB_WALLBOARD})
ASKS_UCC = frozenset({ClientKind.WALLBOARD, ClientKind.SNAPPER, ClientKind.ATTENDANT, ClientKind.INFLIGHT_WALLBOARD})


@dataclass(frozen=True, slots=True)
class Hostname:
    """A dedicated hostname as far as clients are concerned. Paths begin with a slash.

    ``leads_to``: ids of the servers that clients may end up on.
    """

    fqdn: str
    pool_id: int
    pool: str
    attendant_path: str = "/Attendant"
    dashboard_path: str = "/DashboardService"
    leads_to: frozenset[int] = field(default_factory=frozenset)
    service_name: str = ""

    @property
    def attendant_url(self) -> str:
        """The URL of the Attendant service."""
        return f"https://{self.fqdn}{self.attendant_path}"

    @property
    def dashboard_url(self) -> str:
        """The URL of the Dashboard service."""
        return f"https://{self.fqdn}{self.dashboard_path}"


@dataclass(frozen=True, slots=True)
class UccPlace:
    """A UCC: its name, the pools that it is a trusted application of, and the one whose hostname its clients use.

    ``home_pool_id`` None: not stated; then each of its pools that has a hostname may be meant.
    """

    id: int
    name: str
    pool_ids: frozenset[int]
    home_pool_id: int | None = None


@dataclass(frozen=True, slots=True)
class ClientValue:
    """One question of an installation, and its answer."""

    client: ClientKind
    asked: str
    value: str


def hostnames_of_ucc(ucc: UccPlace, hostnames: Iterable[Hostname]) -> tuple[Hostname, ...]:
    """Return the hostnames that this UCC's clients may use: those of the pool that it runs in.

    More than one where it is in several pools that each have one, and nobody has said which is its home.
    """
    pools = {ucc.home_pool_id} if ucc.home_pool_id in ucc.pool_ids else ucc.pool_ids
    return tuple(hostname for hostname in hostnames if hostname.pool_id in pools)


def values_for(kind: ClientKind, hostname: Hostname, ucc_name: str = "") -> tuple[ClientValue, ...]:
    """Return every question of this client with its answer; without ``ucc_name`` the UCC's name is left out."""
    if kind in ASKS_URLS:
        return (
            ClientValue(kind, "URL of the Attendant service", hostname.attendant_url),
            ClientValue(kind, "URL of the Dashboard service", hostname.dashboard_url),
        )
    if kind not in ASKS_UCC:
        return (ClientValue(kind, "FQDN of the server", hostname.fqdn),)
    name = (ClientValue(kind, "UCC name", ucc_name),) if ucc_name else ()
    return (*name, ClientValue(kind, "UCC host name", hostname.fqdn))


def all_values(hostname: Hostname, ucc_name: str = "") -> tuple[ClientValue, ...]:
    """Return the answers for every kind of client."""
    return tuple(value for kind in ClientKind for value in values_for(kind, hostname, ucc_name))


@dataclass(frozen=True, slots=True)
class ValueGroup:
    """The same answers for several clients, said once."""

    clients: str
    values: tuple[ClientValue, ...]


def grouped_values(hostname: Hostname, ucc_name: str = "") -> tuple[ValueGroup, ...]:
    """Return the answers as they are shown: clients that are asked the same things together."""
    groups: dict[tuple[tuple[str, str], ...], list[ClientKind]] = {}
    for kind in ClientKind:
        asked = tuple((value.asked, value.value) for value in values_for(kind, hostname, ucc_name))
        groups.setdefault(asked, []).append(kind)
    return tuple(
        ValueGroup(", ".join(kind.word for kind in kinds), values_for(kinds[0], hostname, ucc_name))
        for kinds in groups.values()
    )
