"""A hostname's targets as candidates: where each is, and what the standing checks say of it."""

from __future__ import annotations

from collections.abc import Collection

from django.db.models import Prefetch, QuerySet

from pools.balancing import standby_reasons
from pools.facts import HostnameFacts, ServerFacts, TargetFacts, VirtualServiceFacts
from pools.health import Health
from pools.maintenance.reads import attach_covering
from pools.models import DedicatedHostname, FailoverTarget
from pools.next_target import Candidate, NextTarget, next_target
from pools.pointing import where_dns_points
from pools.rolling import read_facts
from pools.rollup import lacking_uccs, roll_up_server, roll_up_target


def with_candidates(hostnames: QuerySet[DedicatedHostname]) -> QuerySet[DedicatedHostname]:
    """What ``read_candidates`` and a plan need of hostnames, in a constant number of queries."""
    pool = "server__trusted_application_pool__front_end_pool__site"
    targets = (
        FailoverTarget.objects.with_aims()
        .select_related(pool, "virtual_service__site", "virtual_service__health_check__ucc")
        .prefetch_related(f"virtual_service__real_servers__{pool}")
    )
    return hostnames.select_related("status").prefetch_related(Prefetch("targets", targets.order_by("order")))


def read_candidates(hostnames: Collection[DedicatedHostname]) -> dict[int, tuple[Candidate, ...]]:
    """Each hostname's candidates (read ``with_candidates()``) by the standing checks, in a few queries."""
    attach_covering(server for h in hostnames for target in h.targets.all() for server in target.servers)
    facts = read_facts([hostname.pk for hostname in hostnames], {})
    return {hostname.pk: _candidates(hostname, facts.get(hostname.pk)) for hostname in hostnames}


def _candidates(hostname: DedicatedHostname, facts: HostnameFacts | None) -> tuple[Candidate, ...]:
    targets = list(hostname.targets.all())
    active = where_dns_points(facts).active if facts else None
    known = list(facts.targets) if facts else []
    if len(known) != len(targets):  # the estate was changed between the two reads: nothing is known for certain
        known = []
    return tuple(
        _candidate(target, known[place] if known else None, facts, active=bool(known) and known[place] is active)
        for place, target in enumerate(targets)
    )


def _candidate(
    target: FailoverTarget, fact: TargetFacts | None, facts: HostnameFacts | None, *, active: bool
) -> Candidate:
    problem, known, cold = _state(fact, facts) if fact and facts else ("", False, False)
    servers = target.servers
    return Candidate(
        name=target.name,
        order=target.order,
        site=target.site.name,
        front_end_pool=servers[0].trusted_application_pool.front_end_pool.fqdn if servers else "",
        problem=problem,
        known=known,
        cold=cold,
        in_maintenance=target.in_maintenance,
        maintenance=target.aim.maintenance_reason,
        active=active,
    )


def _state(target: TargetFacts, facts: HostnameFacts) -> tuple[str, bool, bool]:
    """What is wrong with a target, whether that is known, and whether it is a cold standby that has to be started."""
    if isinstance(target, VirtualServiceFacts):
        verdict = roll_up_target(target)
        return standby_reasons(target, verdict)[0], verdict.health is not Health.UNKNOWN, False
    return _server_state(target, facts)


def _server_state(server: ServerFacts, facts: HostnameFacts) -> tuple[str, bool, bool]:
    bad = [ucc for ucc in server.uccs if ucc.check.bad]
    if bad and len(bad) == len(server.uccs) and not server.standby_runs_ucc and server.web.answers:
        return "", True, True
    verdict = roll_up_server(server)
    if verdict.health is Health.DOWN or bad:
        return verdict.phrase, True, False
    if server.cert.bad:
        return f"certificate: {server.cert.sentence}", True, False
    if missing := lacking_uccs(facts, server):
        return missing[0], True, False
    return "", verdict.health is not Health.UNKNOWN, False


def next_for(hostname: DedicatedHostname, *, failover_only: bool = False) -> NextTarget:
    """Which target is next, and why. ``failover_only``: the primary is left out, for a failover never leads there."""
    found = with_candidates(DedicatedHostname.objects.filter(pk=hostname.pk)).get()
    candidates = read_candidates([found])[found.pk]
    if not any(candidate.active for candidate in candidates):
        return NextTarget(None, "It is not known where DNS points now, so neither is what comes next.")
    return next_target(c for c in candidates if c.active or c.order != 1 or not failover_only)
