"""Celery tasks of drills, thin: a message is a nudge, the row is the truth."""

from __future__ import annotations

import logging

from celery import shared_task
from django.utils import timezone
from kombu.exceptions import OperationalError

from dnsops import drilling
from dnsops.tasks import ONE_RETRY, owner

log = logging.getLogger(__name__)


@shared_task(name="dnsops.drill_tasks.carry_on_drill")
def carry_on_drill(drill_id: str) -> None:
    """Probe and lead a drill on for a while. Coming twice, or for one that has ended, it does nothing."""
    if drilling.carry_on(drill_id, owner=owner()):
        nudge_drill(drill_id)


@shared_task(name="dnsops.drill_tasks.sweep_drills")
def sweep_drills() -> None:
    """Nudge drills that nobody works on: without a message, or left by a worker that died."""
    for drill_id in drilling.due_drills(timezone.now()):
        nudge_drill(drill_id)


def nudge_drill(drill_id: str) -> None:
    """Send the message; where the broker is lost, the sweeper finds the row when it is back."""
    try:
        carry_on_drill.apply_async((drill_id,), retry=True, retry_policy=ONE_RETRY)
    except (OperationalError, OSError) as error:
        log.warning("Drill %s waits: the broker cannot be reached (%s).", drill_id, error)
