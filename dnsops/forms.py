"""The forms for zones, name servers, resolvers and update keys."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from django.http import QueryDict

from dnsops import keytab
from dnsops.models import NameServer, Resolver, UpdateKey, Zone, validate_secret_reference
from dnsops.providers import registry
from dnsops.secrets import SecretError, load_key
from pools.forms import EstateForm


class ZoneForm(EstateForm):
    """A zone, how it is changed, and the key that may change it."""

    unrecorded: ClassVar[set[str]] = {"id", "accepted_key", "accepted_at"}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["permission_test"].required = False

    def clean_permission_test(self) -> str:
        """Where nothing is chosen: where it leaves no trace."""
        return str(self.cleaned_data["permission_test"] or Zone.PermissionTest.AUTO)

    class Meta:
        model = Zone
        fields: ClassVar = ["name", "provider", "key", "next_key", "permission_test"]
        help_texts: ClassVar = {
            "name": "The zone that holds the dedicated hostnames, such as example.com.",
            "key": "Without one, hostnames of this zone are watched and can not be failed over.",
            "permission_test": "Every few minutes each record is changed for itself, which proves that we may write "
            "it. With TSIG nothing differs afterwards; Active Directory stamps the record's time.",
        }

    def clean(self) -> dict[str, Any]:
        """The keys have to be of the kind that the way of changing needs, and two different ones."""
        cleaned = super().clean()
        kind = registry.kinds().get(cleaned.get("provider", ""))
        if kind is None:
            return cleaned
        for field in ("key", "next_key"):
            key = cleaned.get(field)
            if key is not None and key.kind != kind.key_kind:
                self.add_error(field, _wrong_kind(key, kind.label, kind.key_kind))
        if cleaned.get("next_key") and cleaned.get("next_key") == cleaned.get("key"):
            self.add_error("next_key", "This is the same key. Choose the one that comes after it, or none.")
        if cleaned.get("next_key") and not cleaned.get("key"):
            self.add_error("next_key", "There is no key before it: choose it as the update key instead.")
        return cleaned


def _wrong_kind(key: UpdateKey, label: str, wanted: str) -> str:
    if not wanted:
        return f"“{label}” needs no key, so choose none; found {key}."
    word = UpdateKey.Kind(wanted).label
    return f"“{label}” needs a {word}; {key} is a {key.get_kind_display()}. Choose another key, or another way."


class ResolverForm(EstateForm):
    """A resolver that the clients of a site ask."""

    class Meta:
        model = Resolver
        fields: ClassVar = ["site", "name", "address", "port"]
        help_texts: ClassVar = {
            "site": "The datacentre or location whose clients ask it.",
            "address": "What clients have as their DNS server: on Windows, ipconfig /all shows it.",
        }


class NameServerForm(EstateForm):
    """An authoritative server of a zone. Making one the writer takes that from the one that was."""

    settled: ClassVar[set[str]] = {"one_writer_per_zone"}

    class Meta:
        model = NameServer
        fields: ClassVar = ["zone", "name", "address", "port", "host_name", "is_writer", "expected_lag_s"]
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
        fields: ClassVar = ["kind", "name", "algorithm", "principal", "secret_reference", "kdcs"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if isinstance(self.data, QueryDict) and self.data and "kind" not in self.data:
            data = self.data.copy()
            data["kind"] = UpdateKey.Kind.TSIG.value  # the usual one
            self.data = data

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
        if cleaned.get("kind") == UpdateKey.Kind.GSS:
            self._clean_account(cleaned)
        elif {"name", "algorithm", "secret_reference"} <= cleaned.keys():
            cleaned["principal"] = cleaned["kdcs"] = ""
            try:
                load_key(name=cleaned["name"], algorithm=cleaned["algorithm"], reference=cleaned["secret_reference"])
            except SecretError as error:
                self.add_error("secret_reference", str(error))
        return cleaned

    def _clean_account(self, cleaned: dict[str, Any]) -> None:
        """An account needs a name with its realm, and a keytab that holds it."""
        if "principal" in cleaned and not cleaned["principal"]:
            self.add_error("principal", "Enter the account with its realm, such as svc-a365admin@AD.EXAMPLE.COM.")
        elif {"principal", "secret_reference"} <= cleaned.keys():
            try:
                keytab.check(cleaned["secret_reference"], cleaned["principal"])
            except SecretError as error:
                self.add_error("secret_reference", str(error))
