"""The prober's reference targets: addresses that answer for as long as the prober itself is not cut off."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from pools.health import CheckKind
from pools.probing.asking import knock_once
from pools.probing.result import Cause
from pools.specs import Check

ASKED_AGAIN_AFTER_S = 1.0
TIMEOUT_S = 0.5
# Whoever refuses or cuts off is there: the way to it is open, and that is all that is asked.
_THERE = frozenset({Cause.OK, Cause.REFUSED, Cause.RESET})


class References:
    """Knocks at the targets, at most once a second; ``clock`` (seconds) is for tests."""

    def __init__(
        self,
        targets: Sequence[tuple[str, int]],
        *,
        clock: Callable[[], float] = time.monotonic,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._clock = clock
        self._timeout_s = timeout_s
        self._checks = [
            Check(
                f"reference:{number}", CheckKind.UCC, f"reference target {address}", address, port, timeout_s=timeout_s
            )
            for number, (address, port) in enumerate(targets)
        ]
        self._asked_at = float("-inf")
        self._reached = True

    def all_silent(self) -> bool:
        """Whether no target answers now (half a second at most); False where none is set."""
        if not self._checks:
            return False
        if self._clock() - self._asked_at >= ASKED_AGAIN_AFTER_S:
            found = knock_once(self._checks, self._timeout_s)
            self._reached = any(result.cause in _THERE for result in found.values())
            self._asked_at = self._clock()
        return not self._reached
