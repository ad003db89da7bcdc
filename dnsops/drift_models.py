"""What DNS is expected to say, and each time that it said something else."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from dnsops.drift import DriftKind, Resolution
from pools.models import DedicatedHostname


class AnswerSource(models.TextChoices):
    """Why an answer is expected."""

    ENTERED = "entered", "there when the hostname was entered"
    OPERATION = "operation", "written by an operation"
    ADOPTED = "adopted", "adopted"


class ExpectedAnswer(models.Model):
    """What DNS should say of one hostname: what the last operation wrote, what was adopted, or what was there first."""

    hostname = models.OneToOneField(DedicatedHostname, models.CASCADE, related_name="expected_answer", primary_key=True)
    fqdn = models.CharField(max_length=253, help_text="The name that it holds for: after renaming it starts anew.")
    rrset: models.JSONField[Any, Any] = models.JSONField(help_text="dnsops.plan.RRset")
    previous: models.JSONField[Any, Any] = models.JSONField(
        default=list, help_text="What it was before: a server that lags may still say so."
    )
    seen: models.JSONField[Any, Any] = models.JSONField(
        default=dict, help_text="Name server id -> [what it says, since when]"
    )
    source = models.CharField(max_length=9, choices=AnswerSource.choices)
    operation = models.ForeignKey("dnsops.FailoverOperation", models.SET_NULL, null=True, related_name="+")
    by_name = models.CharField(max_length=150, blank=True)
    since = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.fqdn}: {self.rrset}"


class Drift(models.Model):
    """DNS said something that no operation of ours wrote: from when, until when, and how it ended."""

    hostname = models.ForeignKey(DedicatedHostname, models.CASCADE, related_name="drifts")
    kind = models.CharField(max_length=10, choices=[(k.value, k.value) for k in DriftKind])
    servers = models.CharField(max_length=500, help_text="Who says so")
    expected: models.JSONField[Any, Any] = models.JSONField(help_text="dnsops.plan.RRset")
    found: models.JSONField[Any, Any] = models.JSONField(help_text="dnsops.plan.RRset; without values: no record")
    last_change = models.CharField(max_length=300, blank=True, help_text="Who last changed it here, in words")
    opened_at = models.DateTimeField(default=timezone.now)
    closed_at = models.DateTimeField(null=True)
    resolution = models.CharField(max_length=13, blank=True, choices=[(r.value, r.value) for r in Resolution])
    closed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    closed_by_name = models.CharField(max_length=150, blank=True)
    operation = models.ForeignKey("dnsops.FailoverOperation", models.SET_NULL, null=True, related_name="drifts")

    class Meta:
        ordering: ClassVar = ["-opened_at"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["hostname"], condition=Q(closed_at__isnull=True), name="one_open_drift_per_hostname"
            ),
            models.CheckConstraint(condition=Q(kind__in=[k.value for k in DriftKind]), name="drift_kind_known"),
        ]

    def __str__(self) -> str:
        return f"{self.hostname}: {self.kind}"
