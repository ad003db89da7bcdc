"""The contract, against BIND and the demo's own servers with TSIG, and how a server is asked what it says."""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from a365admin.lab.embedded import RunningLab, running_lab
from dnsops.asking import ask, ask_together
from dnsops.plan import Change, RRset
from dnsops.providers.base import Endpoint, OutcomeKind
from dnsops.providers.rfc2136 import Rfc2136
from dnsops.secrets import SafeKey, load_key
from tests.integration import bind
from tests.integration.dns_contract import ProviderContract, Server, TsigServer, soon

pytestmark = [pytest.mark.once]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[bind.BindPair]:
    with bind.running_bind(tmp_path_factory.mktemp("bind")) as pair:
        yield pair


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLab]:
    with running_lab(tmp_path_factory.mktemp("lab")) as demo:
        yield demo


@pytest.mark.skipif(bind.NAMED is None, reason="named is not installed (apt install bind9)")
class TestBind(ProviderContract):
    """BIND 9, primary and secondary, update-policy for each name."""

    @pytest.fixture
    def running(self, pair: bind.BindPair) -> Server:
        return TsigServer(pair.primary, pair.secondary, frozen=bind.FROZEN, secret=pair.secret)

    def test_the_key_file_of_tsig_keygen_is_read(self, server: Server, pair: bind.BindPair) -> None:
        key = load_key(name=bind.KEY_NAME, algorithm=bind.ALGORITHM, reference=f"file:{pair.secret_file}")
        outcome = Rfc2136(server.writer, lambda: key).change(server.change(1, 2), deadline=soon())
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
        outcome = server.provider(server.secondary).change(server.change(1, 2), deadline=soon())
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
        return TsigServer(first, second, key_name=demo.config.tsig.name, secret=demo.config.tsig_secret())


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
