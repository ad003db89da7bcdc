"""What the page about one server shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Q
from django.http import Http404

from pools.health import Health
from pools.live import watch_words
from pools.maintenance.models import Maintenance
from pools.maintenance.reads import maintenances_about
from pools.models import DedicatedHostname, HealthTransition, HostnameStatus, Server, VirtualServiceStatus
from pools.pages import CheckLine, check_lines, status_of, worst_first
from pools.place_pages import facts_of, fresh_checks
from pools.places import Verdict, roll_up_one


@dataclass(frozen=True, slots=True)
class ServerPage:
    """Everything that a server's page shows."""

    server: Server
    verdict: Verdict
    checks: Sequence[CheckLine]
    hostnames: Sequence[tuple[DedicatedHostname, HostnameStatus]]
    transitions: Sequence[HealthTransition]
    maintenances: Sequence[Maintenance]

    @property
    def down(self) -> int:
        """How many of its checks are down."""
        return sum(line.check.health == Health.DOWN for line in self.checks)


def server_page(name: str) -> ServerPage:
    """Gather a server's page. Raises Http404."""
    server = (
        Server.objects.select_related("trusted_application_pool__front_end_pool__site")
        .prefetch_related("trusted_application_pool__trusted_applications__ucc")
        .filter(name__iexact=name)
        .first()
    )
    if server is None:
        raise Http404(f"There is no server “{name}” in this estate.")
    hostnames = DedicatedHostname.objects.with_estate().filter(
        Q(targets__server=server) | Q(targets__virtual_service__real_servers__server=server)
    )
    served = [(hostname, status_of(hostname)) for hostname in hostnames.distinct()]
    (facts,) = facts_of([server], server.trusted_application_pool, fresh_checks([server]))
    watches = watch_words() if server.trusted_application_pool.watch_connections else {}
    return ServerPage(
        server=server,
        verdict=roll_up_one(facts, active=_is_active(server, served)),
        checks=check_lines(
            worst_first(server.check_states.select_related("server", "trusted_application__ucc")), watches
        ),
        hostnames=served,
        transitions=list(server.transitions.order_by("-at")[:30]),
        maintenances=maintenances_about(server),
    )


def _is_active(server: Server, served: Sequence[tuple[DedicatedHostname, HostnameStatus]]) -> bool | None:
    """Whether clients are on this server; None where DNS, or a load balancer that it is behind, does not tell."""
    balanced = VirtualServiceStatus.objects.filter(virtual_service__real_servers__server=server)
    in_use = list(balanced.values_list("in_use", flat=True))
    if server.pk in in_use or any(status.active_server_id == server.pk for _, status in served):
        return True
    behind = any(status.active and status.active_server_id is None for _, status in served) and not in_use
    return None if behind or None in in_use or any(status.active is None for _, status in served) else False
