"""Pure: what a certificate's state means, what to do about it, and what comes first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_DO: Mapping[str, tuple[int, str, str]] = {
    # cause -> (place in the order of urgency, word, what to do)
    "expired": (0, "Expired", "Renew it: clients refuse it."),
    "wrong_name": (
        1,
        "Name missing",
        "Renew it with this hostname in its SAN; until then this server cannot serve it.",
    ),
    "tls": (2, "No certificate", "Look at the HTTPS binding of this site in IIS."),
    "self_signed": (3, "Self-signed", "Replace it by one of an authority that the clients trust."),
    "untrusted": (3, "Not trusted", "Install the certificates between it and its authority, or name the authority."),
    "weak": (5, "Too weak", "Renew it with an RSA key of 2048 bits or more, signed with SHA-256."),
    "expiring": (6, "Expires soon", "Make a request and install the new one before that day."),
}
URGENT, UNKNOWN, GOOD = 4, 7, 8


@dataclass(frozen=True, slots=True)
class Advice:
    """What a cell of the matrix says. ``rank``: the smaller, the sooner something has to be done."""

    rank: int
    status: str
    word: str
    todo: str = ""

    @property
    def needs_action(self) -> bool:
        """Whether somebody has to do something."""
        return self.rank < UNKNOWN


def advise(*, health: str, cause: str, urgent: bool = False, stale: bool = False) -> Advice:
    """Return what to say. ``cause``: a ``pools.probing.result.Cause``; ``stale``: too old to be believed."""
    if stale or health == "unknown":
        return Advice(UNKNOWN, "unknown", "Unknown", "It could not be looked at: see the web services of this server.")
    rank, word, todo = _DO.get(cause, (GOOD, "Good", ""))
    if rank == GOOD:
        return Advice(GOOD, "up", word)
    if cause == "expiring" and urgent:
        return Advice(URGENT, "degraded", "Expires now", "Make a request and install the new one before that day.")
    return Advice(rank, "degraded", word, todo)
