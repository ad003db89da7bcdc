"""The audit log: append-only, and chained so that a change or a removal shows."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from django.utils import timezone


class Outcome(models.TextChoices):
    """How an audited action ended."""

    OK = "ok", "OK"
    DENIED = "denied", "Denied"
    REFUSED = "refused", "Refused"
    FAILED = "failed", "Failed"
    INCOMPLETE = "incomplete", "Incomplete"
    UNKNOWN = "unknown", "Not known"


class AppendOnlyError(Exception):
    """Somebody tried to change or delete an audit entry."""


class AuditEntry(models.Model):
    """One thing that somebody did, or tried to do.

    Names are copied, not referred to: an entry must say the same for as long as it exists, whatever happens to the
    user or the object. ``hash`` is SHA-256 over the previous entry's hash and this entry's content (``chain.py``).
    """

    at = models.DateTimeField(default=timezone.now, db_index=True, help_text="UTC")
    actor_id = models.BigIntegerField(null=True, db_index=True)
    actor_name = models.CharField(max_length=150)
    action = models.CharField(max_length=60, db_index=True, help_text="noun.verb, e.g. failover.requested")
    object_type = models.CharField(max_length=60, blank=True)
    object_id = models.CharField(max_length=64, blank=True)
    object_name = models.CharField(max_length=255, blank=True)
    outcome = models.CharField(max_length=12, choices=Outcome.choices)
    reason = models.TextField(blank=True)
    address = models.GenericIPAddressField(null=True)
    request_id = models.CharField(max_length=36, blank=True, db_index=True)
    before: models.JSONField[Any, Any] = models.JSONField(default=dict)
    after: models.JSONField[Any, Any] = models.JSONField(default=dict)
    previous_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64, unique=True)

    class Meta:
        ordering: ClassVar = ["-id"]
        verbose_name_plural = "audit entries"
        indexes: ClassVar = [models.Index(fields=["object_type", "object_id", "-id"], name="audit_object")]
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(outcome__in=Outcome.values), name="audit_outcome_known")
        ]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.actor_name} {self.action} {self.object_name}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert only. Raises AppendOnlyError for a change."""
        if not self._state.adding:
            raise AppendOnlyError("An audit entry is never changed.")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Raise AppendOnlyError, always."""
        raise AppendOnlyError("An audit entry is never deleted.")


class ChainHead(models.Model):
    """One row: the last entry's hash. Locked while an entry is appended, so that the chain has one order."""

    last_hash = models.CharField(max_length=64)
    count = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.count} entries"
