"""The chain of the audit log, as pure functions: each entry's hash covers its content and the hash before it."""

from __future__ import annotations

import hashlib
import ipaddress
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any, Protocol

GENESIS = "0" * 64
"""What stands for "the hash before" in the first entry."""

FIELDS = (
    "at",
    "actor_id",
    "actor_name",
    "action",
    "object_type",
    "object_id",
    "object_name",
    "outcome",
    "reason",
    "address",
    "request_id",
    "before",
    "after",
)
"""What an entry's hash covers, besides the hash before it: everything that it says."""


class Chained(Protocol):
    """An entry as it was stored: ``FIELDS``, and these."""

    @property
    def pk(self) -> int:
        """Its number."""
        ...

    @property
    def previous_hash(self) -> str:
        """The hash before it, as it was recorded."""
        ...

    @property
    def hash(self) -> str:
        """Its own hash, as it was recorded."""
        ...


@dataclass(frozen=True, slots=True)
class Head:
    """What the log says about its own end: how many entries, and the hash of the last one."""

    count: int
    last_hash: str


@dataclass(frozen=True, slots=True)
class ChainReport:
    """What a verification found. ``broken_at`` is the entry where it first fails (None: at the end of the log)."""

    ok: bool
    count: int
    last_hash: str
    sentence: str
    broken_at: int | None = None


def canonical(content: Mapping[str, Any]) -> bytes:
    """Return ``content`` as JSON bytes that are the same wherever and whenever they are made."""
    plain = {name: content[name] for name in FIELDS}
    plain["at"] = plain["at"].astimezone(UTC).isoformat(timespec="microseconds")
    plain["address"] = plain["address"] and ipaddress.ip_address(plain["address"]).compressed
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")


def hash_of(previous_hash: str, content: Mapping[str, Any]) -> str:
    """Return the SHA-256, in hex, of an entry that follows ``previous_hash``."""
    return hashlib.sha256(previous_hash.encode("ascii") + b"\n" + canonical(content)).hexdigest()


def content_of(entry: object) -> dict[str, Any]:
    """Return what ``entry`` says, for ``hash_of``."""
    return {name: getattr(entry, name) for name in FIELDS}


def verify(entries: Iterable[Chained], head: Head) -> ChainReport:
    """Walk all entries in their order and say where the chain first breaks.

    ``head`` must have been read before ``entries``: entries appended in between are then verified too and are no fault.
    """
    previous, count = GENESIS, 0
    for entry in entries:
        if entry.previous_hash != previous:
            after = f"after entry {count}" if count else "at the start"
            return _broken(
                count, previous, entry.pk, f"One or more entries were removed, added or reordered {after} of the log."
            )
        if entry.hash != hash_of(previous, content_of(entry)):
            return _broken(count, previous, entry.pk, "Its content is not what was recorded: somebody changed it.")
        previous, count = entry.hash, count + 1
        if count == head.count and entry.hash != head.last_hash:
            return _broken(
                count, previous, entry.pk, "It is not the entry that the log's end names: its end was replaced."
            )
    if count < head.count:
        missing = head.count - count
        sentence = f"The log ends too early: {missing} of {head.count} entries are missing after entry {count}."
        return ChainReport(ok=False, count=count, last_hash=previous, sentence=sentence)
    if not head.count and count:
        sentence = f"The record of the log's end is missing, though there are {count} entries: it was removed."
        return ChainReport(ok=False, count=count, last_hash=previous, sentence=sentence)
    sentence = f"All {count} entries are as they were recorded, and none is missing." if count else "The log is empty."
    return ChainReport(ok=True, count=count, last_hash=previous, sentence=sentence)


def _broken(count: int, last_hash: str, pk: int, sentence: str) -> ChainReport:
    return ChainReport(
        ok=False, count=count, last_hash=last_hash, broken_at=pk, sentence=f"The chain breaks at entry {pk}. {sentence}"
    )
