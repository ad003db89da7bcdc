"""What every way of changing DNS looks like, and the ways in which a change can go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from dnsops.plan import Answer, Change


class OutcomeKind(StrEnum):
    """How an attempt went. UNKNOWN: it may have been made; only reading the record can tell."""

    APPLIED = "applied"
    ALREADY = "already"  # the record is as desired, though not by this message
    READY = "ready"  # a check that changes nothing went well
    CONFLICT = "conflict"  # the record is not what was expected; nothing was changed
    DENIED = "denied"
    AUTH = "auth"
    CLOCK = "clock"
    CONFIG = "config"
    SERVER = "server"
    UNREACHABLE = "unreachable"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A DNS server's name, IP address and port."""

    name: str
    address: str
    port: int = 53
    is_writer: bool = False
    expected_lag_s: float = 0.0

    def __str__(self) -> str:
        return f"{self.name} ({self.address}:{self.port})"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt went. ``sentence``: what happened, whether DNS changed, what to do.

    ``authenticated`` is False where an answer came that was not signed as it should be: the record has to be read
    before the outcome can be believed. ``evidence`` holds what was seen, and never a secret.
    """

    kind: OutcomeKind
    rcode: str
    sentence: str
    authenticated: bool = True
    evidence: Mapping[str, Any] = field(default_factory=dict)


class Provider(Protocol):
    """A way of changing records on the writer. None of these raises for what a network or a server may do."""

    @property
    def writer(self) -> Endpoint:
        """The one server that is changed."""
        ...

    def read(self, endpoint: Endpoint, name: str, *, deadline: float) -> Answer:
        """What ``endpoint`` says about ``name``. ``deadline`` is a ``time.monotonic()`` value, here and below."""
        ...

    def check_writable(self, change: Change, *, deadline: float) -> Outcome:
        """READY when the writer accepts our key; changes nothing. It does not prove permission to write the record."""
        ...

    def change(self, change: Change, *, deadline: float) -> Outcome:
        """Send one message: exactly ``expected`` becomes ``new``, or nothing happens. Sends it once, never again."""
        ...
