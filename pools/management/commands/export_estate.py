"""``manage.py export_estate [FILE]``: the estate as YAML, which ``import_estate`` understands."""

from __future__ import annotations

import getpass
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from a365admin.audit.context import Acting, act_as
from pools.importing.export import export_estate


class Command(BaseCommand):
    """Writes the estate into a file, or to the standard output."""

    help = "Export the estate as YAML, to FILE or to the standard output."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("file", nargs="?", metavar="FILE", help="where to write; default: the standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        """Export."""
        path = Path(options["file"]) if options["file"] else None
        with act_as(Acting(actor_name=f"export_estate ({getpass.getuser()})")):
            text = export_estate(to=str(path or "standard output"))
        if path is None:
            self.stdout.write(text, ending="")
            return
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise CommandError(f"{path} cannot be written: {error.strerror}.") from error
        self.stdout.write(f"Exported to {path}.")
