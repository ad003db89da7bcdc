"""What people decide about the estate, each with its entry in the audit log."""

from __future__ import annotations

from datetime import datetime

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from a365admin.audit.services import record
from pools import live
from pools.estate import estate_changed
from pools.models import AdminState, FailoverTarget, FrontEndPool, Server
from pools.reach import hostnames_of_servers
from pools.rolling import refresh_hostnames


def set_maintenance(*, server: Server, on: bool, reason: str = "", until: datetime | None = None) -> None:
    """Take a server out of service, or put it back. ``until`` (UTC): ends by itself then.

    Raises ValidationError: maintenance needs a reason, and an end that is yet to come.
    """
    reason = reason.strip()
    if on and not reason:
        raise ValidationError({"reason": "Say why; others will read it."})
    if on and until is not None and until <= timezone.now():
        raise ValidationError({"until": "Maintenance must end in the future. Choose a later time, or none."})
    with transaction.atomic():
        row = Server.objects.select_for_update().get(pk=server.pk)
        before = _maintenance(row)
        row.admin_state = AdminState.MAINTENANCE if on else AdminState.IN_SERVICE
        row.maintenance_reason = reason[:200] if on else ""
        row.maintenance_until = until if on else None
        row.save(update_fields=["admin_state", "maintenance_reason", "maintenance_until"])
        hostname_ids = hostnames_of_servers([row.pk])
        refresh_hostnames(hostname_ids)
        action = "server.maintenance-on" if on else "server.maintenance-off"
        record(action=action, object=row, reason=reason, before=before, after=_maintenance(row))
        transaction.on_commit(lambda: _tell(hostname_ids))
    server.refresh_from_db(fields=["admin_state", "maintenance_reason", "maintenance_until"])


def end_expired_maintenance() -> int:
    """Put servers back whose maintenance has ended by itself; return how many."""
    expired = Server.objects.filter(admin_state=AdminState.MAINTENANCE, maintenance_until__lte=timezone.now())
    servers = list(expired)
    for server in servers:
        set_maintenance(server=server, on=False, reason="its time was up")
    return len(servers)


def pair_front_end_pools(*, first: FrontEndPool, second: FrontEndPool | None) -> None:
    """Pair two front-end pools mutually, or unpair ``first`` (``second`` is None); former partners are unpaired.

    Raises ValidationError where a pool would be paired with itself, or where a hostname needs a pairing that would end.
    """
    if second is not None and first.pk == second.pk:
        raise ValidationError({"paired_with": "A front-end pool cannot be paired with itself."})
    wanted = {first.pk} | ({second.pk} if second else set())
    with transaction.atomic():
        before = {
            pool.pk: pool for pool in FrontEndPool.objects.select_for_update(of=("self",)).select_related("paired_with")
        }
        ends = {pk for pk in wanted if before[pk].paired_with_id}
        ends |= {pool.pk for pool in before.values() if pool.paired_with_id in wanted}
        if second is not None and {first.pk: second.pk, second.pk: first.pk} == {
            pk: before[pk].paired_with_id for pk in wanted
        }:
            return
        _refuse_if_needed(ends, first, second)
        FrontEndPool.objects.filter(pk__in=ends | wanted).update(paired_with=None)
        if second is not None:
            FrontEndPool.objects.filter(pk=first.pk).update(paired_with=second)
            FrontEndPool.objects.filter(pk=second.pk).update(paired_with=first)
        old = before[first.pk].paired_with
        record(
            action="front-end-pool.pair" if second else "front-end-pool.unpair",
            object=first,
            before={"paired_with": str(old) if old else None},
            after={"paired_with": str(second) if second else None},
        )
        transaction.on_commit(estate_changed)
    first.refresh_from_db(fields=["paired_with"])
    if second is not None:
        second.refresh_from_db(fields=["paired_with"])


def _refuse_if_needed(ends: set[int], first: FrontEndPool, second: FrontEndPool | None) -> None:
    """Refuse to end a pairing that a hostname's targets rely on."""
    kept = {first.pk, second.pk} if second else set()
    relying = FailoverTarget.objects.filter(hostname__trusted_application_pool__front_end_pool__in=ends)
    for target in relying.select_related("hostname__trusted_application_pool").with_aims():
        own = target.hostname.trusted_application_pool.front_end_pool_id
        theirs = {server.trusted_application_pool.front_end_pool_id for server in target.servers}
        if any(own != pool and {own, pool} != kept for pool in theirs):
            raise ValidationError(
                {
                    "paired_with": f"{target.hostname} may be failed over to {target.name} in the paired pool. "
                    "Remove that target first."
                }
            )


def _maintenance(server: Server) -> dict[str, str | None]:
    return {
        "admin_state": server.admin_state,
        "maintenance_reason": server.maintenance_reason,
        "maintenance_until": server.maintenance_until.isoformat() if server.maintenance_until else None,
    }


def _tell(hostname_ids: set[int]) -> None:
    live.bump_and_publish(hostname_ids=hostname_ids)
