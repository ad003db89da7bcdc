"""Supervising: real small processes, no product inside."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from a365admin.supervisor import broker, processes, readiness
from a365admin.supervisor.child import Child, ProcessSpec, restart_delay_s
from a365admin.supervisor.console import Console
from a365admin.supervisor.run_lock import AlreadyRunningError, RunLock
from a365admin.supervisor.supervisor import StartError, Supervisor, describe_end
from tests.waiting import wait_until

ROOT = Path(processes.__file__).resolve().parent.parent.parent
FOREVER = "import signal; signal.pause()"
STUBBORN = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('up', flush=True)\nsignal.pause()"
WITH_POOL = """
import os, signal
if os.fork() == 0:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.write(1, f"{os.getpid()}\\n".encode())  # one write: two processes share this pipe
signal.pause(); signal.pause()
"""


def python(code: str, *, name: str = "web", stop_timeout_s: float = 5.0) -> ProcessSpec:
    return ProcessSpec(
        name=name, argv=(sys.executable, "-c", code), env=dict(os.environ), stop_timeout_s=stop_timeout_s
    )


def is_gone(pid: int) -> bool:
    """No such process, or only its entry waits to be collected."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True
    return stat.rsplit(")", 1)[1].split()[0] == "Z"


@pytest.fixture
def output() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def supervisor(output: io.StringIO) -> Iterator[Supervisor]:
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    with Supervisor(Console(output)) as running:
        yield running
    for number, handler in kept.items():
        signal.signal(number, handler)


def tick_until(supervisor: Supervisor, child: Child, *, restarted_from: int) -> None:
    supervisor.wait_until(
        lambda: child.pid != restarted_from and child.ended_with() is None, what="a new process", timeout_s=10
    )


def test_delays_double_and_stop_at_half_a_minute() -> None:
    assert [restart_delay_s(n) for n in (1, 2, 3, 4, 5, 6, 60)] == [1, 2, 4, 8, 16, 30, 30]


def test_a_killed_child_is_started_again_and_said_in_one_line(supervisor: Supervisor, output: io.StringIO) -> None:
    child = supervisor.start(python(FOREVER))
    first = child.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    tick_until(supervisor, child, restarted_from=first)
    assert output.getvalue().count("web ended (SIGKILL); starting it again in 1 s") == 1
    assert f"web (pid {child.pid})" in output.getvalue()


def test_a_child_that_has_run_for_a_minute_starts_counting_anew() -> None:
    child = Child(python(FOREVER), lifeline=0, lock_fd=None, line=lambda _name, _line: None)
    assert [child.schedule_restart(now=child._started_at + 1) for _ in range(3)] == [1, 2, 4]
    assert child.schedule_restart(now=child._started_at + 61) == 1


def test_a_dead_childs_pool_is_ended_before_it_is_started_again(supervisor: Supervisor, output: io.StringIO) -> None:
    child = supervisor.start(python(WITH_POOL, name="probes"))
    pool = wait_until(lambda: _pids_said(output), message="the pool did not start")
    assert child.pid is not None
    first = child.pid
    os.kill(first, signal.SIGKILL)
    tick_until(supervisor, child, restarted_from=first)
    assert [pid for pid in pool if not is_gone(pid)] == []


def _pids_said(output: io.StringIO) -> list[int]:
    whole = output.getvalue().splitlines(keepends=True)  # the last line may still be being written
    said = [int(line.split()[-1]) for line in whole if line.startswith("    probes | ") and line.endswith("\n")]
    return said if len(said) == 2 else []


def test_leaving_stops_everything_and_kills_what_does_not_stop(output: io.StringIO) -> None:
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    with Supervisor(Console(output)) as supervisor:
        pids = [
            supervisor.start(python(FOREVER)).pid,
            supervisor.start(python(STUBBORN, name="lab", stop_timeout_s=0.3)).pid,
        ]
        wait_until(lambda: "lab | up" in output.getvalue(), message="the stubborn one did not start")
    for number, handler in kept.items():
        signal.signal(number, handler)
    assert all(pid is not None and is_gone(pid) for pid in pids)


def test_a_second_interrupt_ends_at_once_what_takes_its_time_to_stop(output: io.StringIO) -> None:
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    with Supervisor(Console(output)) as supervisor:
        child = supervisor.start(python(STUBBORN, name="operations", stop_timeout_s=60))
        wait_until(lambda: "operations | up" in output.getvalue(), message="the stubborn one did not start")
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        supervisor.watch()
        started = time.monotonic()
    for number, handler in kept.items():
        signal.signal(number, handler)
    assert child.pid is not None
    assert is_gone(child.pid)
    assert time.monotonic() - started < 30


@pytest.mark.enable_socket
def test_a_broker_of_the_users_own_that_does_not_answer_is_named_without_its_password() -> None:
    with pytest.raises(broker.BrokerError, match=r"the broker at 127\.0\.0\.1:9 does not answer") as caught:
        broker.check_given("redis://:s3cret-word@127.0.0.1:9/0")
    assert "s3cret-word" not in str(caught.value)


def test_a_one_off_that_fails_says_so(supervisor: Supervisor, output: io.StringIO) -> None:
    with pytest.raises(StartError, match="seed failed with 3"):
        supervisor.run(python("print('why'); raise SystemExit(3)", name="seed"))
    wait_until(lambda: "seed | why" in output.getvalue(), message="its own words are missing")


def test_waiting_gives_up_with_the_name_of_what_it_waited_for(supervisor: Supervisor) -> None:
    with pytest.raises(StartError, match="Gave up waiting for the broker"):
        supervisor.wait_until(lambda: False, what="the broker", timeout_s=0.1)


def test_the_configuration_reaches_a_child_through_its_standard_input(
    supervisor: Supervisor, output: io.StringIO
) -> None:
    spec = ProcessSpec(
        name="broker", argv=(sys.executable, "-c", "print(input())"), env=dict(os.environ), stdin="port 1\n"
    )
    supervisor.run(spec)
    wait_until(lambda: "broker | port 1" in output.getvalue(), message="it did not arrive")


def test_a_closed_terminal_is_no_error() -> None:
    stream = io.StringIO()
    console = Console(stream)
    stream.close()
    console.say("anything")


def test_ends_are_put_in_words() -> None:
    assert [describe_end(code) for code in (0, 1, -9, -15)] == ["by itself", "code 1", "SIGKILL", "SIGTERM"]


def test_a_killed_supervisor_leaves_no_process_not_even_a_pool_that_ignores_sigterm(tmp_path: Path) -> None:
    script = tmp_path / "supervise.py"
    script.write_text(
        textwrap.dedent(f"""
        import os, sys
        sys.path.insert(0, {str(ROOT)!r})
        from a365admin.supervisor.child import ProcessSpec
        from a365admin.supervisor.console import Console
        from a365admin.supervisor.supervisor import Supervisor
        with Supervisor(Console()) as supervisor:
            code = {WITH_POOL!r}
            supervisor.start(ProcessSpec(name="probes", argv=(sys.executable, "-c", code), env=dict(os.environ)))
            supervisor.watch()
        """)
    )
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            said = [running.stdout.readline() for _ in range(3)]
            pids = [int(line.rsplit(" ", 1)[1]) for line in said if " | " in line]
            assert len(pids) == 2, said
            group = os.getpgid(pids[0])
        finally:
            running.kill()
    wait_until(lambda: all(map(is_gone, pids)), message=f"left behind: {pids}")
    wait_until(lambda: _group_is_empty(group), message="the guard was left behind")


def _group_is_empty(group: int) -> bool:
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rsplit(")", 1)[1].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            return False
    return True


def test_one_start_at_a_time_for_each_data_directory(tmp_path: Path) -> None:
    first = RunLock(tmp_path).take("http://127.0.0.1:8000/", waiting=print)
    with pytest.raises(AlreadyRunningError, match=rf"process {os.getpid()}, http://127\.0\.0\.1:8000/"):
        RunLock(tmp_path).take("http://127.0.0.1:8001/", waiting=print)
    first.release()
    RunLock(tmp_path).take("http://127.0.0.1:8001/", waiting=print).release()


def test_a_start_waits_for_what_a_killed_one_left_to_end(tmp_path: Path) -> None:
    code = "import fcntl, os, sys; fcntl.flock(os.open(sys.argv[1], os.O_RDWR | os.O_CREAT), 2); print(); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "up-processes.lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as remains:
        assert remains.stdout is not None
        assert remains.stdin is not None
        remains.stdout.readline()
        stdin = remains.stdin
        said: list[str] = []

        def waiting(text: str) -> None:
            said.append(text)
            stdin.close()

        RunLock(tmp_path).take("http://127.0.0.1:8000/", waiting=waiting).release()
    assert "waiting for them" in said[0]


@pytest.mark.enable_socket
def test_a_busy_port_is_named_with_the_option_that_helps() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(readiness.PortTakenError, match=rf"Port {port} on 127\.0\.0\.1 .* --port {port + 1}"):
            readiness.check_port_is_free("127.0.0.1", port)


def test_the_brokers_password_is_in_no_argument_and_in_no_representation() -> None:
    made = broker.Broker(binary="/bin/redis", origin="here", port=1, password="s3cret-word")
    spec = processes.broker_spec(made, env={}, var=Path("/var"))
    assert "s3cret-word" in spec.stdin
    assert "s3cret-word" not in repr(made) + repr(spec) + " ".join(spec.argv)


def test_children_know_broker_demo_and_data_directory() -> None:
    env = processes.children_env(
        {"PATH": "/bin", "A365_LAB": "stale"},
        root=Path("/root"),
        var=Path("/var"),
        redis_url="redis://x",
        lab=None,
        host="127.0.0.1",
    )
    assert (env["REDIS_URL"], env["A365_VAR"]) == ("redis://x", "/var")
    assert "A365_LAB" not in env
    assert "A365_ALLOWED_HOSTS" not in env


def test_another_address_to_listen_on_is_an_allowed_host() -> None:
    env = processes.children_env(
        {}, root=Path("/root"), var=Path("/var"), redis_url="redis://x", lab=Path("/lab.json"), host="192.0.2.7"
    )
    assert "192.0.2.7" in env["A365_ALLOWED_HOSTS"]
    assert env["A365_LAB"] == "/lab.json"


def test_probes_and_operations_have_a_worker_each() -> None:
    queues = [spec.argv[spec.argv.index("-Q") + 1] for spec in processes.worker_specs(env={})]
    assert queues == ["probes", "operations"]


@pytest.mark.parametrize(
    ("host", "address"),
    [("127.0.0.1", "http://127.0.0.1:80/"), ("0.0.0.0", "http://127.0.0.1:80/"), ("::1", "http://[::1]:80/")],
)
def test_the_printed_address_can_be_opened(host: str, address: str) -> None:
    assert readiness.page_address(host, 80) == address
