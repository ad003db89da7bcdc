"""Fresh probes of a target that a hostname may be moved to, and how long it has been healthy."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone

from a365admin.prepared import Prepared
from dnsops.behind_vip import counting_checks, through_vip
from dnsops.safety import TargetCheck
from dnsops.target_checks import KINDS, judged, problem_of
from pools import live, services as pools_services
from pools.estate import server_spec, spec_of
from pools.health import KNOCKS, CheckKind, Health, is_stale
from pools.models import CheckState, DedicatedHostname, Server, TrustedApplication, VirtualService
from pools.probing.result import REFUSED_CERTIFICATES
from pools.specs import ApplicationSpec, Check, Estate, HostnameSpec, checks_of as estate_checks_of

__all__ = ["KINDS", "TargetProbe", "checks_of", "healthy_for", "probe", "probe_each", "problem_of", "stored"]


def checks_of(aim: Server | VirtualService, hostname: DedicatedHostname) -> list[Check]:
    """The checks that say whether this target can serve this hostname: its UCC ports, web services, certificate.

    Of a virtual service: its VIP, web services and certificate through it, and the same on each of its real servers.
    The same as the standing checks of the estate, read for this one target: a click does not wait for all the others.
    """
    service = aim if isinstance(aim, VirtualService) else None
    servers = service.servers if service else [aim] if isinstance(aim, Server) else []
    pool_ids = {server.trusted_application_pool_id for server in servers}
    applications = _applications_of(len(pool_ids))(*pool_ids) if pool_ids else []
    estate = Estate(
        servers=tuple(server_spec(server) for server in servers),
        applications=tuple(ApplicationSpec(*values) for values in applications),
        hostnames=(
            HostnameSpec(
                hostname.pk, hostname.fqdn, tuple(server.pk for server in servers), (service.pk,) if service else ()
            ),
        ),
        virtual_services=(spec_of(service),) if service else (),
    )
    return [check for check in estate_checks_of(estate) if check.kind is not CheckKind.BALANCER]


@cache
def _applications_of(pools: int) -> Prepared[tuple[Any, ...]]:
    """The UCCs of so many trusted application pools."""
    columns = ("id", "ucc__name", "trusted_application_pool_id", "port")
    return Prepared(
        lambda *ids: (
            TrustedApplication.objects.filter(trusted_application_pool__in=ids).order_by("port").values_list(*columns)
        ),
        *[int] * pools,
    )


# What worked a moment ago, by check: (time.monotonic() then, the result). Kept small; a process has its own.
_good: dict[Check, tuple[float, TargetCheck]] = {}
_KEPT = 2000


class TargetProbe:
    """A target's checks that are being asked once, now. Uses no database, and the caller may use it meanwhile.

    UCC ports are always asked. Of web services and certificates (a TLS handshake each) a good result not older than
    ``good_for_s`` is used again, with its age: between the preview and the click that is the same knowledge.
    ``beside``: what takes a conversation is asked in another thread. ``close()`` it where no answers are wanted.
    """

    def __init__(
        self, checks: Sequence[Check], *, timeout_s: float, good_for_s: float = 0.0, beside: bool = False
    ) -> None:
        self._checks = checks
        self._again = {check: kept for check in checks if (kept := _still_good(check, good_for_s)) is not None}
        asked = [check for check in checks if check not in self._again]
        self._probing = pools_services.Probing(asked, timeout_s, beside=beside)
        self.close = self._probing.close

    def each(self) -> list[TargetCheck]:
        """Wait; an answer for each of the checks, in their order."""
        results = self._probing.results()
        found = [self._again.get(check) or judged(check, results.get(check.key)) for check in self._checks]
        if len(_good) > _KEPT:
            _good.clear()
        then = time.monotonic()
        asked = [pair for pair in zip(self._checks, found, strict=True) if pair[0] not in self._again]
        for check, answer in asked:
            if answer.ok and not answer.degraded:
                _good[check] = (then, answer)
            else:
                _good.pop(check, None)
        return found

    def counting(self) -> tuple[TargetCheck, ...]:
        """Wait; what counts of the answers."""
        return through_vip(self._checks, self.each())


def probe(checks: Sequence[Check], *, timeout_s: float) -> tuple[TargetCheck, ...]:
    """Ask each of one target's checks once, now; what counts of the answers. Uses no database."""
    return TargetProbe(checks, timeout_s=timeout_s).counting()


def probe_each(checks: Sequence[Check], *, timeout_s: float) -> list[TargetCheck]:
    """Ask each of them once, now: an answer for each. Uses no database, so that it may run beside other work."""
    return TargetProbe(checks, timeout_s=timeout_s).each()


def _still_good(check: Check, good_for_s: float) -> TargetCheck | None:
    then, found = _good.get(check, (0.0, None))
    age_s = time.monotonic() - then
    if found is None or check.kind in KNOCKS or age_s > good_for_s:
        return None
    return replace(found, age_s=age_s)


def stored(aim: Server | VirtualService, hostname: DedicatedHostname) -> tuple[TargetCheck, ...]:
    """What the standing checks say, with its age; not known where the live store is lost."""
    fresh = live.freshness()
    at = fresh.oldest.get(hostname.pk) if fresh.known else None
    return tuple(
        TargetCheck(
            kind=KINDS[CheckKind(state.kind)],
            label=state.label,
            ok=None if at is None or state.health == Health.UNKNOWN else _stands(state),
            sentence=state.sentence,
            degraded=state.health == Health.DEGRADED,
            age_s=max(time.time() - at, 0.0) if at is not None else 0.0,
        )
        for state in _states(aim, hostname)
    )


def _stands(state: CheckState) -> bool:
    """Whether a standing check says that clients are served; a certificate that they refuse is only degraded there."""
    return state.health != Health.DOWN and state.cause not in REFUSED_CERTIFICATES


def healthy_for(aim: Server | VirtualService, hostname: DedicatedHostname) -> timedelta | None:
    """For how long the standing checks have all been good; None where one is not, or is not known."""
    return good_for(_states(aim, hostname), hostname.pk, live.freshness())


def good_for(found: Sequence[CheckState], hostname_id: int, fresh: live.Freshness) -> timedelta | None:
    """For how long these checks of a hostname's target have all been good; None where one is not, or flaps.

    Also None where the hostname's results are too old to be believed: what nobody looks at is not healthy.
    """
    if not found or any(state.health not in {Health.UP, Health.DEGRADED} or state.flapping for state in found):
        return None
    if is_stale(fresh.oldest.get(hostname_id), fresh.interval_s.get(hostname_id, 0.0), time.time()):
        return None
    return timezone.now() - max(state.since for state in found)


def _counting_for(server_id: int, hostname_id: int) -> QuerySet[CheckState]:
    """Without their evidence, which is long and decides nothing."""
    own = Q(hostname=hostname_id, kind__in=[CheckKind.WEB.value, CheckKind.CERT.value])
    return CheckState.objects.filter(Q(kind=CheckKind.UCC.value) | own, server=server_id).defer("evidence")


_of_a_server = Prepared(_counting_for, int, int)


def _states(aim: Server | VirtualService, hostname: DedicatedHostname) -> list[CheckState]:
    """The standing checks that count for a target; those of a virtual service that were never asked are unknown."""
    if isinstance(aim, Server):
        return _of_a_server(aim.pk, hostname.pk)
    checks = checks_of(aim, hostname)
    rows = {state.key: state for state in CheckState.objects.filter(key__in=[check.key for check in checks])}
    states = {
        check.key: rows.get(check.key) or CheckState(key=check.key, kind=check.kind.value, label=check.label)
        for check in checks
    }
    known = {Health.UP.value: True, Health.DEGRADED.value: True, Health.DOWN.value: False}
    answers = [known.get(states[check.key].health) for check in checks]
    return [states[check.key] for check in counting_checks(checks, answers)]
