"""The gates before the tests: each one command, timed, its output shown only where it fails."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

PARALLEL = 2


@dataclass(frozen=True)
class Gate:
    """A command that must end with 0."""

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class GateResult:
    """How a gate ended. ``seconds``: wall clock."""

    name: str
    passed: bool
    seconds: float
    output: str


def production_env(var: Path) -> dict[str, str]:
    """Made-up values under which the production settings can be checked; nothing is connected to."""
    return {
        "A365_ENV": "production",
        "A365_VAR": str(var),
        "A365_ALLOWED_HOSTS": "a365admin.example",
        "A365_BEAT": "redbeat",
        "DATABASE_URL": "postgres://a365admin:not-a-password@127.0.0.1:1/a365admin",
        "REDIS_URL": "redis://:not-a-password@127.0.0.1:1/0",
        "SECRET_KEY": "only-for-the-check-" + "0123456789abcdefghijklmnopqrstuvwxyz" * 2,
    }


def all_gates(root: Path, var: Path) -> list[Gate]:
    """Every gate; the slowest first, so that the short ones run beside it."""
    python = sys.executable
    scripts = Path(python).parent
    manage = (python, str(root / "manage.py"))
    test_env = {"A365_ENV": "test", "A365_VAR": str(var)}
    return [
        Gate("mypy --strict", (python, "-m", "mypy"), test_env),
        Gate("ruff check", (python, "-m", "ruff", "check")),
        Gate("ruff format --check", (python, "-m", "ruff", "format", "--check")),
        Gate("lint-imports", (str(scripts / "lint-imports"), "--no-logo")),
        Gate("check --deploy", (*manage, "check", "--deploy", "--fail-level", "WARNING"), production_env(var)),
        Gate("makemigrations --check", (*manage, "makemigrations", "--check", "--dry-run"), test_env),
        Gate("djlint --lint", (python, "-m", "djlint", "--lint", "--quiet", "templates", "a365admin")),
    ]


def run_gate(gate: Gate, root: Path) -> GateResult:
    """Run one gate to its end."""
    started = time.monotonic()
    # Settings of the user's own shell must not decide whether a gate passes.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("A365_")}
    for name in ("DATABASE_URL", "REDIS_URL", "SECRET_KEY"):
        clean.pop(name, None)
    env = clean | {"A365_NO_BOOTSTRAP": "1"} | dict(gate.env)
    try:
        done = subprocess.run(
            gate.command,
            cwd=root,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        passed, output = done.returncode == 0, done.stdout.decode(errors="replace")
    except OSError as error:
        passed, output = False, f"could not be started: {error}"
    return GateResult(gate.name, passed, time.monotonic() - started, output)


def run_gates(gates: Iterable[Gate], root: Path, say: Callable[[str], None]) -> list[GateResult]:
    """Run all gates, two at a time, and say how each ended, with its output where it failed."""
    results = []
    with ThreadPoolExecutor(PARALLEL) as pool:
        for result in pool.map(lambda gate: run_gate(gate, root), gates):
            say(result_line(result))
            if not result.passed:
                say(result.output.rstrip())
            results.append(result)
    return results


def result_line(result: GateResult) -> str:
    """One line of the summary."""
    return f"{'ok  ' if result.passed else 'FAIL'}  {result.name:<28} {result.seconds:6.1f} s"


def run_all_gates(root: Path, say: Callable[[str], None]) -> list[GateResult]:
    """All gates, with a throw-away data directory."""
    with tempfile.TemporaryDirectory(prefix="a365-gates-") as var:
        return run_gates(all_gates(root, Path(var)), root, say)
