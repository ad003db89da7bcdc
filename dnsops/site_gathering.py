"""Facts before a move: live DNS of every hostname, fresh probes of every target, all at once -> a plan for the site."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from django.db.models import Max, Q
from django.utils import timezone

from dnsops import asking_many, target_health, wiring
from dnsops.behind_vip import through_vip
from dnsops.conf import Conf, conf
from dnsops.gathering import aim_of, other_operation
from dnsops.lifecycle import ACTIVE, OperationKind
from dnsops.models import FailoverOperation, Zone
from dnsops.plan import Aim, Answer, Plan, PlanFacts, Target, zone_of
from dnsops.providers.base import ChangesMany, Endpoint, Outcome, OutcomeKind
from dnsops.safety import Finding, SafetyFacts, TargetCheck, evaluate
from dnsops.site_plan import Direction, Entry, MemberFacts, SitePlan, build_site_plan, choose, in_scope
from pools import live
from pools.candidates import read_candidates, with_candidates
from pools.health import CheckKind, Health
from pools.models import CheckState, DedicatedHostname, FrontEndPool, Server, Site, VirtualService
from pools.next_target import Candidate
from pools.services import estate_checks
from pools.specs import Check

Reached = Server | VirtualService
_ACTIVE = [state.value for state in ACTIVE]


@dataclass(frozen=True, slots=True)
class Scope:
    """What is moved: a site, or what is behind one front-end pool."""

    site: Site | None = None
    front_end_pool: FrontEndPool | None = None

    @property
    def name(self) -> str:
        """Its name; candidates carry the same."""
        return str(self.site or self.front_end_pool)

    @property
    def sentence(self) -> str:
        """What it is, and its name."""
        return f"site {self.site}" if self.site else f"front-end pool {self.front_end_pool}"

    def hostnames(self) -> list[DedicatedHostname]:
        """Every hostname that has a target in it, with what a plan needs, in a constant number of queries."""
        path = "server__trusted_application_pool__front_end_pool"
        if self.site:
            inside = Q(**{f"targets__{path}__site": self.site}) | Q(targets__virtual_service__site=self.site)
        else:
            behind = f"targets__virtual_service__real_servers__{path}"
            inside = Q(**{f"targets__{path}": self.front_end_pool}) | Q(**{behind: self.front_end_pool})
        ids = DedicatedHostname.objects.filter(inside).values("pk")
        return list(with_candidates(DedicatedHostname.objects.filter(pk__in=ids)))


def gather_move(scope: Scope, direction: Direction, *, only: Collection[int] | None = None) -> SitePlan:
    """Ask every authoritative server for every hostname and probe every target; then plan and judge each.

    ``only``: these hostnames and no others, whether or not they are (still) in the scope. Raises PlanError where there
    is nothing to move. Takes about one timeout of DNS and one of a probe, however many hostnames there are.
    """
    hostnames = [h for h in scope.hostnames() if only is None or h.pk in only]
    return _Gathering(scope, direction, hostnames, everything=only is not None).plan()


class _Gathering:
    """One plan while it is being made."""

    def __init__(
        self, scope: Scope, direction: Direction, hostnames: Sequence[DedicatedHostname], *, everything: bool
    ) -> None:
        self.scope = scope
        self.direction = direction
        self.everything = everything
        self.hostnames = {hostname.pk: hostname for hostname in hostnames}
        self.conf: Conf = conf()
        self.zones = {z.name: z for z in Zone.objects.select_related("key").prefetch_related("name_servers")}
        self.endpoints = {name: wiring.endpoints_of(zone) for name, zone in self.zones.items()}
        self.answers = self._ask()
        self.candidates = self._candidates()

    def plan(self) -> SitePlan:
        """Choose, probe, judge."""
        members = {pk: self._member(hostname) for pk, hostname in self.hostnames.items() if self._concerns(hostname)}
        choices = {pk: choose(m, scope=self.scope.name, direction=self.direction) for pk, m in members.items()}
        judged = self._judge({pk: choice.plan for pk, choice in choices.items() if choice.plan is not None})
        entries = [
            Entry(m.plan_facts.hostname, pk, m.service_name, m.down, choices[pk], judged.get(pk, ()))
            for pk, m in members.items()
        ]
        return build_site_plan(
            self.scope.name, self.direction, entries, confirm_above=self.conf.at_once_block,
            more_warnings=self._warnings(),
        )  # fmt: skip

    # ------------------------------------------------------------------------------------------------- DNS and estate

    def zone(self, fqdn: str) -> Zone | None:
        """The zone that holds a hostname."""
        return self.zones.get(zone_of(fqdn, self.zones))

    def _servers(self, fqdn: str) -> list[Endpoint]:
        zone = self.zone(fqdn)
        return self.endpoints[zone.name] if zone else []

    def _ask(self) -> dict[int, tuple[Answer, ...]]:
        pairs = [(endpoint, h.fqdn) for h in self.hostnames.values() for endpoint in self._servers(h.fqdn)]
        found = asking_many.ask_patiently(pairs, timeout_s=self.conf.ask_timeout_s)
        return {
            pk: tuple(found[endpoint, h.fqdn] for endpoint in self._servers(h.fqdn)) for pk, h in self.hostnames.items()
        }

    def _candidates(self) -> dict[int, tuple[Candidate, ...]]:
        """By the standing checks, but active is what the writer says now."""
        found = read_candidates(list(self.hostnames.values()))
        return {pk: self._active_by_dns(self.hostnames[pk], candidates) for pk, candidates in found.items()}

    def _active_by_dns(self, hostname: DedicatedHostname, candidates: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
        said = next((a for a in self.answers[hostname.pk] if a.is_writer and a.rrset), None)
        if said is None or said.rrset is None:
            return candidates
        values = {t.order: t.value(hostname.record_type).lower() for t in _targets(hostname)}
        return tuple(replace(c, active=values.get(c.order) in said.rrset.values) for c in candidates)

    def _concerns(self, hostname: DedicatedHostname) -> bool:
        """Away: what points into the scope. Back: what has its primary there and points elsewhere."""
        candidates = self.candidates[hostname.pk]
        if self.everything:
            return True
        if self.direction is Direction.AWAY:
            return in_scope(candidates, self.scope.name) is not None
        primary = next((c for c in candidates if c.order == 1), None)
        inside = primary is not None and self.scope.name in {primary.site, primary.front_end_pool}
        return inside and primary is not None and not primary.active

    def _member(self, hostname: DedicatedHostname) -> MemberFacts:
        zone = self.zone(hostname.fqdn)
        writer = wiring.writer_of(self._servers(hostname.fqdn))
        status = getattr(hostname, "status", None)
        return MemberFacts(
            plan_facts=PlanFacts(
                hostname=hostname.fqdn,
                hostname_id=hostname.pk,
                record_type=hostname.record_type,
                ttl_s=hostname.ttl_s,
                zone=zone.name if zone else "",
                writer=writer.name if writer else "",
                targets=_targets(hostname),
                answers=self.answers[hostname.pk],
            ),
            candidates=self.candidates[hostname.pk],
            service_name=hostname.service_name,
            down=status is not None and status.health == Health.DOWN,
        )

    def _warnings(self) -> list[str]:
        """What is true of the whole."""
        silent = sorted({a.server for answers in self.answers.values() for a in answers if not a.answered})
        return [f"{', '.join(silent)} gives no answer: the moves cannot be verified there."] if silent else []

    # ---------------------------------------------------------------------------------------------------------- judge

    def _judge(self, plans: Mapping[int, Plan]) -> dict[int, tuple[Finding, ...]]:
        to = {pk: _reached(self.hostnames[pk], plan) for pk, plan in plans.items()}
        checks = probe_targets(to, timeout_s=self.conf.probe_timeout_s)
        others = _Others.read(
            {self.hostnames[pk]: to[pk] for pk, plan in plans.items() if plan.kind == OperationKind.FAILBACK}, plans
        )
        writable = self._writable(plans.values())
        return {
            pk: tuple(evaluate(self._safety_facts(plan, to[pk], checks[pk], others, writable[plan.change.zone])))
            for pk, plan in plans.items()
        }

    def _safety_facts(
        self, plan: Plan, target: Reached, checks: tuple[TargetCheck, ...], others: _Others, writable: Outcome
    ) -> SafetyFacts:
        pk = plan.hostname_id
        hostname = self.hostnames[pk]
        return SafetyFacts(
            kind=OperationKind(plan.kind),
            hostname=plan.hostname,
            from_server=plan.from_server,
            to_server=plan.to_server,
            record_type=hostname.record_type,
            policy_ttl_s=hostname.ttl_s,
            expected=plan.change.expected,
            new=plan.change.new,
            writer=plan.writer,
            answers=self.answers[pk],
            checks=checks,
            target_in_maintenance=target.in_maintenance,
            maintenance_reason=target.maintenance_reason,
            other_operation=other_operation(others.active.get(pk)),
            since_last_operation_s=others.since_s.get(pk),
            writable=writable.kind is OutcomeKind.READY,
            writable_sentence=writable.sentence,
            primary_healthy_for_s=others.healthy_s.get(pk),
            other_hostnames_active=len(set(others.active) - set(self.hostnames)),
            limits=self.conf.limits,
        )

    def _writable(self, plans: Iterable[Plan]) -> dict[str, Outcome]:
        """Each zone's writer is asked once whether it accepts our key; a message that changes nothing."""
        found: dict[str, Outcome] = {}
        for plan in plans:
            name = plan.change.zone
            writer = wiring.writer_of(self.endpoints[name])
            if name not in found and writer is not None:
                found[name] = wiring.check_writable(
                    self.zones[name], writer, plan.change, timeout_s=self.conf.ask_timeout_s
                )
                if wiring.is_by_hand(self.zones[name]):
                    said = f"Zone {name} is changed by hand, one hostname after the other, each from its own page."
                    found[name] = Outcome(OutcomeKind.BY_HAND, "", said)
        return found


@dataclass(frozen=True, slots=True)
class _Others:
    """What else there is to know of each hostname, in seconds: the last operation, how long its primary is healthy."""

    active: Mapping[int, FailoverOperation]
    since_s: Mapping[int, float]
    healthy_s: Mapping[int, float]

    @classmethod
    def read(cls, back_to: Mapping[DedicatedHostname, Reached], plans: Collection[int]) -> _Others:
        """Read it for all of them, in a constant number of queries."""
        now = timezone.now()
        active = FailoverOperation.objects.filter(state__in=_ACTIVE).prefetch_related("steps")
        written = FailoverOperation.objects.filter(hostname_id__in=plans, written_at__isnull=False)
        last = written.values_list("hostname_id").annotate(last=Max("written_at"))
        healthy = healthy_since(back_to)
        return cls(
            active={operation.hostname_id: operation for operation in active},
            since_s={pk: (now - at).total_seconds() for pk, at in last if at is not None},
            healthy_s={pk: span.total_seconds() for pk, span in healthy.items() if span is not None},
        )


def _targets(hostname: DedicatedHostname) -> tuple[Target, ...]:
    return tuple(
        Target(t.server_id or 0, t.name, t.fqdn, t.address, t.order, t.virtual_service_id or 0)
        for t in hostname.targets.all()
    )


def _reached(hostname: DedicatedHostname, plan: Plan) -> Reached:
    """The server or the virtual service that a plan leads to."""
    to = Aim(plan.to_server_id, plan.to_virtual_service_id)
    return next(target.aim for target in hostname.targets.all() if aim_of(target.aim) == to)


def probe_targets(targets: Mapping[int, Reached], *, timeout_s: float) -> dict[int, tuple[TargetCheck, ...]]:
    """Probe each hostname's target (by hostname id), all at once; a server's UCC ports are asked once for all."""
    index: dict[tuple[str, int, int | None], list[Check]] = {}
    for check in estate_checks():
        if check.kind is CheckKind.BALANCER:
            continue
        place = ("v", check.virtual_service_id) if check.virtual_service_id else ("s", check.server_id or 0)
        index.setdefault((*place, check.hostname_id), []).append(check)
    wanted = {pk: _checks_in(index, target, pk) for pk, target in targets.items()}
    asked = list(dict.fromkeys(check for checks in wanted.values() for check in checks))
    found = dict(zip(asked, target_health.probe_each(asked, timeout_s=timeout_s), strict=True)) if asked else {}
    return {pk: through_vip(checks, [found[check] for check in checks]) for pk, checks in wanted.items()}


def _checks_in(
    index: Mapping[tuple[str, int, int | None], list[Check]], target: Reached, hostname_id: int
) -> list[Check]:
    places: list[tuple[str, int]] = [("v", target.pk)] if isinstance(target, VirtualService) else []
    servers = target.servers if isinstance(target, VirtualService) else [target]
    places += [("s", server.pk) for server in servers]
    return [check for place in places for of in (None, hostname_id) for check in index.get((*place, of), [])]


def healthy_since(targets: Mapping[DedicatedHostname, Reached]) -> dict[int, timedelta | None]:
    """For how long each hostname's target has been healthy by the standing checks; None where it is not."""
    servers = {target.pk for target in targets.values() if isinstance(target, Server)}
    states = list(CheckState.objects.filter(server_id__in=servers))
    fresh = live.freshness()
    return {
        hostname.pk: target_health.good_for(_own(states, target.pk, hostname.pk), hostname.pk, fresh)
        if isinstance(target, Server)
        else target_health.healthy_for(target, hostname)
        for hostname, target in targets.items()
    }


def _own(states: Sequence[CheckState], server_id: int, hostname_id: int) -> list[CheckState]:
    return [s for s in states if s.server_id == server_id and s.hostname_id in {None, hostname_id}]


def refusal_of_together(plan: SitePlan, chosen: Sequence[Entry]) -> str:
    """Why these cannot go all or nothing, as a sentence; "" where they can."""
    zones: dict[str, list[Plan]] = {}
    for entry in chosen:
        if entry.plan is not None:
            zones.setdefault(entry.plan.change.zone, []).append(entry.plan)
    for name, plans in zones.items():
        zone = Zone.objects.select_related("key").prefetch_related("name_servers").get(name=name)
        writer = wiring.writer_of(wiring.endpoints_of(zone))
        provider: object = wiring.provider_for(zone, writer) if writer else None
        if not isinstance(provider, ChangesMany):
            return f"Zone {name} cannot change many records all or nothing. Let them be changed one by one."
        if refused := provider.refusal_of_many([p.change for p in plans]):
            return f"Zone {name}: {refused}"
    return ""
