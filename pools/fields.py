"""Names and ports as the estate uses them, with validation messages that say what to enter."""

from __future__ import annotations

import re

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator

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
