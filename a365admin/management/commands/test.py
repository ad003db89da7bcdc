"""``python3 manage.py test [PYTEST ARGUMENTS] [--fast] [--no-skips]``: every gate and every test, set-up included."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from a365admin.testing import extras, gates, system_packages
from a365admin.testing.temporary_postgres import PostgresError, temporary_postgres

NOTHING_COLLECTED = 5


class Command(BaseCommand):
    """Gates, the suite on PostgreSQL, the suite on SQLite; fails when any part failed."""

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
        if not fast:
            results.append(self.run_on_postgres(no_skips=no_skips, arguments=pytest_arguments))
        self.say("\nSummary so far:")
        for result in results:
            self.say("  " + gates.result_line(result))
        failed += [result.name for result in results if not result.passed]
        for name in failed:
            self.say(f"  FAILED: {name}")
        self.say(f"  {time.monotonic() - started:.1f} s so far; now the suite on SQLite\n")
        selection = ["-m", "not postgres"]
        if not _names_tests(pytest_arguments):
            selection += ["tests/unit" if fast else "tests"]
        code = self.pytest([*selection, *pytest_arguments], no_skips=no_skips)
        if failed and code == 0:
            # Only then: otherwise pytest's own closing line stays the last one.
            self.say(f"FAILED before the tests: {', '.join(failed)} (see above)")
        return code or int(bool(failed))

    def run_on_postgres(self, *, no_skips: bool, arguments: list[str]) -> gates.GateResult:
        """The part of the suite that touches the database, on a PostgreSQL of its own."""
        self.say("\nThe suite on PostgreSQL:")
        started = time.monotonic()
        try:
            with temporary_postgres() as url:
                selection = ["-m", "not e2e and not once", *arguments]
                code = self.pytest(selection, no_skips=no_skips, env={"DATABASE_URL": url})
            passed = code == 0 or (code == NOTHING_COLLECTED and bool(arguments))
        except PostgresError as error:
            self.say(f"SKIPPED: {error}")
            passed = not no_skips
        return gates.GateResult("the suite on PostgreSQL", passed, time.monotonic() - started, "")

    def pytest(self, arguments: list[str], *, no_skips: bool, env: dict[str, str] | None = None) -> int:
        """Run pytest in a process of its own, in an environment that the user's shell has no part in."""
        plugins = ["-p", "tests.plugins.forbid_skips"] if no_skips else []
        clean = {name: value for name, value in os.environ.items() if not name.startswith("A365_")}
        for name in ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "DJANGO_SETTINGS_MODULE"):
            clean.pop(name, None)
        clean |= {"A365_ENV": "test", "A365_NO_BOOTSTRAP": "1", "PYTHONPATH": str(settings.ROOT)}
        command = [sys.executable, "-m", "pytest", *plugins, *arguments]
        return subprocess.run(command, cwd=settings.ROOT, env=clean | (env or {}), check=False).returncode

    def say(self, text: str) -> None:
        """Print at once: what comes next may take minutes."""
        self.stdout.write(text)
        self.stdout.flush()


def _names_tests(arguments: list[str]) -> bool:
    return any(argument.split("::")[0].rstrip("/").startswith("tests") for argument in arguments)
