"""Probe results -> states, transitions, roll-ups. What did not change costs no row; an older fence is refused."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from django.db import transaction

from pools import doubt as doubting, live
from pools.columns import Columns, OldestOf
from pools.flapping import STEADY, Flaps, followed_by, shown
from pools.health import DOUBT_SHARE, CheckHealth, CheckKind, Health, advance, observed_health, restored
from pools.maintenance.reads import coverings_of
from pools.models import CheckState, HealthTransition, ProbeShard
from pools.probing.result import Cause, ProbeResult
from pools.reach import Reach, read_reach
from pools.references import References
from pools.rolling import move_of, refresh_hostnames
from pools.service_rolling import refresh_virtual_services
from pools.specs import Check, shard_of

_UPDATED = ("label", "health", "settled", "flapping", "flips", "streak", "fall", "rise", "interval_s", "cause",
            "sentence", "evidence", "since", "checked_at", "server", "hostname", "trusted_application",
            "virtual_service")  # fmt: skip


class StaleFence(Exception):  # noqa: N818 (it is a state of the world, and reads as one)
    """Another worker holds the shard by now; these results are refused. Trying again cannot help."""


class _Known(NamedTuple):
    """What is known of a check, as it is in its row."""

    state: CheckHealth
    cause: str
    sentence: str
    evidence: Mapping[str, Any]
    since: float
    flaps: Flaps = STEADY

    @property
    def shown(self) -> Health:
        """The health that it counts as."""
        return shown(self.state.health, self.flaps)


_NOTHING = _Known(CheckHealth(), "", "", {}, 0.0)


@dataclass(slots=True)
class Recorder:
    """What the holder of one shard remembers between flushes: for each check its state and its newest result.

    ``seen``: check key -> (epoch, ok, latency in ms) of the newest result. ``doubt``: whether the prober doubts itself.
    ``told``: the transitions of the last ``record()`` that people should hear of.
    """

    shard: int
    shards: int
    checks: dict[str, Check] = field(default_factory=dict)
    seen: dict[str, tuple[float, bool | None, float | None]] = field(default_factory=dict)
    references: References | None = None
    doubt_share: float = DOUBT_SHARE
    doubt: doubting.Doubt | None = None
    told: list[HealthTransition] = field(default_factory=list)
    _known: dict[str, _Known] = field(default_factory=dict)
    _before_doubt: dict[str, Health] = field(default_factory=dict)
    _reach: Reach = field(default_factory=lambda: Reach({}, {}))
    _ages_by: dict[int, list[str]] = field(default_factory=dict)
    _steady: dict[str, str] = field(default_factory=dict)  # of checks that are up and settled: what they say
    _columns: Columns = field(default_factory=lambda: Columns(()))
    _oldest: dict[int, OldestOf] = field(default_factory=dict)

    def load(self, checks: Iterable[Check], *, fence: int) -> None:
        """Start from the rows; make rows for new checks, put changed ones right, delete those of checks that are gone.

        Raises StaleFence.
        """
        self.checks = {check.key: check for check in checks if shard_of(check.key, self.shards) == self.shard}
        self._reach = read_reach()
        with transaction.atomic():
            _raise_fence(self.shard, fence)
            rows = {row.key: row for row in CheckState.objects.all() if shard_of(row.key, self.shards) == self.shard}
            gone = [row.pk for key, row in rows.items() if key not in self.checks]
            for start in range(0, len(gone), 500):
                CheckState.objects.filter(pk__in=gone[start : start + 500]).delete()
            self._known = {key: _from_row(rows[key]) for key in self.checks.keys() & rows.keys()}
            moved = [check for key, check in self.checks.items() if key not in rows or _differs(rows[key], check)]
            self._write(moved, {})
        self.seen = {key: seen for key, seen in self.seen.items() if key in self.checks}
        self._ages_by = {}
        for key, check in self.checks.items():
            for hostname_id in self._hostnames_of(check):
                self._ages_by.setdefault(hostname_id, []).append(key)
        self._lay_out()

    def _lay_out(self) -> None:
        """Make the columns for the checks that there are now."""
        before, self._columns = self._columns, Columns(self.checks)
        self._columns.take_over(before)
        self._steady = {}
        for key, known in self._known.items():
            self._became(key, known)
        number, checks = self._columns.number, self.checks
        self._oldest = {
            hostname_id: OldestOf((number[key], checks[key].interval_s) for key in keys)
            for hostname_id, keys in self._ages_by.items()
        }

    def _became(self, key: str, known: _Known) -> None:
        """Keep what pages read of a state, and which sentence would tell nothing new."""
        state = known.state
        self._columns.became(key, state._replace(health=known.shown))
        settled = state.health is Health.UP and not state.streak and known.flaps is STEADY
        if settled and known.cause == Cause.OK and not known.evidence:
            self._steady[key] = known.sentence
        else:
            self._steady.pop(key, None)

    def hostname_ids(self) -> set[int]:
        """Return the hostnames that this shard's checks tell something about."""
        return set(self._ages_by)

    def keys_for(self, tokens: Iterable[str]) -> set[str]:
        """Return the checks meant by ``hostname:<id>``, ``server:<id>`` or a check's own key."""
        keys: set[str] = set()
        for token in tokens:
            kind, _, number = token.partition(":")
            if kind == "hostname" and number.isdigit():
                keys |= set(self._ages_by.get(int(number), ()))
            elif kind == "server" and number.isdigit():
                keys |= {key for key, check in self.checks.items() if check.server_id == int(number)}
            elif token in self.checks:
                keys.add(token)
        return keys

    def record(self, results: Sequence[ProbeResult], *, fence: int) -> set[int]:
        """Advance the states by these results; return the hostnames about which something changed.

        One transaction for everything that changed, none where nothing did. Raises StaleFence, and django.db.Error
        where the database fails: then nothing is remembered either, and the next results tell the same again.
        """
        doubted = self.doubt
        self.told = []
        pending, transitions = self._advance(self._weighed(self._news(results)))
        transitions += self._doubt_moved(doubted)
        if not pending and not transitions:
            return set()
        checks = [self.checks[key] for key in pending]
        hostname_ids = {pk for check in checks for pk in self._hostnames_of(check)}
        with transaction.atomic():
            _raise_fence(self.shard, fence)
            self._write(checks, pending)
            HealthTransition.objects.bulk_create(_marked(transitions))
            latency_ms = (
                {key: seen[2] for key, seen in self.seen.items() if seen[2] is not None} if hostname_ids else {}
            )
            moved: list[HealthTransition] = []
            refresh_hostnames(hostname_ids, latency_ms=latency_ms, moved=moved)
            refresh_virtual_services({pk for check in checks for pk in self._services_of(check)})
        self.told = transitions + [one for one in moved if self.doubt is None or one.new != Health.UNKNOWN]
        self._known |= pending
        for key, known in pending.items():
            self._became(key, known)
        return hostname_ids

    def _news(self, results: Sequence[ProbeResult]) -> Sequence[ProbeResult]:
        """Note when each was seen, and return those results that may change something: of thousands, next to none."""
        news = []
        steady, seen, columns = self._steady, self.seen, self._columns
        number = columns.number
        for result in results:
            key, at, ok, degraded, _, sentence, latency_ms, evidence = result
            if ok and not degraded and not evidence and steady.get(key) == sentence:
                seen[key] = (at, ok, latency_ms)
                columns.saw(number[key], at, latency_ms)
            else:
                steady.pop(key, None)  # what follows in the same batch is to be weighed too
                news.append(result)
        return news

    def _doubt_moved(self, before: doubting.Doubt | None) -> list[HealthTransition]:
        """The one transition that tells that the prober began, or ceased, to doubt itself."""
        if (before is None) == (self.doubt is None):
            return []
        at, why = (self.doubt.since, self.doubt.why) if self.doubt else (time.time(), "the prober sees again")
        old, new = (Health.UP, Health.UNKNOWN) if self.doubt else (Health.UNKNOWN, Health.UP)
        return [
            HealthTransition(
                at=datetime.fromtimestamp(at, UTC), check_key=f"prober:{self.shard}", label="The prober itself",
                old=old.value, new=new.value, sentence=why,
            )
        ]  # fmt: skip

    def _advance(self, results: Iterable[ProbeResult]) -> tuple[dict[str, _Known], list[HealthTransition]]:
        pending: dict[str, _Known] = {}
        transitions = []
        for result in results:
            check = self.checks.get(result.key)
            if check is None:
                continue
            self.seen[result.key] = (result.at, result.ok, result.latency_ms)
            self._columns.saw(self._columns.number[result.key], result.at, result.latency_ms)
            known = pending.get(result.key) or self._known.get(result.key, _NOTHING)
            seen = observed_health(ok=result.ok, degraded=result.degraded)
            state, _ = advance(known.state, seen, check.policy)
            flaps = known.flaps
            if flaps is not STEADY or state is not known.state:
                flaps = followed_by(flaps, known.state, seen)
            evidence = _evidence(check, known, state, result)
            if (flaps.flapping and known.flaps.flapping) or (
                state is known.state
                and flaps.flapping == known.flaps.flapping
                and result.cause == known.cause
                and result.sentence == known.sentence
                and evidence == known.evidence
            ):
                if flaps is not known.flaps:
                    self._remember(result.key, known._replace(state=state, flaps=flaps), pending)
                continue
            sentence = _alternating(result, known) if flaps.flapping else result.sentence
            now = _Known(state, result.cause.value, sentence, evidence, known.since, flaps)
            moved = now.shown is not known.shown
            if moved or not known.since:
                now = now._replace(since=result.at)
            pending[result.key] = now
            if moved and not self._is_of_doubt(result, known.shown, now.shown):
                transitions.append(_transition(check, known.shown, now.shown, result.at, sentence))
        return pending, transitions

    def _is_of_doubt(self, result: ProbeResult, old: Health, new: Health) -> bool:
        """Whether it only becomes unknown, or what it was before, because of the prober: one alarm tells of all."""
        if result.cause is Cause.CUT_OFF and new is Health.UNKNOWN:
            self._before_doubt[result.key] = old
            return True
        return old is Health.UNKNOWN and self._before_doubt.pop(result.key, None) is new

    def _remember(self, key: str, known: _Known, pending: dict[str, _Known]) -> None:
        """Keep what no row tells: how the last results alternated."""
        if key in pending:
            pending[key] = known
        else:
            self._known[key] = known
            self._became(key, known)

    def _weighed(self, results: Sequence[ProbeResult]) -> Sequence[ProbeResult]:
        """Where the prober doubts itself, turn bad results into "not known"."""
        if self.doubt is None and not any(doubting.is_bad(result) for result in results):
            return results
        why = doubting.BY_REFERENCE if self.references and self.references.all_silent() else ""
        why = why or doubting.reason_by_share(results, self.seen, self._asked, self.doubt_share)
        self.doubt = doubting.followed_by(self.doubt, why, max((r.at for r in results), default=time.time()))
        return results if self.doubt is None else doubting.as_not_known(results, self.doubt.why)

    def _asked(self, key: str) -> str:
        check = self.checks.get(key)
        return check.address if check else key

    def _services_of(self, check: Check) -> frozenset[int]:
        """The virtual services that a check tells something about."""
        if check.virtual_service_id is not None:
            return frozenset({check.virtual_service_id})
        return self._reach.services_of_server.get(check.server_id or 0, frozenset())

    def _hostnames_of(self, check: Check) -> frozenset[int]:
        if check.hostname_id is not None:
            return frozenset({check.hostname_id})
        if check.virtual_service_id is not None:
            return self._reach.of_virtual_service.get(check.virtual_service_id, frozenset())
        return self._reach.of_server.get(check.server_id or 0, frozenset())

    def _write(self, checks: Sequence[Check], pending: Mapping[str, _Known]) -> None:
        now = time.time()
        rows = [_row(check, pending.get(check.key) or self._known.get(check.key, _NOTHING), now) for check in checks]
        CheckState.objects.bulk_create(
            rows, batch_size=500, update_conflicts=True, unique_fields=["key"], update_fields=_UPDATED
        )

    def complete(self) -> bool:
        """Whether each check has had a result."""
        return len(self.seen) >= len(self.checks)

    def ages(self) -> dict[int, tuple[float, float]]:
        """Return for each hostname whose results are all in: epoch and interval of the one that goes stale first."""
        at = self._columns.at
        found = ((hostname_id, oldest.find(at)) for hostname_id, oldest in self._oldest.items())
        return {hostname_id: age for hostname_id, age in found if age is not None}

    def packed_latest(self) -> dict[str, bytes]:
        """Return what ``latest()`` says as columns of bytes: for Redis, each second."""
        return self._columns.packed()

    def latest(self) -> dict[str, tuple[float, str, int, float | None]]:
        """Return for each check: epoch, health, streak, latency in ms."""
        known = self._known
        return {
            key: (at, now.shown.value, now.state.streak, latency_ms)
            for key, (at, _, latency_ms) in self.seen.items()
            for now in (known.get(key, _NOTHING),)
        }


def record_results(results: Sequence[ProbeResult], *, recorder: Recorder, fence: int) -> set[int]:
    """Record results of one shard and tell the pages; return the hostnames that changed. Raises StaleFence."""
    hostname_ids = recorder.record(results, fence=fence)
    if hostname_ids or recorder.told:
        live.bump_and_publish(hostname_ids=hostname_ids, moves=[move_of(one) for one in recorder.told])
    return hostname_ids


def mark_hostname_dirty(hostname_id: int) -> None:
    """Roll one hostname up anew and tell the pages, also if nothing about its health changed."""
    refresh_hostnames({hostname_id})
    live.bump_and_publish(hostname_ids={hostname_id})


def _raise_fence(shard: int, fence: int) -> None:
    """Refuse an older fence than the database has seen; inside the transaction of what is written."""
    if ProbeShard.objects.filter(shard=shard, fence__lte=fence).update(fence=fence):
        return
    _, created = ProbeShard.objects.get_or_create(shard=shard, defaults={"fence": fence})
    if not created:
        raise StaleFence(f"shard {shard}: another worker has taken over; the results of fence {fence} are refused")


def _evidence(check: Check, known: _Known, state: CheckHealth, result: ProbeResult) -> Mapping[str, Any]:
    """The last answer of a name server or load balancer stays until a failure is settled: one lost packet hides it."""
    if (
        check.kind in {CheckKind.DNS, CheckKind.BALANCER}
        and result.ok is not True
        and state.health is Health.UP
        and known.evidence
    ):
        return known.evidence
    return result.evidence


def _from_row(row: CheckState) -> _Known:
    state = restored(Health(row.settled or row.health), row.streak)
    flaps = Flaps(row.flips, row.flapping) if row.flips or row.flapping else STEADY
    return _Known(state, row.cause, row.sentence, row.evidence or {}, row.since.timestamp(), flaps)


def _alternating(result: ProbeResult, known: _Known) -> str:
    """The sentence of a check that begins to flap: with what went wrong, whichever result was the bad one."""
    wrong = known.sentence if result.ok is True and not result.degraded else result.sentence
    return f"flapping: good and bad results alternate (bad: {wrong})"[:300]


def _row(check: Check, known: _Known, now: float) -> CheckState:
    return CheckState(
        key=check.key,
        kind=check.kind.value,
        label=check.label[:200],
        server_id=check.server_id,
        hostname_id=check.hostname_id,
        trusted_application_id=check.trusted_application_id,
        virtual_service_id=check.virtual_service_id,
        health=known.shown.value,
        settled=known.state.health.value,
        flapping=known.flaps.flapping,
        flips=known.flaps.flips,
        streak=known.state.streak,
        fall=check.policy.fall,
        rise=check.policy.rise,
        interval_s=check.interval_s,
        cause=known.cause,
        sentence=known.sentence[:300],
        evidence=dict(known.evidence),
        since=datetime.fromtimestamp(known.since or now, UTC),
        checked_at=datetime.fromtimestamp(now, UTC) if known.cause else None,
    )


def _differs(row: CheckState, check: Check) -> bool:
    return (row.label, row.interval_s, row.fall, row.rise, row.server_id, row.hostname_id) != (
        check.label[:200],
        check.interval_s,
        check.policy.fall,
        check.policy.rise,
        check.server_id,
        check.hostname_id,
    )


def _marked(transitions: list[HealthTransition]) -> list[HealthTransition]:
    """Mark those of servers in maintenance: they are planned, and no alarm."""
    covered = coverings_of({row.server_id for row in transitions if row.server_id is not None})
    for row in transitions:
        row.planned = row.server_id in covered
    return transitions


def _transition(check: Check, old: Health, new: Health, at: float, sentence: str) -> HealthTransition:
    return HealthTransition(
        at=datetime.fromtimestamp(at, UTC),
        check_key=check.key,
        label=check.label[:200],
        hostname_id=check.hostname_id,
        server_id=check.server_id,
        virtual_service_id=check.virtual_service_id,
        old=old.value,
        new=new.value,
        sentence=sentence[:300],
    )
