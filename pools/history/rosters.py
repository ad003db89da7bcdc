"""The lists of checks that packed rows refer to: one for each set of checks, found by its digest."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from pools.history.packing import pack_roster
from pools.history_models import CheckRoster


def roster_of(keys: Sequence[str]) -> CheckRoster:
    """Return the roster of these keys in this order, made if it is not there yet."""
    digest = hashlib.sha256("\n".join(keys).encode()).hexdigest()[:32]
    found = CheckRoster.objects.filter(digest=digest).only("pk").first()
    if found is not None:
        return found
    roster, _ = CheckRoster.objects.get_or_create(
        digest=digest, defaults={"checks": len(keys), "packed": pack_roster(keys)}
    )
    return roster
