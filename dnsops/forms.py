"""The forms for zones, name servers and update keys."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from django.http import QueryDict

from dnsops.models import NameServer, UpdateKey, Zone, validate_secret_reference
from dnsops.secrets import SecretError, load_key
from pools.forms import EstateForm


class ZoneForm(EstateForm):
    """A zone and the key that may change it."""

    class Meta:
        model = Zone
        fields: ClassVar = ["name", "provider", "key"]
        help_texts: ClassVar = {
            "name": "The zone that holds the dedicated hostnames, such as example.com.",
            "key": "Without one, hostnames of this zone are watched and can not be failed over.",
        }


class NameServerForm(EstateForm):
    """An authoritative server of a zone. Making one the writer takes that from the one that was."""

    settled: ClassVar[set[str]] = {"one_writer_per_zone"}

    class Meta:
        model = NameServer
        fields: ClassVar = ["zone", "name", "address", "port", "is_writer", "expected_lag_s"]
        labels: ClassVar = {"is_writer": "This is the writer"}
        help_texts: ClassVar = {
            "is_writer": "Changes go to exactly one server of a zone. Ticking this takes it from the one that was.",
        }

    def write(self) -> models.Model:
        """Take the writer's part from another server first: a zone has one writer at most."""
        if self.cleaned_data["is_writer"]:
            others = NameServer.objects.filter(zone=self.cleaned_data["zone"], is_writer=True)
            others.exclude(pk=self.instance.pk).update(is_writer=False)
        return super().write()

    @classmethod
    def described(cls, instance: Any) -> dict[str, Any]:
        """With the zone's writer, so that the entry tells who it was and who it is."""
        writer = NameServer.objects.filter(zone_id=instance.zone_id, is_writer=True).first()
        return {**super().described(instance), "the zone's writer": str(writer) if writer else "none"}


class UpdateKeyForm(EstateForm):
    """A key's name, and where its secret is. The secret is read once, to try it, and shown to nobody."""

    class Meta:
        model = UpdateKey
        fields: ClassVar = ["name", "algorithm", "secret_reference"]

    def clean_secret_reference(self) -> str:
        """Refuse what is no reference before anything else looks at it: it may be the secret itself."""
        reference: str = self.cleaned_data["secret_reference"]
        validate_secret_reference(reference)
        return reference

    def clean(self) -> dict[str, Any]:
        """Refuse a reference at which there is no usable secret, and do not show again what may be a secret."""
        cleaned = super().clean()
        if "secret_reference" not in cleaned:
            self.data = {**self.data.dict(), "secret_reference": ""} if isinstance(self.data, QueryDict) else {}
        if {"name", "algorithm", "secret_reference"} <= cleaned.keys():
            try:
                load_key(name=cleaned["name"], algorithm=cleaned["algorithm"], reference=cleaned["secret_reference"])
            except SecretError as error:
                self.add_error("secret_reference", str(error))
        return cleaned
