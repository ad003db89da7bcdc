"""DNS in memory, for the unit tests of what stands above: servers that agree, differ, fall silent or lose an answer."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from dnsops.plan import Answer, Change, RRset
from dnsops.providers.base import Capabilities, Endpoint, Outcome, OutcomeKind


@dataclass
class FakeDns:
    """What each server says. ``silent``: who does not answer; ``stuck``: who does not follow; ``outcome``: forced.

    ``lose_answer``: the change is made, and the answer never comes. ``messages`` counts what was sent.
    """

    records: dict[str, dict[str, RRset]] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    stuck: set[str] = field(default_factory=set)
    outcome: Outcome | None = None
    writable: Outcome | None = None
    lose_answer: bool = False
    swallow: bool = False
    messages: list[Change] = field(default_factory=list)
    applied: list[Change] = field(default_factory=list)
    many: list[list[Change]] = field(default_factory=list)

    def set(self, name: str, rrset: RRset | None, *servers: str) -> None:
        """Make these servers (all, where none is named) say this."""
        for server in servers or tuple(self.records):
            zone = self.records.setdefault(server, {})
            zone.pop(name, None)
            if rrset is not None:
                zone[name] = rrset

    def ask(self, endpoint: Endpoint, name: str, *, timeout_s: float = 1.0) -> Answer:
        """In place of ``dnsops.asking.ask``."""
        if endpoint.name in self.silent:
            return Answer(endpoint.name, "silent", is_writer=endpoint.is_writer, error="no answer")
        rrset = self.records.setdefault(endpoint.name, {}).get(name)
        rcode = "NOERROR" if rrset else "NXDOMAIN"
        return Answer(endpoint.name, "answered", rrset, rcode=rcode, is_writer=endpoint.is_writer)

    async def ask_async(self, endpoint: Endpoint, name: str, *, timeout_s: float = 1.0) -> Answer:
        """In place of ``dnsops.asking.ask_async``."""
        return self.ask(endpoint, name, timeout_s=timeout_s)

    def ask_together(self, endpoints: Sequence[Endpoint], name: str, *, timeout_s: float = 1.0) -> list[Answer]:
        """In place of ``dnsops.asking.ask_together``."""
        return [self.ask(endpoint, name, timeout_s=timeout_s) for endpoint in endpoints]

    @contextmanager
    def asking(self, endpoints: Sequence[Endpoint], name: str, *, timeout_s: float = 1.0) -> Iterator[FakeAsking]:
        """In place of ``dnsops.asking.Asking``."""
        yield FakeAsking(self.ask_together(endpoints, name, timeout_s=timeout_s))

    def ask_pairs(
        self, pairs: Sequence[tuple[Endpoint, str]], *, timeout_s: float = 1.0
    ) -> dict[tuple[Endpoint, str], Answer]:
        """In place of ``dnsops.asking_many.ask_pairs``."""
        return {(endpoint, name): self.ask(endpoint, name, timeout_s=timeout_s) for endpoint, name in pairs}

    def swap(self, writer: Endpoint, change: Change) -> bool:
        """Compare and swap on the writer; the others follow at once, unless they are stuck."""
        present = self.records[writer.name].get(change.name)
        if not change.expected.same_data(present):
            return False
        for server in self.records:
            if server == writer.name or server not in self.stuck:
                self.records[server][change.name] = change.new
        self.applied.append(change)
        return True


@dataclass(frozen=True)
class FakeAsking:
    """What the servers said when they were asked."""

    said: list[Answer]

    def answers(self) -> list[Answer]:
        """The same."""
        return self.said


class FakeProvider:
    """A provider that changes a FakeDns."""

    def __init__(self, dns: FakeDns, writer: Endpoint) -> None:
        self._dns = dns
        self._writer = writer

    @property
    def capabilities(self) -> Capabilities:
        """It compares and swaps."""
        return Capabilities()

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """The writer."""
        return (self._writer,)

    @property
    def writer(self) -> Endpoint:
        """The one server that is changed."""
        return self._writer

    def read(self, endpoint: Endpoint, name: str, *, deadline: float) -> Answer:
        """What the server says."""
        return self._dns.ask(endpoint, name, timeout_s=max(deadline - time.monotonic(), 0.0))

    def check_writable(self, change: Change, *, deadline: float) -> Outcome:
        """READY, unless told otherwise."""
        return self._dns.writable or Outcome(OutcomeKind.READY, "NOERROR", f"{self._writer.name} accepts our key.")

    def change(self, change: Change, *, deadline: float) -> Outcome:
        """Do as a server does, or as was told."""
        self._dns.messages.append(change)
        if self._dns.outcome is not None:
            return self._dns.outcome
        unknown = Outcome(OutcomeKind.UNKNOWN, "", "No answer came. It may or may not have been made.", False)
        if self._dns.swallow:
            return unknown
        done = self._dns.swap(self._writer, change)
        if self._dns.lose_answer:
            return unknown
        if done:
            return Outcome(OutcomeKind.APPLIED, "NOERROR", f"{self._writer.name} made the change.")
        return replace(
            unknown, kind=OutcomeKind.CONFLICT, rcode="NXRRSET", sentence="Not as expected.", authenticated=True
        )

    def refusal_of_many(self, changes: Sequence[Change]) -> str:
        """Everything fits."""
        return ""

    def change_many(self, changes: Sequence[Change], *, deadline: float) -> Outcome:
        """All of them or none, as one message."""
        self._dns.many.append(list(changes))
        if self._dns.outcome is not None:
            return self._dns.outcome
        unknown = Outcome(OutcomeKind.UNKNOWN, "", "No answer came. It may or may not have been made.", False)
        if self._dns.swallow:
            return unknown
        present = self._dns.records[self._writer.name]
        if not all(change.expected.same_data(present.get(change.name)) for change in changes):
            return Outcome(OutcomeKind.CONFLICT, "NXRRSET", "At least one is not what it was, so none was changed.")
        for change in changes:
            self._dns.swap(self._writer, change)
        return unknown if self._dns.lose_answer else Outcome(OutcomeKind.APPLIED, "NOERROR", "dns1 made all changes.")
