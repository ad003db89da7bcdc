"""``python3 manage.py lock [--upgrade]``: the pinned, hashed requirements from ``requirements/*.in``."""

from __future__ import annotations

import subprocess
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

# Source, result, and what the result must agree with.
FILES = (
    ("requirements/base.in", "requirements.txt", None),
    ("requirements/postgres.in", "requirements/postgres.txt", "requirements.txt"),
    ("requirements/gssapi.in", "requirements/gssapi.txt", "requirements.txt"),
    ("requirements/test.in", "requirements/test.txt", "requirements.txt"),
)
OPTIONS = (
    "--universal",
    "--python-version=3.11",
    "--generate-hashes",
    "--no-emit-index-url",
    "--no-emit-find-links",
    "--no-annotate",
    "--no-header",
    "-q",
)


def command(source: str, result: str, constraint: str | None, *, upgrade: bool) -> list[str]:
    """The command line of uv for one file. Paths are relative to the repository."""
    line = [sys.executable, "-m", "uv", "pip", "compile", *OPTIONS, source, "-o", result]
    if constraint:
        line += ["-c", constraint]
    return [*line, "--upgrade"] if upgrade else line


class Command(BaseCommand):
    """Rewrites the requirements files; what is pinned already stays unless ``--upgrade``."""

    help = "Pin requirements.txt, requirements/postgres.txt, gssapi.txt and test.txt there from requirements/*.in."
    requires_system_checks: list[str] = []  # noqa: RUF012 (Django's own declaration)

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the option."""
        parser.add_argument("--upgrade", action="store_true", help="take the newest versions that fit")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run uv for each file, the base first: the others agree with it."""
        root: Path = settings.ROOT
        for source, result, constraint in FILES:
            line = command(source, result, constraint, upgrade=options["upgrade"])
            done = subprocess.run(line, cwd=root, stdout=subprocess.DEVNULL, check=False)
            if done.returncode != 0:
                raise CommandError(f"{result} was not changed: uv ended with {done.returncode}; its words are above.")
            self.stdout.write(f"{result}: {sum(1 for _ in pinned(root / result))} packages")


def pinned(path: Path) -> list[str]:
    """The names and versions in a pinned file."""
    return [line.split(" ")[0] for line in path.read_text().splitlines() if line[:1].isalnum()]
