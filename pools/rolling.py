"""The states in the database -> each hostname's status: read the facts, decide (``rollup.py``), write what changed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Prefetch, Q
from django.utils import timezone

from pools import live
from pools.facts import CheckFact, DnsFact, HostnameFacts, ServerFacts, TargetFacts, UccFact, VirtualServiceFacts
from pools.health import CheckKind, Health
from pools.maintenance.covering import NOT_COVERED, Covering
from pools.maintenance.reads import coverings_of
from pools.models import (
    CheckState,
    DedicatedHostname,
    FailoverTarget,
    HealthTransition,
    HostnameStatus,
    Server,
    TrustedApplication,
    TrustedApplicationPool,
    VirtualService,
)
from pools.rollup import HostnameVerdict, roll_up_hostname

LAST = 1_000_000

_SHOWN = (
    "health",
    "situation",
    "phrase",
    "active_server_id",
    "active_virtual_service_id",
    "active_text",
    "standby_server_id",
    "standby_virtual_service_id",
    "standby_ready",
    "standby_phrase",
    "on_primary",
    "planned",
    "maintenance",
)
_WRITTEN = ("health", "situation", "phrase", "active_server", "active_virtual_service", "active_text",
            "standby_server", "standby_virtual_service", "standby_ready", "standby_phrase", "on_primary", "planned",
            "maintenance", "since", "active_since", "latency_ms")  # fmt: skip


def refresh_hostnames(
    hostname_ids: Collection[int],
    *,
    latency_ms: Mapping[str, float] | None = None,
    at: datetime | None = None,
    moved: list[HealthTransition] | None = None,
) -> set[int]:
    """Roll these hostnames up from the states in the database; return those whose row changed.

    Writes their rows, and a transition for each whose health changed, in one transaction. ``latency_ms``: the newest
    latency by check key, where the caller knows it. ``at``: when it was seen (UTC), now by default. ``moved`` receives
    the transitions.
    """
    if not hostname_ids:
        return set()
    at = at or timezone.now()
    with transaction.atomic():
        statuses = _locked_statuses(hostname_ids)
        facts = read_facts(statuses.keys(), latency_ms or {})
        changed: list[HostnameStatus] = []
        transitions: list[HealthTransition] = []
        for hostname_id, fact in facts.items():
            status = statuses[hostname_id]
            verdict = roll_up_hostname(fact)
            if all(getattr(status, name) == getattr(verdict, name) for name in _SHOWN):
                continue
            if status.health != verdict.health:
                transitions.append(_transition(fact, status, verdict, at))
            _apply(status, verdict, at)
            changed.append(status)
        if changed:
            HostnameStatus.objects.bulk_update(changed, _WRITTEN, batch_size=200)
        if transitions:
            HealthTransition.objects.bulk_create(transitions)
            if moved is not None:
                moved += transitions
    return {status.pk for status in changed}


def move_of(transition: HealthTransition) -> live.Move:
    """Return a transition as it is published."""
    return live.Move(
        at=transition.at.timestamp(),
        subject=transition.check_key or f"hostname:{transition.hostname_id}",
        label=transition.label,
        old=transition.old,
        new=transition.new,
        sentence=transition.sentence,
    )


def _locked_statuses(hostname_ids: Collection[int]) -> dict[int, HostnameStatus]:
    """Lock before the states are read: of two workers the later one sees what the earlier one wrote."""
    there = set(DedicatedHostname.objects.filter(pk__in=hostname_ids).values_list("pk", flat=True))
    known = set(HostnameStatus.objects.filter(pk__in=there).values_list("pk", flat=True))
    if there - known:
        fresh = [HostnameStatus(hostname_id=pk) for pk in sorted(there - known)]
        HostnameStatus.objects.bulk_create(fresh, ignore_conflicts=True)
    rows = HostnameStatus.objects.select_for_update().filter(pk__in=there).order_by("pk")
    return {status.pk: status for status in rows}


def _transition(
    fact: HostnameFacts, status: HostnameStatus, verdict: HostnameVerdict, at: datetime
) -> HealthTransition:
    return HealthTransition(
        at=at,
        label=fact.fqdn[:200],
        hostname_id=status.pk,
        old=status.health,
        new=verdict.health.value,
        sentence=verdict.phrase,
        planned=verdict.planned or status.planned,
    )


def _apply(status: HostnameStatus, verdict: HostnameVerdict, at: datetime) -> None:
    if status.health != verdict.health:
        status.since = at
    active = (verdict.active_server_id, verdict.active_virtual_service_id)
    before = (status.active_server_id, status.active_virtual_service_id)
    if active != (None, None) and (active != before or status.active_since is None):
        status.active_since = at
    for name in _SHOWN:
        value = getattr(verdict, name)
        setattr(status, name, value.value if name in {"health", "situation"} else value)
    if verdict.latency_ms is not None:
        status.latency_ms = verdict.latency_ms


def read_facts(hostname_ids: Collection[int], latency_ms: Mapping[str, float]) -> dict[int, HostnameFacts]:
    """Read what the roll-up of these hostnames is made from, in a constant number of queries."""
    targets = FailoverTarget.objects.with_aims().order_by("order")
    hostnames = DedicatedHostname.objects.filter(pk__in=hostname_ids).prefetch_related(Prefetch("targets", targets))
    aimed = [target for hostname in hostnames for target in hostname.targets.all()]
    servers = {server.pk: server for target in aimed for server in target.servers}
    services = {target.virtual_service_id for target in aimed if target.virtual_service_id}
    applications: dict[int, list[TrustedApplication]] = {}
    pool_ids = {server.trusted_application_pool_id for server in servers.values()}
    for application in TrustedApplication.objects.filter(trusted_application_pool__in=pool_ids).select_related("ucc"):
        applications.setdefault(application.trusted_application_pool_id, []).append(application)
    states = {
        state.key: state
        for state in CheckState.objects.filter(
            Q(server_id__in=servers) | Q(hostname_id__in=hostname_ids) | Q(virtual_service_id__in=services)
        )
    }
    reader = _Reader(states, applications, latency_ms, coverings_of(servers.keys()), pools_where_both_run(pool_ids))
    dns: dict[int, list[CheckState]] = {}
    for state in states.values():
        if state.kind == CheckKind.DNS and state.hostname_id is not None:
            dns.setdefault(state.hostname_id, []).append(state)
    return {
        hostname.pk: HostnameFacts(
            fqdn=hostname.fqdn,
            targets=tuple(reader.target(target, hostname.pk) for target in hostname.targets.all()),
            dns=reader.dns(dns.get(hostname.pk, [])),
            service=reader.check(f"service:{hostname.pk}"),
        )
        for hostname in hostnames
    }


def pools_where_both_run(pool_ids: Collection[int]) -> set[int]:
    """Return which of these pools' standbys run the UCC service too: the pool says so, or its site."""
    says = Q(standby_runs_ucc=True) | Q(front_end_pool__site__standby_runs_ucc=True)
    return set(TrustedApplicationPool.objects.filter(says, pk__in=pool_ids).values_list("pk", flat=True))


class _Reader:
    """Makes facts of rows that have been read."""

    def __init__(
        self,
        states: Mapping[str, CheckState],
        applications: Mapping[int, list[TrustedApplication]],
        latency_ms: Mapping[str, float],
        covered: Mapping[int, Covering],
        both_run: Collection[int],
    ) -> None:
        self._both_run = both_run
        self._covered = covered
        self._states = states
        self._applications = applications
        self._latency_ms = latency_ms

    def check(self, key: str) -> CheckFact:
        state = self._states.get(key)
        if state is None:
            return CheckFact()
        return CheckFact(Health(state.health), state.cause, state.sentence, self._latency_ms.get(key))

    def target(self, target: FailoverTarget, hostname_id: int) -> TargetFacts:
        aim = target.aim
        return self.server(aim, hostname_id) if isinstance(aim, Server) else self.service(aim, hostname_id)

    def service(self, service: VirtualService, hostname_id: int) -> VirtualServiceFacts:
        balancer = self._states.get(f"balancer:{service.pk}")
        return VirtualServiceFacts(
            virtual_service_id=service.pk,
            name=service.name,
            fqdn=service.fqdn,
            address=str(service.address),
            port=service.port,
            check_ucc_id=service.health_check.ucc_id,
            check_name=service.health_check.ucc.name,
            check_port=service.health_check.port,
            real_servers=tuple(self.server(server, hostname_id) for server in service.servers),
            vip=self.check(f"vip:{service.pk}"),
            web=self.check(f"web:v{service.pk}:{hostname_id}"),
            cert=self.check(f"cert:v{service.pk}:{hostname_id}"),
            balancer=self.check(balancer.key) if balancer else None,
            in_use=tuple(str(name) for name in _evidence(balancer).get("in_use", [])) if balancer else (),
        )

    def server(self, server: Server, hostname_id: int) -> ServerFacts:
        return ServerFacts(
            server_id=server.pk,
            name=server.name,
            fqdn=server.fqdn,
            address=server.address,
            uccs=tuple(
                UccFact(
                    application.ucc_id,
                    application.ucc.name,
                    application.port,
                    self.check(f"ucc:{server.pk}:{application.pk}"),
                )
                for application in self._applications.get(server.trusted_application_pool_id, [])
            ),
            web=self.check(f"web:{server.pk}:{hostname_id}"),
            cert=self.check(f"cert:{server.pk}:{hostname_id}"),
            in_maintenance=server.pk in self._covered,
            maintenance=self._covered.get(server.pk, NOT_COVERED).sentence,
            standby_runs_ucc=server.trusted_application_pool_id in self._both_run,
        )

    def dns(self, states: list[CheckState]) -> tuple[DnsFact, ...]:
        def place(state: CheckState) -> tuple[int, int]:
            return (_evidence(state).get("rank", LAST), int(state.key.split(":")[1]))

        return tuple(
            DnsFact(
                name_server=str(_evidence(state).get("server") or state.label.partition(":")[0]),
                check=self.check(state.key),
                values=tuple(str(value) for value in _evidence(state).get("values", [])),
            )
            for state in sorted(states, key=place)
        )


def _evidence(state: CheckState) -> dict[str, Any]:
    return state.evidence if isinstance(state.evidence, dict) else {}
