"""Our own processes as ``up`` starts them (broker, beat, both workers, pages on request), on a made estate."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from a365admin.supervisor import broker as brokers, processes
from a365admin.supervisor.child import ProcessSpec
from tests.benchmarks.health.spent import family
from tests.benchmarks.health.targets import RunningTargets
from tests.product import ROOT, free_port
from tests.waiting import wait_until

PROBES_AND_WHAT_THEY_NEED = ("broker", "beat", "probes", "operations")


class Ours:
    """A running installation: its processes by name, its database and its environment."""

    def __init__(self, var: Path, env: dict[str, str]) -> None:
        self.var = var
        self.env = env
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.url = ""
        self.password = ""

    def pids(self, *names: str) -> list[int]:
        """All processes of these parts, their children included; without names those that checks need."""
        return [pid for name in names or PROBES_AND_WHAT_THEY_NEED for pid in family(self.processes[name].pid)]

    def sql(self, query: str) -> list[tuple[object, ...]]:
        """Read from its database."""
        with sqlite3.connect(f"file:{self.var / 'a365admin.sqlite3'}?mode=ro", uri=True, timeout=20) as database:
            return database.execute(query).fetchall()

    def count(self, health: str) -> int:
        """How many checks are in a state."""
        return int(str(self.sql(f"SELECT count(*) FROM pools_checkstate WHERE health = '{health}'")[0][0]))

    def tail(self) -> str:
        """The end of what its processes have printed."""
        return (self.var / "log").read_text()[-3000:]

    def python(self, *arguments: str) -> str:
        """Run a module of ours in its environment; what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", *arguments], env=self.env, cwd=ROOT, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise AssertionError(f"{arguments} ended with {done.returncode}:\n{done.stderr}")
        return done.stdout

    def start(self, spec: ProcessSpec) -> None:
        """Start one of its processes."""
        with (self.var / "log").open("ab") as log:
            process = subprocess.Popen(
                spec.argv,
                env=dict(spec.env),
                cwd=ROOT,
                stdin=subprocess.PIPE if spec.stdin else subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if process.stdin is not None:
            process.stdin.write(spec.stdin.encode())
            process.stdin.close()
        self.processes[spec.name] = process

    def stop(self) -> None:
        """End everything."""
        for name, process in self.processes.items():
            if name != "broker":
                process.terminate()
        for name, process in self.processes.items():
            try:
                process.wait(0.1 if name == "broker" else 20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
                process.wait()


@contextmanager
def ours(
    var: Path, targets: RunningTargets, *, settings: dict[str, str] | None = None, web: bool = False
) -> Iterator[Ours]:
    """Run it on an estate of all targets. ``settings``: more of its environment (``BENCH_…``: see ``source``)."""
    var.mkdir()
    broker = brokers.make_broker()
    base = {key: value for key, value in os.environ.items() if not key.startswith(("A365_", "REDIS_", "DATABASE_"))}
    env = processes.children_env(base, root=ROOT, var=var, redis_url=broker.url, lab=None, host="127.0.0.1")
    env |= {"DJANGO_SETTINGS_MODULE": "tests.benchmarks.health.settings"} | (settings or {})
    made = Ours(var, env)
    with ExitStack() as stack:
        stack.callback(made.stop)
        made.start(processes.broker_spec(broker, env=env, var=var))
        wait_until(broker.answers, message="the broker does not answer")
        shape = [str(targets.network), str(targets.servers), str(targets.ports)]
        made.password = json.loads(made.python("tests.benchmarks.health.estate", *shape))["password"]
        for spec in processes.worker_specs(env=env):
            made.start(spec)
        made.start(processes.beat_spec(env=env, var=var))
        if web:
            port = free_port()
            made.start(processes.web_spec(env=env, host="127.0.0.1", port=port))
            made.url = f"http://127.0.0.1:{port}"
        yield made
