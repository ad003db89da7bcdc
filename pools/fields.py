"""Names and ports as the estate uses them, with validation messages that say what to enter."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

if TYPE_CHECKING:
    _CharField = models.CharField[str, str]
else:
    _CharField = models.CharField

_LABEL = re.compile(r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")

PORT_VALIDATORS = [
    MinValueValidator(1, "A port is a number from 1 to 65535; found %(show_value)s."),
    MaxValueValidator(65535, "A port is a number from 1 to 65535; found %(show_value)s."),
]


def normalise_fqdn(text: str) -> str:
    """Return the name in lower case, without the closing dot and surrounding space."""
    return text.strip().rstrip(".").lower()


def validate_fqdn(text: str) -> None:
    """Raise ValidationError unless ``text`` is a fully qualified host name (RFC 1123 section 2.1, RFC 1035 2.3.4)."""
    name = normalise_fqdn(text)
    if len(name) > 253:
        raise ValidationError(f"A name has at most 253 characters; this one has {len(name)}.")
    labels = name.split(".")
    if len(labels) < 2:
        raise ValidationError(
            f"Enter the full name with its domain, such as {name or 'srv1'}.example.com; found “{text}”."
        )
    for label in labels:
        if not _LABEL.match(label):
            raise ValidationError(
                f"“{label}” in “{text}” is not allowed in a host name: use letters, digits and hyphens, "
                "1 to 63 characters, no hyphen first or last."
            )
    if labels[-1].isdigit():
        raise ValidationError(f"“{text}” looks like an address; enter a name.")


def validate_path(text: str) -> None:
    """Raise ValidationError unless ``text`` is the path of a URL."""
    if not text.startswith("/") or any(char.isspace() or char in "?#" or not char.isprintable() for char in text):
        raise ValidationError(f"A path starts with “/” and has no spaces, “?” or “#”; found “{text}”.")


class FqdnField(_CharField):
    """A fully qualified name, kept in lower case without the closing dot."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", 253)
        super().__init__(*args, **kwargs)
        if kwargs.get("validators") != []:  # stated as none: a TSIG key's name may be a single label
            self.validators = [*self.validators, validate_fqdn]

    def to_python(self, value: Any) -> Any:
        """Normalise before validation."""
        return normalise_fqdn(value) if isinstance(value, str) else value

    def get_prep_value(self, value: Any) -> Any:
        """Normalise before it is stored or looked up."""
        return self.to_python(super().get_prep_value(value))


_SIP_URI = re.compile(r"sip:[^\s@'\"<>]+@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")


def validate_sip_uri(text: str) -> None:
    """Raise ValidationError unless ``text`` is a SIP URI as Skype for Business names an endpoint by."""
    if not _SIP_URI.fullmatch(text):
        raise ValidationError(f"A SIP URI looks like sip:servicedesk@example.com; found “{text}”.")
