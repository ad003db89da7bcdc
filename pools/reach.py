"""Which hostnames may lead clients to a server or through a virtual service, directly or behind a load balancer."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from django.db.models import Q

from pools.models import FailoverTarget, RealServer


@dataclass(frozen=True, slots=True)
class Reach:
    """Hostnames by server and by virtual service, and the virtual services in front of each server (database ids)."""

    of_server: Mapping[int, frozenset[int]]
    of_virtual_service: Mapping[int, frozenset[int]]
    services_of_server: Mapping[int, frozenset[int]] = field(default_factory=dict)


def read_reach() -> Reach:
    """Read all of it, in two queries."""
    by_server: dict[int, set[int]] = {}
    by_service: dict[int, set[int]] = {}
    for server_id, service_id, hostname_id in FailoverTarget.objects.values_list(
        "server_id", "virtual_service_id", "hostname_id"
    ):
        if server_id:
            by_server.setdefault(server_id, set()).add(hostname_id)
        if service_id:
            by_service.setdefault(service_id, set()).add(hostname_id)
    in_front: dict[int, set[int]] = {}
    for service_id, server_id in RealServer.objects.values_list("virtual_service_id", "server_id"):
        by_server.setdefault(server_id, set()).update(by_service.get(service_id, ()))
        in_front.setdefault(server_id, set()).add(service_id)
    return Reach(
        {pk: frozenset(hostname_ids) for pk, hostname_ids in by_server.items()},
        {pk: frozenset(hostname_ids) for pk, hostname_ids in by_service.items()},
        {pk: frozenset(service_ids) for pk, service_ids in in_front.items()},
    )


def hostnames_of_servers(server_ids: Collection[int]) -> set[int]:
    """Return the hostnames whose clients may end up on one of these servers."""
    found = FailoverTarget.objects.filter(
        Q(server_id__in=server_ids) | Q(virtual_service__real_servers__server_id__in=server_ids)
    )
    return set(found.values_list("hostname_id", flat=True))
