"""From a click to a row: accept or refuse a request, cancel, ask again. Every one of them is in the audit log."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db import IntegrityError, transaction
from django.utils import timezone

from a365admin.accounts.models import User
from a365admin.accounts.permissions import Capability, may
from a365admin.audit import services as audit
from a365admin.audit.context import acting
from a365admin.audit.models import Outcome as AuditOutcome
from dnsops import by_hand, claims, tasks
from dnsops.checkpoints import checkpoint
from dnsops.conf import conf
from dnsops.gathering import Preflight, active_operation, gather, only_waits
from dnsops.lifecycle import STEP_ORDER, OperationKind, OperationState, StepState
from dnsops.models import FailoverOperation, OperationStep
from dnsops.plan import Aim
from pools import live
from pools.models import DedicatedHostname

BROKER_LOST = (
    "Waiting: the message broker cannot be reached, so no worker has been told. It starts by itself when the "
    "broker is back; until then it can be cancelled."
)


class RequestRefused(Exception):  # noqa: N818 (the name that the other floors know it by)
    """A request was refused. ``code``: stale, blocked, active_operation, not_permitted, reason_missing, typed_wrong,
    plan, too_late, superseded. ``sentence`` is for the user; ``operation`` is the one that stands in the way, if any.
    """

    def __init__(self, code: str, sentence: str, operation: FailoverOperation | None = None) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence
        self.operation = operation


def request_failover(
    *,
    user: User,
    hostname: DedicatedHostname,
    kind: OperationKind,
    to_server_id: int,
    digest: str,
    reason: str,
    ticket: str = "",
    idempotency_key: str,
    forced: bool = False,
    typed_hostname: str = "",
    to_virtual_service_id: int = 0,
    tell: bool = True,
) -> FailoverOperation:
    """Plan again, compare with what was shown, insert a PENDING operation and tell the workers.

    The target is the server or the virtual service of that id; 0 and 0: the best standby, or the primary.
    The same ``idempotency_key`` gives the same operation again (a double click): the first one makes the second one's
    plan stale, and where it does not, the key is unique in the database. Raises RequestRefused; a refusal is in the
    audit log. ``tell`` False: no worker is told, for the caller carries it out.
    """
    request = {"kind": kind.value, "to_server_id": to_server_id, "ticket": ticket, "forced": forced}
    if to_virtual_service_id:
        request["to_virtual_service_id"] = to_virtual_service_id
    try:
        if not idempotency_key or len(idempotency_key) > 64:
            raise RequestRefused("stale", "This page was not complete. Open it again.")
        _permitted(user, hostname, reason, forced=forced, typed_hostname=typed_hostname)
        to = Aim(to_server_id, to_virtual_service_id)
        found = gather(hostname=hostname, kind=kind, to=to, good_for_s=conf().good_for_s)
        overridden = _judge(found, digest, forced=forced)
        return _insert(
            found,
            user=user,
            reason=reason.strip(),
            ticket=ticket.strip(),
            idempotency_key=idempotency_key,
            overridden=overridden,
            tell=tell,
        )
    except RequestRefused as found_wrong:
        known, refused = _after_all(found_wrong, idempotency_key, user, hostname)
        if known is not None:
            return known
        denied = refused.code == "not_permitted"
        audit.record_apart(
            action="failover.denied" if denied else "failover.refused",
            outcome=AuditOutcome.DENIED if denied else AuditOutcome.REFUSED,
            object=hostname,
            reason=reason,
            after={**request, "code": refused.code, "sentence": refused.sentence},
        )
        raise refused from None


def _after_all(
    refused: RequestRefused, key: str, user: User, hostname: DedicatedHostname
) -> tuple[FailoverOperation | None, RequestRefused]:
    """A refused click may be the other half of a double click, or of a page that is used again: then say that."""
    if refused.code == "not_permitted":
        return None, refused
    try:
        return _same_click(key, user, hostname), refused
    except RequestRefused as used_again:
        return None, used_again


def _same_click(key: str, user: User, hostname: DedicatedHostname) -> FailoverOperation | None:
    known = FailoverOperation.objects.filter(idempotency_key=key).first()
    if known is None:
        return None
    if known.requested_by_id != user.pk or known.hostname_id != hostname.pk:
        raise RequestRefused("stale", "This page has been used for another request. Open it again.")
    return known


def _permitted(
    user: User | AnonymousUser, hostname: DedicatedHostname, reason: str, *, forced: bool, typed_hostname: str
) -> None:
    if not may(user, Capability.FAILOVER):
        raise RequestRefused("not_permitted", "You may not fail over or fail back. Ask an operator.")
    if forced and not may(user, Capability.FORCE):
        raise RequestRefused(
            "not_permitted", "You may not force a failover against a safety rule. Ask an administrator."
        )
    if not reason.strip():
        raise RequestRefused("reason_missing", "Give a reason: it is kept in the audit log.")
    if forced and typed_hostname.strip().rstrip(".").lower() != hostname.fqdn:
        raise RequestRefused("typed_wrong", f"To force it, type the hostname exactly: {hostname.fqdn}.")


def _in_the_way(active: FailoverOperation | None) -> RequestRefused:
    if active is None:
        return RequestRefused("active_operation", "Another operation on this hostname began just now. Look again.")
    return RequestRefused(
        "active_operation",
        f"{active.requested_by_name} is already moving {active.hostname_fqdn} to {active.to_text}. Look at that "
        "operation.",
        active,
    )


def _judge(found: Preflight, digest: str, *, forced: bool) -> list[str]:
    """Compare with what was shown and apply the rules. Returns the names of the rules that are overridden."""
    if found.plan is None:
        if found.active_operation is not None and not only_waits(found.active_operation):
            raise _in_the_way(found.active_operation)
        changed = "DNS or the estate has changed since you opened this. Now: " if digest else ""
        raise RequestRefused("plan", changed + found.plan_error)
    blocking = found.blocking
    if any(f.rule == "no_other_operation" for f in blocking):
        raise _in_the_way(found.active_operation)
    if found.digest != digest:
        now = " ".join(f.sentence for f in blocking) or f"DNS says {found.plan.change.expected}."
        raise RequestRefused("stale", f"DNS or health has changed since you opened this. Now: {now} Look again.")
    if not blocking:
        return []
    never = [f for f in blocking if not f.overridable]
    if never or not forced:
        raise RequestRefused("blocked", " ".join(f.sentence for f in never or blocking))
    return [f.rule for f in blocking]


def _insert(
    found: Preflight,
    *,
    user: User,
    reason: str,
    ticket: str,
    idempotency_key: str,
    overridden: list[str],
    tell: bool,
) -> FailoverOperation:
    """One transaction: the operation, its steps, the audit entry; after it, the message."""
    operation = _new_operation(
        found,
        user=user,
        reason=reason,
        ticket=ticket,
        idempotency_key=idempotency_key,
        overridden=overridden,
    )
    try:
        with transaction.atomic():
            if found.active_operation is not None:
                _end_the_wait(found.active_operation, user)
            operation.save(force_insert=True)
            OperationStep.objects.bulk_create(
                OperationStep(operation=operation, order=order, kind=step.value, state=StepState.WAITING.value)
                for order, step in enumerate(STEP_ORDER, 1)
            )
            # The rows' version rises in this transaction: afterwards it would make the worker wait for the database.
            version = live.mark_changed({operation.hostname_id})
            _audit_request(operation, found)
            transaction.on_commit(lambda: _tell(operation, version, workers=tell))
    except IntegrityError:
        known = _same_click(idempotency_key, user, found.hostname)
        if known is not None:
            return known
        raise _in_the_way(active_operation(found.hostname)) from None
    return operation


def _new_operation(
    found: Preflight, *, user: User, reason: str, ticket: str, idempotency_key: str, overridden: list[str]
) -> FailoverOperation:
    plan = found.plan
    assert plan is not None
    return FailoverOperation(
        hostname=found.hostname,
        hostname_fqdn=found.hostname.fqdn,
        kind=plan.kind,
        from_server=found.from_server,
        from_text=plan.from_server,
        from_virtual_service=found.from_virtual_service,
        to_server=found.to_server,
        to_virtual_service=found.to_virtual_service,
        to_text=plan.to_server,
        plan=plan.as_dict(),
        digest=found.digest,
        findings=[finding.as_dict() for finding in found.findings],
        reason=reason,
        ticket=ticket[:60],
        forced=bool(overridden),
        overridden=overridden,
        requested_by=user if user.pk else None,
        requested_by_name=str(user)[:150],
        request_id=acting().request_id,
        idempotency_key=idempotency_key,
    )


def _end_the_wait(active: FailoverOperation, user: User) -> None:
    """The one before only waits for clients' old answers to expire: an emergency does not wait for that."""
    sentence = (
        f"Every DNS server answered {active.to_text}. Ended before clients' old answers had expired, by the next "
        f"operation, of {user}."
    )
    if not claims.end_wait_early(active, sentence=sentence):
        return  # it has gone on: the database's own rule decides
    audit.record(
        action="operation.ended",
        object=active,
        object_name=active.hostname_fqdn,
        reason=sentence,
        after={"state": OperationState.SUCCEEDED.value, "server": active.to_text},
    )
    operation_id = str(active.pk)
    transaction.on_commit(lambda: _publish({operation_id}, set()))


def _audit_request(operation: FailoverOperation, found: Preflight) -> None:
    plan = found.plan
    assert plan is not None
    audit.record(
        action=f"{operation.kind}.{'forced' if operation.forced else 'requested'}",
        object=operation,
        object_name=operation.hostname_fqdn,
        reason=operation.reason,
        before={"answer": str(plan.change.expected), "ttl_s": plan.change.expected.ttl_s, "server": plan.from_server},
        after={
            "answer": str(plan.change.new),
            "ttl_s": plan.change.new.ttl_s,
            "server": plan.to_server,
            "ticket": operation.ticket,
            "overridden": operation.overridden,
            "digest": operation.digest,
        },
    )


def _tell(operation: FailoverOperation, version: int, *, workers: bool) -> None:
    """After the commit: nudge a worker, then the pages. A lost broker is said on the operation's page."""
    checkpoint("row_written")
    if workers and not tasks.nudge(str(operation.pk)):
        waiting = FailoverOperation.objects.filter(pk=operation.pk, state=OperationState.PENDING.value)
        waiting.update(result=BROKER_LOST)
        operation.result = BROKER_LOST
    live.publish(version=version, hostname_ids={operation.hostname_id}, operations={str(operation.pk)})


def _publish(operations: set[str], hostname_ids: set[int]) -> None:
    live.bump_and_publish(hostname_ids=hostname_ids, operations=operations)


def cancel_operation(*, operation: FailoverOperation, user: User) -> None:
    """Cancel before the write. Raises RequestRefused (not_permitted, too_late)."""
    if not may(user, Capability.FAILOVER):
        audit.record_apart(
            action="operation.cancel_denied",
            outcome=AuditOutcome.DENIED,
            object=operation,
            object_name=operation.hostname_fqdn,
        )
        raise RequestRefused("not_permitted", "You may not cancel operations. Ask an operator.")
    operation.refresh_from_db()
    sentence = f"Cancelled by {user} before anything was written. DNS is as it was."
    if operation.waits_for_hand:
        if why := by_hand.why_not_cancel(operation):
            raise RequestRefused("too_late", why, operation)
        sentence = by_hand.cancelled_sentence(user)
    with transaction.atomic():
        locked = FailoverOperation.objects.select_for_update().get(pk=operation.pk)
        active = locked.state in {OperationState.PENDING, OperationState.RUNNING}
        if not active or locked.dns_changes.exists():
            raise RequestRefused(
                "too_late", "It is too late to cancel: the change has been sent, or the operation has ended.", locked
            )
        now = timezone.now()
        changed: dict[str, Any] = {"state": OperationState.CANCELLED.value, "ended_at": now, "result": sentence}
        FailoverOperation.objects.filter(pk=locked.pk).update(
            **changed, fence=locked.fence + 1, lease_owner="", lease_until=None
        )
        locked.steps.filter(state__in=[StepState.WAITING.value, StepState.RUNNING.value]).update(
            state=StepState.SKIPPED.value, ended_at=now
        )
        audit.record(
            action="operation.cancelled",
            object=locked,
            object_name=locked.hostname_fqdn,
            reason=sentence,
            after={"state": OperationState.CANCELLED.value},
        )
        operation_id, hostname_id = str(locked.pk), locked.hostname_id
        transaction.on_commit(lambda: _publish({operation_id}, {hostname_id}))
    operation.refresh_from_db()
