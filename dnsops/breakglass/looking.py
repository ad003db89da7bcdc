"""Before a change without a database: live DNS, fresh probes, the same plan and the same safety rules."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from dnsops import asking
from dnsops.behind_vip import through_vip
from dnsops.breakglass.bundle import Bundle, BundledHostname, BundledTarget, BundledZone, BundleError
from dnsops.lifecycle import OperationKind
from dnsops.plan import (
    ANY,
    Aim,
    Answer,
    Plan,
    PlanError,
    PlanFacts,
    build_failback_plan,
    build_failover_plan,
    digest_of,
)
from dnsops.providers import registry
from dnsops.providers.base import Endpoint, OutcomeKind, Provider
from dnsops.safety import Finding, Level, Limits, Rule, SafetyFacts, TargetCheck, evaluate
from dnsops.target_checks import judged
from pools.health import KNOCKS
from pools.probing.asking import ask_once, knock_once
from pools.specs import Check

OLD_BUNDLE_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Look:
    """What would be done, and whether it is safe. Without a plan, ``plan_error`` says why."""

    hostname: BundledHostname
    answers: list[Answer]
    findings: list[Finding]
    plan: Plan | None = None
    plan_error: str = ""

    @property
    def digest(self) -> str:
        """Binds what is done to what was shown: the plan, and what blocks it."""
        blocking = sorted([f.rule, f.subject] for f in self.findings if f.level is Level.BLOCK)
        return digest_of([self.plan.digest if self.plan else "", blocking])


def look(bundle: Bundle, hostname: BundledHostname, *, to: str = "") -> Look:
    """Ask every authoritative server and probe the target, changing nothing. ``to``: a target's name or FQDN.

    Naming the primary means failing back. Raises BundleError for a target that there is none of.
    """
    aim = _aim(hostname, to)
    endpoints = endpoints_of(bundle, hostname)
    answers = asking.ask_together(endpoints, hostname.fqdn, timeout_s=bundle.policy["ask_timeout_s"])
    facts = _plan_facts(bundle, hostname, answers)
    back = any(found.target.order == 1 and found.target.is_meant(aim) for found in hostname.targets)
    try:
        plan = build_failback_plan(facts) if back else build_failover_plan(facts, to=aim)
    except PlanError as error:
        return Look(hostname, answers, [], None, str(error))
    return Look(hostname, answers, _findings(bundle, hostname, plan, answers), plan)


def endpoints_of(bundle: Bundle, hostname: BundledHostname) -> list[Endpoint]:
    """Every authoritative server of the hostname's zone, the writer first."""
    zone = bundle.zone_for(hostname.fqdn)
    return list(zone.endpoints) if zone else []


def planned_target(hostname: BundledHostname, plan: Plan) -> BundledTarget:
    """The target that a plan leads to."""
    aim = Aim(plan.to_server_id, plan.to_virtual_service_id)
    return next(found for found in hostname.targets if found.target.is_meant(aim))


def provider_of(zone: BundledZone) -> Provider:
    """What changes records of this zone on its writer. Raises BundleError where the bundle cannot say."""
    kind = registry.kinds().get(zone.provider)
    if zone.setup is None or zone.writer is None:
        raise BundleError(f"Zone {zone.name} has no writer in the bundle. Use the offline sheet.")
    if kind is None or (kind.key_kind and not zone.setup.keys):
        raise BundleError(f"The bundle does not say how zone {zone.name} is changed. Use the offline sheet.")
    provider = kind.build(zone.setup)
    if provider.capabilities.by_hand:
        raise BundleError(f"Zone {zone.name} is changed by hand. Use the offline sheet.")
    return provider


def probe(checks: Sequence[Check], *, timeout_s: float, ca_file: str) -> tuple[TargetCheck, ...]:
    """Ask each of one target's checks once, all at once; what counts of the answers, within ``timeout_s``."""
    if all(check.kind in KNOCKS for check in checks):
        results = knock_once(checks, timeout_s)
    else:
        results = asyncio.run(ask_once(checks, timeout_s, ca_file=ca_file))
    return through_vip(checks, [judged(check, results.get(check.key)) for check in checks])


def _aim(hostname: BundledHostname, to: str) -> Aim:
    if not to:
        return ANY
    wanted = to.strip().rstrip(".").lower()
    targets = [found.target for found in hostname.targets]
    for target in targets:
        if wanted in {target.name.lower(), target.fqdn or target.name.lower()}:
            return Aim(target.server_id, target.virtual_service_id)
    raise BundleError(f"--to: found {to!r}, expected a target: {', '.join(t.name for t in targets) or 'none'}.")


def _plan_facts(bundle: Bundle, hostname: BundledHostname, answers: list[Answer]) -> PlanFacts:
    zone = bundle.zone_for(hostname.fqdn)
    return PlanFacts(
        hostname=hostname.fqdn,
        hostname_id=hostname.id,
        record_type=hostname.record_type,
        ttl_s=hostname.ttl_s,
        zone=zone.name if zone else "",
        writer=zone.writer.name if zone and zone.writer else "",
        targets=tuple(found.target for found in hostname.targets),
        answers=tuple(answers),
    )


def _findings(bundle: Bundle, hostname: BundledHostname, plan: Plan, answers: list[Answer]) -> list[Finding]:
    policy = bundle.policy
    target = planned_target(hostname, plan)
    with ThreadPoolExecutor(1) as beside:
        probing = beside.submit(
            probe, bundle.checks_of(target, hostname), timeout_s=policy["probe_timeout_s"], ca_file=bundle.ca_file
        )
        writable, why = _writable(bundle, plan)
        checks = probing.result()
    facts = SafetyFacts(
        kind=OperationKind(plan.kind),
        hostname=hostname.fqdn,
        from_server=plan.from_server,
        to_server=plan.to_server,
        record_type=hostname.record_type,
        policy_ttl_s=hostname.ttl_s,
        expected=plan.change.expected,
        new=plan.change.new,
        writer=plan.writer,
        answers=tuple(answers),
        checks=checks,
        target_in_maintenance=target.target.in_maintenance,
        maintenance_reason=target.maintenance_reason,
        since_last_operation_s=_since(hostname.last_written_at),
        writable=writable,
        writable_sentence=why,
        limits=Limits(**{name: policy[name] for name in Limits.__dataclass_fields__}),  # type: ignore[arg-type]
    )
    return [*(_in_our_words(finding, plan) for finding in evaluate(facts)), *_own_findings(bundle)]


def _in_our_words(finding: Finding, plan: Plan) -> Finding:
    """The stability rule needs the standing checks' history, which is in the database: it must be forced by name."""
    if finding.rule != Rule.STABILITY_TIME or finding.level is not Level.BLOCK:
        return finding
    return replace(
        finding,
        sentence=f"Without the database it is not known for how long {plan.to_server} has been healthy. Wait and look "
        "again, or force it once you know.",
    )


def _own_findings(bundle: Bundle) -> list[Finding]:
    """What only this way of doing it has to say."""
    unknown = Finding(
        Rule.NO_OTHER_OPERATION,
        Level.WARN,
        "Without the database it is not known whether an operation is under way. If one changes the record first, the "
        "writer refuses this one.",
    )
    age_s = bundle.age_s(datetime.now(UTC))
    if age_s <= OLD_BUNDLE_S:
        return [unknown]
    sentence = f"The bundle is {age_s / 3600:.0f} h old: targets, ports and maintenance may have changed since."
    return [unknown, Finding("bundle_age", Level.WARN, sentence)]


def _writable(bundle: Bundle, plan: Plan) -> tuple[bool, str]:
    zone = bundle.zone_for(plan.hostname)
    assert zone is not None
    try:
        provider = provider_of(zone)
    except BundleError as error:
        return False, str(error)
    outcome = provider.check_writable(plan.change, deadline=time.monotonic() + bundle.policy["ask_timeout_s"])
    return outcome.kind is OutcomeKind.READY, outcome.sentence


def _since(written_at: str) -> float | None:
    if not written_at:
        return None
    return max((datetime.now(UTC) - datetime.fromisoformat(written_at)).total_seconds(), 0.0)
