"""Celery tasks, thin: a message is a nudge, the row is the truth."""

from __future__ import annotations

import logging
import os
import socket
import threading

from celery import shared_task
from django.utils import timezone
from kombu.exceptions import OperationalError

from a365admin import sqlite
from a365admin.giving_way import giving_way
from dnsops import claims, executor, site_driver, warming
from dnsops.breakglass import importing, keeping
from dnsops.move_models import SiteMoveMember
from pools import live

log = logging.getLogger(__name__)

NUDGE_PENDING_AFTER_S = 3.0
# Below the broker's visibility timeout: a message that waits longer would be handed out a second time.
LONGEST_COUNTDOWN_S = 30.0
ONE_RETRY = {"max_retries": 1, "interval_start": 0, "interval_max": 0}


def owner() -> str:
    """Who works here: machine, process, thread."""
    return f"{socket.gethostname()[:30]}:{os.getpid()}:{threading.get_native_id()}"


@shared_task(name="dnsops.tasks.run_operation")
def run_operation(operation_id: str) -> None:
    """Carry an operation on. Coming twice, or for one that has ended, it does nothing."""
    again_at = executor.run(operation_id, owner=owner())
    if again_at is not None:
        left_s = (again_at - timezone.now()).total_seconds()
        if left_s <= LONGEST_COUNTDOWN_S:  # otherwise the sweeper takes it up
            nudge(operation_id, after_s=max(left_s, 0.0) + 0.05)
        return
    move_id = SiteMoveMember.objects.filter(operation__pk=operation_id).values_list("move_id", flat=True).first()
    if move_id is not None:
        nudge_move(str(move_id))


@shared_task(name="dnsops.tasks.carry_on_move")
def carry_on_move(move_id: str) -> None:
    """Carry a move on. Coming twice, or for one that has ended, it does nothing."""
    resume_at, again = site_driver.carry_on(move_id, owner=owner())
    now = timezone.now()
    for operation_id, at in resume_at.items():
        left_s = max((at - now).total_seconds(), 0.0)
        if left_s <= LONGEST_COUNTDOWN_S:
            nudge(operation_id, after_s=left_s + 0.05)
    if again:
        nudge_move(move_id)


@shared_task(name="dnsops.tasks.sweep_operations")
def sweep_operations() -> None:
    """Nudge what nobody works on: pending without a message, or left by a worker that died. A sign of life, too.

    Then what else has to be looked after: the break-glass journal, and the bundle.
    """
    live.mark_alive("operations")
    with giving_way():
        for operation_id in claims.due(timezone.now(), pending_for_s=NUDGE_PENDING_AFTER_S):
            nudge(operation_id)
        for move_id in site_driver.due_moves(timezone.now()):
            nudge_move(move_id)
        importing.take_in_new()
        keeping.keep_fresh()
    sqlite.checkpoint()


def nudge_move(move_id: str) -> bool:
    """Send the message. False where the broker is lost: then the sweeper finds the row when it is back."""
    try:
        carry_on_move.apply_async((move_id,), retry=True, retry_policy=ONE_RETRY)
    except (OperationalError, OSError) as error:
        log.warning("Move %s waits: the broker cannot be reached (%s).", move_id, error)
        return False
    return True


@shared_task(name="dnsops.tasks.keep_tickets_warm")
def keep_tickets_warm() -> None:
    """Renew Kerberos tickets for every domain controller, so that a change does not need a KDC."""
    warming.keep_warm()


def nudge(operation_id: str, *, after_s: float = 0.0) -> bool:
    """Send the message. False where the broker is lost: then the sweeper finds the row when it is back."""
    try:
        run_operation.apply_async((operation_id,), countdown=after_s, retry=True, retry_policy=ONE_RETRY)
    except (OperationalError, OSError) as error:
        log.warning("Operation %s waits: the broker cannot be reached (%s).", operation_id, error)
        return False
    return True
