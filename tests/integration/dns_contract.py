"""The contract that every way of changing DNS keeps on every server: one class of tests, which each server inherits.

A new provider or server needs a ``Server``, a fixture ``running`` that gives it, and what it says differently.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import dns.exception
import dns.name
import dns.query
import dns.tsig
import dns.update
import pytest

from dnsops.asking import ask
from dnsops.plan import Answer, Change, RRset
from dnsops.providers.base import Endpoint, Outcome, OutcomeKind, Provider
from dnsops.providers.rfc2136 import Rfc2136
from dnsops.secrets import SafeKey
from tests.integration import bind
from tests.integration.dns_proxy import DnsProxy, Mode, proxy_before
from tests.waiting import wait_until

RACERS = 20
Kinds = tuple[OutcomeKind, ...]
AUTH, DENIED, CONFIG = (OutcomeKind.AUTH,), (OutcomeKind.DENIED,), (OutcomeKind.CONFIG,)


@dataclass(frozen=True)
class Server:
    """A server under contract, and what signs there. ``secondary``: another server that follows it, if there is one.

    ``name`` may be changed, ``denied_name`` may not. ``frozen``: a zone that takes no updates; "": the secondary.
    """

    writer: Endpoint
    secondary: Endpoint | None = None
    zone: str = "lab.example"
    label: str = "a365web1"
    denied_label: str = "srv1"
    frozen: str = ""

    @property
    def name(self) -> str:
        """The name that may be changed."""
        return f"{self.label}.{self.zone}"

    @property
    def denied_name(self) -> str:
        """A name that may not be changed."""
        return f"{self.denied_label}.{self.zone}"

    def key(self) -> dns.tsig.Key:
        """What may sign a message to it now."""
        raise NotImplementedError

    def provider(self, writer: Endpoint | None = None) -> Provider:
        """A provider with the right key."""
        raise NotImplementedError

    def with_wrong_key(self) -> Provider:
        """A provider whose key the server does not know."""
        raise NotImplementedError

    def with_wrong_secret(self) -> Provider:
        """A provider whose key has the right name and the wrong secret."""
        raise NotImplementedError

    def secrets(self) -> list[str]:
        """What nobody may see."""
        raise NotImplementedError

    def value(self, number: int) -> RRset:
        """What the record says when it points at SRV``number``."""
        return RRset("CNAME", 30, (f"srv{number}.{self.zone}.",))

    def change(self, old: int, new: int) -> Change:
        """From SRV``old`` to SRV``new``."""
        return Change(self.zone, self.name, self.value(old), self.value(new))

    def frozen_change(self) -> tuple[Endpoint, Change]:
        """A change that cannot be made because nothing can be changed there, and where it is asked for."""
        if not self.frozen:
            assert self.secondary is not None
            return self.secondary, self.change(1, 2)
        old = answer_of(self.writer, f"www.{self.frozen}").rrset
        assert old is not None
        return self.writer, Change(self.frozen, f"www.{self.frozen}", old, replace(old, values=("srv2.lab.example.",)))

    def says(self, endpoint: Endpoint | None = None) -> RRset | None:
        """What the record says now."""
        return answer_of(endpoint or self.writer, self.name).rrset

    def put_back(self) -> None:
        """Make the record say SRV1 again, whatever it says."""
        self._make_it(self.value(1))

    def delete(self) -> None:
        """Make the record vanish, as somebody does by hand."""
        self._make_it(None)

    def _make_it(self, rrset: RRset | None) -> None:
        if self.says() == rrset:
            return
        update = dns.update.UpdateMessage(self.zone)
        update.delete(dns.name.from_text(self.name), "CNAME")
        if rrset is not None:
            update.add(dns.name.from_text(self.name), rrset.ttl_s, rrset.rtype, rrset.values[0])
        update.use_tsig(self.key())
        with suppress(dns.tsig.BadSignature, dns.exception.FormError):  # the record says whether it was done
            dns.query.tcp(update, self.writer.address, port=self.writer.port, timeout=5)
        wait_until(lambda: self.says() == rrset, message="the record could not be put back")


@dataclass(frozen=True)
class TsigServer(Server):
    """A server that knows a TSIG key."""

    key_name: str = "a365admin."
    secret: str = ""

    def key(self) -> SafeKey:
        """The right key."""
        return SafeKey(self.key_name, self.secret, "hmac-sha256")

    def provider(self, writer: Endpoint | None = None) -> Rfc2136:
        """A provider with the right key."""
        return Rfc2136(writer or self.writer, self.key)

    def with_wrong_key(self) -> Rfc2136:
        """A key that the server does not know."""
        return Rfc2136(self.writer, partial(SafeKey, "stranger.", secrets.token_bytes(32), "hmac-sha256"))

    def with_wrong_secret(self) -> Rfc2136:
        """The right name, another secret."""
        return Rfc2136(self.writer, partial(SafeKey, self.key_name, secrets.token_bytes(32), "hmac-sha256"))

    def secrets(self) -> list[str]:
        """The key's secret."""
        return [self.secret]


def answer_of(endpoint: Endpoint, name: str) -> Answer:
    """What a server says."""
    return ask(endpoint, name, timeout_s=2)


def soon(seconds: float = 10.0) -> float:
    """A deadline."""
    return time.monotonic() + seconds


def assert_is(outcome: Outcome, kinds: OutcomeKind | Kinds, *words: str) -> None:
    """The kind is right, and the sentence says these words."""
    assert outcome.kind in (kinds if isinstance(kinds, tuple) else (kinds,)), outcome
    for word in words:
        assert word in outcome.sentence, outcome.sentence


class ChangingContract:
    """What every way of changing DNS must do on every server. The class variables are what servers say differently."""

    not_allowed: ClassVar[tuple[Kinds, str]] = (DENIED, "REFUSED")
    not_served: ClassVar[tuple[Kinds, str]] = (CONFIG, "other.example")
    read_only: ClassVar[tuple[Kinds, str]] = (DENIED, "REFUSED")
    down: ClassVar[str] = "could not be reached"
    again: ClassVar[tuple[Kinds, str]] = ((OutcomeKind.CONFLICT,), "no longer")

    @pytest.fixture
    def server(self, running: Server) -> Server:
        running.put_back()
        return running

    def test_a_record_that_is_not_there_is_created_and_one_that_is_there_is_not_touched(self, server: Server) -> None:
        creating = Change(server.zone, server.name, RRset.absent("CNAME"), server.value(2))
        there = server.provider().change(creating, deadline=soon())
        assert_is(there, OutcomeKind.CONFLICT, "nothing was created")
        assert server.says() == server.value(1)

        server.delete()
        assert_is(server.provider().check_writable(creating, deadline=soon()), OutcomeKind.READY)
        assert server.says() is None
        assert_is(server.provider().change(creating, deadline=soon()), OutcomeKind.APPLIED)
        assert server.says() == server.value(2)

    def test_it_applies_a_change_and_every_server_says_so(self, server: Server) -> None:
        outcome = server.provider().change(server.change(1, 2), deadline=soon())
        assert_is(outcome, OutcomeKind.APPLIED, f"CNAME srv2.{server.zone}")
        assert outcome.authenticated
        assert server.says() == server.value(2)
        second = server.secondary or server.writer
        wait_until(lambda: server.says(second) == server.value(2), message="the second server did not follow")

    def test_it_sets_the_ttl_of_the_plan(self, server: Server) -> None:
        change = server.change(1, 2)
        server.provider().change(replace(change, new=replace(change.new, ttl_s=77)), deadline=soon())
        seen = server.says()
        assert seen is not None
        assert seen.ttl_s == 77

    def test_the_same_change_again_is_a_conflict_and_the_record_is_as_desired(self, server: Server) -> None:
        provider, change = server.provider(), server.change(1, 2)
        provider.change(change, deadline=soon())
        outcome = provider.change(change, deadline=soon())
        assert_is(outcome, *self.again)
        assert provider.read(server.writer, server.name, deadline=soon()).rrset == change.new

    def test_a_change_from_a_stale_value_is_a_conflict_and_changes_nothing(self, server: Server) -> None:
        assert_is(server.provider().change(server.change(3, 2), deadline=soon()), OutcomeKind.CONFLICT)
        assert server.says() == server.value(1)

    def test_of_twenty_changes_at_once_exactly_one_is_applied(self, server: Server) -> None:
        provider = server.provider()

        def race(number: int) -> OutcomeKind:
            return provider.change(server.change(1, 100 + number), deadline=soon(20)).kind

        with ThreadPoolExecutor(RACERS) as pool:
            kinds = list(pool.map(race, range(RACERS)))
        assert kinds.count(OutcomeKind.APPLIED) == 1, kinds
        assert kinds.count(OutcomeKind.CONFLICT) == RACERS - 1, kinds
        winner = 100 + kinds.index(OutcomeKind.APPLIED)
        assert server.says() == server.value(winner)

    def test_a_name_that_may_not_be_changed_is_denied(self, server: Server) -> None:
        kinds, words = self.not_allowed
        old = answer_of(server.writer, server.denied_name).rrset
        assert old is not None
        new = replace(old, values=("127.0.0.99",) if old.rtype == "A" else (f"srv99.{server.zone}.",))
        outcome = server.provider().change(Change(server.zone, server.denied_name, old, new), deadline=soon())
        assert_is(outcome, kinds, words)
        assert_says_that_nothing_was_changed(outcome)
        assert answer_of(server.writer, server.denied_name).rrset == old

    def test_a_zone_that_is_not_served_is_a_mistake_of_the_configuration(self, server: Server) -> None:
        kinds, words = self.not_served
        old, new = RRset("CNAME", 30, ("a.other.example.",)), RRset("CNAME", 30, ("b.other.example.",))
        change = Change("other.example", "www.other.example", old, new)
        outcome = server.provider().change(change, deadline=soon())
        assert_is(outcome, kinds, words)
        assert_says_that_nothing_was_changed(outcome)

    def test_a_zone_that_takes_no_updates_says_so(self, server: Server) -> None:
        kinds, words = self.read_only
        endpoint, change = server.frozen_change()
        wait_until(lambda: answer_of(endpoint, change.name).rrset == change.expected, message="it is not as it was")
        outcome = server.provider(endpoint).change(change, deadline=soon())
        assert_is(outcome, kinds, words)
        assert_says_that_nothing_was_changed(outcome)
        assert answer_of(endpoint, change.name).rrset == change.expected

    def test_a_server_that_is_down_cannot_be_reached_and_nothing_was_sent(self, server: Server) -> None:
        nobody = replace(server.writer, address="127.0.0.1", port=bind.free_port())
        outcome = server.provider(nobody).change(server.change(1, 2), deadline=soon())
        assert_is(outcome, OutcomeKind.UNREACHABLE, self.down, "nothing listens there")
        assert_says_that_nothing_was_changed(outcome)
        assert server.provider(nobody).read(nobody, server.name, deadline=soon(1)).error == "nothing listens there"

    def test_asking_whether_it_is_writable_changes_nothing(self, server: Server) -> None:
        assert_is(server.provider().check_writable(server.change(1, 2), deadline=soon()), OutcomeKind.READY)
        assert_is(server.provider().check_writable(server.change(3, 2), deadline=soon()), OutcomeKind.READY)
        assert server.says() == server.value(1)

    def test_testing_a_zone_asks_about_a_name_that_is_not_there(self, server: Server) -> None:
        nothing = RRset("CNAME", 60, ("a365admin-test.invalid.",))
        change = Change(server.zone, f"a365admin-test.{server.zone}", nothing, nothing)
        assert_is(server.provider().check_writable(change, deadline=soon()), OutcomeKind.READY)
        assert answer_of(server.writer, change.name).rrset is None


class ProviderContract(ChangingContract):
    """What every provider that signs must do besides."""

    wrong_key: ClassVar[tuple[Kinds, str]] = (AUTH, "does not know key stranger")
    wrong_secret: ClassVar[tuple[Kinds, str]] = (AUTH, "secret")
    wrong_clock: ClassVar[tuple[Kinds, str]] = ((OutcomeKind.CLOCK,), "NTP")

    @pytest.fixture
    def proxy(self, server: Server) -> Iterator[DnsProxy]:
        with proxy_before(server.writer) as proxy:
            yield proxy

    def test_a_key_that_the_server_does_not_know_says_so(self, server: Server) -> None:
        kinds, words = self.wrong_key
        outcome = server.with_wrong_key().change(server.change(1, 2), deadline=soon())
        assert_is(outcome, kinds, words)
        assert_says_that_nothing_was_changed(outcome)
        assert server.says() == server.value(1)

    def test_a_wrong_secret_says_so(self, server: Server) -> None:
        kinds, words = self.wrong_secret
        outcome = server.with_wrong_secret().change(server.change(1, 2), deadline=soon())
        assert_is(outcome, kinds, words)
        assert_says_that_nothing_was_changed(outcome)
        assert server.says() == server.value(1)

    def test_asking_whether_it_is_writable_with_a_wrong_secret_says_so(self, server: Server) -> None:
        kinds, words = self.wrong_secret
        assert_is(server.with_wrong_secret().check_writable(server.change(1, 2), deadline=soon()), kinds, words)

    def test_a_clock_that_is_ten_minutes_off_says_so(
        self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        kinds, words = self.wrong_clock
        self.put_clock_back(monkeypatch)
        try:
            outcome = server.provider().change(server.change(1, 2), deadline=soon())
        finally:
            monkeypatch.undo()
        assert_is(outcome, kinds, words)
        assert_says_that_nothing_was_changed(outcome)
        assert server.says() == server.value(1)

    def put_clock_back(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let us sign with a clock that is ten minutes slow."""
        sign = dns.tsig.sign

        def late(wire: bytes, key: object, rdata: object, now: int, *rest: object) -> object:
            return sign(wire, key, rdata, now - 600, *rest)  # type: ignore[no-untyped-call]

        monkeypatch.setattr(dns.tsig, "sign", late)

    def test_a_silent_server_leaves_it_unknown_and_takes_no_longer_than_the_deadline(
        self, server: Server, proxy: DnsProxy
    ) -> None:
        proxy.mode = Mode.SILENT
        outcome = server.provider(proxy.endpoint).change(server.change(1, 2), deadline=soon(0.7))
        assert_is(outcome, OutcomeKind.UNKNOWN, "may or may not", "no answer in time")
        assert server.says() == server.value(1)

    @pytest.mark.parametrize("mode", [Mode.REPLY_LOST, Mode.REPLY_HANGS])
    def test_a_lost_answer_leaves_it_unknown_and_reading_decides(
        self, server: Server, proxy: DnsProxy, mode: Mode
    ) -> None:
        proxy.mode = mode
        provider = server.provider(proxy.endpoint)
        outcome = provider.change(server.change(1, 2), deadline=soon(1.5))
        assert_is(outcome, OutcomeKind.UNKNOWN, "may or may not")
        assert not outcome.authenticated
        assert provider.read(server.writer, server.name, deadline=soon()).rrset == server.value(2)

    @pytest.mark.parametrize(
        ("mode", "kind", "changed"),
        [
            (Mode.UNSIGNED, OutcomeKind.UNKNOWN, True),
            (Mode.UNSIGNED_LIE, OutcomeKind.UNKNOWN, False),
            (Mode.UNSIGNED_REFUSED, OutcomeKind.DENIED, False),
            (Mode.ECHOED, OutcomeKind.UNKNOWN, True),
            (Mode.ECHOED_LIE, OutcomeKind.UNKNOWN, False),
            (Mode.ECHOED_REFUSED, OutcomeKind.DENIED, False),
            (Mode.TRUNCATED, OutcomeKind.UNKNOWN, True),
            (Mode.TRUNCATED_SAYS_SO, OutcomeKind.UNKNOWN, True),
            (Mode.GARBAGE, OutcomeKind.UNKNOWN, True),
        ],
    )
    def test_an_answer_without_a_good_signature_is_never_believed_to_be_success(
        self, server: Server, proxy: DnsProxy, mode: Mode, kind: OutcomeKind, changed: bool
    ) -> None:
        proxy.mode = mode
        outcome = server.provider(proxy.endpoint).change(server.change(1, 2), deadline=soon())
        assert outcome.kind is kind, outcome
        assert not outcome.authenticated
        assert bool(outcome.evidence.get("echoed")) == mode.startswith("echoed")
        assert server.says() == server.value(2 if changed else 1)

    def test_no_outcome_shows_a_secret(self, server: Server) -> None:
        outcome = server.provider().change(server.change(1, 2), deadline=soon())
        for secret in server.secrets():
            assert secret not in repr(outcome)
            assert secret not in repr(server.key())


def assert_says_that_nothing_was_changed(outcome: Outcome) -> None:
    """Whoever reads the sentence knows how DNS is."""
    words = ("nothing was changed", "dns is as it was")
    assert any(word in outcome.sentence.lower() for word in words), outcome.sentence
