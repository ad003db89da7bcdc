"""What the pages about changes show: named reads, view models, and the words for them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Prefetch, Q, QuerySet
from django.utils import timezone

from dnsops.lifecycle import ACTIVE, OperationKind, OperationState, StepKind, StepState
from dnsops.matrix import Clients, MatrixRow, clients, matrix, only_lagging, still_followed, time_of
from dnsops.models import FailoverOperation, OperationStep
from dnsops.plan import Plan, Target
from pools.models import DedicatedHostname, FailoverTarget, Server, TrustedApplication, VirtualService
from pools.overview import OperationNote

RECENT = timedelta(hours=2)
CLIENTS = "Snapper, Attendant, Wallboard, Web Wallboard, Inflight Wallboard and Webchat Plus"
_ACTIVE = [state.value for state in ACTIVE]

KIND_VERB = {
    OperationKind.FAILOVER.value: "Fail over",
    OperationKind.FAILBACK.value: "Fail back",
    OperationKind.PUT_RIGHT.value: "Put right",
}
_KIND_DOING = {
    OperationKind.FAILOVER.value: "failing over",
    OperationKind.FAILBACK.value: "failing back",
    OperationKind.PUT_RIGHT.value: "putting right",
}
KIND_NOUN = {
    OperationKind.FAILOVER.value: "Failover",
    OperationKind.FAILBACK.value: "Failback",
    OperationKind.PUT_RIGHT.value: "Putting right",
}

STATE_WORDS = {
    OperationState.PENDING.value: ("Waiting to start", "switching"),
    OperationState.RUNNING.value: ("Running", "switching"),
    OperationState.SUCCEEDED.value: ("Succeeded", "up"),
    OperationState.FAILED.value: ("Failed, nothing changed", "down"),
    OperationState.INCOMPLETE.value: ("Incomplete", "degraded"),
    OperationState.UNKNOWN.value: ("Result not known", "unknown"),
    OperationState.CANCELLED.value: ("Cancelled, nothing changed", "neutral"),
}

LAGGING = ("Changed, not everywhere yet", "switching")

_STEP_WORDS = {
    StepKind.CHECK_AGAIN.value: "Check again",
    StepKind.WRITE.value: "Write DNS",
    StepKind.READ_BACK.value: "Read back from the writer",
    StepKind.VERIFY.value: "Ask every authoritative server",
    StepKind.RESOLVERS.value: "Follow the resolvers",
    StepKind.WAIT_TTL.value: "Wait for the old TTL",
    StepKind.PROBE.value: "Probe through the hostname",
}

_STEP_NOW = {
    StepKind.CHECK_AGAIN.value: "Checking again that nothing has changed since the click …",
    StepKind.WRITE.value: "Writing the change to DNS …",
    StepKind.READ_BACK.value: "Reading it back from the writer …",
    StepKind.VERIFY.value: "Asking every authoritative server …",
    StepKind.RESOLVERS.value: "DNS is changed. Asking each site’s resolvers …",
    StepKind.WAIT_TTL.value: "DNS is changed. Waiting until clients’ old answers have run out …",
    StepKind.PROBE.value: "Probing the service through the hostname …",
}

_STEP_STATES = {
    StepState.WAITING.value: ("Waiting", "circle-dashed"),
    StepState.RUNNING.value: ("Running", "loader-2"),
    StepState.DONE.value: ("Done", "circle-check-filled"),
    StepState.WARNING.value: ("Warning", "alert-triangle-filled"),
    StepState.FAILED.value: ("Failed", "square-x-filled"),
    StepState.SKIPPED.value: ("Skipped", "minus"),
}


def recent_operations() -> dict[int, OperationNote]:
    """The latest operation of each hostname that has an active one, or one that ended not long ago. One query."""
    operations = FailoverOperation.objects.filter(
        Q(state__in=_ACTIVE) | Q(ended_at__gte=timezone.now() - RECENT)
    ).order_by("created_at")
    return {operation.hostname_id: _note(operation) for operation in operations}


def _note(operation: FailoverOperation) -> OperationNote:
    return OperationNote(
        hostname_id=operation.hostname_id,
        url=operation.get_absolute_url(),
        active=operation.state in _ACTIVE,
        verb=_KIND_DOING[operation.kind],
        to=operation.to_text,
        by=operation.requested_by_name,
        since=operation.ended_at or operation.created_at,
        sentence=operation.result,
    )


@dataclass(frozen=True, slots=True)
class StepView:
    """One step as the page shows it."""

    kind: str
    name: str
    state: str
    word: str
    icon: str
    started_at: datetime | None
    elapsed: str
    sentence: str
    facts: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Hand:
    """What a person is to do now, and until when it is waited for."""

    powershell: str
    nsupdate: str
    until: datetime | None


@dataclass(frozen=True, slots=True)
class OperationPage:
    """Everything that an operation's page shows."""

    operation: FailoverOperation
    noun: str
    word: str
    status: str
    active: bool
    before_write: bool
    steps: Sequence[StepView]
    matrix: Sequence[MatrixRow]
    clients: Clients | None
    countdown_to: datetime | None
    can_verify_again: bool
    mark: str
    hand: Hand | None = None

    @property
    def now_sentence(self) -> str:
        """What it is doing at this moment."""
        # The resolvers are followed while others are waited for: what comes after them says more.
        running = next((step for step in reversed(self.steps) if step.state == StepState.RUNNING), None)
        if self.hand and running:
            return f"Waiting for the change to be made by hand. {running.sentence}"
        return _STEP_NOW[running.kind] if running else "Waiting for the operations worker …"

    @property
    def took(self) -> str:
        """How long it took from the click to its end."""
        ended = self.operation.ended_at
        return duration((ended - self.operation.created_at).total_seconds()) if ended else ""

    @property
    def offers_back(self) -> bool:
        """Whether the change was, or may have been, made, so that going back is a sensible next step."""
        if self.operation.kind == OperationKind.PUT_RIGHT:
            return False  # what was there before, nobody here wanted
        states = {OperationState.SUCCEEDED, OperationState.INCOMPLETE, OperationState.UNKNOWN}
        return self.operation.state in states or (self.active and self.operation.written_at is not None)

    @property
    def late_names(self) -> str:
        """The servers that do not give the new answer."""
        return ", ".join(row.server for row in self.matrix if row.state != "up")

    @property
    def back_kind(self) -> str:
        """The kind of the operation that would undo this one."""
        return "failback" if self.operation.kind == OperationKind.FAILOVER else "failover"

    @property
    def back_verb(self) -> str:
        """The words on the button that would undo this one."""
        return KIND_VERB[self.back_kind]


def find_operations() -> QuerySet[FailoverOperation]:
    """Operations with what their pages say, in a constant number of queries."""
    return FailoverOperation.objects.select_related(
        "hostname", "from_server", "from_virtual_service", "to_server", "to_virtual_service"
    ).prefetch_related(Prefetch("steps", OperationStep.objects.order_by("order")))


def state_words(operation: FailoverOperation, rows: Sequence[MatrixRow]) -> tuple[str, str]:
    """The words for how an operation stands, on its page and in every list: the same."""
    return LAGGING if only_lagging(operation, rows) else STATE_WORDS[operation.state]


def operation_page(operation: FailoverOperation) -> OperationPage:
    """Turn an operation and its prefetched steps into what its page shows."""
    steps = list(operation.steps.all())
    by_kind = {step.kind: step for step in steps}
    rows = matrix(operation, by_kind)
    word, status = state_words(operation, rows)
    wait = by_kind.get(StepKind.WAIT_TTL.value)
    write = by_kind.get(StepKind.WRITE.value)
    return OperationPage(
        operation=operation,
        noun=KIND_NOUN[operation.kind],
        word=word,
        status=status,
        active=operation.state in _ACTIVE,
        before_write=operation.state in _ACTIVE
        and (write is None or write.state == StepState.WAITING or operation.waits_for_hand),
        steps=[_step_view(step, followed=still_followed(operation, step)) for step in steps],
        matrix=rows,
        clients=clients(operation, by_kind),
        countdown_to=_countdown(wait),
        can_verify_again=operation.state in {OperationState.INCOMPLETE, OperationState.UNKNOWN},
        mark=operation_mark(operation),
        hand=_hand(operation, write),
    )


def _hand(operation: FailoverOperation, write: OperationStep | None) -> Hand | None:
    if write is None or write.state != StepState.RUNNING or not operation.waits_for_hand:
        return None
    commands = write.evidence.get("commands", {})
    return Hand(commands.get("powershell", ""), commands.get("nsupdate", ""), time_of(write.evidence.get("until")))


def _step_view(step: OperationStep, *, followed: bool) -> StepView:
    word, icon = ("Still followed", "hourglass") if followed else _STEP_STATES[step.state]
    end = step.ended_at or (timezone.now() if step.state == StepState.RUNNING else None)
    return StepView(
        kind=step.kind,
        name=_STEP_WORDS[step.kind],
        state="followed" if followed else step.state,
        word=word,
        icon=icon,
        started_at=None if step.state == StepState.SKIPPED else step.started_at,
        elapsed=duration((end - step.started_at).total_seconds()) if step.started_at and end else "",
        sentence=step.sentence,
        facts=_facts(step.evidence),
    )


def duration(seconds: float) -> str:
    """A duration in the unit that reads best."""
    if seconds < 1:
        return f"{max(seconds, 0) * 1000:.0f} ms"
    if seconds < 120:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


def _facts(evidence: dict[str, Any]) -> list[tuple[str, str]]:
    """What is short enough to stand in a line; lists of answers have a table of their own."""
    facts = []
    for key, value in evidence.items():
        if key == "until" or value in ("", None, []) or isinstance(value, dict):
            continue
        parts = value if isinstance(value, list) else [value]
        if not any(isinstance(part, (dict, list)) for part in parts):
            facts.append((key.replace("_", " "), ", ".join(str(part) for part in parts)))
    return facts


def _countdown(wait: OperationStep | None) -> datetime | None:
    if wait is None or wait.state != StepState.RUNNING:
        return None
    return time_of(wait.evidence.get("until"))


def operation_mark(operation: FailoverOperation) -> str:
    """A short text that changes whenever something that the page shows has changed."""
    # All that the page takes from the row itself: row and steps are read apart, and one may be older than the other.
    parts = [operation.state, operation.result]
    parts += [str(operation.by_hand), str(operation.written_at), str(operation.hand_done_at)]
    for step in operation.steps.all():
        parts += [step.kind, step.state, step.sentence, repr(step.evidence)]
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:12]


def operation_marks(ids: Iterable[str] | None = None) -> dict[str, str]:
    """Marks by id: of the given operations, or of those that are active or ended in the last two minutes."""
    query = find_operations()
    if ids is not None:
        query = query.filter(pk__in=list(ids))
    else:
        query = query.filter(Q(state__in=_ACTIVE) | Q(ended_at__gte=timezone.now() - timedelta(minutes=2)))
    return {str(operation.pk): operation_mark(operation) for operation in query[:100]}


@dataclass(frozen=True, slots=True)
class Affected:
    """Whom a change touches."""

    uccs: Sequence[str]
    pool: str

    @property
    def sentence(self) -> str:
        """One sentence about them."""
        count = len(self.uccs)
        named = ", ".join(self.uccs) if count <= 4 else f"{', '.join(self.uccs[:3])} and {count - 3} more"
        if not count:
            return f"No UCC is entered for {self.pool}, so we cannot say whom this affects."
        return f"{CLIENTS} of {count} {'UCC' if count == 1 else 'UCCs'} on {self.pool} ({named})."


def affected_by(hostname: DedicatedHostname) -> Affected:
    """The UCCs whose clients use this hostname."""
    applications = TrustedApplication.objects.filter(
        trusted_application_pool_id=hostname.trusted_application_pool_id
    ).select_related("ucc")
    return Affected([application.ucc.name for application in applications], str(hostname.trusted_application_pool))


@dataclass(frozen=True, slots=True)
class Choice:
    """A target that could be chosen in place of the one that is; ``to_value`` names it in an address."""

    name: str
    to_value: str


def other_targets(hostname: DedicatedHostname, *taken: str, kind: OperationKind) -> list[Choice]:
    """What could be chosen in place of the one that is; ``taken``: names of the chosen and the active one.

    A failback leads to the primary only, a failover never there; to put right, each target may be chosen.
    """
    first = {OperationKind.FAILOVER: 2, OperationKind.PUT_RIGHT: 1}.get(kind)
    if first is None:
        return []
    return [
        Choice(target.name, to_of(target))
        for target in hostname.targets.all()
        if target.order >= first and target.name not in taken
    ]


def to_text(aim: Server | VirtualService) -> str:
    """How a target is named in an address: a server's id, or ``v`` and a virtual service's."""
    return str(aim.pk) if isinstance(aim, Server) else f"v{aim.pk}"


def to_of(target: FailoverTarget) -> str:
    """How this target is named in an address."""
    return to_text(target.aim)


def to_of_plan(plan: Plan | None) -> str:
    """How a plan's target is named in a form; "" without a plan."""
    if plan is None:
        return ""
    return f"v{plan.to_virtual_service_id}" if plan.to_virtual_service_id else str(plan.to_server_id)


def to_of_target(target: Target | None) -> str:
    """How a target is named in an address; "" for none."""
    if target is None:
        return ""
    return f"v{target.virtual_service_id}" if target.virtual_service_id else str(target.server_id)


def ids_of(to: str) -> tuple[int, int]:
    """The server's and the virtual service's id that ``to`` names; 0 for what it does not name."""
    number = to.removeprefix("v")
    known = int(number) if number.isascii() and number.isdecimal() and len(number) < 19 else 0
    return (0, known) if to.startswith("v") else (known, 0)


def only_virtual_service(hostname: DedicatedHostname) -> VirtualService | None:
    """The virtual service that is a hostname's only target, if that is so: then failing over is not DNS's business."""
    targets = list(hostname.targets.all())
    return targets[0].virtual_service if len(targets) == 1 else None
