"""``manage.py audit_verify``: is the audit log as it was recorded?"""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from a365admin.audit.models import AuditEntry
from a365admin.audit.services import verify_chain


class Command(BaseCommand):
    """Verifies the chain; ends with status 1 and the place where it is broken."""

    help = "Verify that no entry of the audit log was changed, removed or added; says where it breaks (status 1)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument(
            "--seen",
            metavar="HASH",
            help="a last hash that was noted elsewhere before: the log must still contain it",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Verify, print one sentence and the last hash."""
        report = verify_chain()
        if not report.ok:
            raise CommandError(report.sentence, returncode=1)
        seen = (options["seen"] or "").strip().lower()
        if seen and not AuditEntry.objects.filter(hash=seen).exists():
            raise CommandError(
                f"The chain is whole, but no entry has the hash {seen}: the log was replaced by another one.",
                returncode=1,
            )
        self.stdout.write(f"{report.sentence} Last hash: {report.last_hash}")
