"""``manage.py up``, as its users run it: real processes, a real broker, in a data directory of its own."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.product import ROOT, Product
from tests.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.once, pytest.mark.enable_socket, pytest.mark.timeout(180)]

CHILDREN = ("broker", "probes", "operations", "beat", "watch", "web")


def processes_of(var: Path) -> dict[int, str]:
    """Every living process that was started for ``var``, whoever its parent is now: pid -> command line."""
    marker = f"A365_VAR={var}".encode()
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            # Redis writes its title over its environment: it is known by the folder that it works in.
            is_ours = marker in (entry / "environ").read_bytes().split(b"\0") or (entry / "cwd").resolve() == var
            if is_ours:
                found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return found


def run_up(var: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """An ``up`` that is expected to end by itself."""
    return subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "up", "--empty", *arguments],
        cwd=ROOT,
        env=Product(var).environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def get(url: str) -> int:
    """The status of a page; follows redirects."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        return int(answer.status)


def finish(product: Product) -> None:
    """Stop it, the hard way where a test left it running, and make sure that nothing of it is left."""
    if product.exit_code() is None:
        os.kill(product.pid, signal.SIGKILL)
    product.stop()
    wait_until(
        lambda: not processes_of(product.var), timeout_s=30, message=lambda: f"left: {processes_of(product.var)}"
    )


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """One empty product, just started for the first time, for the tests that leave it running."""
    product = Product(tmp_path_factory.mktemp("running") / "var", "--empty")
    yield product.start()
    finish(product)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], Product]]:
    """Start an empty product, and again on the same data; whatever the test does, nothing of it outlives the test."""
    started: list[Product] = []

    def _start() -> Product:
        started.append(Product(tmp_path / "var", "--empty"))
        return started[-1].start()

    yield _start
    for product in reversed(started):
        finish(product)


def answers(url: str) -> bool:
    try:
        return get(url) == 200
    except OSError:
        return False


def test_from_nothing_to_ready_with_a_page_that_answers(running: Product) -> None:
    assert get(running.url + "/healthz") == 200
    assert f"{running.url}/" in running.output()
    assert all(running.children(name) for name in CHILDREN), running.output()


def test_the_password_is_shown_once_and_kept_for_its_owner_only(running: Product) -> None:
    assert running.output().count(running.password) == 1
    assert stat.S_IMODE((running.var / "admin-password.txt").stat().st_mode) == 0o600


def test_the_brokers_password_is_in_no_file_and_no_command_line(running: Product) -> None:
    environ = Path(f"/proc/{running.children('web')[-1]}/environ").read_bytes().split(b"\0")
    url = next(entry for entry in environ if entry.startswith(b"REDIS_URL="))
    password = url.split(b":")[2].split(b"@")[0]
    assert len(password) > 30
    for file in running.var.rglob("*"):
        assert not file.is_file() or password not in file.read_bytes(), file
    assert not any(password.decode() in command for command in processes_of(running.var).values())
    assert password.decode() not in running.output()


def test_a_second_start_says_that_one_is_running_and_where(running: Product) -> None:
    second = run_up(running.var, "--port", "1")
    assert second.returncode != 0
    assert f"process {running.pid}, {running.url}/" in second.stderr
    assert running.exit_code() is None


@pytest.mark.parametrize("name", CHILDREN)
def test_a_killed_child_is_started_again_and_the_page_answers(running: Product, name: str) -> None:
    before, said = running.children(name), running.output().count(f"{name} ended (SIGKILL); starting it again")
    os.kill(before[-1], signal.SIGKILL)
    wait_until(lambda: len(running.children(name)) == len(before) + 1, timeout_s=20, message=running.output)
    assert running.output().count(f"{name} ended (SIGKILL); starting it again") == said + 1
    wait_until(lambda: answers(running.url + "/healthz"), timeout_s=20, message=running.output)


def test_interrupting_stops_everything_and_data_survive_a_restart(start: Callable[[], Product]) -> None:
    product = start()
    product.manage("add_user", "anna", "--role", "auditor", "--generate")
    assert len(processes_of(product.var)) > len(CHILDREN)
    assert product.stop() == 0
    assert processes_of(product.var) == {}
    assert "Stopped in" in product.output()
    assert "ended (" not in product.output(), "an orderly stop was reported as a failure"
    again = start()
    with closing(sqlite3.connect(f"file:{product.var / 'a365admin.sqlite3'}?mode=ro", uri=True)) as database:
        names = {row[0] for row in database.execute("SELECT username FROM accounts_user")}
    assert names == {"admin", "anna"}
    assert product.password not in again.output(), "the password is shown at the first start only"
    assert str(product.var / "admin-password.txt") in again.output()


def test_killing_the_supervisor_leaves_no_process_and_the_next_start_waits_for_that(
    start: Callable[[], Product],
) -> None:
    product = start()
    first = processes_of(product.var)
    os.kill(product.pid, signal.SIGKILL)
    assert get(start().url + "/healthz") == 200
    assert not set(first) & set(processes_of(product.var)), "something of the killed one is still there"


def test_a_busy_port_is_named_with_the_option_that_helps(tmp_path: Path) -> None:
    var = tmp_path / "var"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run_up(var, "--port", str(port))
    assert done.returncode != 0
    assert f"Port {port}" in done.stderr
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr
    assert processes_of(var) == {}


def test_the_demo_waits_for_its_first_sweep_and_comes_back_at_the_same_addresses(tmp_path: Path) -> None:
    var = tmp_path / "demo"
    with Product(var) as product:
        said = product.output()
        assert said.index("waiting for the first sweep") < said.index("Ready in")
        assert "/lab/" in said
        dig = next(line.split("dig ", 1)[1].split() for line in said.splitlines() if "dig @" in line)
        answer = subprocess.run(["dig", *dig], capture_output=True, text=True, timeout=20, check=True)
        assert answer.stdout.splitlines()[0] == "srv1.lab.example."
        before = (var / "lab.json").read_bytes()
    assert processes_of(var) == {}
    with Product(var) as again:
        assert (var / "lab.json").read_bytes() == before
        assert "entering it into the database" not in again.output()
