"""The inventory: clients that are installed somewhere, and what was entered in them."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils import timezone

from pools.clients.judging import Installed
from pools.clients.values import ClientKind

PLACE_LIMIT, HOST_LIMIT, UCC_LIMIT, NOTE_LIMIT = 120, 600, 80, 200
KIND_CHOICES = [(kind.value, kind.word) for kind in ClientKind]


class ClientInstallation(models.Model):
    """One installed client, as somebody found it; what is wrong with it follows from the estate (``judging.py``)."""

    kind = models.CharField("client", max_length=20, choices=KIND_CHOICES)
    place = models.CharField("machine or place", max_length=PLACE_LIMIT, help_text="Such as PC-0417, or Lobby left.")
    host = models.CharField(
        "host or URL that is entered there",
        max_length=HOST_LIMIT,
        help_text="As it is now. Of a Web Wallboard its URLs, separated by a space.",
    )
    ucc_name = models.CharField("UCC name", max_length=UCC_LIMIT, blank=True, help_text="As it is entered there.")
    note = models.CharField(max_length=NOTE_LIMIT, blank=True)
    changed_at = models.DateTimeField(auto_now=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["place", "kind"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                "kind",
                Lower("place"),
                name="client_once_at_a_place",
                violation_error_message="This client is in the inventory at this place already.",
            ),
            models.CheckConstraint(condition=Q(kind__in=[kind.value for kind in ClientKind]), name="client_kind_known"),
        ]

    def __str__(self) -> str:
        return f"{ClientKind(self.kind).word} at {self.place}"

    @property
    def installed(self) -> Installed:
        """The same as pure data."""
        return Installed(ClientKind(self.kind), self.place, self.host, self.ucc_name)
