"""That the endpoints of the UCCs were moved to the other pool, as an operator confirmed it."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.utils import timezone


class EndpointsMoved(models.Model):
    """An operation's checklist of endpoints, confirmed. It says what somebody stated, not what we saw."""

    operation = models.OneToOneField(
        "dnsops.FailoverOperation", models.CASCADE, related_name="endpoints_moved", primary_key=True
    )
    at = models.DateTimeField(default=timezone.now)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    by_name = models.CharField(max_length=150)
    commands: models.JSONField[Any, Any] = models.JSONField(help_text="The commands as they were shown")
    note = models.CharField(max_length=300, blank=True)

    def __str__(self) -> str:
        return f"endpoints of {self.operation_id}, by {self.by_name}"
