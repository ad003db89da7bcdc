"""Reading a load balancer's statistics over real sockets: HAProxy's own in every way, and answers that mean harm."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from a365admin.testing.system_packages import find_command
from pools.haproxy_stats import TEXT_LIMIT
from pools.health import CheckKind
from pools.probing.balancer import ask_balancer
from pools.probing.result import Cause, ProbeResult
from pools.specs import Check
from tests.waiting import wait_until

pytestmark = [pytest.mark.enable_socket, pytest.mark.once]

REAL = (("SRV1", "srv1.corp.example", "127.0.0.1"), ("SRV2", "srv2.corp.example", "127.0.0.2"))
GOOD = b"# pxname,svname,status,act,bck,lastchg,type,\nweb,SRV1,UP,1,0,5,2,\nweb,SRV2,UP,0,1,5,2,\n"
HAPROXY = find_command("haproxy")


def ask(source: str, timeout_s: float = 2.0) -> ProbeResult:
    check = Check("balancer:1", CheckKind.BALANCER, "lb", "127.0.0.1", 1, path=source, real_servers=REAL)
    return asyncio.run(ask_balancer(check, timeout_s))


@contextlib.contextmanager
def serving(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A TCP server that reads the question and then does what ``answer`` does, once for each connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection, contextlib.suppress(OSError):
                        connection.recv(4096)
                        answer(connection)

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]


def http(body: bytes, status: str = "200 OK") -> Callable[[socket.socket], None]:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
    return lambda connection: connection.sendall(head + body)


def silent(connection: socket.socket) -> None:
    threading.Event().wait(1.0)


def for_ever(connection: socket.socket) -> None:
    for _ in range(TEXT_LIMIT // 1024 + 64):
        connection.sendall(b"web,SRV1,UP,1,0,5,2,\n" * 50)


def test_what_it_says_is_understood_over_a_socket_and_from_a_page() -> None:
    with serving(lambda connection: connection.sendall(GOOD)) as port:
        found = ask(f"tcp:127.0.0.1:{port}")
    assert (found.ok, found.sentence, found.evidence["in_use"]) == (True, "uses SRV1", ["SRV1"])
    with serving(http(GOOD)) as port:
        assert ask(f"http://127.0.0.1:{port}/stats").sentence == "uses SRV1"


def test_the_beginning_of_a_use_stays_the_same_while_it_lasts() -> None:
    with serving(http(GOOD)) as port:
        first, second = (ask(f"http://127.0.0.1:{port}/").evidence["since"] for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("answer", "cause", "said"),
    [
        (lambda connection: None, Cause.WRONG_ANSWER, "no statistics: found “nothing”"),
        (lambda connection: connection.sendall(b"\x00\xff" * 500), Cause.WRONG_ANSWER, "no statistics"),
        (for_ever, Cause.WRONG_ANSWER, "longer than 1024 KiB"),
        (
            lambda connection: connection.sendall(b"Permission denied\n"),
            Cause.WRONG_ANSWER,
            "found “Permission denied”",
        ),
    ],
)
def test_a_socket_that_answers_something_else_is_said(
    answer: Callable[[socket.socket], None], cause: Cause, said: str
) -> None:
    with serving(answer) as port:
        found = ask(f"tcp:127.0.0.1:{port}", 5.0)
    assert (found.ok, found.cause) == (False, cause)
    assert said in found.sentence
    assert len(found.sentence) <= 300


@pytest.mark.parametrize(
    ("answer", "cause", "said"),
    [
        (http(b"", "401 Unauthorized"), Cause.HTTP_STATUS, "answers 401 (a sign-in is not supported"),
        (http(b"", "503 Service Unavailable"), Cause.HTTP_STATUS, "answers 503"),
        (http(b"<html>"), Cause.WRONG_ANSWER, "no statistics: found “<html>”"),
        (lambda connection: connection.sendall(b"SSH-2.0-x\r\n\r\n"), Cause.WRONG_ANSWER, "does not speak HTTP"),
        (
            lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 9000),
            Cause.WRONG_ANSWER,
            "HTTP",
        ),
    ],
)
def test_a_page_that_answers_something_else_is_said(
    answer: Callable[[socket.socket], None], cause: Cause, said: str
) -> None:
    with serving(answer) as port:
        found = ask(f"http://127.0.0.1:{port}/stats", 5.0)
    assert (found.ok, found.cause) == (False, cause)
    assert said in found.sentence


def test_silence_and_a_closed_port_are_told_apart() -> None:
    with serving(silent) as port:
        assert ask(f"tcp:127.0.0.1:{port}", 0.3).cause is Cause.TIMEOUT
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert ask(f"tcp:127.0.0.1:{port}").cause is Cause.REFUSED
    assert ask("unix:/nowhere/at/all.sock").ok is False
    assert ask("nonsense").cause is Cause.WRONG_ANSWER


@pytest.mark.skipif(HAPROXY is None, reason="haproxy is not installed")
def test_haproxys_runtime_socket_and_its_page_say_the_same(tmp_path: Path) -> None:
    ports = []
    for _ in range(3):
        with socket.create_server(("127.0.0.1", 0)) as free:
            ports.append(free.getsockname()[1])
    config = tmp_path / "haproxy.cfg"
    config.write_text(
        f"global\n stats socket {tmp_path}/s level user\n stats socket ipv4@127.0.0.1:{ports[0]} level user\n"
        f"listen stats\n mode http\n bind 127.0.0.1:{ports[1]}\n timeout client 5s\n timeout server 5s\n"
        " timeout connect 5s\n stats enable\n stats uri /stats\n"
        f"listen web\n mode tcp\n bind 127.0.0.1:{ports[2]}\n timeout client 5s\n timeout server 5s\n"
        " timeout connect 5s\n server SRV1 127.0.0.1:9\n server SRV2 127.0.0.2:9 backup\n"
    )
    process = subprocess.Popen([str(HAPROXY), "-db", "-f", str(config)], stderr=subprocess.DEVNULL)
    try:
        page = f"http://127.0.0.1:{ports[1]}/stats"
        wait_until(lambda: ask(page).ok, timeout_s=15)
        for source in (page, f"tcp:127.0.0.1:{ports[0]}", f"unix:{tmp_path}/s"):
            found = ask(source)
            assert (found.ok, found.sentence) == (True, "uses SRV1"), source
            assert found.evidence["said"]["SRV2"].endswith("backup")
    finally:
        process.kill()
        process.wait(10)
