"""What the standing readiness test last found for each hostname."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from django.utils import timezone

from dnsops.readiness import Ready
from pools.models import DedicatedHostname


class Readiness(models.Model):
    """The latest look at whether a hostname could be failed over: one row for each hostname, with its age."""

    hostname = models.OneToOneField(DedicatedHostname, models.CASCADE, related_name="readiness", primary_key=True)
    level = models.CharField(max_length=7, choices=[(r.value, r.value) for r in Ready])
    kind = models.CharField(max_length=8, help_text="dnsops.lifecycle.OperationKind that it is about")
    to_text = models.CharField(max_length=255, blank=True)
    lines: models.JSONField[Any, Any] = models.JSONField(default=list, help_text="[question, level, sentence]")
    summary = models.CharField(max_length=120, blank=True, help_text="For the overview; empty: nothing to say")
    old_ttl_s = models.PositiveIntegerField(default=0)
    checked_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        ordering: ClassVar = ["hostname"]

    def __str__(self) -> str:
        return f"{self.hostname}: {self.level}"
