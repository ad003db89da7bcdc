"""Pure: which maintenances cover a server. A server is in maintenance if it, its pool, front-end pool or site is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Scope(StrEnum):
    """What is taken out; everything below it is taken out with it."""

    SITE = "site"
    FRONT_END_POOL = "front_end_pool"
    TRUSTED_APPLICATION_POOL = "trusted_application_pool"
    SERVER = "server"

    @property
    def word(self) -> str:
        """As people say it."""
        return self.value.replace("_", " ").replace("front end", "front-end")


_WIDEST_FIRST = tuple(Scope)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server stands: its own id and the ids of what it belongs to."""

    server_id: int
    trusted_application_pool_id: int
    front_end_pool_id: int
    site_id: int

    def id_of(self, scope: Scope) -> int:
        """The id of the thing of this scope that the server belongs to, or is."""
        return {
            Scope.SERVER: self.server_id,
            Scope.TRUSTED_APPLICATION_POOL: self.trusted_application_pool_id,
            Scope.FRONT_END_POOL: self.front_end_pool_id,
            Scope.SITE: self.site_id,
        }[scope]


@dataclass(frozen=True, slots=True)
class Window:
    """One maintenance: of what, why, by whom, from ``starts_at`` until just before ``ends_at`` (aware UTC)."""

    id: int
    scope: Scope
    object_id: int
    name: str
    reason: str
    starts_at: datetime
    ends_at: datetime
    by: str = ""

    def covers(self, place: Place) -> bool:
        """Whether the server at ``place`` is taken out by this one, whenever it is."""
        return place.id_of(self.scope) == self.object_id

    def is_on(self, at: datetime) -> bool:
        """Whether it is going on at ``at``."""
        return self.starts_at <= at < self.ends_at

    @property
    def sentence(self) -> str:
        """Why the server is out: the reason, with what was taken out where that is not the server itself."""
        if self.scope is Scope.SERVER:
            return self.reason
        return f"{self.scope.word} {self.name}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Covering:
    """The maintenances that a server is in now, the widest first; false where there is none.

    ``until``: when the last of them has ended, those included that begin before the ones before them end.
    """

    windows: tuple[Window, ...] = ()
    until: datetime | None = None

    def __bool__(self) -> bool:
        return bool(self.windows)

    @property
    def sentence(self) -> str:
        """Why, in a phrase: each reason once."""
        return "; ".join(dict.fromkeys(window.sentence for window in self.windows))


NOT_COVERED = Covering()


def covering_of(place: Place, windows: Iterable[Window], at: datetime) -> Covering:
    """Return which of ``windows`` the server at ``place`` is in at ``at``, and until when it stays in any."""
    own = sorted((window for window in windows if window.covers(place)), key=lambda window: window.starts_at)
    current = [window for window in own if window.is_on(at)]
    if not current:
        return NOT_COVERED
    until = max(window.ends_at for window in current)
    for window in own:
        if at < window.starts_at <= until:
            until = max(until, window.ends_at)
    ranked = sorted(current, key=lambda window: (_WIDEST_FIRST.index(window.scope), window.starts_at, window.id))
    return Covering(tuple(ranked), until)
