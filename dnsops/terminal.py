"""Pure: a failover in a terminal. What is shown before it, and the exit code after it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from enum import IntEnum

from dnsops.lifecycle import OperationKind, OperationState
from dnsops.plan import Answer, Plan
from dnsops.safety import Finding, Level


class ExitCode(IntEnum):
    """How ``failover`` and ``breakglass failover`` end; 1 is a wrong call or setting, 2 a wrong option (argparse)."""

    SUCCEEDED = 0
    REFUSED = 3  # by a rule, or because no plan can be made; nothing was changed
    FAILED = 4  # failed, nothing changed
    INCOMPLETE = 5  # changed, but not seen everywhere, or the service does not answer
    UNKNOWN = 6  # it may or may not have been changed
    NOT_CONFIRMED = 7  # nobody confirmed it, or it was cancelled; nothing was changed


CODES = {
    OperationState.SUCCEEDED: ExitCode.SUCCEEDED,
    OperationState.FAILED: ExitCode.FAILED,
    OperationState.INCOMPLETE: ExitCode.INCOMPLETE,
    OperationState.UNKNOWN: ExitCode.UNKNOWN,
    OperationState.CANCELLED: ExitCode.NOT_CONFIRMED,
}
VERBS = {OperationKind.FAILOVER: "Fail over", OperationKind.FAILBACK: "Fail back"}
MARKS = {Level.OK: "ok", Level.WARN: "WARN", Level.BLOCK: "NO"}


def plan_lines(plan: Plan, *, affected: Sequence[str], now: datetime) -> list[str]:
    """The one change, whom it affects, and when clients should have followed. ``now`` is aware."""
    change = plan.change
    old_s = change.expected.ttl_s
    by = now + timedelta(seconds=old_s)
    return [
        f"{VERBS[OperationKind(plan.kind)]} {plan.hostname} to {plan.to_server}",
        "",
        f"  Change   {change.expected} -> {change.new}, TTL {change.new.ttl_s} s, at {plan.writer}",
        f"  Clients  should follow within {old_s} s (by {by:%H:%M:%S %Z} if it is done now); some cache longer",
        f"  Affects  {', '.join(affected) if affected else 'no UCC that is known here'}",
    ]


def answer_lines(answers: Iterable[Answer]) -> list[str]:
    """What each authoritative server says now."""
    lines = []
    for answer in answers:
        ttl = f", TTL {answer.rrset.ttl_s} s" if answer.rrset else ""
        lines.append(f"  {answer.server}: {answer.text}{ttl}{' (the writer)' if answer.is_writer else ''}")
    return ["DNS says now:", *(lines or ["  no server to ask"])]


def finding_lines(findings: Iterable[Finding]) -> list[str]:
    """Each rule's word and sentence."""
    return ["Checked:", *(f"  {MARKS[f.level]:<4}  {f.sentence} [{f.rule}]" for f in findings)]


def not_forced(findings: Iterable[Finding], forced: Sequence[str]) -> str:
    """Why it may not go on, in a sentence that says how it may; "" where nothing blocks that is not forced by name."""
    blocking = [f for f in findings if f.level is Level.BLOCK]
    never = [f.rule for f in blocking if not f.overridable]
    if never:
        return f"Forbidden by a rule that cannot be forced: {', '.join(never)}. Nothing was changed."
    missing = [f.rule for f in blocking if f.rule not in forced]
    if missing:
        options = " ".join(f"--force {rule}" for rule in missing)
        return f"Forbidden by {', '.join(missing)}. Put it right and look again, or add {options}. Nothing was changed."
    return ""
