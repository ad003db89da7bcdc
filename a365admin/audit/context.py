"""Who is acting now, from where, in which request: set at the edge (middleware, task, command), read by the log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Acting:
    """The actor of what happens now. ``address`` is None where there is no network peer (a task, a command)."""

    actor_id: int | None = None
    actor_name: str = "system"
    address: str | None = None
    request_id: str = ""


_SYSTEM = Acting()
_acting: ContextVar[Acting] = ContextVar("acting", default=_SYSTEM)


def acting() -> Acting:
    """Return the actor of what happens now; ``system`` where nobody was named."""
    return _acting.get()


@contextmanager
def act_as(actor: Acting) -> Iterator[None]:
    """Name the actor for everything inside the block."""
    token = _acting.set(actor)
    try:
        yield
    finally:
        _acting.reset(token)
