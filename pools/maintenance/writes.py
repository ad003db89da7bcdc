"""Beginning, extending and ending maintenance, each with its entry in the audit log."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import Q
from django.utils import timezone

from a365admin.audit.context import Acting, act_as, acting
from a365admin.audit.services import record
from pools import live
from pools.maintenance.covering import Scope
from pools.maintenance.models import REASON_LIMIT, Maintenance
from pools.maintenance.reads import servers_of
from pools.models import FrontEndPool, Server, Site, TrustedApplicationPool
from pools.reach import hostnames_of_servers
from pools.rolling import refresh_hostnames

MAX_DAYS = 366
_SCOPE_OF: dict[type[models.Model], Scope] = {
    Site: Scope.SITE,
    FrontEndPool: Scope.FRONT_END_POOL,
    TrustedApplicationPool: Scope.TRUSTED_APPLICATION_POOL,
    Server: Scope.SERVER,
}


class OverError(Exception):
    """The maintenance has ended already; nothing was changed."""


def begin_maintenance(
    *, thing: models.Model, reason: str, ends_at: datetime, starts_at: datetime | None = None
) -> Maintenance:
    """Take a site, a front-end pool, a trusted application pool or a server out, from ``starts_at`` (now) on.

    Times are aware. Raises ValidationError, by field: a reason is needed, an end that is yet to come and after the
    start, and a time of at most a year.
    """
    now = timezone.now()
    starts_at = max(starts_at or now, now)
    reason = reason.strip()
    if not reason:
        raise ValidationError({"reason": "Say why; others will read it."})
    _check_end(starts_at, ends_at, now)
    scope = _SCOPE_OF[type(thing)]
    row = Maintenance(
        **{scope.value: thing}, reason=reason[:REASON_LIMIT], starts_at=starts_at, ends_at=ends_at,
        by_name=acting().actor_name[:150], began=starts_at <= now,
    )  # fmt: skip
    with transaction.atomic():
        row.save(force_insert=True)
        action = "maintenance.began" if row.began else "maintenance.planned"
        _record(action, row, reason=row.reason, after=_described(row))
        _refresh(row)
    return row


def move_end(*, maintenance_id: int, ends_at: datetime) -> Maintenance:
    """Let it end later, or earlier. Raises ValidationError, OverError, Maintenance.DoesNotExist."""
    now = timezone.now()
    with transaction.atomic():
        row = _locked(maintenance_id, now)
        _check_end(max(row.starts_at, now), ends_at, now)
        before = _described(row)
        if ends_at != row.ends_at:
            row.ends_at = ends_at
            row.save(update_fields=["ends_at"])
            _record("maintenance.end-moved", row, before=before, after=_described(row))
            _refresh(row)
    return row


def end_maintenance(*, maintenance_id: int, reason: str = "") -> Maintenance:
    """End it now, or call it off where it is only planned. Raises OverError, Maintenance.DoesNotExist."""
    now = timezone.now()
    with transaction.atomic():
        row = _locked(maintenance_id, now)
        planned = row.starts_at > now
        row.ended_at, row.ended_by_name = now, acting().actor_name[:150]
        row.save(update_fields=["ended_at", "ended_by_name"])
        action = "maintenance.called-off" if planned else "maintenance.ended"
        _record(action, row, reason=reason.strip()[:REASON_LIMIT], before=_described(row))
        _refresh(row)
    return row


def keep_maintenance_time() -> int:
    """Tell of those that have begun, and of those that have ended by themselves; return how many.

    Nothing depends on when this runs: whether a server is in maintenance follows from the times alone.
    """
    now = timezone.now()
    due = Maintenance.objects.filter(ended_at=None).filter(Q(began=False, starts_at__lte=now) | Q(ends_at__lte=now))
    changed = 0
    for pk in list(due.values_list("pk", flat=True)):
        with act_as(Acting()):
            changed += _tell_time(pk, now)
    return changed


def _tell_time(pk: int, now: datetime) -> int:
    with transaction.atomic():
        row = Maintenance.objects.select_for_update(of=("self",)).with_things().filter(pk=pk, ended_at=None).first()
        if row is None:
            return 0
        if not row.began and row.starts_at <= now:
            row.began = True
            _record("maintenance.began", row, reason=row.reason, after=_described(row))
        if row.ends_at <= now:
            row.ended_at = row.ends_at
            _record("maintenance.ended", row, reason="Ended by itself: its time was up.", before=_described(row))
        row.save(update_fields=["began", "ended_at"])
        _refresh(row)
    return 1


def _locked(pk: int, now: datetime) -> Maintenance:
    row = Maintenance.objects.select_for_update(of=("self",)).with_things().get(pk=pk)
    if row.ended_at is not None or row.ends_at <= now:
        raise OverError(f"The maintenance of {row} is over already; nothing was changed.")
    return row


def _check_end(starts_at: datetime, ends_at: datetime, now: datetime) -> None:
    if ends_at <= now:
        raise ValidationError({"ends_at": "Maintenance must end in the future. Choose a later time."})
    if ends_at <= starts_at:
        raise ValidationError({"ends_at": "Maintenance must end after it has started."})
    if ends_at - starts_at > timedelta(days=MAX_DAYS):
        raise ValidationError({"ends_at": "At most a year. What is out for longer belongs out of the estate."})


def _described(row: Maintenance) -> dict[str, Any]:
    return {
        "of": str(row),
        "reason": row.reason,
        "starts": row.starts_at.isoformat(timespec="seconds"),
        "ends": row.ends_at.isoformat(timespec="seconds"),
    }


def _record(action: str, row: Maintenance, **more: Any) -> None:
    thing = row.thing
    record(action=action, object_type=row.scope.word, object_id=str(thing.pk), object_name=str(thing), **more)


def _refresh(row: Maintenance) -> None:
    """Roll up what the maintenance touches, and tell the pages after the commit."""
    servers = servers_of(row.scope, row.thing.pk)
    hostname_ids = hostnames_of_servers(servers)
    refresh_hostnames(hostname_ids)
    transaction.on_commit(lambda: _tell_pages(hostname_ids))


def _tell_pages(hostname_ids: set[int]) -> None:
    live.bump_and_publish(hostname_ids=hostname_ids)
