"""Moves of a site with many hostnames, timed. Run inside the product's settings, with a database of its own."""

from __future__ import annotations

import json
import sys
import time
import uuid
from typing import Any

import django
from django.apps import apps

if not apps.ready:
    django.setup()

from django.core.management import call_command
from django.db import transaction
from django.utils import timezone

from a365admin.accounts.models import Role, User
from dnsops import site_driver, site_moves
from dnsops.models import FailoverOperation, NameServer, OperationStep, SiteMove, UpdateKey, Zone
from dnsops.site_gathering import Scope, gather_move
from dnsops.site_plan import Direction
from pools.models import (
    DedicatedHostname,
    FailoverTarget,
    FrontEndPool,
    Server,
    Site,
    TrustedApplicationPool,
)


def make(told: dict[str, Any]) -> User:
    """Two sites with a server in each, ``names`` as hostnames of the first, and the zone on BIND."""
    call_command("migrate", verbosity=0)
    with transaction.atomic():
        sites = [Site.objects.create(name=name) for name in ("Amsterdam", "Rotterdam")]
        fronts = [FrontEndPool.objects.create(fqdn=f"fepool{n}.lab.example", site=s) for n, s in enumerate(sites, 1)]
        fronts[0].paired_with, fronts[1].paired_with = fronts[1], fronts[0]
        for front in fronts:
            front.save()
        servers = []
        for number, front in enumerate(fronts, 1):
            pool = TrustedApplicationPool.objects.create(fqdn=f"a365pool{number}.lab.example", front_end_pool=front)
            servers.append(
                Server.objects.create(
                    name=f"SRV{number}", fqdn=f"srv{number}.lab.example", address=f"127.0.0.1{number}",
                    trusted_application_pool=pool, web_port=9,
                )
            )  # fmt: skip
        home = servers[0].trusted_application_pool
        for name in told["names"]:
            hostname = DedicatedHostname.objects.create(
                fqdn=f"{name}.{told['zone']}", service_name=name, trusted_application_pool=home, ttl_s=30,
                shares_primary=True,
            )  # fmt: skip
            for order, server in enumerate(servers, 1):
                FailoverTarget.objects.create(hostname=hostname, server=server, order=order)
        key = UpdateKey.objects.create(name="a365admin", secret_reference=f"file:{told['secret_file']}")
        zone = Zone.objects.create(name=told["zone"], key=key)
        for name, address, port, is_writer in told["servers"]:
            NameServer.objects.create(zone=zone, name=name, address=address, port=port, is_writer=is_writer)
        return User.objects.create_user("ada", role=Role.ADMINISTRATOR)


def once(user: User, direction: Direction, *, together: bool) -> tuple[float, float]:
    """One move of all hostnames: seconds of looking, and of changing and verifying. Forced: nobody listens there."""
    scope = Scope(site=Site.objects.get(name="Amsterdam"))
    started = time.perf_counter()
    plan = gather_move(scope, direction)
    looked = time.perf_counter() - started
    move = site_moves.request_move(
        user=user, scope=scope, direction=direction, shown=[e.token for e in plan.entries],
        at_once=200, together=together, reason="bench", idempotency_key=uuid.uuid4().hex,
        forced=True, typed="Amsterdam",
    )  # fmt: skip
    started = time.perf_counter()
    site_driver.carry_on(move.pk, owner="bench")
    took = time.perf_counter() - started
    verified = OperationStep.objects.filter(operation__move_member__move=move, kind="verify", state="done").count()
    if verified != len(plan.entries):
        raise SystemExit(f"{verified} of {len(plan.entries)} hostnames were verified.")
    # The waits for the old TTLs are not what is measured, and would stand in the way of the next round.
    FailoverOperation.objects.filter(move_member__move=move).update(state="succeeded", ended_at=timezone.now())
    SiteMove.objects.filter(pk=move.pk).update(state="ended", ended_at=timezone.now())
    return looked, took


def run(told: dict[str, Any]) -> dict[str, list[float]]:
    """To and fro, one by one and all or nothing."""
    user = make(told)
    found: dict[str, list[float]] = {"each": [], "together": [], "look": []}
    for _ in range(told["rounds"]):
        for kind in ("each", "together"):
            for direction in (Direction.AWAY, Direction.BACK):
                looked, took = once(user, direction, together=kind == "together")
                found[kind].append(took)
                found["look"].append(looked)
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run(json.loads(sys.argv[1]))) + "\n")
