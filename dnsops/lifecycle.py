"""Pure: the states and steps of an operation, what may follow what, and how an operation ends."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class OperationKind(StrEnum):
    """FAILOVER leads away from the primary, FAILBACK to it; PUT_RIGHT undoes what somebody did behind our back."""

    FAILOVER = "failover"
    FAILBACK = "failback"
    PUT_RIGHT = "putright"


class OperationState(StrEnum):
    """PENDING and RUNNING are active; the rest are ends, and each is true when it is set."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # failed, nothing changed
    INCOMPLETE = "incomplete"  # changed, not verified everywhere; the operation says where
    UNKNOWN = "unknown"  # no answer after sending; the operation says what to look at
    CANCELLED = "cancelled"  # before the write


ACTIVE = frozenset({OperationState.PENDING, OperationState.RUNNING})
TERMINAL = frozenset(OperationState) - ACTIVE
VERIFIABLE_AGAIN = frozenset({OperationState.INCOMPLETE, OperationState.UNKNOWN})


class StepKind(StrEnum):
    """The steps of an operation, in their order."""

    CHECK_AGAIN = "check_again"
    WRITE = "write"
    READ_BACK = "read_back"
    VERIFY = "verify"  # every authoritative server
    RESOLVERS = "resolvers"  # those that are named, followed until they turn
    WAIT_TTL = "wait_ttl"  # the old TTL, counted down
    PROBE = "probe"  # the service, through the hostname


class StepState(StrEnum):
    """How far a step is."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


STEP_ORDER: tuple[StepKind, ...] = tuple(StepKind)
STEP_ENDED = frozenset({StepState.DONE, StepState.WARNING, StepState.FAILED, StepState.SKIPPED})

TRANSITIONS: dict[OperationState, frozenset[OperationState]] = {
    OperationState.PENDING: frozenset({OperationState.RUNNING, OperationState.CANCELLED}),
    # RUNNING -> RUNNING: taken over by another worker after the first one's lease has ended.
    OperationState.RUNNING: TERMINAL | {OperationState.RUNNING},
    OperationState.SUCCEEDED: frozenset(),
    OperationState.FAILED: frozenset(),
    OperationState.INCOMPLETE: frozenset({OperationState.SUCCEEDED}),
    OperationState.UNKNOWN: frozenset({OperationState.SUCCEEDED, OperationState.INCOMPLETE}),
    OperationState.CANCELLED: frozenset(),
}

STEP_TRANSITIONS: dict[StepState, frozenset[StepState]] = {
    # Straight to an end: begun and ended in one transaction.
    StepState.WAITING: STEP_ENDED | {StepState.RUNNING},
    StepState.RUNNING: STEP_ENDED | {StepState.RUNNING},
    StepState.DONE: frozenset(),
    # Asking again may find every server, or the service, as it should be.
    StepState.WARNING: frozenset({StepState.DONE}),
    StepState.FAILED: frozenset({StepState.DONE}),
    StepState.SKIPPED: frozenset(),
}


def may_follow(old: OperationState, new: OperationState) -> bool:
    """Whether an operation may go from ``old`` to ``new``."""
    return new in TRANSITIONS[old]


def step_may_follow(old: StepState, new: StepState) -> bool:
    """Whether a step may go from ``old`` to ``new``."""
    return new in STEP_TRANSITIONS[old]


class Write(StrEnum):
    """How one update message went, as far as it matters for what is true now."""

    NONE = "none"  # nothing was sent
    ACKNOWLEDGED = "acknowledged"  # the server says that it did it
    REFUSED = "refused"  # the server says that it did not, or it was never reached
    CONFLICT = "conflict"  # the prerequisite failed: the record was not what was expected
    UNANSWERED = "unanswered"  # sent, or perhaps sent, and no answer that can be trusted


class Seen(StrEnum):
    """What a server says, compared with the plan."""

    NEW = "new"
    OLD = "old"
    OTHER = "other"  # neither
    SILENT = "silent"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class EndFacts:
    """All that is known when an operation has to end.

    ``writes``: every message, in order. ``at_writer``: what the writer said last. ``late``: the authoritative servers
    that should give the new answer by now and do not, each as "dns2 says CNAME srv1.example."; ``not_yet``: those that
    may still lag. ``remark``: what there is to add, such as a resolver that is late; it changes no end.
    ``service_problem``: what the probe through the hostname found wrong, or "". ``verified``: whether every server was
    asked after the write. ``by_hand``: a person was to make the change, and has the commands for it.
    """

    to_server: str
    writer: str
    writes: tuple[Write, ...] = ()
    at_writer: Seen = Seen.SILENT
    writer_text: str = ""
    verified: bool = False
    late: tuple[str, ...] = ()
    not_yet: tuple[str, ...] = ()
    remark: str = ""
    service_problem: str = ""
    refusal: str = ""
    cancelled: bool = False
    by_hand: bool = False


@dataclass(frozen=True, slots=True)
class End:
    """The end state, and the sentence that says so."""

    state: OperationState
    sentence: str


def end_state(facts: EndFacts) -> End:
    """Say how an operation ends, from what is known. Success needs proof; doubt is UNKNOWN, never FAILED."""
    if facts.cancelled and not facts.writes:
        return End(OperationState.CANCELLED, "Cancelled before anything was written. DNS is as it was.")
    if facts.at_writer is Seen.NEW:
        return _changed(facts)
    if facts.by_hand and not facts.writes:
        return _not_seen_by_hand(facts)
    if Write.ACKNOWLEDGED in facts.writes:
        return _acknowledged_but_not_seen(facts)
    if Write.UNANSWERED in facts.writes:
        return _unanswered(facts)
    return _not_changed(facts)


def _changed(facts: EndFacts) -> End:
    if not facts.verified:
        return End(
            OperationState.INCOMPLETE,
            f"{facts.writer} answers {facts.to_server}; the other DNS servers were not all asked. Ask again.",
        )
    if facts.late:
        return End(
            OperationState.INCOMPLETE,
            f"{facts.writer} answers {facts.to_server}, but {'; '.join(facts.late)}. Clients may be split between "
            "the two servers. Ask again in a moment; if that stays so, mend what does not follow.",
        )
    if facts.service_problem:
        where = "Every DNS server" if not facts.not_yet else "DNS"
        sentence = f"{where} answers {facts.to_server}, but the service is not working there: {facts.service_problem}"
        return End(OperationState.INCOMPLETE, _added(sentence, *facts.not_yet, facts.remark))
    if facts.not_yet:
        return End(
            OperationState.INCOMPLETE,
            _added(
                f"Every DNS server that should have followed by now answers {facts.to_server}; "
                f"{'; '.join(facts.not_yet)}. What is missing is asked again by itself.",
                facts.remark,
            ),
        )
    sentence = f"Every DNS server answers {facts.to_server}."
    if not facts.writes:
        sentence = f"Nothing had to be written: every DNS server already answers {facts.to_server}."
    return End(OperationState.SUCCEEDED, _added(sentence, facts.remark))


def _added(sentence: str, *more: str) -> str:
    """Sentences one after another; one without its full stop gets it."""
    return " ".join([sentence, *(f"{text.rstrip('.')}." for text in more if text)])


def _acknowledged_but_not_seen(facts: EndFacts) -> End:
    if facts.at_writer in {Seen.SILENT, Seen.ERROR}:
        return End(
            OperationState.INCOMPLETE,
            f"{facts.writer} confirmed the change to {facts.to_server}, and has not answered since. Ask again when "
            "it is back.",
        )
    if facts.at_writer is Seen.OLD:
        return End(
            OperationState.UNKNOWN,
            f"{facts.writer} confirmed the change to {facts.to_server}, but still says {facts.writer_text}. It may not "
            "let our key change this record (PowerDNS confirms what its policy refuses), or somebody changed it back. "
            f"Look at the record on {facts.writer}.",
        )
    return End(
        OperationState.UNKNOWN,
        f"{facts.writer} confirmed the change to {facts.to_server}, but now says {facts.writer_text}. Look at the "
        f"record on {facts.writer}: somebody may have changed it at the same moment, or another record stands "
        "beside it.",
    )


def _not_seen_by_hand(facts: EndFacts) -> End:
    """Nothing was sent; but whoever has the commands may have run them, or half of them."""
    if facts.at_writer is Seen.OLD:
        reason = facts.refusal or "The change was not made by hand."
        return End(
            OperationState.FAILED,
            f"{reason} {facts.writer} still says {facts.writer_text}. This operation changed nothing: do not run its "
            "commands any more.",
        )
    if facts.at_writer is Seen.OTHER:
        now = f"{facts.writer} now says {facts.writer_text}, which is neither the old nor the new answer"
    else:
        now = f"{facts.writer} does not answer"
    return End(
        OperationState.UNKNOWN,
        f"The change was to be made by hand, and {now}. Put the record right on {facts.writer}; then ask again here.",
    )


def _unanswered(facts: EndFacts) -> End:
    if facts.at_writer is Seen.OLD:
        now = f"It still says {facts.writer_text}"
    elif facts.at_writer is Seen.OTHER:
        now = f"It now says {facts.writer_text}, which is neither the old nor the new answer"
    else:
        now = f"It does not answer questions either: bring {facts.writer} back"
    return End(
        OperationState.UNKNOWN,
        f"The change was sent to {facts.writer} and no answer came, so it may or may not have been made. {now}. "
        f"Look at the record on {facts.writer} before you do anything else; then ask again here.",
    )


def _not_changed(facts: EndFacts) -> End:
    reason = facts.refusal or "The change was not made."
    if Write.CONFLICT in facts.writes and facts.at_writer is Seen.OTHER:
        reason = f"{reason} {facts.writer} now says {facts.writer_text}."
    return End(OperationState.FAILED, f"{reason} This operation changed nothing.")
