"""What the page Maintenance shows, in a number of queries that does not grow with the estate."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.utils import timezone

from pools.maintenance.covering import Place
from pools.maintenance.forms import EndForm
from pools.maintenance.models import Maintenance
from pools.models import HostnameStatus, Server

OVER_SHOWN = 30


@dataclass(frozen=True, slots=True)
class Line:
    """One maintenance with what it takes out. ``active``: hostnames that lead to it now, and to nothing else."""

    row: Maintenance
    servers: Sequence[str]
    active: Sequence[str]
    form: EndForm


@dataclass(frozen=True, slots=True)
class MaintenancePage:
    """What goes on, what is planned, what is over."""

    now: Sequence[Line]
    planned: Sequence[Line]
    over: Sequence[Maintenance]


def maintenance_page() -> MaintenancePage:
    """Read the page."""
    at = timezone.now()
    rows = list(Maintenance.objects.not_over(at).with_things().order_by("ends_at", "pk"))
    lines = lines_of(rows)
    return MaintenancePage(
        now=[line for line in lines if line.row.starts_at <= at],
        planned=sorted((line for line in lines if line.row.starts_at > at), key=lambda line: line.row.starts_at),
        over=list(Maintenance.objects.over(at).with_things().order_by("-ends_at", "-pk")[:OVER_SHOWN]),
    )


def lines_of(rows: Iterable[Maintenance]) -> list[Line]:
    """Say of each what it takes out."""
    rows = list(rows)
    if not rows:
        return []
    pool = "trusted_application_pool"
    columns = ("pk", f"{pool}_id", f"{pool}__front_end_pool_id", f"{pool}__front_end_pool__site_id", "name")
    servers = [(Place(*values[:4]), values[4]) for values in Server.objects.order_by("name").values_list(*columns)]
    active = _active()
    lines = []
    for row in rows:
        out = [name for place, name in servers if row.window.covers(place)]
        gone = {place.server_id for place, _ in servers if row.window.covers(place)}
        there = sorted(fqdn for fqdn, needed in active.items() if needed and needed <= gone)
        form = EndForm(initial={"ends_at": row.ends_at}, auto_id=f"id_{row.pk}_%s")
        lines.append(Line(row, out, there, form))
    return lines


def _active() -> dict[str, set[int]]:
    """Hostname -> the servers that clients may end up on now: the active one, or those behind a virtual service."""
    active: dict[str, set[int]] = {}
    behind = "active_virtual_service__real_servers__server_id"
    for fqdn, server_id, real_id in HostnameStatus.objects.values_list("hostname__fqdn", "active_server_id", behind):
        active.setdefault(fqdn, set()).update(pk for pk in (server_id, real_id) if pk)
    return active
