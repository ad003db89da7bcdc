"""``manage.py move_site SITE``: show the plan of a move, or carry it out here, without a worker or a broker."""

from __future__ import annotations

import time
import uuid
from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from a365admin.accounts.models import User
from a365admin.audit.context import Acting, act_as
from dnsops import executor, move_pages, site_driver, site_moves, tasks
from dnsops.models import FailoverOperation, SiteMove
from dnsops.plan import PlanError
from dnsops.requesting import RequestRefused
from dnsops.site_gathering import Scope, gather_move
from dnsops.site_plan import AT_ONCE_CHOICES, DEFAULT_AT_ONCE, Direction, SitePlan
from pools.models import FrontEndPool, Site


class Command(BaseCommand):
    """Moves all hostnames out of a site or front-end pool, or back to it."""

    help = "Show what a move of a site, or of a front-end pool, would do; with --go, do it in this process."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("place", metavar="SITE", help="a site's name, or a front-end pool's FQDN")
        parser.add_argument("--back", action="store_true", help="back to the primaries there, in place of away from it")
        parser.add_argument("--go", action="store_true", help="do it; without this, nothing is changed")
        parser.add_argument("--user", default="", help="who does it: needs the right to fail over (with --go)")
        parser.add_argument("--reason", default="", help="why; kept in the audit log (with --go)")
        parser.add_argument("--ticket", default="")
        parser.add_argument("--together", action="store_true", help="all or nothing: one DNS message for each zone")
        parser.add_argument("--at-once", type=int, choices=AT_ONCE_CHOICES, default=DEFAULT_AT_ONCE)

    def handle(self, *args: Any, **options: Any) -> None:
        """Show, and do it where that was said."""
        scope = _scope(options["place"])
        direction = Direction.BACK if options["back"] else Direction.AWAY
        try:
            plan = gather_move(scope, direction)
        except PlanError as error:
            raise CommandError(str(error)) from error
        self._show(plan)
        if not options["go"]:
            self.stdout.write("Nothing was changed. With --go, --user and --reason it is carried out.")
            return
        user = User.objects.filter(username=options["user"], is_active=True).first()
        if user is None:
            raise CommandError(f"There is no user “{options['user']}” here. Say with --user who does this.")
        with act_as(Acting(user.pk, str(user))):
            move = self._request(plan, scope, direction, user, options)
        self._carry_out(move)

    def _show(self, plan: SitePlan) -> None:
        for entry in plan.entries:
            to = f"{entry.plan.from_server} -> {entry.plan.to_server}" if entry.plan else "cannot move"
            why = entry.choice.error or " ".join(f.sentence for f in entry.blocking) or "all rules pass"
            self.stdout.write(f"  {'ok' if entry.can_go else 'NO'}  {entry.hostname}  {to}  {why}")
        for warning in plan.warnings:
            self.stdout.write(f"  !!  {warning}")

    def _request(
        self, plan: SitePlan, scope: Scope, direction: Direction, user: User, options: dict[str, Any]
    ) -> SiteMove:
        try:
            return site_moves.request_move(
                user=user,
                scope=scope,
                direction=direction,
                shown=[entry.token for entry in plan.ready],
                at_once=options["at_once"],
                together=options["together"],
                reason=options["reason"],
                ticket=options["ticket"],
                idempotency_key=uuid.uuid4().hex,
                typed=scope.name,  # who types the name on the command line has typed it
            )
        except RequestRefused as refused:
            raise CommandError(refused.sentence) from refused

    def _carry_out(self, move: SiteMove) -> None:
        resume_at: dict[str, datetime] = {}
        more = True
        while more:
            found, more = site_driver.carry_on(move.pk, owner=tasks.owner())
            resume_at |= found
        page = move_pages.move_page(SiteMove.objects.get(pk=move.pk))
        self.stdout.write(f"{page.moved} of {page.total} hostnames have the new answer. Waiting for the old TTLs.")
        for pk, at in sorted(resume_at.items(), key=lambda item: item[1]):
            time.sleep(max((at - timezone.now()).total_seconds(), 0.0) + 0.01)
            executor.run_to_end(pk, owner=tasks.owner())
        site_driver.carry_on(move.pk, owner=tasks.owner())
        move.refresh_from_db()
        self.stdout.write(f"{move.result}  {move.get_absolute_url()}")
        if FailoverOperation.objects.filter(move_member__move=move).exclude(state="succeeded").exists():
            raise CommandError("Not every hostname has moved; the page says which and why.")


def _scope(name: str) -> Scope:
    if site := Site.objects.filter(name__iexact=name).first():
        return Scope(site=site)
    if pool := FrontEndPool.objects.filter(fqdn=name).first():
        return Scope(front_end_pool=pool)
    known = ", ".join(Site.objects.values_list("name", flat=True)[:20])
    raise CommandError(f"There is no site or front-end pool “{name}”. Sites: {known or 'none'}.")
