"""Watch connections over real sockets: an end is a reason to ask at once, and never more."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from pools import live
from pools.probing.tcp import place
from pools.watcher import Watcher, watched_places
from tests.factories import make_pair
from tests.integration.conftest import ROOT
from tests.waiting import wait_until

pytestmark = [pytest.mark.enable_socket]

ADDRESS = f"127.{os.getpid() % 200 + 20}.2.1"
KEY = "ucc:1:1"


class Server:
    """A listener whose connections the test ends."""

    def __init__(self, port: int = 0) -> None:
        self.listener = socket.create_server((ADDRESS, port))
        self.port = int(self.listener.getsockname()[1])
        self.listener.settimeout(10)

    def close(self) -> None:
        self.listener.close()

    def accept(self) -> socket.socket:
        return self.listener.accept()[0]


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    with contextlib.closing(made):
        yield made


@pytest.fixture
def asked() -> list[str]:
    return []


@pytest.fixture
def watcher(server: Server, asked: list[str]) -> Iterator[Watcher]:
    made = Watcher(asked.extend)
    made.set_places({KEY: place(ADDRESS, server.port)})
    with contextlib.closing(made):
        yield made


def turn_until(watcher: Watcher, condition: Callable[[], Any]) -> None:
    def turned() -> Any:
        watcher.turn(0.02)
        return condition()

    wait_until(turned, timeout_s=15)


def is_watched(watcher: Watcher) -> bool:
    return watcher.states() == {KEY: ""}


@pytest.mark.once
def test_a_connection_is_held_and_its_end_asks_for_a_probe(server: Server, watcher: Watcher, asked: list[str]) -> None:
    turn_until(watcher, lambda: is_watched(watcher))
    held = server.accept()
    watcher.turn(0.1)
    assert asked == []
    held.close()
    turn_until(watcher, lambda: asked)
    assert asked == [KEY]


@pytest.mark.once
def test_a_reset_is_an_end_too(server: Server, watcher: Watcher, asked: list[str]) -> None:
    turn_until(watcher, lambda: is_watched(watcher))
    held = server.accept()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    held.close()
    turn_until(watcher, lambda: asked == [KEY])


@pytest.mark.once
def test_a_server_that_drops_idle_connections_is_noticed_and_no_longer_watched(
    server: Server, watcher: Watcher, asked: list[str]
) -> None:
    for _ in range(3):
        turn_until(watcher, lambda: is_watched(watcher))
        server.accept().close()
        turn_until(watcher, lambda: not is_watched(watcher))
    turn_until(watcher, lambda: "ends idle connections" in watcher.states()[KEY])
    assert watcher.held() == 0
    assert len(asked) == 3


@pytest.mark.once
def test_a_server_that_was_really_gone_is_watched_again(server: Server, watcher: Watcher, asked: list[str]) -> None:
    for _ in range(4):
        turn_until(watcher, lambda: is_watched(watcher))
        held = server.accept()
        server.listener.close()
        held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        held.close()
        turn_until(watcher, lambda: watcher.states() == {KEY: "no connection at the moment"} and not watcher.held())
        time.sleep(0.6)
        watcher.turn(0.02)  # the connect that is refused
        server.listener = socket.create_server((ADDRESS, server.port))
    turn_until(watcher, lambda: is_watched(watcher))


@pytest.mark.once
def test_a_server_that_floods_an_idle_connection_is_left_alone(
    server: Server, watcher: Watcher, asked: list[str]
) -> None:
    turn_until(watcher, lambda: is_watched(watcher))
    with server.accept() as held:
        held.setblocking(False)

        def flooded() -> bool:
            with contextlib.suppress(OSError):
                held.send(b"x" * 8192)
            return "sends data" in watcher.states()[KEY]

        turn_until(watcher, flooded)
    assert asked == []


@pytest.mark.django_db
def test_only_pools_that_ask_for_it_are_watched_and_only_then_the_watcher_is_missed(broker: redis.Redis) -> None:
    make_pair(ports=(6001, 6002))
    assert watched_places() == {}
    assert live.system_liveness().watch == "off"
    hostname = make_pair(ports=(6001, 6002), watch_connections=True)
    assert len(watched_places()) == 4
    assert live.system_liveness().watch == "waiting"
    server = hostname.targets.first()
    assert server is not None
    live.mark_watched({"ucc:1:1": "", "ucc:1:2": "it is tired"})
    assert live.system_liveness().watch == "ok"
    assert live.watch_words() == {
        "ucc:1:1": "watched by an open connection",
        "ucc:1:2": "not watched: it is tired",
    }
    broker.set("a365:alive:watch", f"{time.time() - 60:.3f}")
    assert live.system_liveness().watch == "lost"
    assert "watch" in live.system_liveness().as_words()


SEED = """
import sys, django; django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from tests.factories import make_pair
from pools.models import Server
make_pair(ports=(int(sys.argv[2]),), watch_connections=True)
Server.objects.filter(pk=1).update(address=sys.argv[1])
"""


@pytest.mark.once
def test_the_process_leaves_word_for_the_probing_worker_and_stops_when_asked(
    environment: dict[str, str], redis_url: str, server: Server
) -> None:
    subprocess.run(
        [sys.executable, "-c", SEED, ADDRESS, str(server.port)], env=environment, cwd=ROOT, check=True, timeout=90
    )
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
        process = subprocess.Popen([sys.executable, "-m", "django", "watch"], env=environment, cwd=ROOT)
        try:
            server.listener.settimeout(60)
            held = server.accept()
            wait_until(lambda: client.get("a365:alive:watch"), timeout_s=20)
            nudges: Any = client.pubsub()
            nudges.subscribe("a365:nudge")
            nudges.get_message(timeout=5)
            held.close()
            wait_until(lambda: nudges.get_message(timeout=0.5), timeout_s=20)
            nudges.close()
            assert client.smembers("a365:probe-now:0") == {b"ucc:1:1"}
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
        finally:
            process.kill()
            process.wait()
