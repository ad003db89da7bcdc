"""``python3 manage.py up``: the whole product in one foreground command, demo estate included."""

from __future__ import annotations

import os
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from a365admin.supervisor import broker as brokers, estate, processes, readiness
from a365admin.supervisor.console import Console
from a365admin.supervisor.run_lock import AlreadyRunningError, RunLock
from a365admin.supervisor.supervisor import StartError, StopRequestedError, Supervisor

EXPECTED_ERRORS = (
    AlreadyRunningError,
    brokers.BrokerError,
    estate.EstateError,
    readiness.PortTakenError,
    StartError,
)


class Command(BaseCommand):
    """Starts broker, demo estate, workers, beat and web; Ctrl-C stops them all."""

    help = "Start everything here: broker, workers, beat, web, and a demo estate where the database is empty."
    requires_system_checks: list[str] = []  # noqa: RUF012 (Django's own declaration)

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("--port", type=int, default=8000, help="port for the pages (default 8000)")
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
        parser.add_argument("--empty", action="store_true", help="do not make the demo estate in an empty database")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until stopped."""
        if settings.PRODUCTION:
            raise CommandError(
                "up is for the embedded installation (A365_ENV=embedded). In production each process is a systemd "
                "unit: see docs/install.md."
            )
        address = readiness.page_address(options["host"], options["port"])
        console = Console()
        lock = RunLock(settings.VAR)
        try:
            lock.take(address, waiting=console.say)
            readiness.check_port_is_free(options["host"], options["port"])
            with Supervisor(console, lock_fd=lock.fd) as supervisor:
                Start(supervisor, console, var=settings.VAR, address=address, options=options).run()
        except StopRequestedError:
            console.say("Stopped before it was ready.")
        except EXPECTED_ERRORS as error:
            raise CommandError(str(error)) from error
        finally:
            lock.release()


class Start:
    """The sequence of one start."""

    def __init__(
        self, supervisor: Supervisor, console: Console, *, var: Path, address: str, options: dict[str, Any]
    ) -> None:
        self.supervisor = supervisor
        self.console = console
        self.var = var
        self.address = address
        self.host: str = options["host"]
        self.port: int = options["port"]
        self.wants_empty: bool = options["empty"]
        self.started = time.monotonic()

    def run(self) -> None:
        """Start everything in order, say *Ready*, then watch."""
        redis_url = os.environ.get("REDIS_URL", "")
        if redis_url:
            brokers.check_given(redis_url)
        else:
            redis_url = self.start_broker()
        self.console.say("Database: bringing it up to date …")
        estate.migrate()
        (self.var / "static").mkdir(exist_ok=True)  # whitenoise warns about a missing one
        password = estate.ensure_administrator(self.var)
        is_empty = estate.is_empty()
        lab = self.choose_lab(is_empty=is_empty)
        connections.close_all()
        env = processes.children_env(
            os.environ, root=settings.ROOT, var=self.var, redis_url=redis_url, lab=lab, host=self.host
        )
        if lab is not None:
            self.start_lab(lab, env, seed=is_empty)
        self.console.say("Starting workers, beat and web …")
        for spec in processes.worker_specs(env=env):
            self.supervisor.start(spec)
        self.supervisor.start(processes.beat_spec(env=env, var=self.var))
        self.supervisor.start(processes.watch_spec(env=env))
        self.supervisor.start(processes.web_spec(env=env, host=self.host, port=self.port))
        self.wait_until_ready(expects_sweep=not is_empty or lab is not None)
        self.say_ready(password, lab)
        self.supervisor.watch()

    def start_broker(self) -> str:
        """Start the embedded broker; return its address, which holds its password."""
        broker = brokers.make_broker()
        self.console.say(f"Broker: {broker.origin} …")
        self.supervisor.start(processes.broker_spec(broker, env=os.environ, var=self.var))
        self.supervisor.wait_until(broker.answers, what="the broker", timeout_s=15)
        return broker.url

    def choose_lab(self, *, is_empty: bool) -> Path | None:
        """The demo estate's configuration, made where needed; None when there is to be no demo."""
        kept = self.var / "lab.json"
        if is_empty and self.wants_empty:
            return None
        if is_empty and not kept.exists():
            self.console.say("Demo estate: choosing addresses, making keys and certificates …")
            return estate.make_demo(self.var)
        if not kept.exists():
            return None
        if self.wants_empty:
            self.console.say(f"--empty: {self.var} holds a demo estate already; A365_VAR=/other/folder starts anew.")
        return kept

    def start_lab(self, lab: Path, env: dict[str, str], *, seed: bool) -> None:
        """Start the demo's servers, and enter them into the empty database."""
        self.console.say("Demo estate: starting its servers and DNS …")
        self.supervisor.start(processes.lab_spec(lab, env=env))
        self.supervisor.wait_until(lambda: readiness.lab_answers(lab), what="the demo estate's servers", timeout_s=30)
        if seed:
            self.console.say("Demo estate: entering it into the database …")
            self.supervisor.run(processes.seed_spec(env=env))

    def wait_until_ready(self, *, expects_sweep: bool) -> None:
        """Return when a page answers and, where there is something to probe, the first sweep is in."""
        self.supervisor.wait_until(
            lambda: readiness.page_answers(self.address), what=f"the pages at {self.address}", timeout_s=90
        )
        if expects_sweep:
            self.console.say("The pages answer; waiting for the first sweep …")
            self.supervisor.wait_until(self.first_sweep_is_in, what="the first sweep", timeout_s=None)

    def first_sweep_is_in(self) -> bool:
        """Whether the web server says that the probes' results have come in."""
        health = readiness.deep_health(self.address)
        return health is not None and health.first_sweep_is_in

    def say_ready(self, password: str | None, lab: Path | None) -> None:
        """The address, how to sign in, and what to try."""
        file = self.var / estate.PASSWORD_FILE
        lines = ["", f"Ready in {time.monotonic() - self.started:.1f} s:  {self.address}", ""]
        if password is not None:
            lines += [f"  user      {estate.ADMINISTRATOR}", f"  password  {password}   (shown once; kept in {file})"]
        elif file.exists():
            lines += [f"  user {estate.ADMINISTRATOR}, password in {file}, unless it was changed since"]
        if lab is not None:
            lines += ["", f"  break and mend the demo:  {self.address}lab/"]
            lines += [f"  ask its DNS:              {line}" for line in estate.dig_lines(lab)[:1]]
        if self.host not in {"127.0.0.1", "localhost", "::1"}:
            lines += ["", "  Open to the network without HTTPS: for trials only; docs/install.md shows the real thing."]
        lines += ["", "  Ctrl-C stops everything.", ""]
        for line in lines:
            self.console.say(line)
