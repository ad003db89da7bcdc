"""``python3 manage.py test [PYTEST ARGUMENTS] [--fast] [--no-skips]``: every gate and every test, set-up included.

Tests mostly wait: for processes to start, for names to expire, for pages to follow. So the suite runs in two lanes side
by side: what is shown at once, and what is shown when it has ended.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from a365admin.testing import extras, gates, system_packages
from a365admin.testing.temporary_postgres import PostgresError, temporary_postgres

NOTHING_COLLECTED = 5
ON_POSTGRES = ("-m", "not e2e and not once")
BROWSER = ("-m", "e2e")
THE_REST = ("-m", "not postgres and not e2e")
ON_SQLITE = ("-m", "not postgres")


@dataclass(frozen=True)
class SuiteResult(gates.GateResult):
    """How a run of pytest ended, and how many of its tests did what."""

    code: int
    counts: Counter[str]


class Command(BaseCommand):
    """Gates, then the suite on PostgreSQL and on SQLite; fails when any part failed."""

    help = "Run every gate and every test. Unknown arguments go to pytest."
    requires_system_checks: list[str] = []  # noqa: RUF012 (Django's own declaration)

    def run_from_argv(self, argv: list[str]) -> None:
        """Take our own options and leave all others to pytest."""
        parser = argparse.ArgumentParser(prog="manage.py test", description=self.help)
        parser.add_argument("--fast", action="store_true", help="gates and unit tests only, on SQLite only")
        parser.add_argument(
            "--no-skips", action="store_true", help="a skipped test is a failure (always so with CI=true)"
        )
        options, pytest_arguments = parser.parse_known_args(argv[2:])
        if pytest_arguments[:1] == ["--"]:  # pytest would take all that follows for files
            del pytest_arguments[0]
        sys.exit(
            self.run(
                fast=options.fast,
                no_skips=options.no_skips or os.environ.get("CI") == "true",
                pytest_arguments=pytest_arguments,
            )
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """``call_command("test")``: everything."""
        sys.exit(self.run(fast=False, no_skips=False, pytest_arguments=[]))

    def run(self, *, fast: bool, no_skips: bool, pytest_arguments: list[str]) -> int:
        """Run everything, even after a failure. Returns the exit code."""
        started = time.monotonic()
        missing = [] if fast else system_packages.ensure(self.say)
        failed = []
        if no_skips and missing:
            failed.append("system packages")
        if not fast and not extras.ensure_gssapi(settings.ROOT, self.say) and no_skips:
            failed.append("gssapi")
        self.say("Gates:")
        results = gates.run_all_gates(settings.ROOT, self.say)
        names_tests = _names_tests(pytest_arguments)
        with ThreadPoolExecutor(1) as beside:
            lane = None if fast else beside.submit(self.run_beside, pytest_arguments, no_skips=no_skips)
            selection = ON_SQLITE if fast or pytest_arguments else THE_REST
            where = [] if names_tests else ["tests/unit" if fast else "tests"]
            shown = self.run_suite("SQLite", [*selection, *where, *pytest_arguments], no_skips=no_skips)
            results += self.and_what_ran_beside(lane)
        results.append(shown)
        self.say("\nSummary:")
        for result in results:
            self.say("  " + gates.result_line(result))
        failed += [result.name for result in results if not result.passed]
        for name in failed:
            self.say(f"  FAILED: {name}")
        self.say(closing_line(results, time.monotonic() - started))
        return int(bool(failed))

    def run_beside(self, arguments: list[str], *, no_skips: bool) -> list[gates.GateResult]:
        """The part of the suite that touches the database, on a PostgreSQL of its own; then the browser tests."""
        results: list[gates.GateResult] = []
        try:
            with temporary_postgres() as url:
                selection = [*ON_POSTGRES, *arguments]
                found = self.run_suite("PostgreSQL", selection, no_skips=no_skips, database=url, kept=True)
            nothing_meant = found.code == NOTHING_COLLECTED and bool(arguments)
            results.append(replace(found, passed=found.passed or nothing_meant))
        except PostgresError as error:
            results.append(gates.GateResult("tests on PostgreSQL", not no_skips, 0.0, f"SKIPPED: {error}"))
        if not arguments:
            results.append(self.run_suite("SQLite, browser", [*BROWSER, "tests"], no_skips=no_skips, kept=True))
        return results

    def and_what_ran_beside(self, lane: Future[list[gates.GateResult]] | None) -> list[gates.GateResult]:
        """Wait for it, and show what it printed."""
        if lane is None:
            return []
        if not lane.done():
            self.say("\nWaiting for the tests that run beside.")
        for result in lane.result():
            self.say(f"\nBeside, {result.name}:\n{result.output.rstrip()}")
        return lane.result()

    def run_suite(
        self, where: str, arguments: list[str], *, no_skips: bool, database: str = "", kept: bool = False
    ) -> SuiteResult:
        """Run pytest to its end; with ``kept`` what it prints is in the result, else it is shown at once."""
        started = time.monotonic()
        plugins = ["-p", "tests.plugins.forbid_skips"] if no_skips else []
        with tempfile.TemporaryDirectory(prefix="a365-suite-") as folder:
            report, output = Path(folder) / "report.xml", Path(folder) / "output"
            command = [sys.executable, "-m", "pytest", *plugins, f"--junitxml={report}", *arguments]
            with output.open("wb") as kept_output:
                code = subprocess.run(
                    command,
                    cwd=settings.ROOT,
                    env=_environment(database),
                    stdin=subprocess.DEVNULL if kept else None,
                    stdout=kept_output if kept else None,
                    stderr=subprocess.STDOUT if kept else None,
                    check=False,
                ).returncode
            said = output.read_text(errors="replace")
            counts = counts_of(report)
        return SuiteResult(f"tests on {where}", code == 0, time.monotonic() - started, said, code, counts)

    def say(self, text: str) -> None:
        """Print at once: what comes next may take minutes."""
        self.stdout.write(text)
        self.stdout.flush()


def _environment(database: str) -> dict[str, str]:
    """What the user's shell has no part in: the suite's own settings, and its database."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("A365_")}
    for name in ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "DJANGO_SETTINGS_MODULE"):
        clean.pop(name, None)
    clean |= {"A365_ENV": "test", "A365_NO_BOOTSTRAP": "1", "PYTHONPATH": str(settings.ROOT)}
    return clean | ({"DATABASE_URL": database} if database else {})


def counts_of(report: Path) -> Counter[str]:
    """How many tests passed, failed and so on, from the head of pytest's own report; nothing where there is none."""
    try:
        head = report.read_text(errors="replace")[:2000]
    except OSError:
        return Counter()
    found = {name: int(count) for name, count in re.findall(r' (tests|failures|errors|skipped)="(\d+)"', head)}
    bad = {"failed": found.get("failures", 0), "error": found.get("errors", 0), "skipped": found.get("skipped", 0)}
    return Counter(bad | {"passed": found.get("tests", 0) - sum(bad.values())})


def closing_line(results: list[gates.GateResult], seconds: float) -> str:
    """All suites together, in the form in which pytest ends."""
    counts = sum((result.counts for result in results if isinstance(result, SuiteResult)), Counter[str]())
    words = ", ".join(f"{counts[what]} {what}" for what in ("failed", "passed", "skipped", "error") if counts[what])
    return f"{words or 'no tests ran'} in {seconds:.2f}s".join(("===== ", " ====="))


def _names_tests(arguments: list[str]) -> bool:
    return any(argument.split("::")[0].rstrip("/").startswith("tests") for argument in arguments)
