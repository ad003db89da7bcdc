"""Which servers are in maintenance now, for any number of servers in at most three queries."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from django.db.models import Q
from django.utils import timezone

from a365admin.prepared import Prepared
from pools.maintenance.covering import NOT_COVERED, Covering, Place, Scope, covering_of
from pools.maintenance.models import Maintenance
from pools.models import Server

_SERVERS_OF = {
    Scope.SERVER: "pk",
    Scope.TRUSTED_APPLICATION_POOL: "trusted_application_pool",
    Scope.FRONT_END_POOL: "trusted_application_pool__front_end_pool",
    Scope.SITE: "trusted_application_pool__front_end_pool__site",
}


_any_at = Prepared(lambda at: Maintenance.objects.not_over(at).values_list("pk")[:1], datetime)


def coverings_of(server_ids: Collection[int], at: datetime | None = None) -> Mapping[int, Covering]:
    """Return server id -> the maintenances that it is in at ``at`` (now by default); those in none are left out."""
    at = at or timezone.now()
    if not server_ids or not _any_at(at):  # nearly always, and the long query has a click wait
        return {}
    windows = [row.window for row in Maintenance.objects.not_over(at).with_things()]
    if not any(window.is_on(at) for window in windows):
        return {}
    found = {place.server_id: covering_of(place, windows, at) for place in _places(server_ids)}
    return {server_id: covering for server_id, covering in found.items() if covering}


def attach_covering(servers: Iterable[Server]) -> None:
    """Read for all of them at once what ``Server.covering`` would read for each."""
    servers = list(servers)
    covered = coverings_of({server.pk for server in servers})
    for server in servers:
        server.covering = covered.get(server.pk, NOT_COVERED)


def servers_of(scope: Scope, object_id: int) -> set[int]:
    """Return the ids of the servers that a maintenance of this thing takes out."""
    return set(Server.objects.filter(**{_SERVERS_OF[scope]: object_id}).values_list("pk", flat=True))


def maintenances_about(server: Server) -> list[Maintenance]:
    """Those that go on or are planned and take this server out, the earliest first."""
    pool = server.trusted_application_pool
    place = Q(server=server) | Q(trusted_application_pool=pool)
    place |= Q(front_end_pool=pool.front_end_pool_id) | Q(site=pool.front_end_pool.site_id)
    return list(Maintenance.objects.not_over().filter(place).with_things())


def _places(server_ids: Collection[int]) -> list[Place]:
    pool = "trusted_application_pool"
    columns = ("pk", f"{pool}_id", f"{pool}__front_end_pool_id", f"{pool}__front_end_pool__site_id")
    query = Server.objects.all() if len(server_ids) > 500 else Server.objects.filter(pk__in=server_ids)
    return [Place(*values) for values in query.values_list(*columns)]
