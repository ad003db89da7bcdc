"""What is observed now: the state of each check and of each hostname, their changes, and who may write them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone

from pools.health import CheckKind, Health

if TYPE_CHECKING:
    from pools.models import Server
    from pools.virtual_services import VirtualService


class CheckState(models.Model):
    """The current state of one check; updated only when something changed. Ages come from the live store."""

    key = models.CharField(max_length=80, unique=True, help_text="pools.specs.Check.key")
    kind = models.CharField(max_length=8, choices=[(k.value, k.value) for k in CheckKind])
    label = models.CharField(max_length=200)
    server = models.ForeignKey("pools.Server", models.CASCADE, null=True, related_name="check_states")
    hostname = models.ForeignKey("pools.DedicatedHostname", models.CASCADE, null=True, related_name="check_states")
    trusted_application = models.ForeignKey(
        "pools.TrustedApplication", models.CASCADE, null=True, related_name="check_states"
    )
    virtual_service = models.ForeignKey("pools.VirtualService", models.CASCADE, null=True, related_name="check_states")
    health = models.CharField(max_length=9, choices=[(h.value, h.value) for h in Health], default=Health.UNKNOWN.value)
    streak = models.IntegerField(default=0, help_text="Results in a row that contradict the state (retry 2/3).")
    settled = models.CharField(max_length=9, blank=True, help_text="The health beneath, while it is flapping.")
    flapping = models.BooleanField(default=False, help_text="Its results alternate: it counts as degraded.")
    flips = models.PositiveIntegerField(default=0, help_text="pools.flapping.Flaps.flips")
    fall = models.PositiveSmallIntegerField(default=3)
    rise = models.PositiveSmallIntegerField(default=2)
    interval_s = models.FloatField(default=5.0)
    cause = models.CharField(max_length=24, blank=True, help_text="pools.probing.result.Cause")
    sentence = models.CharField(max_length=300, blank=True)
    evidence: models.JSONField[Any, Any] = models.JSONField(default=dict)
    since = models.DateTimeField(default=timezone.now, help_text="When it entered this state (UTC).")
    checked_at = models.DateTimeField(null=True, help_text="Last result that was written (UTC).")

    class Meta:
        ordering: ClassVar = ["key"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(health__in=[h.value for h in Health]), name="check_health_known"),
            models.CheckConstraint(condition=Q(kind__in=[k.value for k in CheckKind]), name="check_kind_known"),
        ]

    def __str__(self) -> str:
        return f"{self.label}: {self.health}"


class HostnameStatus(models.Model):
    """The rolled-up, current health of one hostname: what the overview shows. One row for each hostname."""

    hostname = models.OneToOneField("pools.DedicatedHostname", models.CASCADE, related_name="status", primary_key=True)
    health = models.CharField(max_length=9, choices=[(h.value, h.value) for h in Health], default=Health.UNKNOWN.value)
    situation = models.CharField(max_length=24, default="unknown", help_text="pools.health.Situation")
    phrase = models.CharField(max_length=300, blank=True)
    active_server = models.ForeignKey(
        "pools.Server", models.SET_NULL, null=True, related_name="+", help_text="Where DNS points."
    )
    active_virtual_service = models.ForeignKey("pools.VirtualService", models.SET_NULL, null=True, related_name="+")
    active_text = models.CharField(max_length=255, blank=True, help_text="What DNS says, as text.")
    standby_server = models.ForeignKey("pools.Server", models.SET_NULL, null=True, related_name="+")
    standby_virtual_service = models.ForeignKey("pools.VirtualService", models.SET_NULL, null=True, related_name="+")
    standby_ready = models.BooleanField(default=False)
    standby_phrase = models.CharField(max_length=300, blank=True)
    on_primary = models.BooleanField(default=True)
    planned = models.BooleanField(default=False, help_text="All that is wrong is on servers in maintenance: no alarm.")
    maintenance = models.CharField(max_length=300, blank=True, help_text="Which of its servers are in it, and why.")
    since = models.DateTimeField(default=timezone.now)
    active_since = models.DateTimeField(null=True, help_text="When DNS was first seen to point at the active server.")
    latency_ms = models.FloatField(null=True)
    version = models.PositiveBigIntegerField(default=0, db_index=True, help_text="Live version of its last change.")

    def __str__(self) -> str:
        return f"{self.hostname}: {self.health}"

    @property
    def active(self) -> Server | VirtualService | None:
        """What DNS points at, where it is one of the targets."""
        return self.active_server or self.active_virtual_service

    @property
    def standby(self) -> Server | VirtualService | None:
        """What it would be failed over to."""
        return self.standby_server or self.standby_virtual_service


class HealthTransition(models.Model):
    """One change of state, of a check or of a hostname; written in the transaction that changed it."""

    at = models.DateTimeField(default=timezone.now, db_index=True)
    check_key = models.CharField(max_length=80, blank=True)
    label = models.CharField(max_length=200)
    hostname = models.ForeignKey("pools.DedicatedHostname", models.CASCADE, null=True, related_name="transitions")
    server = models.ForeignKey("pools.Server", models.CASCADE, null=True, related_name="transitions")
    virtual_service = models.ForeignKey("pools.VirtualService", models.CASCADE, null=True, related_name="transitions")
    old = models.CharField(max_length=9)
    new = models.CharField(max_length=9)
    sentence = models.CharField(max_length=300, blank=True)
    planned = models.BooleanField(default=False, help_text="It happened in maintenance.")

    class Meta:
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [
            models.Index(fields=["hostname", "-at"], name="transition_hostname"),
            models.Index(fields=["server", "-at"], name="transition_server"),
        ]

    def __str__(self) -> str:
        return f"{self.label}: {self.old} -> {self.new}"

    @property
    def title(self) -> str:
        """What happened; where nothing changed its health, the label says it all."""
        return self.label if self.old == self.new else f"{self.label}: {self.old} → {self.new}"


class ProbeShard(models.Model):
    """The fence of each shard of checks: who writes with an older number than this is refused."""

    shard = models.PositiveSmallIntegerField(primary_key=True)
    fence = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return f"shard {self.shard}"
