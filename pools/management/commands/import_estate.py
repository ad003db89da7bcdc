"""``manage.py import_estate FILE … [--apply]``: an estate from PowerShell's exports, or from our own YAML."""

from __future__ import annotations

import getpass
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from a365admin.audit.context import Acting, act_as
from pools.importing.apply import ImportResult, apply_import, dry_run
from pools.importing.difference import Action
from pools.importing.document import KINDS
from pools.importing.reading import SourceFile, read_files
from pools.importing.text import MAX_BYTES


class Command(BaseCommand):
    """Shows the difference; changes something only with ``--apply``."""

    help = "Import an estate: shows what would change; --apply changes it, all or nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("files", nargs="+", metavar="FILE", help="CSV, JSON or CliXml of PowerShell, or our YAML")
        parser.add_argument("--apply", action="store_true", help="change the estate; without it nothing is changed")
        parser.add_argument(
            "--pool", action="append", default=[], help="only this trusted application pool (repeatable)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Read, compare, show, apply."""
        files = [self._file(Path(name)) for name in options["files"]]
        reading = read_files(files, pools=options["pool"])
        result = dry_run(reading)
        self._show(result)
        if result.problems:
            raise CommandError(
                f"{len(result.problems)} problems: nothing was imported. Put them right, then try again."
            )
        if not result.ready:
            self.stdout.write("The estate says all of this already. Nothing to do.")
            return
        if not options["apply"]:
            self.stdout.write("Nothing was changed. Run the same with --apply to change it.")
            return
        with act_as(Acting(actor_name=f"import_estate ({getpass.getuser()})")):
            done = apply_import(reading, sources=[file.name for file in files], digest=result.difference.digest)
        if not done.applied:
            sentences = " ".join(map(str, done.problems)) or "The estate was changed by somebody else at this moment."
            raise CommandError(f"Nothing was imported. {sentences} Run it again.")
        self.stdout.write("Imported.")

    def _file(self, path: Path) -> SourceFile:
        try:
            with path.open("rb") as file:
                return SourceFile(path.name, file.read(MAX_BYTES + 1))
        except OSError as error:
            raise CommandError(f"{path} cannot be read: {error.strerror}.") from error

    def _show(self, result: ImportResult) -> None:
        difference = result.difference
        for change in difference.changes:
            self.stdout.write(f"{'+' if change.action is Action.ADD else '~'} {change.sentence}")
        for problem in result.problems:
            self.stderr.write(f"! {problem}")
        kept = ", ".join(f"{len(names)} {KINDS[slug].plural}" for slug, names in difference.kept.items())
        self.stdout.write(
            f"{difference.count(Action.ADD)} to add, {difference.count(Action.CHANGE)} to change, "
            f"{sum(map(len, difference.unchanged.values()))} unchanged"
            + (f"; kept, not in the files: {kept}." if kept else ".")
        )
        if difference.left_out:
            names = ", ".join(difference.left_out[:10])
            self.stdout.write(f"Left out, no next hop of a trusted application pool: {names}.")
