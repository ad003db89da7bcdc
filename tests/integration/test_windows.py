"""Windows with a real broker and real Celery workers: no gap, takeover after kill -9, late results refused."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
import redis

from tests.integration.conftest import ROOT
from tests.waiting import wait_until

pytestmark = [pytest.mark.enable_socket, pytest.mark.once]

ADDRESS = f"127.{os.getpid() % 200 + 20}.1.1"
PATIENCE_S = 45.0  # a worker's start takes ten seconds where a machine is busy

SEED = """
import sys, django; django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from tests.factories import *
from pools.models import Server
hostname = make_pair(ports=(int(sys.argv[2]),), standby_runs_ucc=True)
for number, server in enumerate(Server.objects.all(), start=1):
    server.address = f"{sys.argv[1][:-1]}{number}"
    server.save()
"""
SEND = """
import sys, django; django.setup()
from pools.tasks import schedule_windows
schedule_windows()
"""


def python(environment: dict[str, str], code: str, *arguments: str) -> None:
    subprocess.run([sys.executable, "-c", code, *arguments], env=environment, cwd=ROOT, check=True, timeout=60)


class Estate:
    """A database with one pair of servers, their UCC port on loopback, and workers that probe it."""

    def __init__(self, environment: dict[str, str], client: redis.Redis) -> None:
        self.environment = environment
        self.redis = client
        self.workers: list[subprocess.Popen[bytes]] = []
        self.log = Path(environment["A365_VAR"]) / "worker.log"

    def start_worker(self, name: str) -> subprocess.Popen[bytes]:
        """A probes worker as ``up`` starts it, in a process group of its own."""
        options = [
            "-n",
            f"{name}@%h",
            "-P",
            "threads",
            "-c",
            "1",
            "--without-mingle",
            "--without-gossip",
            "-l",
            "WARNING",
        ]
        command = [sys.executable, "-m", "celery", "-A", "a365admin", "worker", "-Q", "probes", *options]
        with self.log.open("ab") as log:
            worker = subprocess.Popen(
                command, env=self.environment, cwd=ROOT, stdout=log, stderr=log, start_new_session=True
            )
        self.workers.append(worker)
        return worker

    def send_windows(self) -> None:
        """What beat does each second."""
        python(self.environment, SEND)

    def sql(self, query: str) -> list[Any]:
        with contextlib.closing(sqlite3.connect(self.environment["DATABASE_URL"][10:], timeout=20)) as database:
            return database.execute(query).fetchall()

    def healths(self) -> set[str]:
        return {row[0] for row in self.sql("SELECT health FROM pools_checkstate WHERE kind = 'ucc'")}

    def fence(self, shard: int = 0) -> int:
        return int(self.redis.get(f"a365:shard:{shard}:fence") or 0)

    def swept_at(self) -> float:
        """When the shards last said how old everything is (epoch seconds)."""
        blobs: Any = self.redis.hvals("a365:fresh")
        return min((msgpack.unpackb(blob, strict_map_key=False)["at"] for blob in blobs), default=0.0)

    def holders(self) -> int:
        return len(self.redis.keys("a365:shard:*:lease"))

    def until(self, condition: Any, timeout_s: float = PATIENCE_S) -> Any:
        return wait_until(condition, timeout_s=timeout_s, message=lambda: f"see the worker's log:\n{self.tail()}")

    def tail(self) -> str:
        return self.log.read_text()[-3000:] if self.log.exists() else "(no log)"

    def stop(self) -> None:
        for worker in self.workers:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()


class Listeners:
    """The UCC port on both servers' addresses."""

    def __init__(self, port: int, addresses: list[str]) -> None:
        self._open = threading.Event()
        self._open.set()
        self._sockets = [socket.create_server((address, port)) for address in addresses]
        for sock in self._sockets:
            threading.Thread(target=self._accept, args=(sock,), daemon=True).start()

    def _accept(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock.accept()[0].close()

    def close(self) -> None:
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()


@pytest.fixture
def listeners() -> Iterator[tuple[int, Listeners]]:
    with socket.socket() as sock:
        sock.bind((ADDRESS, 0))
        port = int(sock.getsockname()[1])
    made = Listeners(port, [ADDRESS, f"{ADDRESS[:-1]}2"])
    yield port, made
    made.close()


@pytest.fixture
def estate(environment: dict[str, str], redis_url: str, listeners: tuple[int, Listeners]) -> Iterator[Estate]:
    environment |= {"A365_WINDOW_S": "3"}
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
        python(environment, SEED, ADDRESS, str(listeners[0]))
        made = Estate(environment, client)
        try:
            yield made
        finally:
            made.stop()


def test_a_worker_goes_on_from_window_to_window_without_being_sent_again(
    estate: Estate, listeners: tuple[int, Listeners]
) -> None:
    estate.start_worker("one")
    estate.send_windows()
    estate.until(lambda: estate.healths() == {"up"})
    first = estate.fence()
    estate.until(lambda: estate.fence() > first, timeout_s=PATIENCE_S)
    second = estate.fence()
    estate.until(lambda: estate.fence() > second, timeout_s=PATIENCE_S)
    assert time.time() - estate.swept_at() < 2.5
    this_minute = int(time.time() // 60 * 60)
    assert estate.sql(f"SELECT count(*) FROM pools_checkhistory WHERE start >= {this_minute}") == [(0,)], "it goes on"

    pubsub: Any = estate.redis.pubsub()  # type: ignore[no-untyped-call]
    pubsub.subscribe("a365:live")
    listeners[1].close()
    estate.until(lambda: estate.healths() == {"down"})
    messages: list[Any] = []

    def told() -> bool:
        message: Any = pubsub.get_message(timeout=0.1)
        if message and message["type"] == "message":
            messages.append(json.loads(message["data"]))
        return any(len(one["hostnames"]) == 1 for one in messages)

    estate.until(told)
    pubsub.close()
    assert estate.sql("SELECT version FROM pools_hostnamestatus")[0][0] >= messages[0]["v"]
    assert estate.sql("SELECT count(*) FROM pools_healthtransition WHERE new = 'down' AND check_key LIKE 'ucc%'") == [
        (2,)
    ]


def test_the_shard_of_a_killed_worker_is_taken_over(estate: Estate) -> None:
    first = estate.start_worker("one")
    estate.send_windows()
    estate.until(lambda: estate.healths() == {"up"})
    second = estate.start_worker("two")
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    killed_at, fence = time.time(), estate.fence()

    def taken_over() -> bool:
        if not estate.holders():
            estate.send_windows()
        return estate.fence() > fence and estate.swept_at() > killed_at + 1

    estate.until(taken_over, timeout_s=PATIENCE_S)
    assert second.poll() is None


def test_a_frozen_workers_late_results_are_refused(estate: Estate, listeners: tuple[int, Listeners]) -> None:
    first = estate.start_worker("one")
    estate.send_windows()
    estate.until(lambda: estate.healths() == {"up"})
    os.killpg(first.pid, signal.SIGSTOP)
    fence = estate.fence()
    estate.until(lambda: not estate.holders(), timeout_s=6)
    estate.start_worker("two")
    listeners[1].close()

    def taken_over() -> bool:
        if not estate.holders():
            estate.send_windows()  # one may be eaten: the frozen worker still stands in the queue
        return estate.fence() > fence and estate.healths() == {"down"}

    estate.until(taken_over)
    count = "SELECT count(*) FROM pools_healthtransition WHERE check_key LIKE 'ucc%'"
    transitions = estate.sql(count)
    os.killpg(first.pid, signal.SIGCONT)
    os.killpg(first.pid, signal.SIGTERM)
    assert first.wait(PATIENCE_S) is not None
    assert estate.healths() == {"down"}
    assert estate.sql(count) == transitions
    assert estate.sql("SELECT fence FROM pools_probeshard")[0][0] > fence


def test_a_worker_that_is_asked_to_stop_ends_its_window_at_once(estate: Estate) -> None:
    estate.environment["A365_WINDOW_S"] = "40"
    worker = estate.start_worker("one")
    estate.send_windows()
    estate.until(lambda: estate.healths() == {"up"})
    os.kill(worker.pid, signal.SIGTERM)
    worker.wait(35)  # less than its window
    assert estate.holders() == 0
    assert estate.sql("SELECT count(*) FROM pools_checkhistory WHERE covered_s > 0")[0][0] > 0, "nothing is lost"


def test_two_workers_share_two_shards_and_one_alone_probes_both(estate: Estate) -> None:
    estate.environment["A365_SHARDS"] = "2"
    first = estate.start_worker("one")
    estate.send_windows()
    estate.until(lambda: estate.holders() == 2 and estate.healths() == {"up"})
    estate.start_worker("two")
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    killed_at = time.time()

    def both_again() -> bool:
        estate.send_windows()
        return estate.holders() == 2 and estate.swept_at() > killed_at + 3.5

    estate.until(both_again, timeout_s=PATIENCE_S)


def test_a_changed_estate_is_probed_within_seconds_and_what_is_asked_now_comes_at_once(estate: Estate) -> None:
    estate.start_worker("one")
    estate.send_windows()
    estate.until(lambda: estate.healths() == {"up"})
    add = (
        "import django; django.setup()\n"
        "from tests.factories import TrustedApplicationFactory as F\n"
        "from pools.models import TrustedApplicationPool as P\n"
        "from pools.services import estate_changed, ask_now\n"
        "F.create(trusted_application_pool=P.objects.get(), port=1, ucc__name='New', application_id='urn:new')\n"
        "estate_changed()\n"
        "ask_now(server_id=1)\n"
    )
    python(estate.environment, add)
    estate.until(lambda: estate.healths() == {"up", "down"}, timeout_s=PATIENCE_S)
    assert estate.sql("SELECT count(*) FROM pools_checkstate WHERE kind = 'ucc'") == [(4,)]
