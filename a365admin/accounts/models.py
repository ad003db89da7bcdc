"""People, and what each may do."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.auth.models import AbstractUser
from django.db import models


class Role(models.TextChoices):
    """What somebody is here for; each role can do what ``permissions.py`` lists."""

    HELPDESK = "helpdesk", "Helpdesk"
    AUDITOR = "auditor", "Auditor"
    OPERATOR = "operator", "Operator"
    ADMINISTRATOR = "administrator", "Administrator"


class User(AbstractUser):
    """Somebody who may sign in. Rights follow from ``role`` alone, never from Django's groups or permissions."""

    role = models.CharField(max_length=13, choices=Role.choices, default=Role.HELPDESK)
    time_zone = models.CharField(max_length=64, blank=True, help_text="IANA name; empty: the installation's own.")

    class Meta:
        ordering: ClassVar = ["username"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="user_role_known")
        ]

    def __str__(self) -> str:
        return self.get_full_name() or self.username
