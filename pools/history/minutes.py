"""The holder of a shard writes what a minute was like: one row for all of its checks."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from django.db import Error as DatabaseError, transaction

from pools.health import is_stale
from pools.history.packing import (
    BAD_MAX,
    MINUTE_S,
    DamagedHistory,
    Minute,
    code_of,
    latency_code,
    unpack_minute,
)
from pools.history.rosters import roster_of
from pools.history_models import CheckHistory, Grain
from pools.probing.result import ProbeResult
from pools.specs import Check

log = logging.getLogger(__name__)

GAP_S = 3.75
"""Results leave the probing loop several times a second; after so long a silence nobody was probing meanwhile."""


class _Recorder(Protocol):
    shard: int
    checks: dict[str, Check]

    def latest(self) -> Mapping[str, tuple[float, str, int, float | None]]: ...


@dataclass(slots=True)
class MinuteBook:
    """What one holder of a shard notes between two rows. ``last``: epoch of the last turn."""

    last: float
    covered_s: float = 0.0
    bad: dict[str, int] = field(default_factory=dict)

    def turn(self, results: Iterable[ProbeResult], recorder: _Recorder, now: float) -> None:
        """Note these results; write the minute's row when it is over. A database that fails leaves a gap."""
        passed_s, minute_end = now - self.last, (self.last // MINUTE_S + 1) * MINUTE_S
        known = 0 <= passed_s <= GAP_S
        if now < minute_end and passed_s >= 0:
            self.covered_s += passed_s if known else 0.0
        else:
            self.covered_s += minute_end - self.last if known else 0.0
            self.close(recorder)
            self.covered_s = now - minute_end if known else 0.0
        self.last = now
        for result in results:
            if result.ok is False:
                self.bad[result.key] = self.bad.get(result.key, 0) + 1

    def close(self, recorder: _Recorder) -> None:
        """Write what there is of the minute so far: it is over, or the shard is handed on."""
        minute = int(self.last // MINUTE_S * MINUTE_S)
        covered_s, bad = min(self.covered_s, MINUTE_S), self.bad
        self.covered_s, self.bad = 0.0, {}
        if covered_s <= 0:
            return
        keys = sorted(recorder.checks)
        try:
            write_minute(
                shard=recorder.shard,
                start=minute,
                keys=keys,
                seen=_minute(keys, recorder, bad, self.last),
                covered_s=covered_s,
            )
        except DatabaseError:
            log.warning("the history of a minute of shard %s could not be written", recorder.shard)


def _minute(keys: Sequence[str], recorder: _Recorder, bad: Mapping[str, int], now: float) -> Minute:
    latest, checks = recorder.latest(), recorder.checks
    health, latency = bytearray(len(keys)), bytearray(len(keys))
    for place, key in enumerate(keys):
        seen = latest.get(key)
        if seen is not None and not is_stale(seen[0], checks[key].interval_s, now, checks[key].timeout_s):
            health[place] = code_of(seen[1])
            latency[place] = latency_code(seen[3])
    return Minute(bytes(health), bytes(min(bad.get(key, 0), BAD_MAX) for key in keys), bytes(latency))


def write_minute(*, shard: int, start: int, keys: Sequence[str], seen: Minute, covered_s: float) -> None:
    """Write a shard's minute (from ``start``, epoch seconds); a second part of one is added to the first."""
    with transaction.atomic():
        roster = roster_of(keys)
        found = (
            CheckHistory.objects.select_for_update()
            .filter(grain_s=Grain.MINUTE, start=start, shard=shard, roster=roster)
            .first()
        )
        if found is None:
            CheckHistory.objects.create(
                grain_s=Grain.MINUTE,
                start=start,
                shard=shard,
                roster=roster,
                covered_s=covered_s,
                packed=seen.packed(),
            )
            return
        try:
            seen = unpack_minute(bytes(found.packed), len(keys)).followed_by(seen)
        except DamagedHistory:
            log.warning("the history of minute %s of shard %s was damaged; it begins anew", start, shard)
        found.packed, found.covered_s = seen.packed(), min(MINUTE_S, found.covered_s + covered_s)
        found.save(update_fields=["packed", "covered_s"])
