"""Pure: which answers count for a target that is a virtual service.

Of the real servers behind a VIP only one serves at a time; the others may be cold standbys, whose closed UCC ports are
nobody's fault. The one that serves is the first whose health check's port answers, as the load balancer sees it.
"""

from __future__ import annotations

from collections.abc import Sequence

from dnsops.safety import TargetCheck
from pools.health import CheckKind
from pools.specs import Check


def through_vip(checks: Sequence[Check], found: Sequence[TargetCheck]) -> tuple[TargetCheck, ...]:
    """Return what counts of ``found``, in which each answer stands at its check's place."""
    counting = {check.key for check in counting_checks(checks, [answer.ok for answer in found])}
    return tuple(answer for check, answer in zip(checks, found, strict=True) if check.key in counting)


def counting_checks(checks: Sequence[Check], answers: Sequence[bool | None]) -> list[Check]:
    """Return the checks that decide: of a server all; of a virtual service those through it and of who serves.

    Where no real server's health check port answers, those ports decide: they say why nothing can be served.
    """
    vip = next((check for check in checks if check.kind is CheckKind.VIP), None)
    if vip is None:
        return list(checks)
    knocks = [
        (check, ok)
        for check, ok in zip(checks, answers, strict=True)
        if check.kind is CheckKind.UCC and check.port == vip.health_check_port
    ]
    serving = next((check.server_id for check, ok in knocks if ok), None)
    if serving is None:
        decisive = {check.key for check, _ in knocks}
        return [check for check in checks if check.virtual_service_id or check.key in decisive]
    return [check for check in checks if check.virtual_service_id or check.server_id == serving]
