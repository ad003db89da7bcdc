"""Following what has not turned yet: resolvers to the moment when they turn, and servers that may normally lag.

A task looks every second at operations that have something open; a follower changes nothing in DNS.
"""

from __future__ import annotations

import logging
import time
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from a365admin.prepared import Prepared
from dnsops import resolving, verify, wiring
from dnsops.asking_again import retry_verification
from dnsops.conf import conf
from dnsops.lifecycle import OperationState, Seen, StepKind, StepState
from dnsops.models import FailoverOperation, OperationStep
from dnsops.plan import Plan
from dnsops.requesting import RequestRefused
from pools import live

log = logging.getLogger(__name__)

AT_ONCE = 20
SERVERS_EVERY_S = 5.0
KEPT = 1000
_asked: dict[UUID, float] = {}
"""When the lagging servers of an operation were last asked (time.monotonic()); a process has its own."""


def follow() -> None:
    """Ask the resolvers whose turn it is, and the servers that may have caught up. At most some operations at once."""
    now = timezone.now()
    since = now - timedelta(seconds=conf().follow_for_s)
    for step in _open_steps(since):
        _follow_resolvers(step, now)
    for operation in _lagging(since):
        _follow_servers(operation, now)


def anything_to_follow() -> bool:
    """Whether some operation has something open that may be followed now; two short queries."""
    since = timezone.now() - timedelta(seconds=conf().follow_for_s)
    return bool(_open_steps(since) or _lagging(since))


def _latest() -> QuerySet[FailoverOperation]:
    """Operations after which their hostname was not moved again."""
    later = FailoverOperation.objects.filter(hostname=OuterRef("hostname"), created_at__gt=OuterRef("created_at"))
    return FailoverOperation.objects.filter(~Exists(later))


def _steps_since(since: datetime) -> QuerySet[OperationStep]:
    """Steps of resolvers that have not all turned, of operations that are not too long ago."""
    return (
        OperationStep.objects.filter(
            kind=StepKind.RESOLVERS.value,
            state__in=[StepState.RUNNING.value, StepState.WARNING.value],
            operation__in=_latest().filter(written_at__gte=since),
        )
        .select_related("operation")
        .order_by("-operation__written_at")[:AT_ONCE]
    )


def _follow_resolvers(step: OperationStep, now: datetime) -> None:
    rows = resolving.rows_of(step)
    due = [row.key for row in rows if row.ask_at is not None and row.ask_at <= now]
    if not due:
        return
    operation = step.operation
    rows = resolving.ask_rows(rows, Plan.from_dict(operation.plan), only=due)
    resolving.record(step.pk, rows, limit=resolving.limit_of(operation), over=False)
    live.bump_and_publish(hostname_ids=set(), operations={str(operation.pk)})


def _incomplete_since(since: datetime) -> QuerySet[FailoverOperation]:
    """Operations that ended with servers which need not have followed yet."""
    return (
        _latest()
        .filter(state=OperationState.INCOMPLETE.value, written_at__gte=since)
        .prefetch_related("steps")
        .order_by("-written_at")[:AT_ONCE]
    )


# Asked each second, whether or not there is anything.
_open_steps = Prepared(_steps_since, datetime)
_lagging = Prepared(_incomplete_since, datetime)


def _follow_servers(operation: FailoverOperation, now: datetime) -> None:
    """Ask those that may lag; when none of them is behind any more, verify everything again."""
    step = next((step for step in operation.steps.all() if step.kind == StepKind.VERIFY), None)
    if step is None or step.ended_at is None or operation.written_at is None:
        return
    rows = verify.rows_from(step.evidence)
    late, not_yet = verify.split_late(rows, changed_at=operation.written_at, now=step.ended_at)
    if late or not not_yet:
        return  # somebody has to mend something first; the page offers to ask again
    if time.monotonic() - _asked.get(operation.pk, float("-inf")) < SERVERS_EVERY_S:
        return
    if len(_asked) > KEPT:
        _asked.clear()
    _asked[operation.pk] = time.monotonic()
    plan = Plan.from_dict(operation.plan)
    _, endpoints = wiring.wiring_of(operation)
    behind = {row.server for row in rows if row.state is not Seen.NEW}
    asked = [endpoint for endpoint in endpoints if endpoint.name in behind]
    answers = verify.ask_all(asked, plan.hostname, timeout_s=conf().ask_timeout_s)
    caught_up = all(plan.change.new.same_data(answer.rrset) for answer in answers)
    over = not verify.split_late(rows, changed_at=operation.written_at, now=now)[1]
    if not (caught_up or over):
        return
    try:
        retry_verification(operation=operation)
    except RequestRefused:
        log.info("Operation %s was settled by somebody else meanwhile.", operation.pk)
