"""Rows for tests. Each factory makes a valid row with the least; name what a test is about."""

from __future__ import annotations

import uuid
from typing import Any

import factory

from a365admin.accounts.models import Role, User
from dnsops.models import FailoverOperation, NameServer, OperationStep, UpdateKey, Zone
from pools.models import (
    DedicatedHostname,
    FailoverTarget,
    FrontEndPool,
    RealServer,
    Server,
    Site,
    TrustedApplication,
    TrustedApplicationPool,
    Ucc,
    VirtualService,
)

PASSWORD = "a-password-for-tests"


class SiteFactory(factory.django.DjangoModelFactory[Site]):
    class Meta:
        model = Site

    name = factory.Sequence(lambda n: f"Site {n}")


class FrontEndPoolFactory(factory.django.DjangoModelFactory[FrontEndPool]):
    class Meta:
        model = FrontEndPool

    fqdn = factory.Sequence(lambda n: f"fepool{n}.corp.example")
    site = factory.SubFactory(SiteFactory)


class TrustedApplicationPoolFactory(factory.django.DjangoModelFactory[TrustedApplicationPool]):
    class Meta:
        model = TrustedApplicationPool

    fqdn = factory.Sequence(lambda n: f"a365pool{n}.corp.example")
    front_end_pool = factory.SubFactory(FrontEndPoolFactory)
    standby_runs_ucc = True


class ServerFactory(factory.django.DjangoModelFactory[Server]):
    class Meta:
        model = Server

    name = factory.Sequence(lambda n: f"SRV{n}")
    fqdn = factory.LazyAttribute(lambda server: f"{server.name.lower()}.corp.example")
    address = factory.Sequence(lambda n: f"10.9.{n // 250}.{n % 250 + 1}")
    trusted_application_pool = factory.SubFactory(TrustedApplicationPoolFactory)


class UccFactory(factory.django.DjangoModelFactory[Ucc]):
    class Meta:
        model = Ucc

    name = factory.Sequence(lambda n: f"Desk {n}")


class TrustedApplicationFactory(factory.django.DjangoModelFactory[TrustedApplication]):
    class Meta:
        model = TrustedApplication

    ucc = factory.SubFactory(UccFactory)
    trusted_application_pool = factory.SubFactory(TrustedApplicationPoolFactory)
    application_id = factory.Sequence(lambda n: f"urn:application:desk-{n}")
    port = factory.Sequence(lambda n: 6001 + n % 3000)


class DedicatedHostnameFactory(factory.django.DjangoModelFactory[DedicatedHostname]):
    class Meta:
        model = DedicatedHostname

    fqdn = factory.Sequence(lambda n: f"a365web{n}.corp.example")
    service_name = factory.Sequence(lambda n: f"Service Desk {n}")
    trusted_application_pool = factory.SubFactory(TrustedApplicationPoolFactory)


class FailoverTargetFactory(factory.django.DjangoModelFactory[FailoverTarget]):
    class Meta:
        model = FailoverTarget

    hostname = factory.SubFactory(DedicatedHostnameFactory)
    server = factory.SubFactory(ServerFactory)
    order = 1


def make_pair(*, ports: tuple[int, ...] = (6001, 6002), **pool: Any) -> DedicatedHostname:
    """A dedicated hostname with a primary and a standby in one trusted application pool, with UCCs on ``ports``."""
    home = TrustedApplicationPoolFactory.create(**pool)
    hostname = DedicatedHostnameFactory.create(trusted_application_pool=home)
    for order in (1, 2):
        server = ServerFactory.create(trusted_application_pool=home)
        FailoverTargetFactory.create(hostname=hostname, server=server, order=order)
    for port in ports:
        TrustedApplicationFactory.create(trusted_application_pool=home, port=port)
    return hostname


class VirtualServiceFactory(factory.django.DjangoModelFactory[VirtualService]):
    """A virtual service without real servers; ``make_balanced()`` makes a whole one."""

    class Meta:
        model = VirtualService

    name = factory.Sequence(lambda n: f"VIP{n}")
    fqdn = factory.LazyAttribute(lambda service: f"{service.name.lower()}.corp.example")
    address = factory.Sequence(lambda n: f"10.20.{n // 250}.{n % 250 + 1}")
    site = factory.SubFactory(SiteFactory)
    health_check = factory.SubFactory(TrustedApplicationFactory)


def make_virtual_service(
    pool: TrustedApplicationPool | None = None, *, ports: tuple[int, ...] = (6001, 6002), servers: int = 2, **own: Any
) -> VirtualService:
    """A virtual service with real servers in one trusted application pool; it checks the first of ``ports``."""
    home = pool or TrustedApplicationPoolFactory.create(standby_runs_ucc=False)
    there = list(home.trusted_applications.order_by("port")) or [
        TrustedApplicationFactory.create(trusted_application_pool=home, port=port) for port in ports
    ]
    service: VirtualService = VirtualServiceFactory.create(health_check=there[0], site=home.front_end_pool.site, **own)
    for order in range(1, servers + 1):
        server = ServerFactory.create(trusted_application_pool=home)
        RealServer.objects.create(virtual_service=service, server=server, order=order)
    return service


def make_balanced(*, record_type: str = "A", **own: Any) -> DedicatedHostname:
    """A dedicated hostname whose only target is a virtual service with two real servers: scenario B, one datacentre."""
    service = make_virtual_service(**own)
    hostname: DedicatedHostname = DedicatedHostnameFactory.create(
        trusted_application_pool=service.health_check.trusted_application_pool, record_type=record_type
    )
    FailoverTarget.objects.create(hostname=hostname, virtual_service=service, order=1)
    return hostname


def make_global(**own: Any) -> DedicatedHostname:
    """A dedicated hostname with a virtual service in each of two paired datacentres: a CNAME to the active one."""
    amsterdam = make_virtual_service(**own)
    far = FrontEndPoolFactory.create()
    near = amsterdam.health_check.trusted_application_pool.front_end_pool
    for one, other in ((near, far), (far, near)):
        one.paired_with = other
        one.save()
    there = TrustedApplicationPoolFactory.create(front_end_pool=far, standby_runs_ucc=False)
    for application in amsterdam.health_check.trusted_application_pool.trusted_applications.order_by("port"):
        TrustedApplicationFactory.create(trusted_application_pool=there, ucc=application.ucc, port=application.port)
    rotterdam = make_virtual_service(there)
    hostname: DedicatedHostname = DedicatedHostnameFactory.create(
        trusted_application_pool=amsterdam.health_check.trusted_application_pool
    )
    for order, service in enumerate((amsterdam, rotterdam), start=1):
        FailoverTarget.objects.create(hostname=hostname, virtual_service=service, order=order)
    return hostname


class UserFactory(factory.django.DjangoModelFactory[User]):
    """Somebody who may sign in, with ``PASSWORD``; ``UserFactory(role=Role.OPERATOR)``."""

    class Meta:
        model = User
        skip_postgeneration_save = True

    username = factory.Sequence(lambda n: f"user{n}")
    role = Role.HELPDESK
    password = factory.django.Password(PASSWORD)


class UpdateKeyFactory(factory.django.DjangoModelFactory[UpdateKey]):
    """A TSIG key whose secret would be in an environment variable."""

    class Meta:
        model = UpdateKey

    name = factory.Sequence(lambda n: f"key{n}.corp.example")
    secret_reference = "env:A365_TEST_TSIG_SECRET"


class ZoneFactory(factory.django.DjangoModelFactory[Zone]):
    class Meta:
        model = Zone
        django_get_or_create = ("name",)

    name = "corp.example"
    key = factory.SubFactory(UpdateKeyFactory)


class NameServerFactory(factory.django.DjangoModelFactory[NameServer]):
    """An authoritative server; the writer only where that is said."""

    class Meta:
        model = NameServer

    zone = factory.SubFactory(ZoneFactory)
    name = factory.Sequence(lambda n: f"dns{n}")
    address = factory.Sequence(lambda n: f"10.53.{n // 250}.{n % 250 + 1}")
    expected_lag_s = 0


class FailoverOperationFactory(factory.django.DjangoModelFactory[FailoverOperation]):
    """A pending operation as a page shows it; ``services.request_failover()`` makes one that can be carried out."""

    class Meta:
        model = FailoverOperation

    hostname = factory.SubFactory(DedicatedHostnameFactory)
    hostname_fqdn = factory.LazyAttribute(lambda operation: operation.hostname.fqdn)
    kind = "failover"
    from_text = "SRV1"
    to_text = "SRV2"
    plan: Any = factory.LazyFunction(dict)
    digest = "0" * 64
    reason = "UCC service down"
    requested_by_name = "otto"
    idempotency_key = factory.LazyFunction(lambda: uuid.uuid4().hex)


class OperationStepFactory(factory.django.DjangoModelFactory[OperationStep]):
    class Meta:
        model = OperationStep

    operation = factory.SubFactory(FailoverOperationFactory)
    order = 1
    kind = "check_again"
