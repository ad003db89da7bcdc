"""What the pages about one hostname and one server show: named reads, and view models for the templates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db.models import Q, QuerySet
from django.http import Http404

from pools.health import CheckKind, Health
from pools.models import CheckState, DedicatedHostname, FailoverTarget, HealthTransition, HostnameStatus, Server

_WORST = {Health.DOWN: 0, Health.UNKNOWN: 1, Health.DEGRADED: 2, Health.UP: 3}
UCCS_SHOWN = 10


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
    servers = [target.server_id for target in hostname.targets.all()]
    return CheckState.objects.filter(
        Q(hostname=hostname) | Q(server__in=servers, kind=CheckKind.UCC.value)
    ).select_related("server", "trusted_application__ucc")


def worst_first(checks: Iterable[CheckState]) -> list[CheckState]:
    """Sort checks: what is wrong first, then by label."""
    return sorted(checks, key=lambda check: (_WORST[Health(check.health)], check.label))


@dataclass(frozen=True, slots=True)
class CheckLine:
    """A check with its evidence as it is shown."""

    check: CheckState
    facts: Sequence[tuple[str, str]]


def check_line(check: CheckState) -> CheckLine:
    """Make the evidence of a check readable: short values only, lists joined."""
    facts = []
    for key, value in check.evidence.items():
        text = ", ".join(str(item) for item in value) if isinstance(value, list) else str(value)
        if value not in ("", None, []) and not isinstance(value, dict):
            facts.append((key.replace("_", " "), text[:120]))
    return CheckLine(check, facts)


@dataclass(frozen=True, slots=True)
class ServerCard:
    """One target in the topology strip."""

    server: Server
    order: int
    role: str
    role_health: str
    role_sentence: str
    uccs: Sequence[CheckState]
    uccs_more: int
    uccs_up: int
    uccs_all: int
    web: CheckState | None
    certificate: CheckState | None


@dataclass(frozen=True, slots=True)
class HostnamePage:
    """Everything that a hostname's page shows, except what comes from dnsops."""

    hostname: DedicatedHostname
    status: HostnameStatus
    checks: Sequence[CheckLine]
    dns: Sequence[CheckState]
    servers: Sequence[ServerCard]
    settings: Sequence[ClientSetting]
    can_fail_over: bool

    @property
    def phrase(self) -> str:
        """What is going on, in a phrase; the roll-up has none where everything is as it should be."""
        calm = "Every check answers." if self.status.health == Health.UP else "Not checked yet."
        return self.status.phrase or calm

    @property
    def dns_health(self) -> str:
        """The worst of what the authoritative servers said."""
        return min((check.health for check in self.dns), key=lambda h: _WORST[Health(h)], default=Health.UNKNOWN.value)

    @property
    def primary(self) -> str:
        """The primary's name; empty where there is none."""
        return next((card.server.name for card in self.servers if card.order == 1), "")


@dataclass(frozen=True, slots=True)
class ClientSetting:
    """A value that somebody types in when a client is installed."""

    client: str
    asked: str
    value: str


def client_settings(hostname: DedicatedHostname) -> list[ClientSetting]:
    """What each client is told: the dedicated hostname in place of any server's own name."""
    name = hostname.fqdn
    return [
        ClientSetting("Web Wallboard", "URL of the Attendant service", f"https://{name}/Attendant"),
        ClientSetting("Web Wallboard", "URL of the Dashboard service", f"https://{name}/DashboardService"),
        ClientSetting("Snapper, Attendant, Inflight Wallboard", "UCC host name", name),
        ClientSetting("Webchat Plus", "FQDN of the server", name),
    ]


def hostname_page(hostname: DedicatedHostname) -> HostnamePage:
    """Gather a hostname's page in a fixed number of queries."""
    status = status_of(hostname)
    checks = worst_first(checks_of(hostname))
    targets = list(hostname.targets.all())
    return HostnamePage(
        hostname=hostname,
        status=status,
        checks=[check_line(check) for check in checks],
        dns=sorted((c for c in checks if c.kind == CheckKind.DNS), key=lambda c: c.label),
        servers=[_server_card(target, status, checks) for target in targets],
        settings=client_settings(hostname),
        can_fail_over=len(targets) > 1,
    )


def _server_card(target: FailoverTarget, status: HostnameStatus, checks: Sequence[CheckState]) -> ServerCard:
    own = [check for check in checks if check.server_id == target.server_id]
    uccs = [check for check in own if check.kind == CheckKind.UCC]
    shown = uccs[:UCCS_SHOWN] if len(uccs) > UCCS_SHOWN + 2 else uccs
    role, health, sentence = _role(target, status)
    return ServerCard(
        server=target.server,
        order=target.order,
        role=role,
        role_health=health,
        role_sentence=sentence,
        uccs=sorted(shown, key=_port),
        uccs_more=len(uccs) - len(shown),
        uccs_up=sum(check.health == Health.UP for check in uccs),
        uccs_all=len(uccs),
        web=next((check for check in own if check.kind == CheckKind.WEB), None),
        certificate=next((check for check in own if check.kind == CheckKind.CERT), None),
    )


def _port(check: CheckState) -> int:
    return check.trusted_application.port if check.trusted_application else 0


def _role(target: FailoverTarget, status: HostnameStatus) -> tuple[str, str, str]:
    if target.server.in_maintenance:
        return "Maintenance", "maintenance", target.server.maintenance_reason
    if target.server_id == status.active_server_id:
        return "Active", "active", ""
    if target.server_id == status.standby_server_id:
        word = "Standby (ready)" if status.standby_ready else "Standby (not ready)"
        return word, "standby" if status.standby_ready else "degraded", status.standby_phrase
    return f"Target {target.order}", "other", ""


def recent_transitions(*, hostname: DedicatedHostname, limit: int = 50) -> list[HealthTransition]:
    """The latest changes of a hostname and of its targets, newest first."""
    servers = [target.server_id for target in hostname.targets.all()]
    own = HealthTransition.objects.filter(hostname=hostname).order_by("-at")[:limit]
    theirs = HealthTransition.objects.filter(server__in=servers, hostname=None).order_by("-at")[:limit]
    return sorted([*own, *theirs], key=lambda t: t.at, reverse=True)[:limit]


@dataclass(frozen=True, slots=True)
class ServerPage:
    """Everything that a server's page shows."""

    server: Server
    checks: Sequence[CheckLine]
    hostnames: Sequence[tuple[DedicatedHostname, HostnameStatus]]
    transitions: Sequence[HealthTransition]

    @property
    def down(self) -> int:
        """How many of its checks are down."""
        return sum(line.check.health == Health.DOWN for line in self.checks)


def server_page(name: str) -> ServerPage:
    """Gather a server's page. Raises Http404."""
    server = (
        Server.objects.select_related("trusted_application_pool__front_end_pool__site")
        .filter(name__iexact=name)
        .first()
    )
    if server is None:
        raise Http404(f"There is no server “{name}” in this estate.")
    hostnames = DedicatedHostname.objects.with_estate().filter(targets__server=server)
    return ServerPage(
        server=server,
        checks=[
            check_line(check)
            for check in worst_first(server.check_states.select_related("server", "trusted_application__ucc"))
        ],
        hostnames=[(hostname, status_of(hostname)) for hostname in hostnames],
        transitions=list(server.transitions.order_by("-at")[:30]),
    )
