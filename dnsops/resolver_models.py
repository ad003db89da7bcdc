"""The resolvers that clients ask, as far as the administrator names them."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from pools.fields import PORT_VALIDATORS
from pools.models import Site


class Resolver(models.Model):
    """A name server that clients of a site ask. It is asked as a client asks, and never changed."""

    site = models.ForeignKey(Site, models.PROTECT, related_name="resolvers")
    name = models.CharField(max_length=80, help_text="Short name, such as rdns1.")
    address = models.GenericIPAddressField("IP address")
    port = models.PositiveIntegerField(default=53, validators=PORT_VALIDATORS)

    class Meta:
        ordering: ClassVar = ["site__name", "name"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["site", "name"],
                name="resolver_name_unique",
                violation_error_message="This site already has a resolver of this name.",
            ),
            models.UniqueConstraint(
                fields=["address", "port"],
                name="resolver_address_unique",
                violation_error_message="A resolver at this address and port is entered already.",
            ),
        ]

    def __str__(self) -> str:
        return self.name
