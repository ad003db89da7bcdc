"""The estate as the database has it -> the checks that it needs; and how everybody learns that it changed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import cast

from django.conf import settings
from django.utils.module_loading import import_string

from pools import redis_store
from pools.check_overrides import estate_defaults
from pools.models import DedicatedHostname, FailoverTarget, Server, TrustedApplication, VirtualService
from pools.redis_store import BrokerLost
from pools.specs import ApplicationSpec, Check, Estate, HostnameSpec, ServerSpec, VirtualServiceSpec, checks_of
from pools.timing import NOTHING, layered

log = logging.getLogger(__name__)

VERSION_KEY = "a365:estate:version"


def read_estate() -> Estate:
    """Read everything that checks follow from, in a constant number of queries."""
    servers = Server.objects.select_related("trusted_application_pool").order_by("id")
    applications = TrustedApplication.objects.values_list("id", "ucc__name", "trusted_application_pool_id", "port")
    services = read_virtual_services()
    real_servers = {service.pk: [server.pk for server in service.servers] for service in services}
    targets: dict[int, dict[int, None]] = {}  # a server that is reached in two ways is asked once
    through: dict[int, list[int]] = {}
    for hostname_id, server_id, service_id in FailoverTarget.objects.order_by("hostname_id", "order").values_list(
        "hostname_id", "server_id", "virtual_service_id"
    ):
        servers_of = targets.setdefault(hostname_id, {})
        servers_of |= dict.fromkeys([server_id] if server_id else real_servers[service_id])
        if service_id:
            through.setdefault(hostname_id, []).append(service_id)
    return Estate(
        servers=tuple(server_spec(server) for server in servers),
        applications=tuple(ApplicationSpec(*values) for values in applications.order_by("id")),
        hostnames=tuple(
            HostnameSpec(pk, fqdn, tuple(targets.get(pk, ())), tuple(through.get(pk, ())))
            for pk, fqdn in DedicatedHostname.objects.order_by("id").values_list("id", "fqdn")
        ),
        virtual_services=tuple(spec_of(service) for service in services),
    )


def server_spec(server: Server) -> ServerSpec:
    """Return what the checks of a server follow from: what is stated about it, else its pool, else the estate."""
    pool, defaults = server.trusted_application_pool, estate_defaults()
    return ServerSpec(
        id=server.pk,
        name=server.name,
        address=str(server.address),
        pool_id=pool.pk,
        web_port=server.web_port,
        web_path=server.web_path if server.web_path != "/" else pool.check_path or defaults.path or "/",
        overrides=layered(server.overrides, pool.overrides, defaults),
    )


def read_virtual_services() -> list[VirtualService]:
    """Return all virtual services with their real servers."""
    return list(
        VirtualService.objects.select_related("health_check")
        .prefetch_related("real_servers__server__trusted_application_pool")
        .order_by("id")
    )


def spec_of(service: VirtualService) -> VirtualServiceSpec:
    """Return what the checks of a virtual service follow from."""
    servers = service.servers
    first = server_spec(servers[0]) if servers else None
    return VirtualServiceSpec(
        id=service.pk,
        name=service.name,
        address=str(service.address),
        port=service.port,
        web_path=first.web_path if first else "/",
        overrides=first.overrides if first else NOTHING,
        statistics=service.statistics_source,
        backend=service.statistics_backend,
        health_check_port=service.health_check.port,
        real_servers=tuple((server.name, server.fqdn, str(server.address)) for server in servers),
    )


def estate_checks() -> list[Check]:
    """Return every check that the estate needs (UCC, web, certificate), in a constant number of queries."""
    return checks_of(read_estate())


def all_checks() -> list[Check]:
    """Return the checks of every source in ``settings.CHECK_SOURCES``."""
    checks: list[Check] = []
    for path in settings.CHECK_SOURCES:
        source = cast("Callable[[], list[Check]]", import_string(path))
        checks += source()
    return checks


def estate_changed() -> None:
    """Say that servers, UCCs, hostnames, zones or name servers changed: checks are read anew within a second.

    Call it after the commit (``transaction.on_commit(estate_changed)``). With the broker lost the workers find out by
    themselves, within two minutes. ``settings.ESTATE_LISTENERS`` are told.
    """
    for path in settings.ESTATE_LISTENERS:
        cast("Callable[[], object]", import_string(path))()
    try:
        with redis_store.broker() as redis:
            redis.incr(VERSION_KEY)
    except BrokerLost:
        log.warning("the estate changed while the broker was lost; the workers will notice within two minutes")


def estate_version() -> int:
    """Return the number that goes up with each ``estate_changed()``; 0 where the broker is lost or has forgotten it."""
    try:
        with redis_store.broker() as redis:
            return int(cast("bytes | None", redis.get(VERSION_KEY)) or 0)
    except BrokerLost:
        return 0
