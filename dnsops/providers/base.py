"""What every way of changing DNS looks like, and the ways in which a change can go."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from dnsops.plan import Answer, Change


class OutcomeKind(StrEnum):
    """How an attempt went. UNKNOWN: it may have been made; only reading the record can tell."""

    APPLIED = "applied"
    ALREADY = "already"  # the record is as desired, though not by this message
    READY = "ready"  # a check that changes nothing went well
    BY_HAND = "by_hand"  # a person has to make it; the evidence holds the commands
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
    """A DNS server's name, IP address and port. ``host_name``: its own full name, which Kerberos knows it by.

    ``recursive``: a resolver, which is asked as its clients ask it.
    """

    name: str
    address: str
    port: int = 53
    is_writer: bool = False
    expected_lag_s: float = 0.0
    host_name: str = ""
    recursive: bool = False

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


class CannotSignError(Exception):
    """A message cannot be signed, so nothing was sent. ``kind`` and the message say why, and what to do."""

    def __init__(self, kind: OutcomeKind, sentence: str) -> None:
        super().__init__(sentence)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a way of changing DNS can do.

    ``compare_and_swap``: the server itself refuses unless the record is exactly as expected. ``by_hand``: a person
    makes the change; ``change()`` gives the commands and never sends anything. ``tickets``: ``keep_warm()`` fetches
    beforehand what signing needs, so that a change does not wait for it.
    """

    compare_and_swap: bool = True
    by_hand: bool = False
    tickets: bool = False


class Provider(Protocol):
    """A way of changing records on the writer. None of these raises for what a network or a server may do."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        ...

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Every authoritative server that it knows of, the writer first."""
        ...

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
        """Send one message: exactly ``expected`` becomes ``new``, or nothing happens.

        It is sent once. Only where the server says that it does not accept the key, it is sent once more with the next
        key, if there is one: the prerequisite lets one of them through at most.
        """
        ...


@runtime_checkable
class ChangesMany(Protocol):
    """What a provider is as well if it can change many records of a zone all or nothing."""

    def refusal_of_many(self, changes: Sequence[Change]) -> str:
        """Why these changes cannot be made together, as a sentence; "" where they can."""
        ...

    def change_many(self, changes: Sequence[Change], *, deadline: float) -> Outcome:
        """Make all of them or none. A CONFLICT does not say which record it was: read them. Sent once, never again."""
        ...


class KeepsTickets(Protocol):
    """What a provider whose capabilities say ``tickets`` can do besides."""

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Every authoritative server, the writer first."""
        ...

    def keep_warm(self, *, deadline: float) -> Mapping[Endpoint, str]:
        """Renew the tickets for every name server where they are getting old. Returns what went wrong, by server.

        Raises ``dnsops.secrets.SecretError`` where what proves who we are cannot be read.
        """
        ...

    def kept_until(self, endpoint: Endpoint) -> float | None:
        """Until when (``time.time()``) the kept ticket for this server is good; None where there is none."""
        ...


@dataclass(frozen=True, slots=True)
class KeySetup:
    """What signs: a TSIG key, or a Kerberos account. ``reference`` says where the secret or keytab is, never what."""

    name: str
    reference: str
    algorithm: str = ""
    principal: str = ""
    realm: str = ""
    kdcs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Setup:
    """What a provider is made from. ``endpoints``: the writer first. ``keys``: the one to try first, first.

    ``folder``: where it may keep files of its own, which nobody else may read.
    """

    zone: str
    endpoints: tuple[Endpoint, ...]
    keys: tuple[KeySetup, ...]
    folder: Path


@dataclass(frozen=True, slots=True)
class ProviderKind:
    """A way of changing DNS, as a module of this package declares it in ``KIND``; ``registry.py`` finds it.

    ``slug`` is stored (at most 12 characters), ``label`` is shown. ``key_kind``: the kind of update key that it needs,
    "" where it needs none.
    """

    slug: str
    label: str
    key_kind: str
    build: Callable[[Setup], Provider]
