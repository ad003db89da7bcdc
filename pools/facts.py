"""Pure: what the roll-up of a hostname's health is made from, and the findings that it is made of."""

from __future__ import annotations

from dataclasses import dataclass

from pools.health import Health, Situation

PROBERS_OWN = frozenset({"cut_off", "local"})  # causes that tell of the prober and not of what it asked


@dataclass(frozen=True, slots=True)
class CheckFact:
    """The state of one check. ``cause`` is a ``pools.probing.result.Cause``, "" where it was never asked."""

    health: Health = Health.UNKNOWN
    cause: str = ""
    sentence: str = ""
    latency_ms: float | None = None

    @property
    def bad(self) -> bool:
        """Whether it is known to fail."""
        return self.health is Health.DOWN

    @property
    def answers(self) -> bool:
        """Whether it is known to answer."""
        return self.health in {Health.UP, Health.DEGRADED}


NEVER_ASKED = CheckFact()


@dataclass(frozen=True, slots=True)
class UccFact:
    """A UCC's port on one server. ``ucc_id`` tells that two servers run the same UCC, on whatever ports."""

    ucc_id: int
    name: str
    port: int
    check: CheckFact = NEVER_ASKED


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """A target and its checks. ``standby_runs_ucc``: in its pool also the standby runs the UCC service.

    ``maintenance``: why it is in maintenance.
    """

    server_id: int
    name: str
    fqdn: str
    address: str
    uccs: tuple[UccFact, ...] = ()
    web: CheckFact = NEVER_ASKED
    cert: CheckFact = NEVER_ASKED
    in_maintenance: bool = False
    standby_runs_ucc: bool = False
    maintenance: str = ""
    virtual_service_id: None = None

    @property
    def servers(self) -> tuple[ServerFacts, ...]:
        """The servers that clients may end up on: itself."""
        return (self,)


@dataclass(frozen=True, slots=True)
class VirtualServiceFacts:
    """A target that is a virtual service: its VIP, its real servers (the active one first) and its health check.

    ``check_ucc_id``, ``check_name`` and ``check_port`` are of the UCC whose port the load balancer checks.
    ``balancer`` is the reading of its statistics, None where they are not read; ``in_use``: the names of the real
    servers that it sends clients to, as it says itself.
    """

    virtual_service_id: int
    name: str
    fqdn: str
    address: str
    port: int
    check_ucc_id: int
    check_name: str
    check_port: int
    real_servers: tuple[ServerFacts, ...] = ()
    vip: CheckFact = NEVER_ASKED
    web: CheckFact = NEVER_ASKED
    cert: CheckFact = NEVER_ASKED
    balancer: CheckFact | None = None
    in_use: tuple[str, ...] = ()
    server_id: None = None

    @property
    def servers(self) -> tuple[ServerFacts, ...]:
        """The servers that clients may end up on."""
        return self.real_servers

    @property
    def uccs(self) -> tuple[UccFact, ...]:
        """The UCCs of the real server that clients end up on first."""
        return self.real_servers[0].uccs if self.real_servers else ()

    @property
    def in_maintenance(self) -> bool:
        """Whether none of its real servers is in service."""
        return bool(self.real_servers) and all(server.in_maintenance for server in self.real_servers)

    def check_on(self, server: ServerFacts) -> CheckFact:
        """Our own state of the health check's port on a real server."""
        return next((ucc.check for ucc in server.uccs if ucc.ucc_id == self.check_ucc_id), NEVER_ASKED)

    @property
    def balancer_is_read(self) -> bool:
        """Whether the load balancer's own statistics are known at this moment."""
        return self.balancer is not None and self.balancer.answers


TargetFacts = ServerFacts | VirtualServiceFacts


@dataclass(frozen=True, slots=True)
class ServerVerdict:
    """What is going on on one server, or through one virtual service, were clients sent to it."""

    health: Health
    situation: Situation
    phrase: str = ""


@dataclass(frozen=True, slots=True)
class DnsFact:
    """What one authoritative server says; ``values`` of its last answer, with closing dots where they are names."""

    name_server: str
    check: CheckFact = NEVER_ASKED
    values: tuple[str, ...] = ()

    @property
    def says_nothing_is_there(self) -> bool:
        """Whether it answers that there is no such record."""
        return self.check.bad and self.check.cause in {"wrong_answer", "name_not_found"}


@dataclass(frozen=True, slots=True)
class HostnameFacts:
    """Everything that a hostname's verdict is made from. ``targets``: the primary first; ``dns``: the writer first."""

    fqdn: str
    targets: tuple[TargetFacts, ...]
    dns: tuple[DnsFact, ...]
    service: CheckFact = NEVER_ASKED  # through the hostname itself


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is going on. Findings are ranked by health, then by the order in which they were made.

    ``planned``: it is on a server in maintenance, and so no alarm.
    """

    health: Health
    situation: Situation
    phrase: str
    planned: bool = False
