"""What was uploaded, carried by the page itself from the difference to its confirmation: signed, and for an hour.

Nothing is kept on the server, so it makes no difference which web server answers, and nobody has to tidy up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.core import signing

from pools.importing.reading import SourceFile

MAX_AGE_S = 3600
MAX_CHARS = 2_000_000  # below DATA_UPLOAD_MAX_MEMORY_SIZE
_SALT = "a365admin.estate-import"


@dataclass(frozen=True, slots=True)
class Carried:
    """What the confirmation needs: the files as they came, and the digest of the difference that was shown."""

    files: tuple[SourceFile, ...]
    pools: tuple[str, ...]
    digest: str


def pack(*, files: Sequence[SourceFile], pools: Sequence[str], digest: str, user_id: int) -> str | None:
    """Return it as signed text; None where it is too large for a page."""
    data = {
        "files": [[file.name, file.data.decode("latin-1")] for file in files],  # bytes, one character each
        "pools": list(pools),
        "digest": digest,
        "user": user_id,
    }
    text = signing.dumps(data, salt=_SALT, compress=True)
    return text if len(text) <= MAX_CHARS else None


def unpack(text: str, *, user_id: int) -> Carried | None:
    """Return what was packed for this user; None where it is too old, somebody else's, or not ours."""
    try:
        data: Any = signing.loads(text[: MAX_CHARS + 1], salt=_SALT, max_age=MAX_AGE_S)
    except signing.BadSignature:
        return None
    if data["user"] != user_id:
        return None
    files = tuple(SourceFile(name, content.encode("latin-1")) for name, content in data["files"])
    return Carried(files, tuple(data["pools"]), data["digest"])
