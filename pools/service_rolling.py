"""The states in the database -> each virtual service's status, and what its load balancer did by itself.

A failover inside a datacentre is the load balancer's own: nobody clicks, so here it is noticed, timed and written down.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, datetime

from django.db import transaction
from django.utils import timezone

from a365admin.audit.services import record
from pools.balancing import Move, judge_move, serving
from pools.facts import ServerVerdict, VirtualServiceFacts
from pools.health import Health, Situation
from pools.models import CheckState, FailoverTarget, HealthTransition, Server, VirtualService, VirtualServiceStatus
from pools.rolling import read_facts
from pools.rollup import roll_up_target

_RANK = {Health.DOWN: 0, Health.UNKNOWN: 1, Health.DEGRADED: 2, Health.UP: 3}
SAME_FAULT_S = 60.0  # our check finds a fault within its interval and retries; later it is another fault
_NOTHING_YET = ServerVerdict(Health.UNKNOWN, Situation.UNKNOWN, "no hostname leads to it, so it is not asked as one")


def refresh_virtual_services(service_ids: Collection[int], *, at: datetime | None = None) -> None:
    """Roll these virtual services up from the states in the database, and note which real server is in use.

    A change of the real server in use is a move: it gets a transition and an entry in the audit log, with the time that
    the load balancer took. ``at``: when it was seen (UTC), now by default.
    """
    if not service_ids:
        return
    at = at or timezone.now()
    with transaction.atomic():
        services = {s.pk: s for s in VirtualService.objects.filter(pk__in=service_ids).select_related("health_check")}
        statuses = _locked_statuses(services)
        facts = _facts_by_service(services)
        for pk, service in services.items():
            _refresh(service, statuses[pk], facts.get(pk, []), at)


def _locked_statuses(services: Collection[int]) -> dict[int, VirtualServiceStatus]:
    known = set(VirtualServiceStatus.objects.filter(pk__in=services).values_list("pk", flat=True))
    fresh = [VirtualServiceStatus(virtual_service_id=pk) for pk in sorted(set(services) - known)]
    VirtualServiceStatus.objects.bulk_create(fresh, ignore_conflicts=True)
    rows = VirtualServiceStatus.objects.select_for_update(of=("self",)).select_related("in_use")
    return {status.pk: status for status in rows.filter(pk__in=services).order_by("pk")}


def _facts_by_service(services: Collection[int]) -> dict[int, list[VirtualServiceFacts]]:
    """The facts of each, once for each hostname that leads to it."""
    targets = FailoverTarget.objects.filter(virtual_service__in=services)
    found: dict[int, list[VirtualServiceFacts]] = {}
    for facts in read_facts(set(targets.values_list("hostname_id", flat=True)), {}).values():
        for target in facts.targets:
            if isinstance(target, VirtualServiceFacts):
                found.setdefault(target.virtual_service_id, []).append(target)
    return found


def _refresh(
    service: VirtualService, status: VirtualServiceStatus, facts: list[VirtualServiceFacts], at: datetime
) -> None:
    verdict = _worst(roll_up_target(one) for one in facts)
    before = (status.health, status.situation, status.phrase, status.in_use_id, status.moved_from, status.took_s)
    if status.health != verdict.health:
        status.since = at
    status.health, status.situation, status.phrase = verdict.health.value, verdict.situation.value, verdict.phrase
    if facts:
        _note_who_serves(service, status, facts[0], at)
    after = (status.health, status.situation, status.phrase, status.in_use_id, status.moved_from, status.took_s)
    if after != before:
        status.save()


def _worst(verdicts: Iterable[ServerVerdict]) -> ServerVerdict:
    return min(verdicts, key=lambda verdict: _RANK[verdict.health], default=_NOTHING_YET)


def _note_who_serves(
    service: VirtualService, status: VirtualServiceStatus, facts: VirtualServiceFacts, at: datetime
) -> None:
    """Compare who serves with who did; tell a move. Without a known state nothing is concluded."""
    if facts.balancer is not None and not facts.balancer.answers:
        return
    now = serving(facts)
    before = status.in_use.name if status.in_use else status.moved_from
    if now is None:
        if status.in_use is not None:
            status.moved_from, status.in_use, status.in_use_since = status.in_use.name, None, at
        return
    if status.in_use_id == now.server_id:
        _time_afterwards(service, status, facts)
        return
    begun = _begun(service, facts, at)
    old = next((server for server in facts.real_servers if server.name == before), None)
    status.in_use, status.in_use_since = Server.objects.get(pk=now.server_id), begun
    if old is None or old is now:
        status.moved_from, status.took_s = "", None
        return
    move = judge_move(facts, old, now, begun=begun.timestamp(), closed=_closed_since(service, old.server_id))
    status.moved_from, status.took_s = old.name, move.took_s
    _tell(service, move, old.name, now.name, begun)


def _time_afterwards(service: VirtualService, status: VirtualServiceStatus, facts: VirtualServiceFacts) -> None:
    """The load balancer was quicker than our own check: known when that has found the old server closed as well."""
    old = next((server for server in facts.real_servers if server.name == status.moved_from), None)
    if status.took_s is not None or old is None or status.in_use_since is None or not facts.balancer_is_read:
        return
    closed = _closed_since(service, old.server_id)
    if closed is not None and 0 <= closed - status.in_use_since.timestamp() <= SAME_FAULT_S:
        status.took_s = 0.0


def _begun(service: VirtualService, facts: VirtualServiceFacts, at: datetime) -> datetime:
    """When the present use began: by the load balancer's own words, else now."""
    if facts.balancer is None:
        return at
    state = CheckState.objects.filter(key=f"balancer:{service.pk}").first()
    said = state.evidence.get("since") if state and isinstance(state.evidence, dict) else None
    return datetime.fromtimestamp(said, UTC) if isinstance(said, int | float) else at


def _closed_since(service: VirtualService, server_id: int) -> float | None:
    """Since when (epoch) our own check has found the health check's port of a real server closed; None: it is not."""
    state = CheckState.objects.filter(
        server=server_id, trusted_application__ucc=service.health_check.ucc_id, health=Health.DOWN.value
    ).first()
    return state.since.timestamp() if state else None


def _tell(service: VirtualService, move: Move, old: str, new: str, begun: datetime) -> None:
    """One transition, which timelines show, and one entry in the audit log."""
    HealthTransition.objects.create(
        at=begun,
        label=f"Load balancer of {service} moved from {old} to {new}"[:200],
        virtual_service=service,
        old=Health.UP.value,
        new=Health.UP.value,
        sentence=move.sentence[:300],
    )
    record(
        action="virtual-service.moved",
        object=service,
        reason=move.sentence,
        before={"in_use": old},
        after={"in_use": new, "took_s": move.took_s, "since": begun.isoformat()},
    )
