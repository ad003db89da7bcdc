"""Pure: how resolvers and lagging servers turn to a new answer: when to ask again, who is late, when clients follow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from dnsops.lifecycle import Seen
from dnsops.plan import Answer, RRset

SOONEST_S, LATEST_S, UNANSWERED_S = 0.5, 10.0, 5.0
GRACE_S = 2.0
SHARE = "90 %"


@dataclass(frozen=True, slots=True)
class ResolverRow:
    """What one resolver says. ``ttl_s``: for how long it keeps that answer (seconds, when it was asked).

    ``turned_at``: when it was first seen with the new answer; ``before``: when it was last seen without it.
    """

    key: str
    site: str
    name: str
    where: str
    seen: Seen
    text: str
    asked_at: datetime
    ttl_s: int | None = None
    turned_at: datetime | None = None
    before: datetime | None = None

    @property
    def title(self) -> str:
        """How it is called in a sentence."""
        return f"{self.name} ({self.site})"

    @property
    def turns_by(self) -> datetime | None:
        """When the old answer that it keeps runs out; None where it keeps none."""
        if self.seen is not Seen.OLD or self.ttl_s is None:
            return None
        return self.asked_at + timedelta(seconds=self.ttl_s)

    @property
    def ask_at(self) -> datetime | None:
        """When to ask it again: as its old answer runs out, and not seldom; never, once it has turned."""
        if self.turned_at is not None:
            return None
        if self.seen is not Seen.OLD:
            return self.asked_at + timedelta(seconds=UNANSWERED_S)
        wait_s = min(max(float(self.ttl_s or 0), SOONEST_S), LATEST_S)
        return self.asked_at + timedelta(seconds=wait_s)

    def as_dict(self) -> dict[str, Any]:
        """The form in which it is kept as evidence."""
        return {
            "key": self.key,
            "site": self.site,
            "name": self.name,
            "where": self.where,
            "seen": self.seen.value,
            "text": self.text,
            "asked_at": self.asked_at.isoformat(),
            "ttl_s": self.ttl_s,
            "turned_at": self.turned_at.isoformat() if self.turned_at else None,
            "before": self.before.isoformat() if self.before else None,
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> ResolverRow:
        """The inverse of ``as_dict``."""
        return cls(
            key=stored["key"],
            site=stored["site"],
            name=stored["name"],
            where=stored["where"],
            seen=Seen(stored["seen"]),
            text=stored["text"],
            asked_at=datetime.fromisoformat(stored["asked_at"]),
            ttl_s=stored["ttl_s"],
            turned_at=_time(stored["turned_at"]),
            before=_time(stored["before"]),
        )


def _time(text: Any) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) else None


def advance(row: ResolverRow, answer: Answer, *, at: datetime, new: RRset, old: RRset) -> ResolverRow:
    """The row after one more answer. Once turned, it stays turned: what it says later belongs to later changes."""
    if row.turned_at is not None:
        return row
    seen = compare(answer, new=new, old=old)
    ttl_s = answer.rrset.ttl_s if answer.rrset is not None else None
    turned = seen is Seen.NEW
    return replace(
        row,
        seen=seen,
        text=answer.text,
        ttl_s=ttl_s,
        asked_at=at,
        turned_at=at if turned else None,
        before=row.before if turned else at if answer.answered else row.before,
    )


def compare(answer: Answer, *, new: RRset, old: RRset) -> Seen:
    """Say which of the two an answer is. Type and values count, the TTL does not."""
    if not answer.answered:
        return Seen.SILENT if answer.state == "silent" else Seen.ERROR
    if new.same_data(answer.rrset):
        return Seen.NEW
    return Seen.OLD if old.same_data(answer.rrset) else Seen.OTHER


def late_after(*, changed_at: datetime, old_ttl_s: int, longest_lag_s: float) -> datetime:
    """From when on a resolver with the old answer is late.

    It may have taken the old answer at the last moment from a server that lags, and keep it for the whole TTL.
    """
    return changed_at + timedelta(seconds=old_ttl_s + longest_lag_s + GRACE_S)


def is_late(row: ResolverRow, *, now: datetime, limit: datetime) -> bool:
    """Whether it keeps the old answer (or another) for longer than it may. Who does not answer is not known to."""
    return row.turned_at is None and row.seen in {Seen.OLD, Seen.OTHER} and now >= limit


def told(rows: Sequence[ResolverRow], *, now: datetime, limit: datetime) -> str:
    """One sentence about all of them."""
    if not rows:
        return "No resolver is named. Name each site's under Estate → DNS, and they are followed here."
    turned = [row for row in rows if row.turned_at is not None]
    late = [row for row in rows if is_late(row, now=now, limit=limit)]
    dumb = [row for row in rows if row.turned_at is None and row.seen in {Seen.SILENT, Seen.ERROR}]
    waiting = [row for row in rows if row.turned_at is None and row not in late and row not in dumb]
    if len(turned) == len(rows):
        return "The resolver has turned." if len(rows) == 1 else f"All {len(rows)} resolvers have turned."
    parts = [f"{len(turned)} of {len(rows)} resolvers have turned"]
    if waiting:
        parts.append(f"not yet: {_titles(waiting)}")
    if late:
        parts.append(f"late: {', '.join(f'{row.title} says {row.text}' for row in late)}")
    if dumb:
        parts.append(f"could not be asked: {', '.join(f'{row.title} ({row.text})' for row in dumb)}")
    return "; ".join(parts) + "."


def remark(rows: Iterable[ResolverRow], *, now: datetime, limit: datetime) -> str:
    """What the operation's end adds about those that are late; "" where none is."""
    late = [row for row in rows if is_late(row, now=now, limit=limit)]
    if not late:
        return ""
    still = "still gives" if len(late) == 1 else "still give"
    return f"Late: {_titles(late)} {still} another answer, so clients there may stay behind."


def _titles(rows: Iterable[ResolverRow]) -> str:
    return ", ".join(row.title for row in rows)


def within_lag(seen: Seen, *, lag_s: float, changed_at: datetime | None, now: datetime) -> bool:
    """Whether an authoritative server with the old answer is only not there yet, as is normal for it."""
    return seen is Seen.OLD and changed_at is not None and now < changed_at + timedelta(seconds=lag_s)


def clients_moved_by(
    *, changed_at: datetime, old_ttl_s: int, client_cache_s: float, rows: Iterable[ResolverRow] = ()
) -> datetime:
    """When 90 % of clients should have moved.

    Their old answers run out with the old TTL, and programs keep answers of their own for a while: others measured
    90 % within 60 s at a TTL of 20 s. A resolver that is seen to keep the old answer for longer makes it later.
    """
    cached_until = [changed_at + timedelta(seconds=old_ttl_s)]
    cached_until += [until for row in rows if (until := row.turned_at or row.turns_by) is not None]
    return max(cached_until) + timedelta(seconds=client_cache_s)
