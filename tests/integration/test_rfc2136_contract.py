"""The contract of a provider, run against real servers: BIND, and the demo's own. Each outcome, and its sentence."""

from __future__ import annotations

import base64
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial

import dns.name
import dns.query
import dns.tsig
import dns.update
import pytest

from a365admin.lab.embedded import RunningLab, running_lab
from dnsops.asking import ask, ask_together
from dnsops.plan import Change, RRset
from dnsops.providers.base import Endpoint, Outcome, OutcomeKind
from dnsops.providers.rfc2136 import Rfc2136
from dnsops.secrets import SafeKey, load_key
from dnsops.verify import ask_all
from tests.integration import bind
from tests.integration.dns_proxy import DnsProxy, Mode, proxy_before
from tests.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.enable_socket]

RACERS = 20


@dataclass(frozen=True)
class Server:
    """A server under contract: where it is, its key, and what it lets us change."""

    writer: Endpoint
    secondary: Endpoint
    key_name: str
    secret: str
    zone: str = "lab.example"
    name: str = "a365web1.lab.example"
    denied_name: str = "srv1.lab.example"

    @property
    def key(self) -> SafeKey:
        """The right key."""
        return SafeKey(self.key_name, self.secret, "hmac-sha256")

    def provider(self, key: dns.tsig.Key | None = None, writer: Endpoint | None = None) -> Rfc2136:
        """A provider with the right key, unless told otherwise."""
        return Rfc2136(writer or self.writer, partial(_give, key or self.key))

    def value(self, number: int) -> RRset:
        """What the record says when it points at SRV``number``."""
        return RRset("CNAME", 30, (f"srv{number}.{self.zone}.",))

    def change(self, old: int, new: int) -> Change:
        """From SRV``old`` to SRV``new``."""
        return Change(self.zone, self.name, self.value(old), self.value(new))

    def says(self, endpoint: Endpoint | None = None) -> RRset | None:
        """What the record says now."""
        return ask(endpoint or self.writer, self.name, timeout_s=2).rrset

    def put_back(self) -> None:
        """Make the record say SRV1 again, whatever it says."""
        update = dns.update.UpdateMessage(self.zone)
        update.delete(dns.name.from_text(self.name))
        update.add(dns.name.from_text(self.name), 30, "CNAME", f"srv1.{self.zone}.")
        update.use_tsig(self.key)
        dns.query.tcp(update, self.writer.address, port=self.writer.port, timeout=3)


def _give(key: dns.tsig.Key) -> dns.tsig.Key:
    return key


def soon(seconds: float = 3.0) -> float:
    """A deadline."""
    return time.monotonic() + seconds


def assert_is(outcome: Outcome, kind: OutcomeKind, *words: str) -> None:
    """The kind is right, and the sentence says these words."""
    assert outcome.kind is kind, outcome
    for word in words:
        assert word in outcome.sentence, outcome.sentence


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[bind.BindPair]:
    with bind.running_bind(tmp_path_factory.mktemp("bind")) as pair:
        yield pair


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLab]:
    with running_lab(tmp_path_factory.mktemp("lab")) as demo:
        yield demo


class ProviderContract:
    """What every provider must do on every server."""

    @pytest.fixture
    def server(self, running: Server) -> Server:
        running.put_back()
        return running

    @pytest.fixture
    def proxy(self, server: Server) -> Iterator[DnsProxy]:
        with proxy_before(server.writer) as proxy:
            yield proxy

    def test_it_applies_a_change_and_both_servers_say_so(self, server: Server) -> None:
        outcome = server.provider().change(server.change(1, 2), deadline=soon())
        assert_is(outcome, OutcomeKind.APPLIED, "CNAME srv2.lab.example")
        assert outcome.authenticated
        assert server.says() == server.value(2)
        wait_until(lambda: server.says(server.secondary) == server.value(2), message="the second server did not follow")

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
        assert_is(outcome, OutcomeKind.CONFLICT, "no longer", "not made")
        assert provider.read(server.writer, server.name, deadline=soon()).rrset == change.new

    def test_a_change_from_a_stale_value_is_a_conflict_and_changes_nothing(self, server: Server) -> None:
        assert_is(server.provider().change(server.change(3, 2), deadline=soon()), OutcomeKind.CONFLICT)
        assert server.says() == server.value(1)

    def test_of_twenty_changes_at_once_exactly_one_is_applied(self, server: Server) -> None:
        provider = server.provider()

        def race(number: int) -> OutcomeKind:
            return provider.change(server.change(1, 100 + number), deadline=soon(10)).kind

        with ThreadPoolExecutor(RACERS) as pool:
            kinds = list(pool.map(race, range(RACERS)))
        assert kinds.count(OutcomeKind.APPLIED) == 1, kinds
        assert kinds.count(OutcomeKind.CONFLICT) == RACERS - 1, kinds
        winner = 100 + kinds.index(OutcomeKind.APPLIED)
        assert server.says() == server.value(winner)

    def test_a_key_that_the_server_does_not_know_says_so(self, server: Server) -> None:
        stranger = SafeKey("stranger.", secrets.token_bytes(32), "hmac-sha256")
        outcome = server.provider(stranger).change(server.change(1, 2), deadline=soon())
        assert_is(outcome, OutcomeKind.AUTH, "does not know key stranger", "Nothing was changed")
        assert server.says() == server.value(1)

    def test_a_wrong_secret_says_so(self, server: Server) -> None:
        wrong = SafeKey(server.key_name, secrets.token_bytes(32), "hmac-sha256")
        outcome = server.provider(wrong).change(server.change(1, 2), deadline=soon())
        assert_is(outcome, OutcomeKind.AUTH, "secret", "Nothing was changed")
        assert server.says() == server.value(1)

    def test_a_clock_that_is_ten_minutes_off_says_so(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        sign = dns.tsig.sign

        def late(wire: bytes, key: object, rdata: object, now: int, *rest: object) -> object:
            return sign(wire, key, rdata, now - 600, *rest)  # type: ignore[no-untyped-call]

        monkeypatch.setattr(dns.tsig, "sign", late)
        outcome = _without(monkeypatch, server.provider(), server.change(1, 2))
        assert_is(outcome, OutcomeKind.CLOCK, "clocks", "NTP", "Nothing was changed")
        assert server.says() == server.value(1)

    def test_a_name_that_the_key_may_not_change_is_denied(self, server: Server) -> None:
        old = ask(server.writer, server.denied_name, timeout_s=2).rrset
        assert old is not None
        change = Change(server.zone, server.denied_name, old, replace(old, values=("127.0.0.99",)))
        outcome = server.provider().change(change, deadline=soon())
        assert_is(outcome, OutcomeKind.DENIED, "REFUSED", server.denied_name, "Nothing was changed")
        assert ask(server.writer, server.denied_name, timeout_s=2).rrset == old

    def test_a_zone_that_is_not_served_is_a_mistake_of_the_configuration(self, server: Server) -> None:
        old, new = RRset("CNAME", 30, ("a.other.example.",)), RRset("CNAME", 30, ("b.other.example.",))
        change = Change("other.example", "www.other.example", old, new)
        outcome = server.provider().change(change, deadline=soon())
        assert_is(outcome, OutcomeKind.CONFIG, "other.example", "Nothing was changed")

    def test_a_server_that_is_down_cannot_be_reached_and_nothing_was_sent(self, server: Server) -> None:
        nobody = Endpoint("dns1", "127.0.0.1", bind.free_port(), is_writer=True)
        outcome = server.provider(writer=nobody).change(server.change(1, 2), deadline=soon())
        assert_is(outcome, OutcomeKind.UNREACHABLE, "nothing was sent", "nothing was changed")
        assert ask(nobody, server.name, timeout_s=1).state == "error"

    def test_a_silent_server_leaves_it_unknown_and_takes_no_longer_than_the_deadline(
        self, server: Server, proxy: DnsProxy
    ) -> None:
        proxy.mode = Mode.SILENT
        started = time.monotonic()
        outcome = server.provider(writer=proxy.endpoint).change(server.change(1, 2), deadline=soon(0.5))
        assert time.monotonic() - started < 1.5
        assert_is(outcome, OutcomeKind.UNKNOWN, "may or may not")
        assert server.says() == server.value(1)

    @pytest.mark.parametrize("mode", [Mode.REPLY_LOST, Mode.REPLY_HANGS])
    def test_a_lost_answer_leaves_it_unknown_and_reading_decides(
        self, server: Server, proxy: DnsProxy, mode: Mode
    ) -> None:
        proxy.mode = mode
        provider = server.provider(writer=proxy.endpoint)
        outcome = provider.change(server.change(1, 2), deadline=soon(0.7))
        assert_is(outcome, OutcomeKind.UNKNOWN, "may or may not")
        assert not outcome.authenticated
        assert provider.read(proxy.endpoint, server.name, deadline=soon()).rrset == server.value(2)

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
            (Mode.GARBAGE, OutcomeKind.UNKNOWN, True),
        ],
    )
    def test_an_answer_without_a_good_signature_is_never_believed_to_be_success(
        self, server: Server, proxy: DnsProxy, mode: Mode, kind: OutcomeKind, changed: bool
    ) -> None:
        proxy.mode = mode
        outcome = server.provider(writer=proxy.endpoint).change(server.change(1, 2), deadline=soon())
        assert outcome.kind is kind, outcome
        assert not outcome.authenticated
        assert bool(outcome.evidence.get("echoed")) == mode.startswith("echoed")
        assert server.says() == server.value(2 if changed else 1)

    def test_asking_whether_it_is_writable_changes_nothing(self, server: Server) -> None:
        assert_is(server.provider().check_writable(server.change(1, 2), deadline=soon()), OutcomeKind.READY)
        assert_is(server.provider().check_writable(server.change(3, 2), deadline=soon()), OutcomeKind.READY)
        assert server.says() == server.value(1)

    def test_asking_whether_it_is_writable_with_a_wrong_secret_says_so(self, server: Server) -> None:
        wrong = SafeKey(server.key_name, secrets.token_bytes(32), "hmac-sha256")
        outcome = server.provider(wrong).check_writable(server.change(1, 2), deadline=soon())
        assert_is(outcome, OutcomeKind.AUTH, "secret")

    def test_no_outcome_shows_the_secret(self, server: Server) -> None:
        outcome = server.provider().change(server.change(1, 2), deadline=soon())
        assert server.secret not in repr(outcome)
        assert server.secret not in repr(server.key)

    def test_every_server_is_asked_at_once(self, server: Server) -> None:
        answers = ask_all([server.writer, server.secondary], server.name, timeout_s=2)
        assert [answer.server for answer in answers] == [server.writer.name, server.secondary.name]
        assert all(answer.answered for answer in answers)


def _without(monkeypatch: pytest.MonkeyPatch, provider: Rfc2136, change: Change) -> Outcome:
    """Change, and mend the clock again."""
    try:
        return provider.change(change, deadline=soon())
    finally:
        monkeypatch.undo()


@pytest.mark.skipif(bind.NAMED is None, reason="named is not installed (apt install bind9)")
class TestBind(ProviderContract):
    """BIND 9, primary and secondary, update-policy for each name."""

    @pytest.fixture
    def running(self, pair: bind.BindPair) -> Server:
        return Server(pair.primary, pair.secondary, f"{bind.KEY_NAME}.", pair.secret)

    def test_the_key_file_of_tsig_keygen_is_read(self, server: Server, pair: bind.BindPair) -> None:
        key = load_key(name=bind.KEY_NAME, algorithm=bind.ALGORITHM, reference=f"file:{pair.secret_file}")
        outcome = server.provider(key).change(server.change(1, 2), deadline=soon())
        assert outcome.kind is OutcomeKind.APPLIED

    def test_an_address_is_swapped_and_never_put_beside_a_cname(self, server: Server) -> None:
        name = "a365addr.lab.example"
        first, second = RRset("A", 30, ("127.0.0.11",)), RRset("A", 30, ("127.0.0.12",))
        provider = server.provider()
        assert provider.change(Change(server.zone, name, first, second), deadline=soon()).kind is OutcomeKind.APPLIED
        assert provider.change(Change(server.zone, name, second, first), deadline=soon()).kind is OutcomeKind.APPLIED
        beside = Change(server.zone, server.name, first, second)
        assert provider.change(beside, deadline=soon()).kind is OutcomeKind.CONFLICT
        assert server.says() == server.value(1)

    def test_the_secondary_refuses_to_be_written(self, server: Server) -> None:
        outcome = server.provider(writer=server.secondary).change(server.change(1, 2), deadline=soon())
        assert outcome.kind in {OutcomeKind.DENIED, OutcomeKind.CONFIG}, outcome
        assert "Nothing was changed" in outcome.sentence

    def test_a_primary_that_was_killed_cannot_be_reached(self, server: Server, pair: bind.BindPair) -> None:
        pair.stop("primary")
        try:
            outcome = server.provider().change(server.change(1, 2), deadline=soon())
            assert outcome.kind is OutcomeKind.UNREACHABLE
        finally:
            pair.start("primary")


class TestDemo(ProviderContract):
    """The demo estate's own DNS servers."""

    @pytest.fixture
    def running(self, demo: RunningLab) -> Server:
        first, second = (Endpoint(d.name, d.address, d.port, i == 0) for i, d in enumerate(demo.config.dns))
        return Server(first, second, demo.config.tsig.name, demo.config.tsig_secret())


def test_a_closed_port_is_told_from_a_silent_server() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        endpoint = Endpoint("dns9", "127.0.0.1", silent.getsockname()[1])
        assert ask(endpoint, "a365web1.lab.example", timeout_s=0.3).state == "silent"
    assert ask(endpoint, "a365web1.lab.example", timeout_s=0.3).error == "nothing listens there"


def test_a_secret_in_base64_makes_a_key() -> None:
    assert SafeKey("k.", base64.b64encode(b"x" * 32).decode(), "hmac-sha256").secret == b"x" * 32


def test_all_servers_are_asked_at_once_so_that_silent_ones_do_not_add_up() -> None:
    with ExitStack() as sockets:
        silent = [sockets.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(50)]
        for udp in silent:
            udp.bind(("127.0.0.1", 0))
            udp.setblocking(False)
        endpoints = [Endpoint(f"dns{udp.getsockname()[1]}", "127.0.0.1", udp.getsockname()[1]) for udp in silent]
        answers = ask_together(endpoints, "a365web1.lab.example", timeout_s=0.3)
        # One after the other, the first would have used up the time, and the rest would never have been asked.
        assert all(udp.recv(512) for udp in silent)
    assert [answer.state for answer in answers] == ["silent"] * 50


def test_a_server_whose_tcp_hangs_after_a_cut_answer_does_not_make_the_others_silent(demo: RunningLab) -> None:
    good = Endpoint("dns1", "127.0.0.1", demo.dns_ports[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
        port = bind.free_port()
        udp.bind(("127.0.0.1", port))
        udp.settimeout(3)
        tcp.bind(("127.0.0.1", port))
        tcp.listen()  # takes the connection, and never answers

        def cut_everything_short() -> None:
            with suppress(OSError):
                while True:
                    query, client = udp.recvfrom(512)
                    udp.sendto(query[:2] + bytes([query[2] | 0x82]) + query[3:], client)

        cutter = threading.Thread(target=cut_everything_short)
        cutter.start()
        answers = ask_together([Endpoint("dns9", "127.0.0.1", port), good], "a365web1.lab.example", timeout_s=1.0)
        cutter.join()
    assert [answer.state for answer in answers] == ["silent", "answered"]
