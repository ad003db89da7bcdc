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
    """A target and its checks. ``standby_runs_ucc``: in its pool also the standby runs the UCC service."""

    server_id: int
    name: str
    fqdn: str
    address: str
    uccs: tuple[UccFact, ...] = ()
    web: CheckFact = NEVER_ASKED
    cert: CheckFact = NEVER_ASKED
    in_maintenance: bool = False
    standby_runs_ucc: bool = False


@dataclass(frozen=True, slots=True)
class DnsFact:
    """What one authoritative server says; ``values`` of its last answer, with closing dots where they are names."""

    name_server: str
    check: CheckFact = NEVER_ASKED
    values: tuple[str, ...] = ()

    @property
    def says_nothing_is_there(self) -> bool:
        """Whether it answers that there is no such record."""
        return self.check.bad and self.check.cause == "wrong_answer"


@dataclass(frozen=True, slots=True)
class HostnameFacts:
    """Everything that a hostname's verdict is made from. ``targets``: the primary first; ``dns``: the writer first."""

    fqdn: str
    targets: tuple[ServerFacts, ...]
    dns: tuple[DnsFact, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is going on. Findings are ranked by health, then by the order in which they were made."""

    health: Health
    situation: Situation
    phrase: str
