"""Probing over real sockets: each cause is told apart; the engine settles quickly and piles nothing up."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import itertools
import os
import resource
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pools.health import CheckKind
from pools.probing.asking import ask_once, tcp_result
from pools.probing.engine import Engine
from pools.probing.result import Cause, ProbeResult
from pools.probing.tcp import TcpSweep, place
from pools.specs import Check

pytestmark = [pytest.mark.enable_socket, pytest.mark.once]

HOST = "a365web1.corp.example"
ADDRESS = f"127.{os.getpid() % 200 + 20}.0.1"
Handler = Callable[[socket.socket], None]
_numbers = itertools.count(1)


def ucc(port: int, **changes: float) -> Check:
    number = next(_numbers)
    return Check(f"ucc:{number}:{number}", CheckKind.UCC, "UCC", ADDRESS, port, server_id=number, **changes)  # type: ignore[arg-type]


def web(port: int, timeout_s: float = 2.0, path: str = "/", expected_text: str = "") -> list[Check]:
    return [
        Check(
            f"{kind.value}:1:1",
            kind,
            "web",
            ADDRESS,
            port,
            host=HOST,
            path=path,
            server_id=1,
            timeout_s=timeout_s,
            expected_text=expected_text,
        )
        for kind in (CheckKind.WEB, CheckKind.CERT)
    ]


def ask_dns(port: int) -> Check:
    return Check("dns:1:1", CheckKind.DNS, "dns1: x", ADDRESS, port, host=HOST, record_type="CNAME", name_server="dns1")


def ask(*checks: Check, timeout_s: float = 2.0, ca_file: str = "") -> dict[str, ProbeResult]:
    return asyncio.run(ask_once(checks, timeout_s, ca_file=ca_file))


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind((ADDRESS, 0))
        return int(sock.getsockname()[1])


@contextlib.contextmanager
def listening(handler: Handler | None = None) -> Iterator[int]:
    """A TCP listener; ``handler`` gets each connection in its one thread. Without it the kernel alone accepts."""
    with socket.create_server((ADDRESS, 0)) as server:
        done = threading.Event()

        def serve() -> None:
            server.settimeout(0.05)
            while not done.is_set():
                with contextlib.suppress(OSError), server.accept()[0] as connection:
                    connection.settimeout(5)
                    assert handler is not None
                    handler(connection)

        thread = threading.Thread(target=serve, daemon=True) if handler else None
        if thread:
            thread.start()
        try:
            yield int(server.getsockname()[1])
        finally:
            done.set()
            if thread:
                thread.join(5)


@contextlib.contextmanager
def silent() -> Iterator[int]:
    """A port whose queue is full: the kernel drops every further SYN, as a firewall would."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind((ADDRESS, 0))
        server.listen(0)
        for _ in range(4):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        yield int(server.getsockname()[1])


# ----------------------------------------------------------------------------------------------------------------- TCP


def test_a_ucc_that_listens_answers() -> None:
    with listening() as port:
        check = ucc(port)
        result = ask(check)[check.key]
    assert (result.ok, result.cause) == (True, Cause.OK)
    assert result.latency_ms is not None


def test_a_port_on_which_nothing_listens_is_refused() -> None:
    check = ucc(free_port())
    result = ask(check)[check.key]
    assert (result.ok, result.cause) == (False, Cause.REFUSED)
    assert "nothing listens" in result.sentence


def test_a_network_to_which_there_is_no_way_is_no_route() -> None:
    check = replace(ucc(443), address="255.255.255.255")  # no TCP connection can be made to everybody
    result = ask(check)[check.key]
    assert (result.ok, result.cause) == (False, Cause.NO_ROUTE)
    assert result.sentence.startswith("no route")


def test_a_silent_port_times_out_and_holds_nothing_else_up() -> None:
    with silent() as port, listening() as good:
        checks = [ucc(port, timeout_s=0.3) for _ in range(50)] + [ucc(good)]
        started = time.monotonic()
        results = ask(*checks)
        took_s = time.monotonic() - started
    assert [results[check.key].cause for check in checks] == [Cause.TIMEOUT] * 50 + [Cause.OK]
    assert results[checks[0].key].sentence == "no answer within 0.3 s"
    assert took_s < 1.5


def test_an_answer_that_is_there_counts_however_late_it_is_read() -> None:
    sweep: TcpSweep[str] = TcpSweep()
    with listening() as port:
        sweep.start("one", place(ADDRESS, port), now=100.0, timeout_s=2.0)
        assert [(what, code) for what, code, _ in sweep.ready(1_000_000.0)] == [("one", 0)]
        assert sweep.expired(1_000_000.0) == []
    sweep.close()


def test_half_open_connects_are_answered_and_never_accepted() -> None:
    with socket.create_server((ADDRESS, 0)) as server:
        server.setblocking(False)
        port = int(server.getsockname()[1])
        engine = Engine(half_open=True)
        checks = [ucc(port, interval_s=0.2) for _ in range(5)]
        engine.set_checks(checks)
        got = run_engine(engine, 1.0)
        engine.close()
        assert {result.cause for _, result in got} == {Cause.OK}
        with pytest.raises(BlockingIOError):
            server.accept()
        whole = Engine()
        whole.set_checks(checks)
        run_engine(whole, 1.0)
        whole.close()
        server.accept()[0].close()


def test_without_descriptors_the_prober_says_so_and_nothing_is_down() -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with listening() as port, contextlib.ExitStack() as stack:
        check = ucc(port)
        sweep: TcpSweep[Check] = TcpSweep()
        stack.callback(sweep.close)
        open_now = len(list(Path("/proc/self/fd").iterdir()))
        resource.setrlimit(resource.RLIMIT_NOFILE, (open_now + 20, limits[1]))
        try:
            with contextlib.suppress(OSError):
                while True:
                    stack.enter_context(socket.socket())
            sweep.start(check, place(ADDRESS, port), now=0.0, timeout_s=1.0)
            ended = sweep.ready(0.0)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    [(what, code, took_s)] = ended
    result = tcp_result(what, 0.0, code, took_s)
    assert (result.ok, result.cause) == (None, Cause.LOCAL)
    assert "LimitNOFILE" in result.sentence


# ----------------------------------------------------------------------------------------------------------------- web


class Authority:
    """A certificate authority of our own, for the tests."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test CA")])
        self.ca_file = directory / "ca.pem"
        certificate = self._sign(self.name, self._key, x509.BasicConstraints(ca=True, path_length=None), 100)
        self.ca_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def context(self, *names: str, days: int = 100) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        san = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        certificate = self._sign(x509.Name([]), key, san, days)
        path = self._directory / f"server-{next(_numbers)}.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def _sign(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType, days: int
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=days))
            .add_extension(extension, critical=True)
            .sign(self._key, hashes.SHA256())
        )


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@contextlib.contextmanager
def web_server(
    context: ssl.SSLContext, reply: bytes, *, heard: list[bytes] | None = None, wait_s: float = 0
) -> Iterator[int]:
    def handle(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as tls:
            request = tls.recv(4096)
            if heard is not None:
                heard.append(request)
            time.sleep(wait_s)
            tls.sendall(reply)

    with listening(handle) as port:
        yield port


def reply(status: str, *headers: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", "Content-Length: 2", *headers, "", "hi"]).encode()


def test_web_services_are_asked_under_the_hostname_at_their_own_address(authority: Authority) -> None:
    heard: list[bytes] = []
    names: list[str | None] = []
    context = authority.context(HOST)
    context.sni_callback = lambda _tls, name, _context: names.append(name)
    with web_server(context, reply("200 OK"), heard=heard) as port:
        results = ask(*web(port, path="/Attendant"))
    assert {key: result.cause for key, result in results.items()} == {"web:1:1": Cause.OK, "cert:1:1": Cause.OK}
    assert results["web:1:1"].evidence == {"status": 200}
    assert names == [HOST]
    assert heard[0].startswith(b"GET /Attendant HTTP/1.1\r\n")
    assert f"Host: {HOST}\r\n".encode() in heard[0]
    assert len(heard) == 1, "the certificate is looked at in the connection of the web check"


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (reply("401 Unauthorized"), Cause.OK),
        (reply("302 Found", "Location: /Attendant/"), Cause.OK),
        (reply("302 Found", "Location: https://sso.corp.example/"), Cause.REDIRECT),
        (reply("503 Service Unavailable"), Cause.HTTP_STATUS),
        (reply("404 Not Found"), Cause.HTTP_STATUS),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", Cause.WRONG_ANSWER),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000, Cause.WRONG_ANSWER),
        (b"", Cause.RESET),
    ],
)
def test_each_web_answer_has_its_cause(authority: Authority, answer: bytes, cause: Cause) -> None:
    with web_server(authority.context(HOST), answer) as port:
        result = ask(*web(port))["web:1:1"]
    assert result.cause is cause
    assert result.ok is (cause is Cause.OK)


def page(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (page("<title>Attendant für alle</title>".encode()), Cause.OK),
        (page("<title>Attendant für alle</title>".encode("latin-1")), Cause.OK),
        (page(b"x" * 60_000 + "Attendant für alle".encode()), Cause.OK),
        (page(b"<title>IIS Windows Server</title>"), Cause.WRONG_ANSWER),
        (page(b""), Cause.WRONG_ANSWER),
        (page(b"x" * 70_000 + "Attendant für alle".encode()), Cause.WRONG_ANSWER),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\ncut off", Cause.WRONG_ANSWER),
        (reply("401 Unauthorized"), Cause.OK),
        (reply("503 Service Unavailable"), Cause.HTTP_STATUS),
    ],
)
def test_a_page_that_must_hold_a_text_is_bad_without_it(authority: Authority, answer: bytes, cause: Cause) -> None:
    with web_server(authority.context(HOST), answer) as port:
        result = ask(*web(port, expected_text="Attendant für alle"))["web:1:1"]
    assert result.cause is cause
    if cause is Cause.WRONG_ANSWER:
        assert "Attendant für alle" in result.sentence or "HTTP" in result.sentence


def test_a_slow_web_server_times_out_but_its_certificate_was_seen(authority: Authority) -> None:
    with web_server(authority.context(HOST), reply("200 OK"), wait_s=1.0) as port:
        results = ask(*web(port, timeout_s=0.4))
    assert results["web:1:1"].cause is Cause.TIMEOUT
    assert results["web:1:1"].sentence == "connected, but no web answer within 0.4 s"
    assert results["cert:1:1"].cause is Cause.OK


def test_a_wrong_name_degrades_the_certificate_and_leaves_the_web_services_up(authority: Authority) -> None:
    with web_server(authority.context("srv1.corp.example"), reply("200 OK")) as port:
        results = ask(*web(port))
    assert (results["web:1:1"].ok, results["cert:1:1"].cause) == (True, Cause.WRONG_NAME)
    assert results["cert:1:1"].degraded


def test_a_chain_is_verified_where_authorities_are_given(authority: Authority, tmp_path: Path) -> None:
    stranger = Authority(tmp_path)
    with web_server(authority.context(HOST), reply("200 OK")) as port:
        assert ask(*web(port), ca_file=str(authority.ca_file))["cert:1:1"].cause is Cause.OK
        results = ask(*web(port), ca_file=str(stranger.ca_file))
    assert (results["web:1:1"].ok, results["cert:1:1"].cause) == (True, Cause.UNTRUSTED)


def test_a_server_that_speaks_no_tls_has_failed_at_tls() -> None:
    with listening(lambda connection: connection.sendall(b"HTTP/1.0 400 no\r\n\r\n")) as port:
        results = ask(*web(port))
    assert results["web:1:1"].cause is Cause.TLS
    assert (results["cert:1:1"].cause, results["cert:1:1"].degraded) == (Cause.TLS, True)


@pytest.mark.parametrize(("linger", "cause"), [(False, Cause.RESET), (True, Cause.RESET)])
def test_a_connection_that_is_cut_off_is_a_reset(linger: bool, cause: Cause) -> None:
    def cut(connection: socket.socket) -> None:
        if linger:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")

    with listening(cut) as port:
        result = ask(*web(port))["web:1:1"]
    assert (result.ok, result.cause in {cause, Cause.TLS}) == (False, True)


def test_without_a_connection_the_certificate_is_not_known() -> None:
    results = ask(*web(free_port()))
    assert (results["web:1:1"].cause, results["web:1:1"].ok) == (Cause.REFUSED, False)
    assert (results["cert:1:1"].cause, results["cert:1:1"].ok) == (Cause.NOT_SEEN, None)


# ----------------------------------------------------------------------------------------------------------------- DNS


@contextlib.contextmanager
def name_server(answer: Callable[[dns.message.Message], bytes | None]) -> Iterator[int]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((ADDRESS, 0))
        sock.settimeout(0.05)
        done = threading.Event()

        def serve() -> None:
            while not done.is_set():
                with contextlib.suppress(TimeoutError):
                    wire, peer = sock.recvfrom(4096)
                    said = answer(dns.message.from_wire(wire))
                    if said is not None:
                        sock.sendto(said, peer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield int(sock.getsockname()[1])
        finally:
            done.set()
            thread.join(5)


def authoritative(query: dns.message.Message, *records: str, rcode: dns.rcode.Rcode = dns.rcode.NOERROR) -> bytes:
    response = dns.message.make_response(query)
    response.flags |= dns.flags.AA
    response.set_rcode(rcode)
    response.answer = [dns.rrset.from_text(f"{HOST}.", 60, "IN", "CNAME", record) for record in records]
    return response.to_wire()


def test_a_name_server_is_asked_without_recursion_and_its_answer_is_the_evidence() -> None:
    flags: list[int] = []

    def answer(query: dns.message.Message) -> bytes:
        flags.append(query.flags & dns.flags.RD)
        return authoritative(query, "SRV1.corp.example.")

    with name_server(answer) as port:
        result = ask(ask_dns(port))["dns:1:1"]
    assert (result.ok, result.evidence["values"], result.evidence["ttl"]) == (True, ["srv1.corp.example."], 60)
    assert flags == [0]


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (lambda query: authoritative(query, rcode=dns.rcode.NXDOMAIN), Cause.NAME_NOT_FOUND),
        (lambda query: authoritative(query, rcode=dns.rcode.REFUSED), Cause.DNS_RCODE),
        (lambda _query: None, Cause.TIMEOUT),
        (lambda _query: b"nonsense", Cause.TIMEOUT),  # not an answer to our question: it is not believed
    ],
)
def test_each_dns_failure_has_its_cause(answer: Callable[[dns.message.Message], bytes | None], cause: Cause) -> None:
    with name_server(answer) as port:
        result = ask(ask_dns(port), timeout_s=0.5)["dns:1:1"]
    assert (result.ok, result.cause) == (False, cause)
    assert result.evidence["server"] == "dns1"


# -------------------------------------------------------------------------------------------------------------- engine


def run_engine(engine: Engine, for_s: float) -> list[tuple[float, ProbeResult]]:
    """Run for a while; return the results with the time (monotonic) at which they were handed over."""
    got: list[tuple[float, ProbeResult]] = []
    ends_at = time.monotonic() + for_s

    async def deliver(results: list[ProbeResult]) -> None:
        got.extend((time.monotonic(), result) for result in results)

    asyncio.run(engine.run(deliver, lambda: time.monotonic() > ends_at))
    return got


def test_a_first_failure_is_asked_again_quickly_and_then_at_its_own_time() -> None:
    check = ucc(free_port(), interval_s=1e6, retry_s=0.1)  # its own time is a hash's choice: not now
    engine = Engine()
    engine.set_checks([check])
    got = run_engine(engine, 2.0)
    engine.close()
    assert [result.cause for _, result in got] == [Cause.REFUSED] * 3


def test_a_healthy_check_is_asked_once_in_an_interval() -> None:
    with listening(lambda _: None) as port:
        checks = [ucc(port, interval_s=0.5) for _ in range(40)]
        engine = Engine()
        engine.set_checks(checks)
        began = time.monotonic()
        got = run_engine(engine, 2.6)
        intervals = (time.monotonic() - began) / 0.5
        engine.close()
    counts = [sum(result.key == check.key for _, result in got) for check in checks]
    assert {result.ok for _, result in got} == {True}
    assert min(counts) >= 4
    assert max(counts) <= intervals + 2, "its place in each interval, and once for the first sweep"


def test_asked_for_out_of_turn_it_comes_at_once() -> None:
    with listening() as port:
        check = ucc(port, interval_s=30.0)
        engine = Engine()
        engine.set_checks([check])
        assert len(run_engine(engine, 1.3)) == 1
        engine.ask_now([check.key, "ucc:none:none"])
        assert len(run_engine(engine, 0.4)) == 1
        engine.close()


def test_asked_for_while_it_is_being_asked_it_is_asked_once_more() -> None:
    with silent() as port:
        check = ucc(port, interval_s=60.0, timeout_s=0.2, retry_s=60.0)
        engine = Engine()
        engine.set_checks([check])
        engine.ask_now([check.key])
        engine.pump(time.monotonic())
        engine.ask_now([check.key])
        engine.ask_now([check.key])
        assert len(run_engine(engine, 1.0)) == 2
        engine.close()


def test_checks_that_are_gone_are_asked_no_more() -> None:
    with listening() as port:
        engine = Engine()
        engine.set_checks([ucc(port, interval_s=0.2)])
        assert run_engine(engine, 0.5)
        engine.set_checks([])
        assert run_engine(engine, 0.5) == []
        engine.close()


def test_after_a_pause_nothing_piles_up_and_silence_meanwhile_is_not_counted() -> None:
    now = [1000.0]
    with silent() as port, listening() as good:
        quiet, healthy = ucc(port, interval_s=0.5, timeout_s=0.3), [ucc(good, interval_s=0.5) for _ in range(20)]
        engine = Engine(clock=lambda: now[0])
        engine.set_checks([quiet, *healthy])
        for _ in range(11):  # up to just after everything was asked for the first time
            engine.pump(now[0])
            now[0] += 0.05
        engine.take_results()
        engine.ask_now([quiet.key])
        engine.pump(now[0])
        engine.take_results()  # what was settled before the pause
        now[0] += 3600  # the process stood still, with a connect under way
        engine.pump(now[0])
        after = engine.take_results()
        engine.close()
    assert [result for result in after if not result.ok] == []
    times = [sum(result.key == check.key for result in after) for check in healthy]
    assert max(times) <= 2, "one that was under way and one after it, not one for each interval that was missed"


def test_a_silent_port_is_down_after_one_timeout_and_not_after_three() -> None:
    with silent() as port:
        check = ucc(port, interval_s=60.0, timeout_s=1.0)
        engine = Engine()
        engine.set_checks([check])
        engine.ask_now([check.key])
        started = time.monotonic()
        got = run_engine(engine, 2.3)
        engine.close()
    assert [result.cause for _, result in got] == [Cause.TIMEOUT] * 3
    assert got[-1][0] - started < 2.3
    assert {result.sentence for _, result in got} == {"no answer within 1 s"}


def test_an_answer_to_a_later_connect_withdraws_the_silent_ones() -> None:
    """The first connect meets a full queue; then there is room, as after a lost packet."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind((ADDRESS, 0))
        server.listen(0)
        port = int(server.getsockname()[1])
        filler = stack.enter_context(socket.socket())
        filler.connect((ADDRESS, port))
        check = ucc(port, interval_s=60.0, timeout_s=5.0)
        engine = Engine()
        stack.callback(engine.close)
        engine.set_checks([check])
        engine.ask_now([check.key])
        engine.pump(time.monotonic())
        server.accept()[0].close()
        got = run_engine(engine, 0.9)
    assert [result.cause for _, result in got] == [Cause.OK]
    assert got[0][1].latency_ms is not None
    assert got[0][1].latency_ms < 200, "of the connect that was answered"


def test_one_address_is_not_asked_by_more_connects_than_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pools.probing.engine.HOST_MAX", 3)
    with silent() as port:
        checks = [ucc(port, interval_s=60.0, timeout_s=30.0) for _ in range(10)]
        engine = Engine()
        engine.set_checks(checks)
        engine.ask_now([check.key for check in checks])
        for _ in range(50):
            engine.pump(time.monotonic())
            time.sleep(0.01)
            assert len(engine) <= 3
        engine.close()


def test_where_no_more_descriptors_may_be_opened_it_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    with silent() as port:
        checks = [ucc(port, interval_s=60.0, timeout_s=30.0) for _ in range(10)]
        engine = Engine(connects_max=4)
        engine.set_checks(checks)
        engine.ask_now([check.key for check in checks])
        for _ in range(10):
            engine.pump(time.monotonic())
        assert len(engine) == 4
        engine.close()
    assert [record.message for record in caplog.records if "LimitNOFILE" in record.message] != []
    assert len(caplog.records) == 1


def test_where_one_port_of_a_server_fails_its_other_ports_are_asked_at_once() -> None:
    servers = [socket.create_server((ADDRESS, 0)) for _ in range(6)]
    checks = [ucc(int(server.getsockname()[1]), interval_s=60.0) for server in servers]
    engine = Engine()
    engine.set_checks(checks)
    assert {result.ok for _, result in run_engine(engine, 1.5)} == {True}
    for server in servers:
        server.close()
    engine.ask_now([checks[0].key])
    got = run_engine(engine, 1.5)
    engine.close()
    refused = [result.key for _, result in got if result.cause is Cause.REFUSED]
    assert {key: refused.count(key) for key in refused} == {check.key: 3 for check in checks}
