"""Forgets what is older than the settings say, in batches: no long transaction, no long lock."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.db import models

from pools.history.packing import DAY_S, HOUR_S
from pools.history_models import CheckHistory, CheckRoster, Grain, HostnameDay, HostnameHour
from pools.models import HealthTransition

BATCH = 500
BATCHES_AT_ONCE = 20
"""What is left over after so many batches waits for the next call, a minute later."""


def forget_old_history(now: float) -> int:
    """Delete what is too old at ``now`` (epoch seconds); return how many rows went."""
    keep = settings.POOLS["keep_days"]
    minutes_s, hours_s, days_s, transitions_s = (
        now - keep[name] * DAY_S for name in ("minutes", "hours", "days", "transitions")
    )
    old: Iterable[models.QuerySet[Any]] = (
        CheckHistory.objects.filter(grain_s=Grain.MINUTE, start__lt=int(minutes_s)),
        CheckHistory.objects.filter(grain_s=Grain.HOUR, start__lt=int(hours_s)),
        CheckHistory.objects.filter(grain_s=Grain.DAY, start__lt=int(days_s)),
        HostnameHour.objects.filter(hour__lt=int(hours_s // HOUR_S)),
        HostnameDay.objects.filter(day__lt=int(days_s // DAY_S)),
        HealthTransition.objects.filter(at__lt=datetime.fromtimestamp(transitions_s, UTC)),
    )
    gone = sum(_delete_in_batches(rows) for rows in old)
    if gone:
        _forget_rosters()
    return gone


def _delete_in_batches(rows: models.QuerySet[Any]) -> int:
    gone = 0
    for _ in range(BATCHES_AT_ONCE):
        ids = list(rows.order_by("pk").values_list("pk", flat=True)[:BATCH])
        if not ids:
            break
        gone += rows.filter(pk__in=ids).delete()[0]
    return gone


def _forget_rosters() -> None:
    used = CheckHistory.objects.order_by().values("roster_id").distinct()
    newest = CheckRoster.objects.order_by("-pk").values_list("pk", flat=True)[:8]
    CheckRoster.objects.exclude(pk__in=used).exclude(pk__in=list(newest)).delete()
