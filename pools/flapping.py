"""Pure: a check whose results alternate is *flapping*: said once, instead of a storm of ups and downs. No I/O.

Counted are results that differ from the one before (good after bad, bad after good) among the last twenty. What was not
known is no result here: a prober that doubts itself makes nothing flap.
"""

from __future__ import annotations

from typing import NamedTuple

from pools.health import CheckHealth, Health

WINDOW = 20
ENTER_ABOVE, LEAVE_BELOW = 0.30, 0.25
STEADY_BAD = 6
"""So many bad results in a row are no flapping any more: it is down, and that must not wait for the window."""
_MASK = (1 << WINDOW) - 1
_LAST_ALIKE = (1 << (STEADY_BAD - 1)) - 1


class Flaps(NamedTuple):
    """``flips``: a bit for each of the last twenty results that differs from the one before it, the newest lowest."""

    flips: int = 0
    flapping: bool = False

    @property
    def share(self) -> float:
        """The share of the last twenty results that differ from the one before."""
        return self.flips.bit_count() / WINDOW


STEADY = Flaps()


def is_flip(before: CheckHealth, seen: Health) -> bool:
    """Whether this result is on another side than the one before: contradicting the state, or again in line with it."""
    if Health.UNKNOWN in {before.health, before.leaning, seen}:
        return False
    return (seen is not before.health) != (before.streak > 0)


def followed_by(flaps: Flaps, before: CheckHealth, seen: Health) -> Flaps:
    """Return the flaps after one more result; ``before``: the state until then. ``STEADY`` itself when none is left."""
    if Health.UNKNOWN in {before.health, seen}:
        return flaps
    flips = (flaps.flips << 1 | is_flip(before, seen)) & _MASK
    share = flips.bit_count() / WINDOW
    flapping = share >= LEAVE_BELOW if flaps.flapping else share > ENTER_ABOVE
    if seen is Health.DOWN and not flips & _LAST_ALIKE:
        flapping = False
    return Flaps(flips, flapping) if flips or flapping else STEADY


def shown(health: Health, flaps: Flaps) -> Health:
    """Return the health that a check counts as: what flaps is degraded, neither up nor down."""
    return Health.DEGRADED if flaps.flapping and health is not Health.UNKNOWN else health
