"""``python3 manage.py bench [NAME …] [--json FILE]``: our speed beside the peers', in one run."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from a365admin import benchmarks


class Command(BaseCommand):
    """Runs benches and prints their figures; a missed goal is shown, and is no error."""

    help = "Measure: each figure with ours, the peer's, the ratio and the goal. Without names: every bench."
    requires_system_checks: list[str] = []  # noqa: RUF012 (Django's own declaration)

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("names", nargs="*", metavar="NAME", help="benches to run (default: all)")
        parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run each, print the table, name the peers that are missing."""
        root: Path = settings.ROOT
        names = options["names"] or benchmarks.available(root)
        try:
            runs = {name: benchmarks.load(name, root) for name in names}
        except benchmarks.BenchError as error:
            raise CommandError(str(error)) from error
        figures: list[benchmarks.Figure] = []
        for name, run in runs.items():
            self.stderr.write(f"bench {name} …")
            try:
                figures += run()
            except benchmarks.BenchError as error:
                self.stderr.write(f"bench {name} cannot run here: {error}")
        self.stdout.write(benchmarks.table(figures))
        for peer in sorted({f.peer_name for f in figures if f.peer_name and f.peer is None}):
            self.stdout.write(f"not measured, because it is not installed or did not run: {peer}")
        if options["json"]:
            options["json"].write_text(benchmarks.as_json(figures))
            self.stdout.write(f"written: {options['json']}")
