"""What the demo estate consists of, as data: the specification's sample, and one of each further topology.

PURE. `config.py` gives it addresses, `zone.py` makes DNS records of it, `seed.py` makes database rows of it.
"""

from dataclasses import dataclass

DOMAIN = "lab.example"
RECORD_TTL_S = 20
WEB_PATHS = ("/Attendant", "/DashboardService", "/Snapper")


@dataclass(frozen=True, slots=True)
class FrontEndPoolPlan:
    """A front-end pool: its short name, its site, and the short name of the pool it is paired with, if any."""

    name: str
    site: str
    paired_with: str | None = None


@dataclass(frozen=True, slots=True)
class TrustedApplicationPoolPlan:
    """A trusted application pool: its servers, and each UCC's name with the UCC's port in *this* pool."""

    name: str
    front_end_pool: str
    servers: tuple[str, ...]
    uccs: tuple[tuple[str, int], ...]
    standby_runs_ucc: bool

    @property
    def ucc_ports(self) -> tuple[int, ...]:
        """The TCP port of each UCC in this pool."""
        return tuple(port for _name, port in self.uccs)


@dataclass(frozen=True, slots=True)
class HostnamePlan:
    """A dedicated hostname: its short name, what helpdesk calls it, its pool, its targets in order of preference."""

    name: str
    service_name: str
    pool: str
    targets: tuple[str, ...]


SITES = ("Amsterdam", "Rotterdam", "Utrecht", "Eindhoven", "Groningen")

FRONT_END_POOLS = (
    FrontEndPoolPlan("fepool1", "Amsterdam", paired_with="fepool2"),
    FrontEndPoolPlan("fepool2", "Rotterdam", paired_with="fepool1"),
    FrontEndPoolPlan("fepool3", "Utrecht"),
    FrontEndPoolPlan("fepool4", "Eindhoven", paired_with="fepool5"),
    FrontEndPoolPlan("fepool5", "Groningen", paired_with="fepool4"),
)

POOLS = (
    # Topology 3: each UCC is a trusted application of the paired pool as well, for the day on which a site is lost.
    TrustedApplicationPoolPlan(
        "a365pool1",
        "fepool1",
        ("SRV1", "SRV2"),
        (
            ("Service Desk Amsterdam", 6001),
            ("Reception Amsterdam", 6002),
            ("Sales", 6003),
            ("Service Desk Rotterdam", 6011),
            ("Reception Rotterdam", 6012),
            ("Planning", 6013),
        ),
        standby_runs_ucc=True,
    ),
    TrustedApplicationPoolPlan(
        "a365pool2",
        "fepool2",
        ("SRV3", "SRV4"),
        (
            ("Service Desk Rotterdam", 6001),
            ("Reception Rotterdam", 6002),
            ("Planning", 6003),
            ("Service Desk Amsterdam", 6011),
            ("Reception Amsterdam", 6012),
            ("Sales", 6013),
        ),
        standby_runs_ucc=True,
    ),
    # A cold standby: the UCC service of SRV6 is started by hand when it is needed.
    TrustedApplicationPoolPlan(
        "a365pool3",
        "fepool3",
        ("SRV5", "SRV6"),
        (("Service Desk Utrecht", 6001), ("Facilities", 6002)),
        standby_runs_ucc=False,
    ),
    # The same UCCs in two pools, on other ports: a port belongs to the UCC *in a pool*, not to the UCC.
    TrustedApplicationPoolPlan(
        "a365pool4",
        "fepool4",
        ("SRV7",),
        (("Customer Care", 6001), ("Emergency Line", 6002)),
        standby_runs_ucc=True,
    ),
    TrustedApplicationPoolPlan(
        "a365pool5",
        "fepool5",
        ("SRV8",),
        (("Customer Care", 6101), ("Emergency Line", 6102)),
        standby_runs_ucc=True,
    ),
)

HOSTNAMES = (
    HostnamePlan("a365web1", "Service Desk Amsterdam", "a365pool1", ("SRV1", "SRV2", "SRV3", "SRV4")),
    HostnamePlan("a365web2", "Service Desk Rotterdam", "a365pool2", ("SRV3", "SRV4", "SRV1", "SRV2")),
    HostnamePlan("a365web3", "Service Desk Utrecht", "a365pool3", ("SRV5", "SRV6")),
    HostnamePlan("a365web4", "Customer Care", "a365pool4", ("SRV7", "SRV8")),
)


def resolver_of(site: str) -> str:
    """In: "Amsterdam". Out: the short name of its resolver."""
    return f"rdns-{site[:3].lower()}"


def fqdn(short_name: str, domain: str = DOMAIN) -> str:
    """In: "SRV1". Out: "srv1.lab.example"."""
    return f"{short_name.lower()}.{domain}"


def clients(address_of_srv3: str) -> tuple[tuple[str, str, str, str], ...]:
    """Installed clients: kind, place, host or URLs, UCC name. The last six are wrong, each in its own way."""
    web1, web2 = fqdn("a365web1"), fqdn("a365web2")
    right = tuple(
        (kind, f"PC-{number:04}", host, ucc)
        for number, (kind, host, ucc) in enumerate(
            [
                ("snapper", web1, "Sales"),
                ("snapper", web1, "Service Desk Amsterdam"),
                ("attendant", web1, "Reception Amsterdam"),
                ("attendant", web2, "Reception Rotterdam"),
                ("snapper", web2, "Planning"),
                ("snapper", fqdn("a365web3"), "Facilities"),
                ("inflight_wallboard", fqdn("a365web4"), "Customer Care"),
            ],
            start=401,
        )
    )
    return (
        *right,
        ("web_wallboard", "Lobby Amsterdam", f"https://{web1}/Attendant https://{web1}/DashboardService", ""),
        ("snapper", "PC-0417", fqdn("SRV1"), "Sales"),
        ("wallboard", "Hall Rotterdam", address_of_srv3, "Service Desk Rotterdam"),
        ("attendant", "Reception desk 2", web1, "Reception Rotterdam"),
        ("webchat_plus", "www1", f"a365old.{DOMAIN}", ""),
        ("snapper", "PC-0502", web2, "Planing"),
        ("web_wallboard", "Canteen", f"http://{web1}/Attendant https://{fqdn('SRV2')}/DashboardService", ""),
    )


def pool_of(server: str) -> TrustedApplicationPoolPlan:
    """The trusted application pool that a server belongs to. Raises KeyError for a server that is not in the estate."""
    for pool in POOLS:
        if server in pool.servers:
            return pool
    raise KeyError(server)


def hostnames_served_by(server: str) -> tuple[str, ...]:
    """Short names of the dedicated hostnames that may point at this server: its certificate must name them."""
    return tuple(hostname.name for hostname in HOSTNAMES if server in hostname.targets)


def runs_ucc_at_start(server: str) -> bool:
    """Whether the UCC service runs on this server in an untouched demo: not on a cold standby."""
    if pool_of(server).standby_runs_ucc:
        return True
    return any(hostname.targets[0] == server for hostname in HOSTNAMES)
