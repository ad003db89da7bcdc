"""Pure: “Can we fail over now?” Facts of a look that changes nothing in effect -> a line for each question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from dnsops.plan import Answer
from dnsops.safety import Finding, Level

CLOCK_WARN_S, CLOCK_BAD_S = 60.0, 300.0
TICKET_WARN_S = 3600.0


class Ready(StrEnum):
    """What a line says."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"
    UNKNOWN = "unknown"


class Question(StrEnum):
    """The questions, in the order in which they are shown."""

    PLAN = "plan"
    WRITER = "writer"
    KEY = "key"
    PERMISSION = "permission"
    CLOCK = "clock"
    TICKET = "ticket"
    RECORD = "record"
    TTL = "ttl"
    AGREE = "agree"
    TARGET = "target"
    OTHER = "other"


TITLES = {
    Question.PLAN: "A way to go",
    Question.WRITER: "Writer reachable",
    Question.KEY: "Key accepted",
    Question.PERMISSION: "Permission for this record",
    Question.CLOCK: "Clocks in step",
    Question.TICKET: "Ticket warm",
    Question.RECORD: "Record as declared",
    Question.TTL: "TTL within policy",
    Question.AGREE: "Servers agree",
    Question.TARGET: "Target healthy",
    Question.OTHER: "Nothing in the way",
}

_RULES = {
    "target_ucc": Question.TARGET,
    "target_web": Question.TARGET,
    "target_certificate": Question.TARGET,
    "target_maintenance": Question.TARGET,
    "health_fresh": Question.TARGET,
    "stability_time": Question.TARGET,
    "ttl_policy": Question.TTL,
    "record_type": Question.RECORD,
    "answers_agree": Question.AGREE,
    "writer_reachable": Question.WRITER,
    "writer_accepts_key": Question.KEY,
}
_OWN = frozenset({"writer_reachable", "writer_accepts_key"})  # these are asked, and said, by the test itself
_LEVELS = {Level.OK: Ready.OK, Level.WARN: Ready.WARN, Level.BLOCK: Ready.BAD}
_WORST = {Ready.BAD: 0, Ready.UNKNOWN: 1, Ready.WARN: 2, Ready.OK: 3}


@dataclass(frozen=True, slots=True)
class Line:
    """One question and its answer. ``short``: a few words for the overview, where the question's own are not true."""

    question: Question
    level: Ready
    sentence: str
    short: str = ""


@dataclass(frozen=True, slots=True)
class Tried:
    """How an attempt at the writer went. ``ok`` None: it was not tried, and ``sentence`` says why."""

    ok: bool | None
    sentence: str


@dataclass(frozen=True, slots=True)
class Ticket:
    """A Kerberos ticket for one domain controller: for how many seconds it is good; None: there is none."""

    server: str
    left_s: float | None


@dataclass(frozen=True, slots=True)
class ReadinessFacts:
    """What was found. ``findings``: the safety rules', as far as there is a plan; ``plan_error``: why there is none.

    ``skew_s``: how far the writer's clock is ahead of ours, None where its answer does not show it. ``tickets``: None
    where none are needed. ``by_hand``: a person makes the change, so there is no key to be accepted.
    """

    to_server: str
    plan_error: str
    writer: str
    answers: Sequence[Answer]
    findings: Sequence[Finding]
    key: Tried
    permission: Tried
    record_type: str
    skew_s: float | None = None
    tickets: Sequence[Ticket] | None = None
    by_hand: bool = False


def judge(facts: ReadinessFacts) -> list[Line]:
    """Answer every question that can be answered, in order; several lines where there is more to say about one."""
    lines = [
        *_plan(facts),
        _writer(facts),
        _tried(Question.KEY, facts.key, facts),
        _tried(Question.PERMISSION, facts.permission, facts),
        *_clock(facts),
        *_tickets(facts),
        *_record(facts),
        *(_line(finding) for finding in facts.findings if finding.rule not in _OWN),
    ]
    order = list(Question)
    return sorted(lines, key=lambda line: (order.index(line.question), _WORST[line.level]))


def overall(lines: Sequence[Line]) -> Ready:
    """The worst of them; nothing is known where there is none."""
    return min((line.level for line in lines), key=_WORST.__getitem__, default=Ready.UNKNOWN)


def summary(lines: Sequence[Line]) -> str:
    """A few words for the overview: what stands in the way, "" where nothing does."""
    bad = [line for line in lines if line.level is Ready.BAD]
    own = [line for line in bad if line.question not in {Question.TARGET, Question.OTHER, Question.PLAN}]
    phrases = {
        Question.WRITER: "the DNS writer does not answer",
        Question.KEY: "the DNS key is not accepted",
        Question.PERMISSION: "DNS write refused",
        Question.CLOCK: "clocks differ too much for DNS changes",
        Question.TICKET: "no Kerberos ticket for the DNS writer",
        Question.RECORD: "the record is not as declared",
        Question.AGREE: "DNS servers disagree",
    }
    return next((words for line in own if (words := line.short or phrases.get(line.question, ""))), "")


def _line(finding: Finding) -> Line:
    return Line(_RULES.get(finding.rule, Question.OTHER), _LEVELS[finding.level], finding.sentence)


def _plan(facts: ReadinessFacts) -> list[Line]:
    return [Line(Question.PLAN, Ready.BAD, facts.plan_error)] if facts.plan_error else []


def _writer(facts: ReadinessFacts) -> Line:
    if not facts.writer:
        sentence = "No writer is entered: say which name server takes changes."
        return Line(Question.WRITER, Ready.BAD, sentence, short="no DNS writer is entered")
    said = next((answer for answer in facts.answers if answer.server == facts.writer), None)
    if said is not None and said.answered:
        return Line(Question.WRITER, Ready.OK, f"{facts.writer} answers.")
    text = said.text if said else "not asked"
    return Line(Question.WRITER, Ready.BAD, f"{facts.writer} gives no answer ({text}), so nothing can be changed.")


def _tried(question: Question, tried: Tried, facts: ReadinessFacts) -> Line:
    if facts.by_hand:
        return Line(question, Ready.OK, "A person makes the change; a365admin needs no right to write.")
    level = Ready.UNKNOWN if tried.ok is None else Ready.OK if tried.ok else Ready.BAD
    return Line(question, level, tried.sentence)


def _clock(facts: ReadinessFacts) -> list[Line]:
    skew_s = facts.skew_s
    if skew_s is None:
        return []
    ahead = "ahead of" if skew_s > 0 else "behind"
    said = f"The clock of {facts.writer} is {abs(skew_s):.0f} s {ahead} ours"
    if abs(skew_s) >= CLOCK_BAD_S:
        return [Line(Question.CLOCK, Ready.BAD, f"{said}: signed changes are refused. Set both by NTP.")]
    if abs(skew_s) >= CLOCK_WARN_S:
        return [Line(Question.CLOCK, Ready.WARN, f"{said}; from {CLOCK_BAD_S:.0f} s on changes are refused.")]
    return [Line(Question.CLOCK, Ready.OK, f"The clock of {facts.writer} is in step with ours.")]


def _tickets(facts: ReadinessFacts) -> list[Line]:
    lines = []
    for ticket in facts.tickets or ():
        if ticket.left_s is None or ticket.left_s <= 0:
            mine = ticket.server == facts.writer
            sentence = f"There is no ticket for {ticket.server}: a change would first have to ask a KDC for one."
            lines.append(Line(Question.TICKET, Ready.BAD if mine else Ready.WARN, sentence))
        elif ticket.left_s < TICKET_WARN_S:
            sentence = f"The ticket for {ticket.server} is good for {ticket.left_s / 60:.0f} min only."
            lines.append(Line(Question.TICKET, Ready.WARN, sentence))
    if facts.tickets and not lines:
        shortest = min(ticket.left_s or 0.0 for ticket in facts.tickets)
        sentence = f"Tickets are kept for every server, the shortest for {shortest / 3600:.0f} h more."
        lines.append(Line(Question.TICKET, Ready.OK, sentence))
    return lines


def _record(facts: ReadinessFacts) -> list[Line]:
    """That it is as declared; what is wrong with it comes from the plan and the safety rules."""
    said = next((answer for answer in facts.answers if answer.server == facts.writer and answer.answered), None)
    if said is None or any(finding.rule == "record_type" for finding in facts.findings):
        return []
    if said.rrset is None:
        return [Line(Question.RECORD, Ready.BAD, f"{facts.writer} has no record at this name. Put it right.")]
    if said.rrset.rtype != facts.record_type:
        sentence = (
            f"DNS has a {said.rrset.rtype} record; declared is {facts.record_type}. A failover never changes that."
        )
        return [Line(Question.RECORD, Ready.BAD, sentence)]
    return [Line(Question.RECORD, Ready.OK, f"A {said.rrset.rtype} record, as declared.")]
