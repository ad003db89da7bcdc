"""Pure: from probe results to the health of a check, a server, a hostname. No I/O, no Django."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Health(StrEnum):
    """What was observed. UNKNOWN is never shown as green."""

    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"
    UNKNOWN = "unknown"


class CheckKind(StrEnum):
    """What is asked."""

    UCC = "ucc"  # TCP connect to a UCC's port on one server
    WEB = "web"  # HTTPS GET to the server's own address; SNI and Host are the dedicated hostname
    CERT = "cert"  # the certificate shown there: SAN, expiry; never DOWN, at most DEGRADED
    DNS = "dns"  # one authoritative server's answer for one hostname
    VIP = "vip"  # TCP connect to a virtual service's VIP and port
    SERVICE = "service"  # HTTPS GET through the hostname: at the address that its authoritative servers give
    BALANCER = "balancer"  # a load balancer's own statistics, read only: which real server it uses


KNOCKS = frozenset({CheckKind.UCC, CheckKind.VIP})
"""Kinds that are nothing but a TCP connect."""


class Situation(StrEnum):
    """What is going on with a hostname as a whole; each has its sentence."""

    WORKING = "working"
    ON_STANDBY = "on_standby"  # working, but not on its primary
    NO_DATA = "no_data"  # web up, every UCC down: the trap. Clients get no data
    SOME_UCCS_DOWN = "some_uccs_down"
    SCREENS_DEAD = "screens_dead"  # UCC up, web down
    SERVER_DOWN = "server_down"
    DNS_SPLIT = "dns_split"  # authoritative servers disagree
    DNS_FOREIGN = "dns_foreign"  # DNS points at nothing that we know
    DNS_MISSING = "dns_missing"
    DNS_SILENT = "dns_silent"
    BOTH_ACTIVE = "both_active"  # two servers answer on UCC ports although one should
    THROUGH_NAME = "through_name"  # its server works, but not under its name
    STANDBY_NOT_READY = "standby_not_ready"
    BEHIND_GREEN = "behind_green"  # the load balancer's check is green, and the web services behind it are dead
    CHECK_UCC_GONE = "check_ucc_gone"  # the health check's port closed on every real server, others open
    BALANCER_DISAGREES = "balancer_disagrees"  # the load balancer uses a server that we see dead, or none that works
    CERTIFICATE = "certificate"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Policy:
    """How many results in a row it takes to change: ``fall`` bad ones to DOWN, ``rise`` good ones to UP."""

    rise: int = 2
    fall: int = 3


STALE_AFTER_INTERVALS = 2.5
DOUBT_SHARE = 0.8
DOUBT_AT_LEAST = 8

_RANK = {Health.UP: 0, Health.DEGRADED: 1, Health.DOWN: 2}


class CheckHealth(NamedTuple):
    """The state of one check.

    ``streak``: results in a row that contradict ``health`` in one direction; ``leaning``: what they amount to (the
    mildest of them); it is ``health`` itself while nothing contradicts.
    """

    health: Health = Health.UNKNOWN
    streak: int = 0
    leaning: Health = Health.UNKNOWN


class Transition(NamedTuple):
    """A change of a check's or a hostname's health."""

    old: Health
    new: Health


def observed_health(*, ok: bool | None, degraded: bool) -> Health:
    """Return what a single result says: None is UNKNOWN, ``degraded`` is at most DEGRADED."""
    if ok is None:
        return Health.UNKNOWN
    if degraded:
        return Health.DEGRADED
    return Health.UP if ok else Health.DOWN


def advance(state: CheckHealth, seen: Health, policy: Policy) -> tuple[CheckHealth, Transition | None]:
    """Return the state after one more result (``observed_health``), and the transition where it changed.

    ``fall`` results in a row that are worse (or not known) lower it, ``rise`` that are better raise it, in each case to
    the mildest of them: a mixture of bad and degraded never amounts to DOWN. From UNKNOWN the first result that is not
    bad decides at once; DOWN takes ``fall`` results also there, so that a restart raises no false alarm.
    """
    health = state.health
    if seen is health:
        return (state if state.streak == 0 else CheckHealth(health, 0, health)), None
    if health is Health.UNKNOWN and seen is not Health.DOWN:
        return CheckHealth(seen, 0, seen), Transition(health, seen)
    same_way = state.streak > 0 and _direction(health, state.leaning) == _direction(health, seen)
    streak = state.streak + 1 if same_way else 1
    leaning = _milder(health, state.leaning, seen) if same_way else seen
    needed = policy.rise if _direction(health, seen) == "better" else policy.fall
    if streak < needed:
        return CheckHealth(health, streak, leaning), None
    return CheckHealth(leaning, 0, leaning), Transition(health, leaning)


def restored(health: Health, streak: int) -> CheckHealth:
    """Return the state as it was stored. A streak's direction is not stored, and guessed where there is but one."""
    leaning = {Health.UP: Health.DOWN, Health.UNKNOWN: Health.DOWN, Health.DOWN: Health.UP}.get(health)
    return CheckHealth(health, streak, leaning) if streak and leaning else CheckHealth(health, 0, health)


def _direction(health: Health, seen: Health) -> str:
    if Health.UNKNOWN in {health, seen}:
        return "unknown" if seen is Health.UNKNOWN else "worse"
    return "better" if _RANK[seen] < _RANK[health] else "worse"


def _milder(health: Health, one: Health, other: Health) -> Health:
    """Of two results on the same side of ``health`` the one nearer to it."""
    if health not in _RANK or one not in _RANK or other not in _RANK:
        return other
    return min(one, other, key=lambda seen: abs(_RANK[seen] - _RANK[health]))


def is_stale(checked_at: float | None, interval_s: float, now: float, timeout_s: float = 0.0) -> bool:
    """Whether a result is too old to be used as if it were true (epoch seconds); one that never came is."""
    return checked_at is None or now - checked_at > STALE_AFTER_INTERVALS * interval_s + timeout_s


def prober_doubts_itself(
    latest: Iterable[tuple[Hashable, bool | None]], *, share: float = DOUBT_SHARE, at_least: int = DOUBT_AT_LEAST
) -> bool:
    """Whether so many different servers fail at once that the prober itself may be cut off.

    ``latest``: (server, ok) of each check's newest result in one sweep. A server fails when all of its checks do. It
    takes ``at_least`` servers, of which more than ``share`` fail.
    """
    answers: dict[Hashable, bool] = {}
    for server, ok in latest:
        answers[server] = answers.get(server, False) or ok is True
    if len(answers) < at_least:
        return False
    return sum(not answered for answered in answers.values()) > share * len(answers)
