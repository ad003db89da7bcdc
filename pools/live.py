"""What changed since, how old it is, and who of us is alive: kept in Redis, read by pages.

Keys: ``a365:live:version`` (number), channel ``a365:live`` (JSON), ``a365:fresh`` (hash: shard -> packed ages),
``a365:alive:<what>`` (epoch of the last sign of life). Reads never raise: a lost broker is a state that is returned.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypedDict, cast

import msgpack
from django.db.models import Max

from pools import redis_store
from pools.columns import unpacked
from pools.models import HostnameStatus, TrustedApplicationPool
from pools.redis_store import BrokerLost

VERSION_KEY = "a365:live:version"
CHANNEL = "a365:live"
FRESH_KEY = "a365:fresh"
ALIVE_PREFIX = "a365:alive:"
# How old a sign of life may be: 2.5 of its intervals. Probes as UCC ports are asked, the sweeper every five seconds,
# the watcher each second; beat each second too, but through a worker that may be busy.
ALIVE_FOR_S = {"probes": 3.75, "beat": 12.5, "operations": 12.5, "watch": 2.5}
REMEMBERED_S = 86_400
WATCHED_FOR_S = 10
DOUBT_KEY = "a365:doubt"
DOUBT_FOR_S = 10.0  # a prober that is gone is said to be gone, not to doubt itself
MOVES_MAX = 200

# One more than the last, but never behind the clock: it goes up even after a restart of a broker without persistence.
_NEXT_VERSION = """
local now = redis.call('TIME')
local v = math.max(tonumber(redis.call('GET', KEYS[1]) or '0') + 1, now[1] * 1000 + math.floor(now[2] / 1000))
redis.call('SET', KEYS[1], string.format('%.0f', v))
return string.format('%.0f', v)
"""


@dataclass(frozen=True, slots=True)
class Freshness:
    """How old what we know is, by hostname id.

    ``oldest``: epoch seconds of the check result that goes stale first, ``interval_s``: the interval of that check.
    ``last_sweep``: epoch of the last flush of the shard that is furthest behind; None before the first.
    ``known``: False while the broker is lost: then nothing can be said about any age.
    """

    known: bool
    oldest: Mapping[int, float] = field(default_factory=dict)
    interval_s: Mapping[int, float] = field(default_factory=dict)
    last_sweep: float | None = None


class Move(TypedDict):
    """A change of health as it is published: what pages announce, the API tells and notices are made of.

    ``at``: epoch seconds. ``subject``: ``hostname:<id>``, a check's key, or ``prober:<shard>``. ``old`` and ``new``: a
    ``pools.health.Health``. ``sentence``: why, for people.
    """

    at: float
    subject: str
    label: str
    old: str
    new: str
    sentence: str


class Message(TypedDict):
    """One change, published once on ``a365:live`` after its commit. Whoever missed it finds all of it in the rows.

    ``v``: the live version; ``hostnames``: whose rows have it; ``operations``: whose steps moved; ``moves``: the
    changes of health that people should hear of, and ``more``: how many did not fit; ``sent_at``: epoch seconds.
    """

    v: int
    hostnames: list[int]
    operations: list[str]
    moves: list[Move]
    more: int
    sent_at: float


class Latest(NamedTuple):
    """The newest result of one check: when (epoch seconds), the health it has led to, how far a change has come."""

    at: float
    health: str
    streak: int
    latency_ms: float | None


@dataclass(frozen=True, slots=True)
class Liveness:
    """Who of us is alive. Each is "ok", "waiting" (nothing heard since the broker started) or "lost".

    ``watch`` is "off" while no pool asks for watch connections: then nobody needs to hold any.
    """

    broker: str
    probes: str
    operations: str
    beat: str
    watch: str = "off"
    age_s: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def all_well(self) -> bool:
        """Whether every part reports."""
        return all(word == "ok" for word in self.as_words().values())

    def as_words(self) -> dict[str, str]:
        """Each part's word; ages are in ``age_s``."""
        words = {"broker": self.broker, "probes": self.probes, "operations": self.operations, "beat": self.beat}
        return words if self.watch == "off" else words | {"watch": self.watch}


def current_version() -> int:
    """Return the live version; from the database while the broker is lost or has forgotten it."""
    try:
        with redis_store.broker() as redis:
            kept = redis.get(VERSION_KEY)
    except BrokerLost:
        kept = None
    if kept is not None:
        return int(cast("bytes", kept))
    return HostnameStatus.objects.aggregate(top=Max("version"))["top"] or 0


def bump_and_publish(
    *, hostname_ids: Collection[int], operations: Collection[str] = (), moves: Sequence[Move] = ()
) -> int:
    """Raise the live version, mark the hostnames' rows with it and tell the pages; return the version.

    Call it after the commit of what changed. With the broker lost the rows are still marked, so that polling sees them.
    """
    version = mark_changed(hostname_ids)
    publish(version=version, hostname_ids=hostname_ids, operations=operations, moves=moves)
    return version


def mark_changed(hostname_ids: Collection[int]) -> int:
    """Raise the live version and mark the hostnames' rows with it, in the caller's transaction; return the version.

    For callers that ``publish()`` it themselves, after their commit.
    """
    version = next_version()
    if hostname_ids:
        HostnameStatus.objects.filter(hostname_id__in=hostname_ids).update(version=version)
    return version


def next_version() -> int:
    """Take the next live version (milliseconds of the clock, or one more than the last where that is greater)."""
    try:
        with redis_store.broker() as redis:
            return int(cast("bytes", redis.eval(_NEXT_VERSION, 1, VERSION_KEY)))
    except BrokerLost:
        top = HostnameStatus.objects.aggregate(top=Max("version"))["top"] or 0
        return max(int(top) + 1, int(time.time() * 1000))


def publish(
    *, version: int, hostname_ids: Collection[int], operations: Collection[str] = (), moves: Sequence[Move] = ()
) -> None:
    """Tell whoever listens what changed, as a ``Message``. Nobody hears it while the broker is lost."""
    message = Message(
        v=version,
        hostnames=sorted(hostname_ids),
        operations=sorted(operations),
        moves=list(moves[:MOVES_MAX]),
        more=max(len(moves) - MOVES_MAX, 0),
        sent_at=time.time(),
    )
    try:
        with redis_store.broker() as redis:
            redis.publish(CHANNEL, json.dumps(message))
    except BrokerLost:
        pass  # the rows carry the version; pages that poll find it there


def pack_ages(*, at: float, complete: bool, ages: Mapping[int, tuple[float, float]]) -> bytes:
    """Pack one shard's ages: ``ages`` is hostname id -> (epoch of its oldest result, interval in seconds)."""
    return cast("bytes", msgpack.packb({"at": at, "complete": complete, "ages": dict(ages)}))


def pack_latest(*, at: float, columns: Mapping[str, bytes]) -> bytes:
    """Pack one shard's newest results: ``columns`` as ``Columns.packed()`` gives them."""
    return cast("bytes", msgpack.packb({"at": at, "columns": dict(columns)}))


def latest(shards: int) -> dict[str, Latest]:
    """Return the newest result of every check by key; empty while the broker is lost."""
    try:
        with redis_store.broker() as redis:
            blobs = cast("list[bytes | None]", redis.mget([f"a365:shard:{shard}:latest" for shard in range(shards)]))
    except BrokerLost:
        return {}
    packed = _unpacked([blob for blob in blobs if blob])
    return {key: Latest(*values) for shard in packed for key, values in unpacked(shard["columns"])}


def _unpacked(blobs: list[Any]) -> list[dict[str, Any]]:
    return [msgpack.unpackb(blob, strict_map_key=False) for blob in blobs]


def freshness() -> Freshness:
    """Return how old the results of each hostname are."""
    try:
        with redis_store.broker() as redis:
            blobs = cast("list[bytes]", redis.hvals(FRESH_KEY))
    except BrokerLost:
        return Freshness(known=False)
    shards = _unpacked(blobs)
    first_stale: dict[int, tuple[float, float, float]] = {}
    for shard in shards:
        for hostname_id, (at, interval_s) in shard["ages"].items():
            stale_at = at + 2.5 * interval_s
            if hostname_id not in first_stale or stale_at < first_stale[hostname_id][0]:
                first_stale[hostname_id] = (stale_at, at, interval_s)
    return Freshness(
        known=True,
        oldest={pk: at for pk, (_, at, _interval) in first_stale.items()},
        interval_s={pk: interval_s for pk, (_, _at, interval_s) in first_stale.items()},
        last_sweep=min((shard["at"] for shard in shards), default=None),
    )


@dataclass(frozen=True, slots=True)
class ProberDoubt:
    """A prober doubts itself: since when (epoch seconds), and why, as a sentence without a full stop."""

    since: float
    why: str


def set_doubt(shard: int, doubt: ProberDoubt | None) -> None:
    """Say that the prober of a shard doubts itself (again each second, for as long as it does), or not any more."""
    try:
        with redis_store.broker() as redis:
            if doubt is None:
                redis.hdel(DOUBT_KEY, str(shard))
            else:
                told = {"at": time.time(), "since": doubt.since, "why": doubt.why}
                redis.hset(DOUBT_KEY, str(shard), cast("bytes", msgpack.packb(told)))
    except BrokerLost:
        pass  # then nothing is known anyway


def prober_doubt() -> ProberDoubt | None:
    """Return the longest-standing doubt of any prober; None where each trusts itself, or nothing can be said."""
    try:
        with redis_store.broker() as redis:
            told = _unpacked(cast("list[bytes]", redis.hvals(DOUBT_KEY)))
    except BrokerLost:
        return None
    now = time.time()
    standing = [ProberDoubt(one["since"], one["why"]) for one in told if now - one["at"] <= DOUBT_FOR_S]
    return min(standing, key=lambda doubt: doubt.since, default=None)


def why_nothing_automatic() -> str:
    """Return why no rule may act by itself now, as a sentence; "" where it may. For rules, not for people's clicks."""
    seen = system_liveness()
    if seen.broker != "ok":
        return "The broker does not answer, so nothing that is known is fresh."
    if seen.probes != "ok":
        return "The probes worker does not report, or has not asked everything yet, so nothing that is known is fresh."
    doubt = prober_doubt()
    return f"{doubt.why[:1].upper()}{doubt.why[1:]}." if doubt else ""


def mark_alive(what: str) -> None:
    """Leave a sign of life of ``what`` (a key of ``ALIVE_FOR_S``). A lost broker is not the caller's trouble."""
    try:
        with redis_store.broker() as redis:
            redis.set(f"{ALIVE_PREFIX}{what}", f"{time.time():.3f}", ex=REMEMBERED_S)
    except BrokerLost:
        pass


def watch_words() -> dict[str, str]:
    """Return for each watched check a sentence about its watch connection; empty where the watcher does not report."""
    try:
        with redis_store.broker() as redis:
            kept = redis.get(f"{ALIVE_PREFIX}watched")
    except BrokerLost:
        return {}
    states = cast("dict[str, str]", json.loads(redis_store.text(kept) or "{}"))
    return {
        key: f"not watched: {reason}" if reason else "watched by an open connection" for key, reason in states.items()
    }


def mark_watched(states: Mapping[str, str]) -> None:
    """Leave a sign of life of the watcher, and for each check "" or why it is not watched at the moment."""
    mark_alive("watch")
    try:
        with redis_store.broker() as redis:
            redis.set(f"{ALIVE_PREFIX}watched", json.dumps(dict(states)), ex=WATCHED_FOR_S)
    except BrokerLost:
        pass


def system_liveness() -> Liveness:
    """Return who of us reports. ``probes`` is "waiting" until every check has been asked once."""
    parts = tuple(ALIVE_FOR_S)
    try:
        with redis_store.broker() as redis:
            signs = cast("list[bytes | None]", redis.mget([f"{ALIVE_PREFIX}{part}" for part in parts]))
            shards = _unpacked(cast("list[bytes]", redis.hvals(FRESH_KEY)))
    except BrokerLost:
        return Liveness("lost", "lost", "lost", "lost")
    if not TrustedApplicationPool.objects.filter(watch_connections=True).exists():
        parts, signs = parts[:-1], signs[:-1]
    now = time.time()
    ages = {
        part: None if sign is None else max(0.0, now - float(sign)) for part, sign in zip(parts, signs, strict=True)
    }
    words = {part: _word(age, ALIVE_FOR_S[part]) for part, age in ages.items()}
    if words["probes"] == "ok" and not (shards and all(shard["complete"] for shard in shards)):
        words["probes"] = "waiting"
    return Liveness("ok", words["probes"], words["operations"], words["beat"], words.get("watch", "off"), ages)


def _word(age_s: float | None, limit_s: float) -> str:
    if age_s is None:
        return "waiting"
    return "ok" if age_s <= limit_s else "lost"
