"""Estates to measure: the demo's on BIND, or 500 hostnames in the database. Run inside the product's settings."""

from __future__ import annotations

import json
import secrets
import sys
import time
from typing import Any

import django
from django.apps import apps

if not apps.ready:
    django.setup()

from django.core.management import call_command
from django.db import transaction

from a365admin.accounts.models import Role, User
from dnsops.models import NameServer, UpdateKey, Zone
from pools import live, redis_store
from pools.health import Health
from pools.models import (
    DedicatedHostname,
    FailoverTarget,
    FrontEndPool,
    HostnameStatus,
    Server,
    Site,
    TrustedApplicationPool,
)
from pools.services import estate_changed


def use_bind(estate: dict[str, Any]) -> None:
    """Let the demo's zone be served and changed at BIND: ``zone``, ``secret_file``, ``servers``."""
    with transaction.atomic():
        zone = Zone.objects.get(name=estate["zone"])
        UpdateKey.objects.filter(zones=zone).update(secret_reference=f"file:{estate['secret_file']}")
        zone.name_servers.all().delete()
        for name, address, port, is_writer in estate["servers"]:
            NameServer.objects.create(zone=zone, name=name, address=address, port=port, is_writer=is_writer)
    estate_changed()


def make_many(count: int) -> dict[str, str]:
    """Migrate, and make ``count`` healthy hostnames in 20 front-end pools; return how to sign in."""
    call_command("migrate", verbosity=0)
    password = secrets.token_urlsafe(12)
    with transaction.atomic():
        User.objects.create_user("admin", password=password, role=Role.ADMINISTRATOR)
        site = Site.objects.create(name="Amsterdam")
        pools = []
        for number in range(20):
            front_end_pool = FrontEndPool.objects.create(fqdn=f"fepool{number}.lab.example", site=site)
            pools.append(
                TrustedApplicationPool.objects.create(
                    fqdn=f"a365pool{number}.lab.example", front_end_pool=front_end_pool
                )
            )
        for number in range(count):
            _make_hostname(number, pools[number % len(pools)])
    keep_fresh(for_s=3600)
    return {"password": password}


def _make_hostname(number: int, pool: TrustedApplicationPool) -> None:
    servers = [
        Server.objects.create(
            name=f"SRV{number}{letter}",
            fqdn=f"srv{number}{letter}.lab.example",
            address=f"127.{20 + place}.{number // 250}.{1 + number % 250}",
            trusted_application_pool=pool,
        )
        for place, letter in enumerate("ab")
    ]
    hostname = DedicatedHostname.objects.create(
        fqdn=f"many{number}.lab.example", service_name=f"Service {number}", trusted_application_pool=pool
    )
    for order, server in enumerate(servers, 1):
        FailoverTarget.objects.create(hostname=hostname, server=server, order=order)
    HostnameStatus.objects.update_or_create(
        hostname=hostname,
        defaults={
            "health": Health.UP,
            "situation": "working",
            "active_server": servers[0],
            "standby_server": servers[1],
            "standby_ready": True,
            "latency_ms": 3.1,
            "version": number + 1,
        },
    )


def keep_fresh(*, for_s: float) -> None:
    """Let every hostname count as just checked for so long: what is measured is a page of a healthy estate."""
    now = time.time()
    ages = dict.fromkeys(DedicatedHostname.objects.values_list("pk", flat=True), (now, for_s))
    with redis_store.broker() as redis:
        redis.hset(live.FRESH_KEY, "0", live.pack_ages(at=now, complete=True, ages=ages))
    for part in live.ALIVE_FOR_S:
        live.mark_alive(part)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(make_many(int(sys.argv[1]))) + "\n")
