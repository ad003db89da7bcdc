"""What the pages about one hostname and one server show: named reads, and view models for the templates."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from django.conf import settings
from django.db.models import Q, QuerySet
from django.http import Http404

from pools import live
from pools.candidates import next_for
from pools.cards import Role, ServerCard, ServiceCard, server_card, service_card
from pools.clients.reads import hostname_values
from pools.clients.values import ValueGroup, grouped_values
from pools.health import CheckKind, Health, is_stale
from pools.maintenance.reads import attach_covering
from pools.models import CheckState, DedicatedHostname, FailoverTarget, HealthTransition, HostnameStatus
from pools.next_target import NextTarget

ELSEWHERE = frozenset({"fingerprint", "signature"})  # shown on the page Certificates
_WORST = {Health.DOWN: 0, Health.UNKNOWN: 1, Health.DEGRADED: 2, Health.UP: 3}


def find_hostname(fqdn: str) -> DedicatedHostname:
    """Return the hostname with everything that its page says. Raises Http404."""
    hostname: DedicatedHostname | None = DedicatedHostname.objects.with_estate().filter(fqdn=fqdn).first()
    if hostname is None:
        raise Http404(f"There is no dedicated hostname “{fqdn}” in this estate.")
    return hostname


def status_of(hostname: DedicatedHostname) -> HostnameStatus:
    """Return its status; where nothing was rolled up yet, an unsaved one that says unknown."""
    try:
        return hostname.status
    except HostnameStatus.DoesNotExist:
        return HostnameStatus(hostname=hostname, phrase="Not checked yet.")


def checks_of(hostname: DedicatedHostname) -> QuerySet[CheckState]:
    """The checks that say something about a hostname: its own, and the UCC ports of its targets."""
    servers = [server.pk for target in hostname.targets.all() for server in target.servers]
    services = [target.virtual_service_id for target in hostname.targets.all() if target.virtual_service_id]
    return CheckState.objects.filter(
        Q(hostname=hostname)
        | Q(server__in=servers, kind=CheckKind.UCC.value)
        | Q(virtual_service__in=services, hostname=None)
    ).select_related("server", "trusted_application__ucc", "virtual_service")


def worst_first(checks: Iterable[CheckState]) -> list[CheckState]:
    """Sort checks: what is wrong first, then by label."""
    return sorted(checks, key=lambda check: (_WORST[Health(check.health)], check.label))


@dataclass(frozen=True, slots=True)
class CheckLine:
    """A check with its evidence as it is shown."""

    check: CheckState
    facts: Sequence[tuple[str, str]]
    stale: bool = False
    """Whether its newest result is too old to be believed, or there is none."""
    watch: str = ""
    """What is to be said of its watch connection; empty where there is none."""

    @property
    def is_notable(self) -> bool:
        """Whether it is not simply up."""
        return self.check.health != Health.UP or self.check.flapping or self.check.streak > 0


def check_lines(checks: Iterable[CheckState], watches: Mapping[str, str] | None = None) -> list[CheckLine]:
    """Make checks readable, each with whether its newest result is too old to be believed.

    ``watches``: what is to be said of watch connections, by check key.
    """
    latest, now = live.latest(settings.POOLS["shards"]), time.time()
    lines = []
    for check in checks:
        seen = latest.get(check.key)
        stale = is_stale(seen.at if seen else None, check.interval_s, now)
        lines.append(check_line(check, stale=stale, watch=(watches or {}).get(check.key, "")))
    return lines


def check_line(check: CheckState, *, stale: bool = False, watch: str = "") -> CheckLine:
    """Make the evidence of a check readable: short values only, lists joined."""
    facts = []
    for key, value in check.evidence.items():
        if key in ELSEWHERE:
            continue
        text = ", ".join(str(item) for item in value) if isinstance(value, list) else str(value)
        if key == "since" and isinstance(value, int | float):
            text = f"{datetime.fromtimestamp(value, UTC):%Y-%m-%d %H:%M:%S} UTC"
        if value not in ("", None, []) and not isinstance(value, dict):
            facts.append((key.replace("_", " "), text[:120]))
    return CheckLine(check, facts, stale, watch)


@dataclass(frozen=True, slots=True)
class HostnamePage:
    """Everything that a hostname's page shows, except what comes from dnsops."""

    hostname: DedicatedHostname
    status: HostnameStatus
    checks: Sequence[CheckLine]
    dns: Sequence[CheckState]
    servers: Sequence[ServerCard]
    services: Sequence[ServiceCard]
    settings: Sequence[ValueGroup]
    can_fail_over: bool
    next: NextTarget | None = None

    @property
    def phrase(self) -> str:
        """What is going on, in a phrase; the roll-up has none where everything is as it should be."""
        calm = "Every check answers." if self.status.health == Health.UP else "Not checked yet."
        return self.status.phrase or calm

    @property
    def notable(self) -> list[CheckLine]:
        """Checks to look at first: not up, flapping, or on their way to another state."""
        return [line for line in self.checks if line.is_notable]

    @property
    def calm(self) -> list[CheckLine]:
        """Checks that are up, with nothing to say about them."""
        return [line for line in self.checks if not line.is_notable]

    @property
    def dns_health(self) -> str:
        """The worst of what the authoritative servers said."""
        return min((check.health for check in self.dns), key=lambda h: _WORST[Health(h)], default=Health.UNKNOWN.value)

    @property
    def primary(self) -> str:
        """The primary's name; empty where there is none."""
        return next((target.name for target in self.hostname.targets.all() if target.order == 1), "")

    @property
    def balanced_only(self) -> bool:
        """Whether its only target is a virtual service: then a failover is the load balancer's business alone."""
        return bool(self.services) and not self.can_fail_over


def hostname_page(hostname: DedicatedHostname) -> HostnamePage:
    """Gather a hostname's page in a fixed number of queries."""
    status = status_of(hostname)
    checks = worst_first(checks_of(hostname))
    targets = list(hostname.targets.all())
    attach_covering(server for target in targets for server in target.servers)
    return HostnamePage(
        hostname=hostname,
        status=status,
        checks=[check_line(check) for check in checks],
        dns=sorted((c for c in checks if c.kind == CheckKind.DNS), key=lambda c: c.label),
        servers=[_target_card(target, status, checks) for target in targets if target.server],
        services=[
            service_card(target.virtual_service, checks, role=_role(target, status), order=target.order)
            for target in targets
            if target.virtual_service
        ],
        settings=grouped_values(hostname_values(hostname)),
        can_fail_over=len(targets) > 1,
        next=next_for(hostname) if len(targets) > 1 else None,
    )


def _target_card(target: FailoverTarget, status: HostnameStatus, checks: Sequence[CheckState]) -> ServerCard:
    return server_card(target.servers[0], checks, role=_role(target, status), order=target.order)


def _role(target: FailoverTarget, status: HostnameStatus) -> Role:
    if target.in_maintenance:
        return Role("Maintenance", "maintenance", target.aim.maintenance_reason)
    if target.aim == status.active:
        return Role("Active", "active", "")
    if target.aim == status.standby:
        word = "Standby (ready)" if status.standby_ready else "Standby (not ready)"
        return Role(word, "standby" if status.standby_ready else "degraded", status.standby_phrase)
    return Role(f"Target {target.order}", "other")


def recent_transitions(*, hostname: DedicatedHostname, limit: int = 50) -> list[HealthTransition]:
    """The latest changes of a hostname and of its targets, newest first."""
    servers = [server.pk for target in hostname.targets.all() for server in target.servers]
    services = [target.virtual_service_id for target in hostname.targets.all() if target.virtual_service_id]
    own = HealthTransition.objects.filter(hostname=hostname).order_by("-at")[:limit]
    theirs = HealthTransition.objects.filter(
        Q(server__in=servers) | Q(virtual_service__in=services), hostname=None
    ).order_by("-at")[:limit]
    return sorted([*own, *theirs], key=lambda t: t.at, reverse=True)[:limit]
