"""Pure: what a probe of a target says, in the words of the safety rules."""

from __future__ import annotations

import time
from collections.abc import Iterable

from dnsops.safety import TargetCheck, TargetCheckKind
from pools.health import CheckKind
from pools.probing.result import ProbeResult
from pools.specs import Check

KINDS = {
    CheckKind.VIP: TargetCheckKind.VIP,
    CheckKind.UCC: TargetCheckKind.UCC,
    CheckKind.WEB: TargetCheckKind.WEB,
    CheckKind.CERT: TargetCheckKind.CERTIFICATE,
}


def judged(check: Check, result: ProbeResult | None) -> TargetCheck:
    """What one probe says; None: it gave no result in its time."""
    kind = KINDS[check.kind]
    if result is None:
        return TargetCheck(kind, check.label, None, "not answered in time")
    age_s = max(time.time() - result.at, 0.0)
    return TargetCheck(kind, check.label, result.ok, result.sentence, degraded=result.degraded, age_s=age_s)


def problem_of(found: Iterable[TargetCheck]) -> str:
    """What is wrong, in a sentence; "" where everything works."""
    bad = [f"{check.label}: {check.sentence}".rstrip(".") for check in found if not check.ok]
    return "; ".join(bad) + "." if bad else ""
