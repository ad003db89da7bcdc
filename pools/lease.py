"""Who may probe a shard now: a lease in Redis with a fencing number; and what its holder exchanges with Redis."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

from pools import live, nudges, redis_store
from pools.estate import VERSION_KEY

LEASE_MS = 2000
SHARD_PREFIX = "a365:shard:"
ASK_PREFIX = "a365:probe-now:"
LATEST_S = 3600

# A fencing number is greater than each before it, also after the broker has lost its memory: never behind the clock,
# in microseconds since 1970, in which no broker can lose its memory and be asked again.
_TAKE = """
if redis.call('EXISTS', KEYS[1]) == 1 then return false end
local now = redis.call('TIME')
local before = redis.call('GET', KEYS[2]) or '0'
local fence = string.format('%.0f', math.max(tonumber(before) + 1, now[1] * 1000000 + now[2]))
redis.call('SET', KEYS[2], fence)
redis.call('SET', KEYS[1], fence, 'PX', ARGV[1])
return {fence, before}
"""
# One that has ended may be renewed too, as long as nobody came between: the fence is still the holder's then.
_RENEW = """
local holder = redis.call('GET', KEYS[1])
if holder ~= ARGV[1] and (holder or redis.call('GET', KEYS[2]) ~= ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
_RELEASE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""
# KEYS: fence, latest, fresh, alive, ask-now. ARGV: fence, shard, latest, ages, epoch, keep (s), latest keep (s).
_FLUSH = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return false end
if ARGV[3] ~= '' then redis.call('SET', KEYS[2], ARGV[3], 'EX', ARGV[7]) end
if ARGV[4] ~= '' then redis.call('HSET', KEYS[3], ARGV[2], ARGV[4]) end
redis.call('SET', KEYS[4], ARGV[5], 'EX', ARGV[6])
return {redis.call('GET', KEYS[6]) or '0', redis.call('SPOP', KEYS[5], 1000)}
"""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to probe a shard. ``previous``: the fence of the holder before; equal to ours: nobody came between."""

    shard: int
    fence: int
    previous: int


@dataclass(frozen=True, slots=True)
class FlushAnswer:
    """What Redis had for the holder: the estate's version, and what is to be asked at once."""

    estate_version: int
    ask_now: frozenset[str]


def _lease_key(shard: int) -> str:
    return f"{SHARD_PREFIX}{shard}:lease"


def _fence_key(shard: int) -> str:
    return f"{SHARD_PREFIX}{shard}:fence"


def take(shard: int) -> Lease | None:
    """Take the lease; None while somebody else holds it. Raises BrokerLost."""
    with redis_store.broker() as redis:
        taken = cast("list[bytes] | None", redis.eval(_TAKE, 2, _lease_key(shard), _fence_key(shard), LEASE_MS))
    return Lease(shard, int(taken[0]), int(taken[1])) if taken else None


def renew(lease: Lease) -> bool:
    """Hold the lease for two more seconds; False where somebody else came between. Raises BrokerLost.

    Never at the same time as ``release``, which it would undo.
    """
    with redis_store.broker() as redis:
        keys = (_lease_key(lease.shard), _fence_key(lease.shard))
        return bool(redis.eval(_RENEW, 2, *keys, lease.fence, LEASE_MS))


def release(lease: Lease) -> None:
    """Give the lease back, where it is still ours. Raises BrokerLost."""
    with redis_store.broker() as redis:
        redis.eval(_RELEASE, 1, _lease_key(lease.shard), lease.fence)


def free_shards(shards: Iterable[int]) -> list[int]:
    """Return those of ``shards`` that nobody holds. Raises BrokerLost."""
    shards = list(shards)
    with redis_store.broker() as redis:
        held = cast("list[bytes | None]", redis.mget([_lease_key(shard) for shard in shards]))
    return [shard for shard, holder in zip(shards, held, strict=True) if holder is None]


def flush(lease: Lease, *, at: float, latest: bytes = b"", ages: bytes = b"") -> FlushAnswer | None:
    """Write the shard's latest states and ages, and a sign of life; None where a later holder has taken over.

    Empty ``latest`` or ``ages`` leave what is there. Raises BrokerLost.
    """
    shard = lease.shard
    keys = [
        _fence_key(shard),
        f"{SHARD_PREFIX}{shard}:latest",
        live.FRESH_KEY,
        f"{live.ALIVE_PREFIX}probes",
        f"{ASK_PREFIX}{shard}",
        VERSION_KEY,
    ]
    values: list[Any] = [lease.fence, shard, latest, ages, f"{at:.3f}", live.REMEMBERED_S, LATEST_S]
    with redis_store.broker() as redis:
        answer = cast("list[Any] | None", redis.eval(_FLUSH, len(keys), *keys, *values))
    if not answer:
        return None
    asked = cast("list[bytes]", answer[1] if len(answer) > 1 and answer[1] else [])
    return FlushAnswer(int(answer[0]), frozenset(redis_store.text(token) for token in asked))


def ask_holders(shards: int, tokens: Iterable[str]) -> None:
    """Leave word for the holders of all shards what to ask at once. Raises BrokerLost."""
    tokens = list(tokens)
    if not tokens:
        return
    with redis_store.broker() as redis, redis.pipeline(transaction=False) as pipeline:
        for shard in range(shards):
            pipeline.sadd(f"{ASK_PREFIX}{shard}", *tokens)
            pipeline.expire(f"{ASK_PREFIX}{shard}", 10)  # nobody wants it any more by then
        pipeline.publish(nudges.CHANNEL, "")
        pipeline.execute()


def forget_other_shards(shards: int) -> None:
    """Drop the ages of shards that are no longer there. Raises BrokerLost."""
    with redis_store.broker() as redis:
        fields = [redis_store.text(field) for field in cast("list[bytes]", redis.hkeys(live.FRESH_KEY))]
        gone = [field for field in fields if not field.isdigit() or int(field) >= shards]
        if gone:
            redis.hdel(live.FRESH_KEY, *gone)
