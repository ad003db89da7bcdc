"""``manage.py breakglass …``: fail over with no database, no broker and no worker, from the sealed bundle."""

from __future__ import annotations

import time
import uuid
from argparse import ArgumentParser
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from a365admin.management.terminal import confirmed, count_down, who
from dnsops.breakglass import files, looking
from dnsops.breakglass.acting import Attempt
from dnsops.breakglass.bundle import Bundle, BundleError
from dnsops.breakglass.journal import Journal, JournalError, broken_off, read
from dnsops.lifecycle import OperationState
from dnsops.safety import Level, Rule
from dnsops.terminal import CODES, ExitCode, answer_lines, finding_lines, not_forced, plan_lines


class Command(BaseCommand):
    """Does without us what we do: reads the bundle, never the database, but for ``write`` and ``import``."""

    help = (
        "Fail over when the database, the broker and the workers are lost. Reads the sealed bundle; writes a journal, "
        "which is taken into the audit log afterwards. Exit codes as of `failover`."
    )
    requires_system_checks: list[str] = []  # noqa: RUF012 (Django's own declaration)

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare what it can do."""
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        actions.add_parser("list", help="the hostnames in the bundle, and how old it is")
        failover = actions.add_parser("failover", help="fail a hostname over, or back")
        failover.add_argument("hostname", help="the dedicated hostname, such as a365web1.example.com")
        failover.add_argument("--to", metavar="TARGET", default="", help="server; its primary means failing back")
        failover.add_argument("--reason", default="", help="kept in the journal; required unless --dry-run")
        failover.add_argument("--ticket", default="")
        failover.add_argument("--dry-run", action="store_true", help="show the plan; change nothing")
        failover.add_argument("--yes", action="store_true", help="do not ask")
        failover.add_argument("--no-wait", action="store_true", help="end without waiting for clients' old answers")
        failover.add_argument("--force", metavar="RULE", action="append", default=[], choices=[r.value for r in Rule])
        sheets = actions.add_parser("sheets", help="write the offline sheets as HTML files")
        sheets.add_argument("folder", type=Path)
        actions.add_parser("write", help="write the bundle now (needs the database)")
        actions.add_parser("import", help="take the journal into the audit log and the history (needs the database)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it; what is wrong with a file is said in a sentence."""
        actions: dict[str, Callable[[dict[str, Any]], ExitCode]] = {
            "list": self._list, "failover": self._failover, "sheets": self._sheets,
            "write": self._write, "import": self._import,
        }  # fmt: skip
        try:
            code = actions[options["action"]](options)
        except (BundleError, JournalError) as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            raise CommandError(
                "Interrupted. If the change had been sent, it may have been made: run it again with --dry-run to see.",
                returncode=ExitCode.UNKNOWN,
            ) from None
        if code is not ExitCode.SUCCEEDED:
            raise SystemExit(int(code))

    def _bundle(self) -> tuple[Bundle, bytes]:
        key = files.read_key(settings.BREAKGLASS["key"])
        bundle = files.read_bundle(settings.BREAKGLASS["bundle"], key)
        hours = bundle.age_s(datetime.now(UTC)) / 3600
        self.stdout.write(f"The bundle is of {bundle.written_at[:19]} UTC ({hours:.1f} h old), by {bundle.written_by}.")
        return bundle, key

    def _list(self, options: dict[str, Any]) -> ExitCode:
        bundle, _ = self._bundle()
        for hostname in bundle.hostnames:
            targets = ", ".join(found.target.name for found in hostname.targets)
            self.stdout.write(f"  {hostname.fqdn}  {hostname.service_name}  targets: {targets or 'none'}")
        return ExitCode.SUCCEEDED

    def _failover(self, options: dict[str, Any]) -> ExitCode:
        if not options["reason"].strip() and not options["dry_run"]:
            raise CommandError("--reason: found nothing, expected why this is done. It is kept in the journal.")
        bundle, key = self._bundle()
        hostname = bundle.hostname(options["hostname"])
        begun = broken_off(read(settings.BREAKGLASS["journal"], key), hostname.fqdn)
        if begun is not None and not options["to"]:
            to = begun.content["plan"]["to_server"]
            self.stdout.write(
                f"An attempt to move {hostname.fqdn} to {to} broke off at {begun.at[:19]} UTC, and may have been made. "
                f"Say with --to where it shall be, for example --to {to}. Nothing was changed."
            )
            return ExitCode.REFUSED
        seen = looking.look(bundle, hostname, to=options["to"])
        if not self._show(bundle, seen, options):
            return ExitCode.REFUSED
        if options["dry_run"]:
            self.stdout.write("Nothing was changed: this was a dry run.")
            return ExitCode.SUCCEEDED
        blocking = [finding.rule for finding in seen.findings if finding.level is Level.BLOCK]
        if not options["yes"] and not confirmed(self.stdout, hostname.fqdn if blocking else "yes"):
            self.stdout.write("Nothing was changed.")
            return ExitCode.NOT_CONFIRMED
        with Journal(settings.BREAKGLASS["journal"], key) as journal:
            again = looking.look(bundle, hostname, to=options["to"])
            if again.plan is None or again.digest != seen.digest:
                self.stdout.write("DNS or health has changed since this was shown. Look again. Nothing was changed.")
                return ExitCode.REFUSED
            attempt = Attempt(str(uuid.uuid4()), bundle, again, again.plan, journal, self._say)
            end = attempt.carry_out(by=who(), reason=options["reason"], ticket=options["ticket"], forced=blocking)
        if end.state is OperationState.SUCCEEDED and not options["no_wait"]:
            old_s = again.plan.change.expected.ttl_s
            count_down(self.stdout, time.monotonic() + old_s, "Waiting for clients' old answers to expire")
        self.stdout.write(f"{end.state.value.capitalize()}: {end.sentence}")
        self.stdout.write(f"Written down in {settings.BREAKGLASS['journal']}; it is taken into the audit log later.")
        return CODES[end.state]

    def _say(self, text: str) -> None:
        self.stdout.write(f"  {datetime.now(UTC):%H:%M:%S} {text}")

    def _show(self, bundle: Bundle, seen: looking.Look, options: dict[str, Any]) -> bool:
        """Print what would be done. False where it may not go on."""
        if seen.plan is None:
            self.stdout.write("\n".join(answer_lines(seen.answers)))
            self.stdout.write(f"No plan can be made: {seen.plan_error} Nothing was changed.")
            return False
        affected = bundle.uccs_of(seen.hostname)
        lines = plan_lines(seen.plan, affected=affected, now=datetime.now().astimezone())
        self.stdout.write("\n".join([*lines, *answer_lines(seen.answers), *finding_lines(seen.findings)]))
        forbidden = not_forced(seen.findings, options["force"])
        if forbidden:
            self.stdout.write(forbidden)
        return not forbidden

    def _sheets(self, options: dict[str, Any]) -> ExitCode:
        from dnsops.breakglass.sheet_files import write_sheets

        bundle, _ = self._bundle()
        written = write_sheets(bundle, options["folder"])
        self.stdout.write(f"{len(written)} files in {options['folder']}: one for each hostname, and all.html.")
        return ExitCode.SUCCEEDED

    def _write(self, options: dict[str, Any]) -> ExitCode:
        from dnsops.breakglass import keeping

        bundle = keeping.write()
        self.stdout.write(f"{len(bundle.hostnames)} hostnames written to {settings.BREAKGLASS['bundle']}.")
        return ExitCode.SUCCEEDED

    def _import(self, options: dict[str, Any]) -> ExitCode:
        from dnsops.breakglass import importing

        taken = importing.take_in()
        for operation in taken:
            self.stdout.write(f"Taken in: {operation or 'an attempt on a hostname that is gone (see the audit log)'}")
        if not taken:
            self.stdout.write("Nothing new: the journal holds nothing that is not in the history already.")
        return ExitCode.SUCCEEDED
