"""A server, or a virtual service with its real servers, as the topology strip and its own page show it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pools.health import CheckKind, Health
from pools.models import CheckState, Server, VirtualService

UCCS_SHOWN = 10


class Role(NamedTuple):
    """What something is at this moment: its word, the colour that goes with it, and a sentence or ""."""

    word: str
    colour: str
    sentence: str = ""


@dataclass(frozen=True, slots=True)
class ServerCard:
    """A server in the topology strip: a target, or a real server behind one."""

    server: Server
    order: int
    role: Role
    uccs: Sequence[CheckState]
    uccs_more: int
    uccs_up: int
    uccs_all: int
    web: CheckState | None
    certificate: CheckState | None


@dataclass(frozen=True, slots=True)
class ServiceCard:
    """A virtual service: what is checked through its VIP, what its load balancer says, and its real servers."""

    service: VirtualService
    order: int
    role: Role
    vip: CheckState | None
    web: CheckState | None
    certificate: CheckState | None
    balancer: CheckState | None
    members: Sequence[ServerCard]


def server_card(server: Server, checks: Sequence[CheckState], *, role: Role, order: int) -> ServerCard:
    """Pick what belongs to a server from ``checks``."""
    own = [check for check in checks if check.server_id == server.pk]
    uccs = [check for check in own if check.kind == CheckKind.UCC]
    shown = uccs[:UCCS_SHOWN] if len(uccs) > UCCS_SHOWN + 2 else uccs
    return ServerCard(
        server=server,
        order=order,
        role=role,
        uccs=sorted(shown, key=_port),
        uccs_more=len(uccs) - len(shown),
        uccs_up=sum(check.health == Health.UP for check in uccs),
        uccs_all=len(uccs),
        web=next((check for check in own if check.kind == CheckKind.WEB), None),
        certificate=next((check for check in own if check.kind == CheckKind.CERT), None),
    )


def _port(check: CheckState) -> int:
    return check.trusted_application.port if check.trusted_application else 0


def service_card(service: VirtualService, checks: Sequence[CheckState], *, role: Role, order: int) -> ServiceCard:
    """Pick what belongs to a virtual service and its real servers from ``checks``."""
    own = {CheckKind(check.kind): check for check in checks if check.virtual_service_id == service.pk}
    balancer = own.get(CheckKind.BALANCER)
    return ServiceCard(
        service=service,
        order=order,
        role=role,
        vip=own.get(CheckKind.VIP),
        web=own.get(CheckKind.WEB),
        certificate=own.get(CheckKind.CERT),
        balancer=balancer,
        members=[
            server_card(server, checks, role=_member_role(server, balancer, service, checks), order=order)
            for order, server in enumerate(service.servers, start=1)
        ],
    )


def _member_role(
    server: Server, balancer: CheckState | None, service: VirtualService, checks: Sequence[CheckState]
) -> Role:
    """What a real server is to its load balancer: by the statistics, else by the health check's port as we see it."""
    if server.in_maintenance:
        return Role("Maintenance", "maintenance", server.maintenance_reason)
    if balancer is not None and balancer.health == Health.UP:
        if server.name in balancer.evidence.get("in_use", []):
            return Role("In use", "active", str(balancer.evidence.get("said", {}).get(server.name, "")))
        return Role("Not in use", "other", str(balancer.evidence.get("said", {}).get(server.name, "")))
    port = next(
        (
            check
            for check in checks
            if check.server_id == server.pk
            and check.trusted_application is not None
            and check.trusted_application.ucc_id == service.health_check.ucc_id
        ),
        None,
    )
    if port is None or port.health == Health.UNKNOWN:
        return Role("Not known", "other", "which real server the load balancer uses is not known")
    if port.health == Health.DOWN:
        return Role(
            "Health check closed", "other", f"the load balancer leaves it out: port {service.health_check.port}"
        )
    return Role("Health check open", "standby", "")
