"""Drills: a switchover there and back, timed, and kept for ever."""

from __future__ import annotations

import uuid
from enum import StrEnum
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from pools.models import DedicatedHostname


class DrillState(StrEnum):
    """THERE: the failover runs. STAYING: on the standby, for a while. BACK: the failback runs."""

    THERE = "there"
    STAYING = "staying"
    BACK = "back"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


RUNNING = frozenset({DrillState.THERE, DrillState.STAYING, DrillState.BACK})


class Drill(models.Model):
    """One rehearsal. ``seen`` is what a client probing through the hostname saw (``dnsops.outages.Outages``)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    hostname = models.ForeignKey(DedicatedHostname, models.SET_NULL, null=True, related_name="drills")
    hostname_fqdn = models.CharField(max_length=253)
    state = models.CharField(max_length=9, choices=[(s.value, s.value) for s in DrillState], default="there")
    there = models.OneToOneField("dnsops.FailoverOperation", models.PROTECT, related_name="drill_there")
    back = models.OneToOneField("dnsops.FailoverOperation", models.PROTECT, null=True, related_name="drill_back")
    stay_s = models.PositiveIntegerField(default=30)
    stay_until = models.DateTimeField(null=True)
    reason = models.TextField()
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    requested_by_name = models.CharField(max_length=150)
    request_id = models.CharField(max_length=36, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True)
    result = models.TextField(blank=True)
    seen: models.JSONField[Any, Any] = models.JSONField(default=dict)
    lease_owner = models.CharField(max_length=64, blank=True)
    lease_until = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["-created_at"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(state__in=[s.value for s in DrillState]), name="drill_state_known"),
            models.UniqueConstraint(
                fields=["hostname"],
                condition=Q(state__in=sorted(s.value for s in RUNNING)),
                name="one_running_drill_per_hostname",
            ),
        ]

    def __str__(self) -> str:
        return f"drill of {self.hostname_fqdn}: {self.state}"

    def get_absolute_url(self) -> str:
        """The drill's permanent page."""
        return reverse("dnsops:drill", args=[self.pk])
