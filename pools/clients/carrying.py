"""A table, carried by the page itself from the difference to its confirmation: signed, for an hour, for one user."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.core import signing

from pools.importing.carried import MAX_AGE_S, MAX_CHARS

_SALT = "a365admin.clients-import"


@dataclass(frozen=True, slots=True)
class CarriedTable:
    """What the confirmation needs. ``digest``: of the difference that was shown."""

    name: str
    data: bytes
    whole: bool
    digest: str


def pack(table: CarriedTable, *, user_id: int) -> str | None:
    """Return it as signed text; None where it is too large for a page."""
    said = [table.name, table.data.decode("latin-1"), table.whole, table.digest, user_id]
    text = signing.dumps(said, salt=_SALT, compress=True)
    return text if len(text) <= MAX_CHARS else None


def unpack(text: str, *, user_id: int) -> CarriedTable | None:
    """Return what was packed for this user; None where it is too old, somebody else's, or not ours."""
    try:
        said: Any = signing.loads(text[: MAX_CHARS + 1], salt=_SALT, max_age=MAX_AGE_S)
    except signing.BadSignature:
        return None
    name, data, whole, digest, user = said
    return CarriedTable(name, data.encode("latin-1"), whole, digest) if user == user_id else None
