"""The web server, the broker, the database are lost in the middle of it: one change at most, and a true end."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from celery import Celery

from a365admin.lab.embedded import RunningLab, running_lab
from a365admin.supervisor.broker import Broker, make_broker
from a365admin.testing.system_packages import find_command
from a365admin.testing.temporary_postgres import temporary_postgres
from dnsops.checkpoints import CHECKPOINTS_OF_A_CLICK
from tests.integration.test_executor_kill import HOSTNAME, OperationProcess, endpoints, says, serial
from tests.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.enable_socket, pytest.mark.once]

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def shared_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLab]:
    with running_lab(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


@pytest.fixture
def lab(shared_lab: RunningLab) -> RunningLab:
    shared_lab.client.reset(start_over=True)
    shared_lab.client.set_fault("SRV2", "start_ucc")
    return shared_lab


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("var")


@pytest.fixture(scope="module")
def process(shared_lab: RunningLab, folder: Path) -> Iterator[OperationProcess]:
    process = OperationProcess(shared_lab, folder)
    yield process
    process.close()


def ended_well(lab: RunningLab, report: dict[str, Any], before: int) -> None:
    """It is there, once, and says so once."""
    assert report["state"] == "succeeded", report
    assert report["ended_entries"] == 1
    assert [says(endpoint) for endpoint in endpoints(lab)] == ["SRV2", "SRV2"]
    assert serial(lab) == before + 1


@pytest.mark.parametrize("point", CHECKPOINTS_OF_A_CLICK)
def test_a_web_server_that_is_killed_between_the_row_and_the_message_leaves_it_to_the_sweeper(
    lab: RunningLab, tmp_path: Path, point: str
) -> None:
    before = serial(lab)
    # A process of its own: it forks, and what has run threads before may hold a lock that the child waits for for ever.
    with _closing(OperationProcess(lab, tmp_path)) as process:
        killed = process.ask("request_killed", fqdn=HOSTNAME, to="SRV2", kill_at=point)
        assert killed["signal"] == signal.SIGKILL
        (operation,) = killed["due"]
        process.ask("run", id=operation)
        ended_well(lab, process.ask("report", id=operation), before)


def test_a_database_that_is_locked_by_somebody_is_waited_for(
    lab: RunningLab, process: OperationProcess, folder: Path
) -> None:
    before = serial(lab)
    operation = process.ask("request", fqdn=HOSTNAME, to="SRV2")["id"]
    with ThreadPoolExecutor(1) as other, sqlite3.connect(folder / "kill.sqlite3", isolation_level=None) as database:
        database.execute("BEGIN IMMEDIATE")
        running = other.submit(process.ask, "run", id=operation)
        with pytest.raises(TimeoutError):
            running.result(1.5)
        assert serial(lab) == before  # the row comes before the message
        database.execute("ROLLBACK")
        assert running.result(30)["code"] == 0
    ended_well(lab, process.ask("report", id=operation), before)


@pytest.mark.skipif(find_command("initdb") is None, reason="PostgreSQL is not installed: apt-get install postgresql")
def test_a_database_that_is_gone_for_ten_seconds_after_the_message_was_sent_is_caught_up_with(
    lab: RunningLab, tmp_path: Path
) -> None:
    before = serial(lab)
    with temporary_postgres() as url, _closing(OperationProcess(lab, tmp_path, database=url)) as process:
        operation = process.ask("request", fqdn=HOSTNAME, to="SRV2")["id"]
        lab.client.set_fault("dns1", "reply_lost")
        with ThreadPoolExecutor(1) as other:
            running = other.submit(process.ask, "run", id=operation)
            wait_until(lambda: says(endpoints(lab)[0]) == "SRV2", message="the message was not sent")
            with _lost(url):
                back_at = time.monotonic() + 10
                assert running.result(30)["code"] == 0  # no crash: it is logged, and left to the next worker
                while time.monotonic() < back_at:  # others come by meanwhile, and can do nothing
                    assert process.ask("run", id=operation)["code"] == 0
                    time.sleep(0.5)
        assert process.ask("report", id=operation)["state"] == "running"
        process.ask("expire", id=operation)
        process.ask("run", id=operation)
        ended_well(lab, process.ask("report", id=operation), before)


def test_a_broker_that_is_killed_and_comes_back_is_caught_up_with(
    lab: RunningLab, process: OperationProcess, folder: Path
) -> None:
    before = serial(lab)
    broker = make_broker()
    with _running(broker, folder) as first, _worker(broker, folder):
        first.kill()
        first.wait(10)
        requested = process.ask("request", fqdn=HOSTNAME, to="SRV2")
        assert requested["state"] == "pending"
        assert "broker cannot be reached" in requested["result"]
        process.ask("age", id=requested["id"], by_s=4)
        with _running(broker, folder):
            wait_until(
                lambda: _sweep(broker) and _ended(process, requested["id"]),
                timeout_s=60,
                message="the sweeper did not go on",
            )
    ended_well(lab, process.ask("report", id=requested["id"]), before)


def test_a_broker_that_is_killed_while_an_operation_runs_does_not_stop_it(
    lab: RunningLab, process: OperationProcess, folder: Path
) -> None:
    before = serial(lab)
    broker = make_broker()
    lab.client.set_fault("dns1", "reply_lost")
    requested = process.ask("request", fqdn=HOSTNAME, to="SRV2")
    process.ask("age", id=requested["id"], by_s=4)
    with _running(broker, folder) as only, _worker(broker, folder):
        wait_until(
            lambda: _sweep(broker) and says(endpoints(lab)[0]) == "SRV2",
            timeout_s=60,
            message="the message was not sent",
        )
        only.kill()
        only.wait(10)
        assert not _ended(process, requested["id"]), "it still waits for the answer that was lost"
        wait_until(lambda: _ended(process, requested["id"]), timeout_s=60, message="it did not end without a broker")
    ended_well(lab, process.ask("report", id=requested["id"]), before)


@contextmanager
def _closing(process: OperationProcess) -> Iterator[OperationProcess]:
    try:
        yield process
    finally:
        process.close()


@contextmanager
def _lost(url: str) -> Iterator[None]:
    """Nobody is connected to the database any more, and nobody can be."""
    with psycopg.connect(url.rpartition("/")[0] + "/template1", autocommit=True) as other:
        other.execute("ALTER DATABASE postgres ALLOW_CONNECTIONS false")
        other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'postgres'")
        yield
        other.execute("ALTER DATABASE postgres ALLOW_CONNECTIONS true")


@contextmanager
def _running(broker: Broker, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([broker.binary, "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, cwd=folder)
    try:
        assert process.stdin is not None
        process.stdin.write(broker.config(folder).encode())
        process.stdin.close()
        wait_until(broker.answers, message="the broker did not answer")
        yield process
    finally:
        process.kill()
        process.wait(10)


@contextmanager
def _worker(broker: Broker, folder: Path) -> Iterator[None]:
    """An operations worker on the database of ``process``, once it waits for messages."""
    environment = os.environ | {
        "A365_ENV": "test", "A365_VAR": str(folder), "DATABASE_URL": f"sqlite:///{folder / 'kill.sqlite3'}",
        "REDIS_URL": broker.url, "DJANGO_SETTINGS_MODULE": "a365admin.settings", "A365_MAX_TTL_WAIT_S": "0.2",
        "A365_LOG_LEVEL": "CRITICAL", "PYTHONWARNINGS": "ignore",
    }  # fmt: skip
    command = [sys.executable, "-m", "celery", "--quiet", "-A", "a365admin", "worker", "-Q", "operations"]
    worker = subprocess.Popen(
        [*command, "-P", "threads", "-c", "2", "--without-mingle", "--without-gossip", "--loglevel", "CRITICAL"],
        cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_until(lambda: _consumers(broker), timeout_s=60, message="the worker did not start")
        yield
    finally:
        worker.kill()
        worker.wait(10)


def _sweep(broker: Broker) -> bool:
    """As beat does, again and again."""
    with Celery(broker=broker.url, set_as_current=False) as beat:
        beat.send_task("dnsops.tasks.sweep_operations", queue="operations")
    return True


def _ended(process: OperationProcess, operation: str) -> bool:
    return process.ask("report", id=operation)["state"] not in {"pending", "running"}


def _consumers(broker: Broker) -> bool:
    """Whether a worker waits for messages."""
    import redis

    with redis.Redis.from_url(broker.url) as client:
        return any("brpop" in str(found["cmd"]) for found in client.client_list())
