"""The table of a hostname's UCCs: each on each of its servers. A fixed number of queries."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings

from pools import live
from pools.health import CheckKind, is_stale
from pools.maintenance.reads import attach_covering
from pools.models import CheckState, DedicatedHostname, Server, TrustedApplication
from pools.pages import status_of
from pools.rolling import pools_where_both_run
from pools.ucc_states import Cell, Run, UccLine, run_of, summary, ucc_line, worst_first


@dataclass(frozen=True, slots=True)
class UccTable:
    """Servers as columns, UCCs as rows, what is wrong first. ``both_normal``: two running servers are normal here."""

    servers: Sequence[Server]
    lines: Sequence[UccLine]
    summary: str
    both_normal: bool
    active: frozenset[int]


def ucc_table(hostname: DedicatedHostname) -> UccTable:
    """Read it for a hostname that was read with its estate."""
    servers = list({server.pk: server for target in hostname.targets.all() for server in target.servers}.values())
    attach_covering(servers)
    both = both_normal([server.trusted_application_pool_id for server in servers])
    active = _active(hostname)
    by_ucc = _cells(servers)
    lines = worst_first([ucc_line(name, cells, active, both_normal=both) for name, cells in by_ucc.items()])
    return UccTable(servers, lines, summary(lines), both, active)


def both_normal(pool_ids: Sequence[int]) -> bool:
    """Whether in all of these pools two servers may run the UCC service, by the pool's or its site's word."""
    return bool(pool_ids) and set(pool_ids) <= pools_where_both_run(pool_ids)


def _active(hostname: DedicatedHostname) -> frozenset[int]:
    active = status_of(hostname).active
    for target in hostname.targets.all():
        if active is not None and target.aim == active:
            return frozenset(server.pk for server in target.servers)
    return frozenset()


def _cells(servers: Sequence[Server]) -> dict[str, list[Cell]]:
    """UCC's name -> its cell on each server, in the servers' order."""
    pools = {server.trusted_application_pool_id for server in servers}
    applications = TrustedApplication.objects.filter(trusted_application_pool__in=pools).select_related("ucc")
    placed = {(row.trusted_application_pool_id, row.ucc.name): row for row in applications}
    states = {
        (state.server_id, state.trusted_application_id): state
        for state in CheckState.objects.filter(server__in=servers, kind=CheckKind.UCC.value)
    }
    latest, now = live.latest(settings.POOLS["shards"]), time.time()
    table: dict[str, list[Cell]] = {}
    for name in sorted({name for _, name in placed}):
        for server in servers:
            application = placed.get((server.trusted_application_pool_id, name))
            if application is None:
                table.setdefault(name, []).append(Cell(server.pk, server.name, Run.ABSENT))
                continue
            state = states.get((server.pk, application.pk))
            seen = latest.get(state.key) if state else None
            stale = state is None or is_stale(seen.at if seen else None, state.interval_s, now)
            health, cause = (state.health, state.cause) if state else ("unknown", "")
            cell = Cell(
                server_id=server.pk,
                server=server.name,
                run=run_of(health=health, cause=cause, stale=stale),
                port=application.port,
                age_s=max(now - seen.at, 0.0) if seen else None,
                sentence=state.sentence if state else "",
                in_maintenance=server.in_maintenance,
            )
            table.setdefault(name, []).append(cell)
    return table
