"""``manage.py failover HOSTNAME --reason …``: the same rules and the same executor, with no broker and no worker."""

from __future__ import annotations

import time
import uuid
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.utils import timezone

from a365admin.accounts.models import Role, User
from a365admin.audit.context import Acting, act_as
from a365admin.management.terminal import confirmed, count_down, who
from dnsops import executor, pages, services, tasks
from dnsops.lifecycle import ACTIVE, OperationKind, OperationState, StepState
from dnsops.models import FailoverOperation, OperationStep
from dnsops.safety import Rule
from dnsops.terminal import CODES, ExitCode, answer_lines, finding_lines, not_forced, plan_lines
from pools import redis_store
from pools.models import DedicatedHostname, Server, VirtualService

LOOK_AGAIN_S = 0.5
BROKER_LOST = (
    "The broker cannot be reached. This command does not need it; pages are not told, and show it when they ask again."
)


class Command(BaseCommand):
    """Fails over or back from a terminal."""

    help = (
        "Fail a hostname over (or back) from this terminal: needs the database, but no broker and no worker. Shows the "
        "plan, and asks. Exit codes: 0 done, 1 wrong call, 3 refused, 4 failed (nothing changed), 5 incomplete, "
        "6 not known, 7 not confirmed. Without a database: manage.py breakglass."
    )
    requires_system_checks: list[str] = []  # noqa: RUF012 (Django's own declaration)

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("hostname", help="the dedicated hostname, such as a365web1.example.com")
        parser.add_argument("--to", metavar="TARGET", help="server (name or FQDN); its primary means failing back")
        parser.add_argument("--reason", default="", help="kept in the audit log; required unless --dry-run or --resume")
        parser.add_argument("--ticket", default="")
        parser.add_argument("--dry-run", action="store_true", help="show the plan and what forbids it; change nothing")
        parser.add_argument("--yes", action="store_true", help="do not ask")
        parser.add_argument(
            "--force", metavar="RULE", action="append", default=[], choices=[r.value for r in Rule],
            help="go on in spite of this rule; once for each rule that forbids it",
        )  # fmt: skip
        parser.add_argument(
            "--resume", action="store_true", help="carry on the operation that is under way, in place of a worker"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Look, show, ask, do; the exit code says how it ended."""
        try:
            code = self._go(options)
        except DatabaseError as error:
            raise CommandError(
                f"The database cannot be used ({str(error).strip().splitlines()[0]}). Without it: manage.py breakglass."
            ) from error
        except KeyboardInterrupt:
            raise CommandError(
                "Interrupted. What was begun stays begun: a worker carries it on, or run this again with --resume.",
                returncode=ExitCode.UNKNOWN,
            ) from None
        if code is not ExitCode.SUCCEEDED:
            raise SystemExit(int(code))

    def _go(self, options: dict[str, Any]) -> ExitCode:
        hostname = self._hostname(options["hostname"])
        if not redis_store.do_without_if_lost():
            self.stderr.write(BROKER_LOST)
        name = who()
        with act_as(Acting(actor_name=name, request_id=str(uuid.uuid4()))):
            if options["resume"]:
                return self._resume(hostname)
            return self._fail_over(hostname, self._target(hostname, options["to"]), options, name)

    def _fail_over(
        self, hostname: DedicatedHostname, target: Server | VirtualService | None, options: dict[str, Any], name: str
    ) -> ExitCode:
        if not options["reason"].strip() and not options["dry_run"]:
            raise CommandError("--reason: found nothing, expected why this is done. It is kept in the audit log.")
        back = target is not None and any(row.order == 1 and row.aim == target for row in hostname.targets.with_aims())
        kind = OperationKind.FAILBACK if back else OperationKind.FAILOVER
        seen = services.preflight(hostname=hostname, kind=kind, to_server=target)
        if not self._show(seen, hostname, options):
            return ExitCode.REFUSED
        if options["dry_run"]:
            self.stdout.write("Nothing was changed: this was a dry run.")
            return ExitCode.SUCCEEDED
        if not options["yes"] and not confirmed(self.stdout, hostname.fqdn if seen.blocking else "yes"):
            self.stdout.write("Nothing was changed.")
            return ExitCode.NOT_CONFIRMED
        assert seen.plan is not None
        try:
            operation = services.request_failover(
                user=User(username=name, role=Role.ADMINISTRATOR),  # whoever may run this has the database itself
                hostname=hostname,
                kind=kind,
                to_server_id=seen.plan.to_server_id,
                to_virtual_service_id=seen.plan.to_virtual_service_id,
                digest=seen.digest,
                reason=options["reason"],
                ticket=options["ticket"],
                idempotency_key=uuid.uuid4().hex,
                forced=bool(seen.blocking),
                typed_hostname=hostname.fqdn,
                tell=False,
            )
        except services.RequestRefused as refused:
            self.stdout.write(f"Refused: {refused.sentence} Nothing was changed.")
            return ExitCode.REFUSED
        return self._follow(operation)

    def _show(self, seen: services.Preflight, hostname: DedicatedHostname, options: dict[str, Any]) -> bool:
        """Print what would be done. False where it may not go on."""
        if seen.plan is None:
            lines = [*answer_lines(seen.answers), "", f"No plan can be made: {seen.plan_error} Nothing was changed."]
        else:
            affected = pages.affected_by(hostname).uccs
            lines = [
                *plan_lines(seen.plan, affected=affected, now=timezone.localtime()),
                *answer_lines(seen.answers),
                *finding_lines(seen.findings),
            ]
        self.stdout.write("\n".join(lines))
        forbidden = not_forced(seen.findings, options["force"])
        if forbidden:
            self.stdout.write(forbidden)
        return seen.plan is not None and not forbidden

    def _resume(self, hostname: DedicatedHostname) -> ExitCode:
        operation = FailoverOperation.objects.filter(hostname=hostname, state__in=[s.value for s in ACTIVE]).first()
        if operation is None:
            raise CommandError(f"No operation is under way for {hostname}.")
        self.stdout.write(f"Carrying on: {operation}")
        return self._follow(operation)

    def _follow(self, operation: FailoverOperation) -> ExitCode:
        """Carry it to its end, or see somebody else do so."""
        shown: set[str] = set()
        while operation.state in ACTIVE:
            again_at = executor.run(operation.pk, owner=tasks.owner())
            operation.refresh_from_db()
            self._show_steps(operation, shown)
            if again_at is not None:
                left_s = (again_at - timezone.now()).total_seconds()
                if operation.waits_for_hand:
                    time.sleep(max(left_s, 0.0))
                else:
                    count_down(self.stdout, time.monotonic() + left_s, "Waiting for clients' old answers to expire")
            elif operation.state in ACTIVE:
                time.sleep(LOOK_AGAIN_S)
        self.stdout.write(f"{OperationState(operation.state).value.capitalize()}: {operation.result}")
        return CODES[OperationState(operation.state)]

    def _show_steps(self, operation: FailoverOperation, shown: set[str]) -> None:
        for step in operation.steps.all():
            if operation.waits_for_hand and "commands" in step.evidence:
                self._show_commands(step, shown)
            ended = step.state not in {StepState.WAITING, StepState.RUNNING}
            if ended and step.kind not in shown and step.sentence:
                shown.add(step.kind)
                self.stdout.write(f"  {step.ended_at:%H:%M:%S} {step.get_kind_display()}: {step.sentence}")

    def _show_commands(self, step: OperationStep, shown: set[str]) -> None:
        """By hand: the commands once, and what the writer says, each time that it says something else."""
        if "commands" not in shown:
            commands = step.evidence["commands"]
            self.stdout.write(f"\n{commands['powershell']}\nOr with nsupdate:\n\n{commands['nsupdate']}")
        if step.sentence not in shown:
            self.stdout.write(f"  {step.sentence.replace('with the commands below', 'with the commands above')}")
        shown |= {"commands", step.sentence}

    def _hostname(self, text: str) -> DedicatedHostname:
        found = DedicatedHostname.objects.with_estate().filter(fqdn=text.strip().rstrip(".").lower()).first()
        if found is None:
            known = ", ".join(DedicatedHostname.objects.values_list("fqdn", flat=True)[:20])
            raise CommandError(f"hostname: found {text!r}, expected one of: {known or 'there are none yet'}.")
        return found

    def _target(self, hostname: DedicatedHostname, text: str | None) -> Server | VirtualService | None:
        if not text:
            return None
        wanted = text.strip().rstrip(".").lower()
        aims = [target.aim for target in hostname.targets.with_aims().order_by("order")]
        for aim in aims:
            if wanted in {aim.name.lower(), aim.fqdn or aim.name.lower()}:
                return aim
        raise CommandError(f"--to: found {text!r}, expected a target: {', '.join(a.name for a in aims) or 'none'}.")
