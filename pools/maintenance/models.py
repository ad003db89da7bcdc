"""A maintenance: planned, going on or over. Its times are the truth; ``began`` only says that its start was told."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from django.core.validators import MinLengthValidator
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from pools.maintenance.covering import Scope, Window

REASON_LIMIT = 200


class MaintenanceQuerySet(models.QuerySet["Maintenance"]):
    """Named reads of maintenances."""

    def not_over(self, at: datetime | None = None) -> MaintenanceQuerySet:
        """Those that go on, and those that are planned."""
        return self.filter(ended_at=None, ends_at__gt=at or timezone.now())

    def current(self, at: datetime | None = None) -> MaintenanceQuerySet:
        """Those that go on."""
        at = at or timezone.now()
        return self.not_over(at).filter(starts_at__lte=at)

    def over(self, at: datetime | None = None) -> MaintenanceQuerySet:
        """Those that have ended, by hand or by themselves."""
        return self.exclude(pk__in=self.not_over(at).values("pk"))

    def with_things(self) -> MaintenanceQuerySet:
        """With what they are about."""
        return self.select_related("site", "front_end_pool", "trusted_application_pool", "server")


def _exactly_one() -> Q:
    found = Q()
    for scope in Scope:
        found |= Q(**{f"{other.value}__isnull": other is not scope for other in Scope})
    return found


class Maintenance(models.Model):
    """A site, a front-end pool, a trusted application pool or a server is taken out, for a time and a reason."""

    site = models.ForeignKey("pools.Site", models.CASCADE, null=True, related_name="maintenances")
    front_end_pool = models.ForeignKey("pools.FrontEndPool", models.CASCADE, null=True, related_name="maintenances")
    trusted_application_pool = models.ForeignKey(
        "pools.TrustedApplicationPool", models.CASCADE, null=True, related_name="maintenances"
    )
    server = models.ForeignKey("pools.Server", models.CASCADE, null=True, related_name="maintenances")
    reason = models.CharField(max_length=REASON_LIMIT, validators=[MinLengthValidator(1)])
    starts_at = models.DateTimeField(default=timezone.now)
    ends_at = models.DateTimeField(db_index=True, help_text="Ends by itself then.")
    by_name = models.CharField(max_length=150)
    created_at = models.DateTimeField(default=timezone.now)
    began = models.BooleanField(default=False, help_text="Its beginning is in the audit log, and pages were told.")
    ended_at = models.DateTimeField(null=True, help_text="When it ended, by hand or by itself.")
    ended_by_name = models.CharField(max_length=150, blank=True, help_text="Empty: by itself.")

    objects = MaintenanceQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["starts_at", "pk"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=_exactly_one(), name="maintenance_of_one_thing"),
            models.CheckConstraint(condition=Q(ends_at__gt=F("starts_at")), name="maintenance_ends_after_it_starts"),
            models.CheckConstraint(condition=~Q(reason=""), name="maintenance_has_a_reason"),
        ]

    def __str__(self) -> str:
        return f"{self.scope.word} {self.thing}"

    @property
    def scope(self) -> Scope:
        """What kind of thing it is about."""
        return next(scope for scope in Scope if getattr(self, f"{scope.value}_id") is not None)

    @property
    def thing(self) -> Any:
        """What it is about."""
        return getattr(self, self.scope.value)

    @property
    def window(self) -> Window:
        """The same as pure data."""
        scope = self.scope
        return Window(
            self.pk, scope, self.thing.pk, str(self.thing), self.reason, self.starts_at, self.ends_at, self.by_name
        )
