"""Pure: the safety rules. One function for each; facts in, one Finding out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from dnsops.lifecycle import OperationKind
from dnsops.plan import Answer, RRset


class Level(StrEnum):
    """What a finding does: BLOCK stops the click unless it may be, and is, forced."""

    OK = "ok"
    WARN = "warn"
    BLOCK = "block"


class Rule(StrEnum):
    """The rules' names, as the audit log records them."""

    TARGET_VIP = "target_vip"
    TARGET_UCC = "target_ucc"
    TARGET_WEB = "target_web"
    TARGET_CERTIFICATE = "target_certificate"
    TARGET_MAINTENANCE = "target_maintenance"
    HEALTH_FRESH = "health_fresh"
    ALREADY_THERE = "already_there"
    ANSWERS_AGREE = "answers_agree"
    RECORD_TYPE = "record_type"
    TTL_POLICY = "ttl_policy"
    NO_OTHER_OPERATION = "no_other_operation"
    COOL_DOWN = "cool_down"
    WRITER_REACHABLE = "writer_reachable"
    WRITER_ACCEPTS_KEY = "writer_accepts_key"
    STABILITY_TIME = "stability_time"
    HOSTNAMES_AT_ONCE = "hostnames_at_once"


NEVER_OVERRIDABLE = frozenset({Rule.RECORD_TYPE, Rule.NO_OTHER_OPERATION, Rule.ALREADY_THERE, Rule.WRITER_REACHABLE})


@dataclass(frozen=True, slots=True)
class Finding:
    """What one rule says. ``subject`` is the part that must not change between preview and click (no ages in it)."""

    rule: str
    level: Level
    sentence: str
    subject: str = ""
    overridable: bool = True

    def as_dict(self) -> dict[str, str | bool]:
        """The form in which it is stored as JSON."""
        return {
            "rule": self.rule,
            "level": self.level.value,
            "sentence": self.sentence,
            "subject": self.subject,
            "overridable": self.overridable,
        }


class TargetCheckKind(StrEnum):
    """What was asked of the target."""

    VIP = "vip"
    UCC = "ucc"
    WEB = "web"
    CERTIFICATE = "cert"


@dataclass(frozen=True, slots=True)
class TargetCheck:
    """One answer about the target. ``ok`` None: not known. ``age_s``: seconds since it was asked."""

    kind: TargetCheckKind
    label: str
    ok: bool | None
    sentence: str = ""
    degraded: bool = False
    age_s: float = 0.0


@dataclass(frozen=True, slots=True)
class OtherOperation:
    """An operation that is active for this hostname. ``superseding`` may begin: it only waits for the old TTL."""

    who: str
    to_server: str
    state: str
    superseding: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """The installation's policy; durations in seconds."""

    stale_warn_s: float = 15.0
    stale_block_s: float = 60.0
    cool_down_s: float = 300.0
    stability_s: float = 300.0
    ttl_warn_s: int = 300
    at_once_warn: int = 5
    at_once_block: int = 25


@dataclass(frozen=True, slots=True)
class SafetyFacts:
    """Everything that the rules look at. ``None`` means: not known.

    ``primary_healthy_for_s``: how long the target has been healthy without interruption. ``writable``: whether the
    writer accepted our key in a probe that changes nothing.
    """

    kind: OperationKind
    hostname: str
    from_server: str
    to_server: str
    record_type: str
    policy_ttl_s: int
    expected: RRset
    new: RRset
    writer: str
    answers: tuple[Answer, ...]
    checks: tuple[TargetCheck, ...]
    target_in_maintenance: bool = False
    maintenance_reason: str = ""
    other_operation: OtherOperation | None = None
    since_last_operation_s: float | None = None
    writable: bool | None = None
    writable_sentence: str = ""
    primary_healthy_for_s: float | None = None
    other_hostnames_active: int = 0
    limits: Limits = Limits()


def _finding(rule: Rule, level: Level, sentence: str, subject: str = "") -> Finding:
    return Finding(rule.value, level, sentence, subject, rule not in NEVER_OVERRIDABLE)


def target_vip(facts: SafetyFacts) -> Finding | None:
    """The VIP of a target that is a virtual service must answer."""
    return _target_finding(facts, TargetCheckKind.VIP, Rule.TARGET_VIP)


def target_ucc(facts: SafetyFacts) -> Finding | None:
    """Every UCC port of the target must answer: web services without UCC give clients no data."""
    return _target_finding(facts, TargetCheckKind.UCC, Rule.TARGET_UCC)


def target_web(facts: SafetyFacts) -> Finding | None:
    """The target's web services must answer."""
    return _target_finding(facts, TargetCheckKind.WEB, Rule.TARGET_WEB)


def target_certificate(facts: SafetyFacts) -> Finding | None:
    """The target's certificate must name the hostname and be valid."""
    return _target_finding(facts, TargetCheckKind.CERTIFICATE, Rule.TARGET_CERTIFICATE)


def _target_finding(facts: SafetyFacts, kind: TargetCheckKind, rule: Rule) -> Finding | None:
    """Judge the checks of one kind. What is not known is HEALTH_FRESH's business."""
    asked = [check for check in facts.checks if check.kind is kind]
    bad = [check for check in asked if check.ok is False]
    if bad:
        more = f" (and {len(bad) - 4} more)" if len(bad) > 4 else ""
        sentence = "; ".join(f"{check.label}: {check.sentence}".rstrip(".") for check in bad[:4])
        return _finding(rule, Level.BLOCK, f"{sentence}{more}.", ",".join(sorted(check.label for check in bad)))
    degraded = [check for check in asked if check.degraded and check.ok]
    if degraded:
        return _finding(rule, Level.WARN, "; ".join(f"{c.label}: {c.sentence}".rstrip(".") for c in degraded) + ".")
    good = [check.label for check in asked if check.ok]
    return _finding(rule, Level.OK, f"{', '.join(good)}: working.") if good else None


def target_maintenance(facts: SafetyFacts) -> Finding | None:
    """The target must not be in maintenance."""
    if not facts.target_in_maintenance:
        return None
    reason = f" ({facts.maintenance_reason})" if facts.maintenance_reason else ""
    return _finding(
        Rule.TARGET_MAINTENANCE,
        Level.BLOCK,
        f"{facts.to_server} is in maintenance{reason}. End the maintenance first, or choose another target.",
    )


def health_fresh(facts: SafetyFacts) -> Finding | None:
    """What is known about the target must be recent, and complete."""
    unknown = sorted(check.label for check in facts.checks if check.ok is None)
    if unknown or not facts.checks:
        what = ", ".join(unknown) or "anything"
        return _finding(
            Rule.HEALTH_FRESH,
            Level.BLOCK,
            f"It is not known whether {facts.to_server} works: {what} could not be checked. Look again in a moment.",
            what,
        )
    oldest = max(check.age_s for check in facts.checks)
    if oldest > facts.limits.stale_block_s:
        return _finding(
            Rule.HEALTH_FRESH,
            Level.BLOCK,
            f"What is known about {facts.to_server} is {oldest:.0f} s old. Look again before you go on.",
            "stale",
        )
    if oldest > facts.limits.stale_warn_s:
        return _finding(Rule.HEALTH_FRESH, Level.WARN, f"What is known about {facts.to_server} is {oldest:.0f} s old.")
    return None


def already_there(facts: SafetyFacts) -> Finding | None:
    """There must be something to change."""
    if not facts.expected.same_data(facts.new):
        return None
    return _finding(
        Rule.ALREADY_THERE,
        Level.BLOCK,
        f"{facts.hostname} already points at {facts.to_server}. There is nothing to do.",
    )


def answers_agree(facts: SafetyFacts) -> Finding | None:
    """Every authoritative server must say what the writer says.

    One that already says what is planned does no harm: the change makes them agree. One that gives no answer is a
    warning, not more: at the loss of a site that is what the failover is for.
    """
    answered = [answer for answer in facts.answers if answer.answered]
    differing = [answer for answer in answered if not _same(facts.expected, answer)]
    harmful = [answer for answer in differing if not _same(facts.new, answer)]
    silent = [answer for answer in facts.answers if not answer.answered]
    if harmful:
        return _finding(
            Rule.ANSWERS_AGREE,
            Level.BLOCK,
            f"The DNS servers disagree: {facts.writer} says {facts.expected}, but {_said(harmful)}. Look at why first.",
            _said(harmful),
        )
    if differing:
        return _finding(
            Rule.ANSWERS_AGREE,
            Level.WARN,
            f"{_said(differing)} already; {facts.writer} still says {facts.expected}. The change makes them agree.",
        )
    if silent:
        return _finding(
            Rule.ANSWERS_AGREE,
            Level.WARN,
            f"{', '.join(f'{a.server} gives no answer ({a.text})' for a in silent)}. The change cannot be verified "
            "there.",
        )
    count = "The DNS server says" if len(answered) == 1 else f"All {len(answered)} DNS servers say"
    return _finding(Rule.ANSWERS_AGREE, Level.OK, f"{count} {facts.expected}.")


def _same(rrset: RRset, answer: Answer) -> bool:
    return rrset.same_data(answer.rrset)


def _said(answers: list[Answer]) -> str:
    return ", ".join(f"{answer.server} says {answer.text}" for answer in answers)


def record_type(facts: SafetyFacts) -> Finding | None:
    """A failover never changes the record's type."""
    if facts.expected.rtype == facts.new.rtype == facts.record_type:
        return None
    return _finding(
        Rule.RECORD_TYPE,
        Level.BLOCK,
        f"{facts.hostname} is a {facts.expected.rtype} record in DNS and would become {facts.new.rtype}. A "
        "failover never changes the type.",
    )


def ttl_policy(facts: SafetyFacts) -> Finding | None:
    """The TTL that clients hold now decides how long they stay behind; lowering it today does not help them."""
    old_s = facts.expected.ttl_s
    if facts.expected.is_absent:
        return _finding(
            Rule.TTL_POLICY,
            Level.OK,
            f"The record is created with TTL {facts.policy_ttl_s} s. Who asked meanwhile may believe a little longer "
            "that there is no such name (the zone's negative TTL).",
        )
    if old_s > max(facts.policy_ttl_s, facts.limits.ttl_warn_s):
        return _finding(
            Rule.TTL_POLICY,
            Level.WARN,
            f"The record's TTL is {old_s} s, so clients may keep the old answer for {_span(old_s)}. The policy "
            f"says {facts.policy_ttl_s} s, which this change sets for the next time.",
        )
    if old_s != facts.policy_ttl_s:
        return _finding(
            Rule.TTL_POLICY,
            Level.WARN,
            f"The record's TTL is {old_s} s; the policy says {facts.policy_ttl_s} s, which this change sets.",
        )
    return _finding(Rule.TTL_POLICY, Level.OK, f"TTL {old_s} s: clients should follow within {_span(old_s)}.")


def no_other_operation(facts: SafetyFacts) -> Finding | None:
    """One active operation for each hostname."""
    other = facts.other_operation
    if other is None:
        return None
    if other.superseding:
        return _finding(
            Rule.NO_OTHER_OPERATION,
            Level.WARN,
            f"The operation of {other.who} to {other.to_server} still waits for clients' old answers to expire; "
            "this one ends that wait.",
        )
    return _finding(
        Rule.NO_OTHER_OPERATION,
        Level.BLOCK,
        f"{other.who} is already moving {facts.hostname} to {other.to_server} ({other.state}). Wait for its end.",
        other.who,
    )


def cool_down(facts: SafetyFacts) -> Finding | None:
    """Warn soon after the last operation: to and fro is worse than either."""
    since_s = facts.since_last_operation_s
    if since_s is None or since_s >= facts.limits.cool_down_s:
        return None
    return _finding(
        Rule.COOL_DOWN,
        Level.WARN,
        f"The last operation on {facts.hostname} was {_span(since_s)} ago. Some clients may not have followed it yet.",
    )


def writer_reachable(facts: SafetyFacts) -> Finding | None:
    """The writer must answer."""
    said = next((answer for answer in facts.answers if answer.server == facts.writer), None)
    if said is not None and said.answered:
        return None
    return _finding(
        Rule.WRITER_REACHABLE,
        Level.BLOCK,
        f"The writer {facts.writer} gives no answer ({said.text if said else 'not asked'}), so nothing can be changed.",
    )


def writer_accepts_key(facts: SafetyFacts) -> Finding | None:
    """The writer must accept our signature on a message that changes nothing."""
    if facts.writable is None:
        return None
    if facts.writable:
        return _finding(
            Rule.WRITER_ACCEPTS_KEY, Level.OK, facts.writable_sentence or f"{facts.writer} accepts our key."
        )
    return _finding(Rule.WRITER_ACCEPTS_KEY, Level.BLOCK, facts.writable_sentence)


def stability_time(facts: SafetyFacts) -> Finding | None:
    """Back to the primary only after it has been healthy for the stability time."""
    if facts.kind is not OperationKind.FAILBACK:
        return None
    healthy_s, needed_s = facts.primary_healthy_for_s, facts.limits.stability_s
    if healthy_s is None:
        return _finding(
            Rule.STABILITY_TIME,
            Level.BLOCK,
            f"{facts.to_server} is not healthy, as far as the standing checks know. Fail back when it has been "
            f"healthy for {_span(needed_s)}.",
            "unhealthy",
        )
    if healthy_s < needed_s:
        return _finding(
            Rule.STABILITY_TIME,
            Level.BLOCK,
            f"{facts.to_server} has been healthy for {_span(healthy_s)}; fail back after {_span(needed_s)}, or it "
            "may be to and fro.",
            "too early",
        )
    return _finding(Rule.STABILITY_TIME, Level.OK, f"{facts.to_server} has been healthy for {_span(healthy_s)}.")


def hostnames_at_once(facts: SafetyFacts) -> Finding | None:
    """Many hostnames moving at once is either the loss of a site or a mistake."""
    others = facts.other_hostnames_active
    if others >= facts.limits.at_once_block:
        return _finding(
            Rule.HOSTNAMES_AT_ONCE,
            Level.BLOCK,
            f"{others} other hostnames are being moved at this moment. Is this meant?",
            "many",
        )
    if others >= facts.limits.at_once_warn:
        return _finding(Rule.HOSTNAMES_AT_ONCE, Level.WARN, f"{others} other hostnames are being moved at this moment.")
    return None


RULES: tuple[Callable[[SafetyFacts], Finding | None], ...] = (
    already_there,
    record_type,
    no_other_operation,
    writer_reachable,
    writer_accepts_key,
    answers_agree,
    target_vip,
    target_ucc,
    target_web,
    target_certificate,
    target_maintenance,
    health_fresh,
    stability_time,
    ttl_policy,
    cool_down,
    hostnames_at_once,
)


def evaluate(facts: SafetyFacts) -> list[Finding]:
    """Apply every rule; a rule with nothing to say is silent."""
    return [finding for rule in RULES if (finding := rule(facts)) is not None]


def _span(seconds: float) -> str:
    """A duration as people say it."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h"
