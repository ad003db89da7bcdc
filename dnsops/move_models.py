"""Moves of a site or of a front-end pool: what was decided, and its members, each of which becomes an operation."""

from __future__ import annotations

import uuid
from enum import StrEnum
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from dnsops.site_plan import Direction
from pools.models import DedicatedHostname, FrontEndPool, Site


class MoveState(StrEnum):
    """RUNNING: more is to be begun, or operations of it run. STOPPED: no new ones begin. ENDED: all have their end."""

    RUNNING = "running"
    STOPPED = "stopped"
    ENDED = "ended"


class MemberState(StrEnum):
    """WAITING: not begun. BEGUN: it has an operation, which says the rest. LEFT_OUT: will not begin, and why."""

    WAITING = "waiting"
    BEGUN = "begun"
    LEFT_OUT = "left_out"


def _choices(values: type[StrEnum]) -> list[tuple[str, str]]:
    return [(value.value, value.value.replace("_", " ")) for value in values]


class SiteMove(models.Model):
    """Many hostnames moved in one action. The row is the truth; a queue message is a nudge."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    site = models.ForeignKey(Site, models.SET_NULL, null=True, related_name="+")
    front_end_pool = models.ForeignKey(FrontEndPool, models.SET_NULL, null=True, related_name="+")
    scope_text = models.CharField(max_length=253, help_text="The site's or the front-end pool's name, then.")
    direction = models.CharField(max_length=4, choices=_choices(Direction))
    state = models.CharField(max_length=8, choices=_choices(MoveState), default=MoveState.RUNNING.value)
    together = models.BooleanField(default=False, help_text="All or nothing: one message for each zone")
    at_once = models.PositiveSmallIntegerField(default=25)
    stop_at_failure = models.BooleanField(default=False)
    digest = models.CharField(max_length=64)
    reason = models.TextField()
    ticket = models.CharField(max_length=60, blank=True)
    forced = models.BooleanField(default=False)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    requested_by_name = models.CharField(max_length=150)
    request_id = models.CharField(max_length=36, blank=True)
    idempotency_key = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(default=timezone.now)
    planned_at = models.DateTimeField(default=timezone.now, help_text="When the members' plans were made.")
    ended_at = models.DateTimeField(null=True)
    result = models.TextField(blank=True, help_text="Why it stopped, or how it ended")
    lease_owner = models.CharField(max_length=64, blank=True)
    lease_until = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["-created_at"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(state__in=[s.value for s in MoveState]), name="move_state_known"),
            models.CheckConstraint(
                condition=Q(direction__in=[d.value for d in Direction]), name="move_direction_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{'away from' if self.direction == Direction.AWAY else 'back to'} {self.scope_text}"

    def get_absolute_url(self) -> str:
        """The move's permanent page."""
        return reverse("dnsops:move", args=[self.pk])


class SiteMoveMember(models.Model):
    """One hostname of a move: its plan, and, once begun, its operation."""

    move = models.ForeignKey(SiteMove, models.CASCADE, related_name="members")
    order = models.PositiveSmallIntegerField()
    hostname = models.ForeignKey(DedicatedHostname, models.PROTECT, related_name="+")
    hostname_fqdn = models.CharField(max_length=253)
    state = models.CharField(max_length=8, choices=_choices(MemberState), default=MemberState.WAITING.value)
    plan: models.JSONField[Any, Any] = models.JSONField(help_text="dnsops.plan.Plan, as it was shown")
    digest = models.CharField(max_length=64)
    findings: models.JSONField[Any, Any] = models.JSONField(default=list)
    overridden: models.JSONField[Any, Any] = models.JSONField(default=list)
    why = models.TextField(blank=True, help_text="Why this target, and not an earlier one")
    sentence = models.TextField(blank=True, help_text="Why it was left out")
    operation = models.OneToOneField("dnsops.FailoverOperation", models.PROTECT, null=True, related_name="move_member")

    class Meta:
        ordering: ClassVar = ["move", "order"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["move", "hostname"], name="hostname_once_per_move"),
            models.UniqueConstraint(fields=["move", "order"], name="member_order_unique"),
            models.CheckConstraint(condition=Q(state__in=[s.value for s in MemberState]), name="member_state_known"),
        ]

    def __str__(self) -> str:
        return f"{self.hostname_fqdn}: {self.state}"
