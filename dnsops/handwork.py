"""What people say about a change that they make by hand: that it is done."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from a365admin.accounts.models import User
from a365admin.accounts.permissions import Capability, may
from a365admin.audit import services as audit
from a365admin.audit.models import Outcome as AuditOutcome
from dnsops import tasks
from dnsops.models import FailoverOperation
from dnsops.requesting import RequestRefused
from pools import live


def say_done(*, operation: FailoverOperation, user: User) -> None:
    """Somebody says that they have made the change: it is looked at now. Only what DNS says counts.

    Raises RequestRefused (not_permitted, too_late).
    """
    if not may(user, Capability.FAILOVER):
        audit.record_apart(
            action="operation.done_by_hand_denied",
            outcome=AuditOutcome.DENIED,
            object=operation,
            object_name=operation.hostname_fqdn,
        )
        raise RequestRefused("not_permitted", "You may not say so. Ask an operator.")
    with transaction.atomic():
        locked = FailoverOperation.objects.select_for_update().get(pk=operation.pk)
        if not locked.waits_for_hand:
            raise RequestRefused("too_late", "This operation no longer waits for anybody's hand.", locked)
        locked.hand_done_at, locked.hand_done_by = timezone.now(), str(user)[:150]
        fields = ["hand_done_at", "hand_done_by"]
        if not locked.lease_owner:  # parked: due at once
            locked.lease_until = locked.hand_done_at
            fields.append("lease_until")
        locked.save(update_fields=fields)
        audit.record(action="operation.done_by_hand", object=locked, object_name=locked.hostname_fqdn)
        operation_id = str(locked.pk)
        transaction.on_commit(lambda: _tell(operation_id))


def _tell(operation_id: str) -> None:
    tasks.nudge(operation_id)
    live.bump_and_publish(hostname_ids=set(), operations={operation_id})
