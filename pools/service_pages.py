"""What the page about one virtual service shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Q
from django.http import Http404

from pools.balancer_config import RealServerConfig, ServiceConfig, haproxy, kemp
from pools.cards import Role, ServiceCard, service_card
from pools.health import Health
from pools.maintenance.reads import attach_covering
from pools.models import (
    CheckState,
    DedicatedHostname,
    HealthTransition,
    HostnameStatus,
    VirtualService,
    VirtualServiceStatus,
)
from pools.pages import CheckLine, check_lines, status_of, worst_first
from pools.virtual_services import BalancerKind


@dataclass(frozen=True, slots=True)
class ConfigText:
    """A configuration to paste; ``own``: it is for the kind of load balancer that this virtual service is on."""

    title: str
    text: str
    own: bool


@dataclass(frozen=True, slots=True)
class VirtualServicePage:
    """Everything that a virtual service's page shows."""

    service: VirtualService
    status: VirtualServiceStatus
    card: ServiceCard
    checks: Sequence[CheckLine]
    hostnames: Sequence[tuple[DedicatedHostname, HostnameStatus]]
    transitions: Sequence[HealthTransition]
    configs: Sequence[ConfigText]

    @property
    def stale(self) -> bool:
        """Whether any of its results is too old to be believed."""
        return any(line.stale for line in self.checks)

    @property
    def down(self) -> int:
        """How many of its checks are down."""
        return sum(line.check.health == Health.DOWN for line in self.checks)


def find_virtual_service(name: str) -> VirtualService:
    """Return the virtual service of that name with everything that its pages say. Raises Http404."""
    service: VirtualService | None = VirtualService.objects.with_estate().filter(name__iexact=name).first()
    if service is None:
        raise Http404(f"There is no virtual service “{name}” in this estate.")
    return service


def virtual_service_page(name: str) -> VirtualServicePage:
    """Gather a virtual service's page in a fixed number of queries. Raises Http404."""
    service = find_virtual_service(name)
    attach_covering(service.servers)
    servers = [server.pk for server in service.servers]
    checks = worst_first(
        CheckState.objects.filter(Q(virtual_service=service) | Q(server__in=servers)).select_related(
            "server", "trusted_application__ucc", "virtual_service"
        )
    )
    hostnames = DedicatedHostname.objects.with_estate().filter(targets__virtual_service=service)
    return VirtualServicePage(
        service=service,
        status=getattr(service, "status", None) or VirtualServiceStatus(virtual_service=service),
        card=service_card(service, checks, role=Role("", "other"), order=0),
        checks=check_lines(checks),
        hostnames=[(hostname, status_of(hostname)) for hostname in hostnames],
        transitions=list(
            HealthTransition.objects.filter(Q(virtual_service=service) | Q(server__in=servers)).order_by("-at")[:30]
        ),
        configs=config_texts(service),
    )


def config_texts(service: VirtualService) -> list[ConfigText]:
    """The configuration of a virtual service for the load balancers that we know, its own kind first."""
    config = ServiceConfig(
        name=service.name,
        address=str(service.address),
        port=service.port,
        check_name=service.health_check.ucc.name,
        check_port=service.health_check.port,
        servers=tuple(
            RealServerConfig(server.name, server.fqdn, str(server.address), server.web_port)
            for server in service.servers
        ),
        statistics=service.statistics_source,
        backend=service.statistics_backend,
    )
    texts = [
        ConfigText("HAProxy: haproxy.cfg", haproxy(config), service.kind == BalancerKind.HAPROXY),
        ConfigText("Kemp LoadMaster: PowerShell", kemp(config), service.kind == BalancerKind.KEMP),
    ]
    return sorted(texts, key=lambda text: not text.own)
