"""Facts before a change: live DNS, fresh probes, earlier operations -> a preflight."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import prefetch_related_objects
from django.utils import timezone

from a365admin.audit import services as audit
from a365admin.audit.models import Outcome as AuditOutcome
from a365admin.prepared import Prepared
from dnsops import asking, target_health, wiring
from dnsops.conf import Conf, conf
from dnsops.lifecycle import ACTIVE, OperationKind, OperationState, StepKind, StepState
from dnsops.models import ExpectedAnswer, FailoverOperation, UpdateKey, Zone
from dnsops.plan import (
    ANY,
    Aim,
    Answer,
    Plan,
    PlanError,
    PlanFacts,
    RRset,
    Target,
    build_failback_plan,
    build_failover_plan,
    build_put_right_plan,
    digest_of,
)
from dnsops.providers.base import Endpoint, OutcomeKind
from dnsops.safety import Finding, Level, OtherOperation, SafetyFacts, evaluate
from pools.maintenance.reads import attach_covering
from pools.models import DedicatedHostname, FailoverTarget, Server, TargetQuerySet, VirtualService

_OF_THE_ACTIVE = ("hostname", "hostname_fqdn", "kind", "state", "to_text", "requested_by_name", "lease_owner")

# When a writer last accepted a zone's key (time.monotonic()): not asked twice between the preview and the click.
_accepted: dict[tuple[int, UpdateKey | None, Endpoint], float] = {}


@dataclass(frozen=True, slots=True)
class Preflight:
    """What would be done, and whether it is safe. ``digest`` binds a click to exactly this; "" without a plan."""

    hostname: DedicatedHostname
    kind: OperationKind
    plan: Plan | None
    plan_error: str
    findings: list[Finding]
    answers: list[Answer]
    digest: str
    checked_at: datetime
    to_server: Server | None = None
    from_server: Server | None = None
    to_virtual_service: VirtualService | None = None
    from_virtual_service: VirtualService | None = None
    active_operation: FailoverOperation | None = None
    by_hand: bool = False

    @property
    def blocked(self) -> bool:
        """Whether a click is refused unless it is forced (and at all, without a plan)."""
        return self.plan is None or bool(self.blocking)

    @property
    def forcible(self) -> bool:
        """Whether somebody with the right to force may go on in spite of what blocks."""
        return self.plan is not None and all(f.overridable for f in self.blocking)

    @property
    def blocking(self) -> list[Finding]:
        """The findings that block."""
        return [f for f in self.findings if f.level is Level.BLOCK]

    @property
    def old_ttl_s(self) -> int:
        """For how long clients may keep the old answer."""
        return self.plan.change.expected.ttl_s if self.plan else 0


def preflight(
    *,
    hostname: DedicatedHostname,
    kind: OperationKind,
    to_server: Server | VirtualService | None = None,
    probe: bool = True,
) -> Preflight:
    """Ask every authoritative server and probe the target, changing nothing. One that fails is in the audit log.

    ``probe`` False: the standing checks' latest results are used instead of fresh probes, and nothing is logged.
    """
    found = gather(hostname=hostname, kind=kind, to=aim_of(to_server), probe=probe)
    if found.blocked and probe:
        audit.record(
            action="failover.preflight",
            outcome=AuditOutcome.FAILED,
            object=hostname,
            reason=found.plan_error or " ".join(f.sentence for f in found.blocking),
            after={"kind": kind.value, "rules": [f.rule for f in found.blocking]},
        )
    return found


def gather(
    *,
    hostname: DedicatedHostname,
    kind: OperationKind,
    to: Aim = ANY,
    probe: bool = True,
    good_for_s: float = 0.0,
) -> Preflight:
    """Read everything, then decide. Takes no longer than the slowest timeout: DNS and probes run side by side,
    and while they are under way the rows are read.

    ``good_for_s``: how old a good result of the target's web services may be, to be used again.
    """
    return _Gathering(hostname, kind, to, probe, good_for_s).preflight()


def aim_of(target: Server | VirtualService | None) -> Aim:
    """Name a target; None: none in particular."""
    if target is None:
        return ANY
    return Aim(target.pk) if isinstance(target, Server) else Aim(virtual_service_id=target.pk)


def active_operation(hostname: DedicatedHostname) -> FailoverOperation | None:
    """The operation that is pending or running for this hostname."""
    return _active_of(hostname, _active_operations())


def _active_operations() -> list[FailoverOperation]:
    """All that are pending or running; a handful at the most. Their plans, which are long, are not read."""
    return _pending_or_running()


_pending_or_running = Prepared(
    lambda: (
        FailoverOperation.objects.filter(state__in=[s.value for s in ACTIVE])
        .only(*_OF_THE_ACTIVE)
        .prefetch_related("steps")
    )
)
_last_written = Prepared(
    lambda hostname: (
        FailoverOperation.objects.filter(hostname=hostname, written_at__isnull=False)
        .order_by("-written_at")
        .values_list("written_at", flat=True)[:1]
    ),
    int,
)
_targets = Prepared(
    lambda hostname: (
        FailoverTarget.objects.filter(hostname=hostname)
        .select_related("server__trusted_application_pool")
        .order_by("order")
    ),
    int,
)


def _active_of(hostname: DedicatedHostname, active: list[FailoverOperation]) -> FailoverOperation | None:
    return next((operation for operation in active if operation.hostname_id == hostname.pk), None)


def only_waits(operation: FailoverOperation) -> bool:
    """Whether all is done but for the wait for clients' old answers: then the next operation may begin."""
    return (
        operation.state == OperationState.RUNNING
        and not operation.lease_owner
        and any(step.kind == StepKind.WAIT_TTL and step.state == StepState.RUNNING for step in operation.steps.all())
    )


def targets_of(hostname: DedicatedHostname, rows: list[FailoverTarget] | None = None) -> tuple[Target, ...]:
    """What a hostname may point at, in order; from its rows where they have been read already."""
    if rows is None:
        rows = _targets_of(hostname)
    attach_covering(server for row in rows for server in row.servers)
    return tuple(map(target_of, rows))


def _targets_of(hostname: DedicatedHostname) -> list[FailoverTarget]:
    """As ``with_aims()`` reads them."""
    rows = _targets(hostname.pk)
    prefetch_related_objects([row for row in rows if row.virtual_service_id], *TargetQuerySet.BEHIND)
    return rows


def target_of(row: FailoverTarget) -> Target:
    """A target, as a plan is made with; its servers' maintenance has been read (``attach_covering``)."""
    return Target(
        row.server_id or 0, row.name, row.fqdn, row.address, row.order, row.virtual_service_id or 0, row.in_maintenance
    )


@dataclass(slots=True)
class _Gathering:
    """One preflight while it is being made."""

    hostname: DedicatedHostname
    kind: OperationKind
    to: Aim
    probe: bool
    good_for_s: float
    conf: Conf = field(default_factory=conf)
    zone: Zone | None = None
    endpoints: list[Endpoint] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    aims: dict[Aim, Server | VirtualService] = field(default_factory=dict)
    active: list[FailoverOperation] = field(default_factory=list)
    since_last_s: float | None = None
    probed: Aim | None = None
    probing: target_health.TargetProbe | None = None

    def preflight(self) -> Preflight:
        """Gather and judge."""
        try:
            return self._preflight()
        finally:
            if self.probing is not None:
                self.probing.close()

    def _preflight(self) -> Preflight:
        facts = self._plan_facts()
        active = _active_of(self.hostname, self.active)
        try:
            plan = self._plan(facts)
        except PlanError as error:
            return self._result(None, str(error), [], active)
        planned = Aim(plan.to_server_id, plan.to_virtual_service_id)
        if self.kind is OperationKind.FAILBACK and self.to not in {ANY, planned}:
            return self._result(None, "A failback leads to the primary only. Look again.", [], active)
        self._probe(planned)
        findings = evaluate(self._safety_facts(plan, active))
        return self._result(plan, "", findings, active)

    def _plan(self, facts: PlanFacts) -> Plan:
        if self.kind is OperationKind.FAILBACK:
            return build_failback_plan(facts)
        if self.kind is OperationKind.PUT_RIGHT:
            kept = ExpectedAnswer.objects.filter(hostname=self.hostname).first()
            return build_put_right_plan(facts, to=self.to, recorded=RRset.from_dict(kept.rrset) if kept else None)
        return build_failover_plan(facts, to=self.to)

    def _plan_facts(self) -> PlanFacts:
        """Ask DNS; where the target is known beforehand, it is probed at the same time."""
        self.zone = wiring.zone_for(self.hostname.fqdn)
        self.endpoints = wiring.endpoints_of(self.zone)
        with asking.Asking(self.endpoints, self.hostname.fqdn, timeout_s=self.conf.ask_timeout_s) as questions:
            targets = _targets_of(self.hostname)
            self.aims = {aim_of(target.aim): target.aim for target in targets}
            likely = self._likely_aim(targets)
            if likely in self.aims:
                self._probe(likely)
            self.active = _active_operations()
            self.since_last_s = self._since_last_s()
            self.answers = questions.answers()
        writer = wiring.writer_of(self.endpoints)
        return PlanFacts(
            hostname=self.hostname.fqdn,
            hostname_id=self.hostname.pk,
            record_type=self.hostname.record_type,
            ttl_s=self.hostname.ttl_s,
            zone=self.zone.name if self.zone else "",
            writer=writer.name if writer else "",
            targets=targets_of(self.hostname, targets),
            answers=tuple(self.answers),
        )

    def _likely_aim(self, targets: list[FailoverTarget]) -> Aim:
        """Where the plan, which is not made yet, can be expected to lead: a failback leads to the primary only."""
        if self.kind is OperationKind.FAILBACK and targets:
            return aim_of(targets[0].aim)
        return self.to

    def _probe(self, to: Aim) -> None:
        """Begin to ask this target's checks, unless they are being asked already."""
        if not self.probe or self.probed == to:
            return
        if self.probing is not None:
            self.probing.close()
        checks = target_health.checks_of(self.aims[to], self.hostname)
        self.probed = to
        self.probing = target_health.TargetProbe(
            checks, timeout_s=self.conf.probe_timeout_s, good_for_s=self.good_for_s, beside=True
        )

    def _safety_facts(self, plan: Plan, active: FailoverOperation | None) -> SafetyFacts:
        target = self.aims[Aim(plan.to_server_id, plan.to_virtual_service_id)]
        healthy = target_health.healthy_for(target, self.hostname) if self.kind is OperationKind.FAILBACK else None
        writable, why = self._writable(plan)
        return SafetyFacts(
            kind=self.kind,
            hostname=self.hostname.fqdn,
            from_server=plan.from_server,
            to_server=plan.to_server,
            record_type=self.hostname.record_type,
            policy_ttl_s=self.hostname.ttl_s,
            expected=plan.change.expected,
            new=plan.change.new,
            writer=plan.writer,
            answers=tuple(self.answers),
            checks=self.probing.counting() if self.probing else target_health.stored(target, self.hostname),
            target_in_maintenance=target.in_maintenance,
            maintenance_reason=target.maintenance_reason,
            other_operation=other_operation(active),
            since_last_operation_s=self.since_last_s,
            writable=writable,
            writable_sentence=why,
            primary_healthy_for_s=healthy.total_seconds() if healthy is not None else None,
            other_hostnames_active=sum(operation.hostname_id != self.hostname.pk for operation in self.active),
            limits=self.conf.limits,
        )

    def _writable(self, plan: Plan) -> tuple[bool | None, str]:
        writer = wiring.writer_of(self.endpoints)
        if self.zone is None or writer is None:
            return None, ""
        said = f"{writer.name} answers; a person makes the change there." if wiring.is_by_hand(self.zone) else ""
        key = (self.zone.pk, self.zone.key, writer)
        if time.monotonic() - _accepted.get(key, float("-inf")) <= self.good_for_s:
            return True, said
        outcome = wiring.check_writable(self.zone, writer, plan.change, timeout_s=self.conf.ask_timeout_s)
        if outcome.kind is not OutcomeKind.READY:
            _accepted.pop(key, None)
            return False, outcome.sentence
        _accepted[key] = time.monotonic()
        return True, said

    def _since_last_s(self) -> float | None:
        written_at = next(iter(_last_written(self.hostname.pk)), None)
        if written_at is None:
            return None
        return max((timezone.now() - written_at).total_seconds(), 0.0)  # below 0: a clock was set back

    def _result(
        self, plan: Plan | None, error: str, findings: list[Finding], active: FailoverOperation | None
    ) -> Preflight:
        to = self.aims.get(Aim(plan.to_server_id, plan.to_virtual_service_id)) if plan else None
        come_from = next((aim for aim in self.aims.values() if plan and aim.name == plan.from_server), None)
        return Preflight(
            hostname=self.hostname,
            kind=self.kind,
            plan=plan,
            plan_error=error,
            findings=findings,
            answers=self.answers,
            digest=preflight_digest(plan, findings) if plan else "",
            checked_at=timezone.now(),
            to_server=to if isinstance(to, Server) else None,
            to_virtual_service=to if isinstance(to, VirtualService) else None,
            from_server=come_from if isinstance(come_from, Server) else None,
            from_virtual_service=come_from if isinstance(come_from, VirtualService) else None,
            active_operation=active,
            by_hand=wiring.is_by_hand(self.zone),
        )


def preflight_digest(plan: Plan, findings: list[Finding]) -> str:
    """Bind the plan and what blocks it; ages, latencies and warnings are left out, for they change by themselves."""
    blocking = sorted([f.rule, f.subject] for f in findings if f.level is Level.BLOCK)
    return digest_of([plan.digest, blocking])


def other_operation(active: FailoverOperation | None) -> OtherOperation | None:
    """The operation that stands in the way, as the safety rules look at it."""
    if active is None:
        return None
    return OtherOperation(active.requested_by_name, active.to_text, active.state, superseding=only_waits(active))
