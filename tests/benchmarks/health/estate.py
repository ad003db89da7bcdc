"""Makes an estate of all targets: a pool, a dedicated hostname and its UCCs for each two servers."""

from __future__ import annotations

import json
import secrets
import sys

import django
from django.apps import apps

if not apps.ready:
    django.setup()

from django.core.management import call_command
from django.db import transaction

from a365admin.accounts.models import Role, User
from pools.models import (
    DedicatedHostname,
    FailoverTarget,
    FrontEndPool,
    Server,
    Site,
    TrustedApplication,
    TrustedApplicationPool,
    Ucc,
)
from tests.benchmarks.health.targets import FIRST_PORT, address_of


def make(network: int, servers: int, ports: int) -> dict[str, str]:
    """Migrate, make the estate; return how to sign in."""
    call_command("migrate", verbosity=0)
    password = secrets.token_urlsafe(12)
    with transaction.atomic():
        User.objects.create_user("admin", password=password, role=Role.ADMINISTRATOR)
        front_end_pool = FrontEndPool.objects.create(
            fqdn="fepool.lab.example", site=Site.objects.create(name="Amsterdam")
        )
        uccs = Ucc.objects.bulk_create(Ucc(name=f"Desk {number}") for number in range(ports))
        for number in range(0, servers, 2):
            _make_pair(front_end_pool, uccs, network, number)
    return {"password": password}


def _make_pair(front_end_pool: FrontEndPool, uccs: list[Ucc], network: int, number: int) -> None:
    pool = TrustedApplicationPool.objects.create(
        fqdn=f"a365pool{number}.lab.example", front_end_pool=front_end_pool, standby_runs_ucc=True
    )
    TrustedApplication.objects.bulk_create(
        TrustedApplication(
            ucc=ucc, trusted_application_pool=pool, application_id=f"urn:application:{place}", port=FIRST_PORT + place
        )
        for place, ucc in enumerate(uccs)
    )
    hostname = DedicatedHostname.objects.create(
        fqdn=f"a365web{number}.lab.example", service_name=f"Service {number}", trusted_application_pool=pool
    )
    for order in (1, 2):
        server = number + order - 1
        FailoverTarget.objects.create(
            hostname=hostname,
            order=order,
            server=Server.objects.create(
                name=f"SRV{server}",
                fqdn=f"srv{server}.lab.example",
                address=address_of(network, server),
                trusted_application_pool=pool,
            ),
        )


if __name__ == "__main__":
    sys.stdout.write(json.dumps(make(*map(int, sys.argv[1:]))) + "\n")
