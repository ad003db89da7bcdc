"""The demo estate as rows of the database: what `manage.py seed_demo` writes into an empty installation."""

from collections.abc import Mapping

from django.db import transaction

from a365admin.lab import estate
from a365admin.lab.config import LabConfig
from dnsops.models import NameServer, Resolver, UpdateKey, Zone
from pools.models import (
    ClientInstallation,
    DedicatedHostname,
    FailoverTarget,
    FrontEndPool,
    Server,
    Site,
    TrustedApplication,
    TrustedApplicationPool,
    Ucc,
)

EXPECTED_LAG_S = 5


@transaction.atomic
def seed_estate(config: LabConfig) -> None:
    """Create the demo estate, or put it right where it is there already: nothing else is touched, nothing deleted.

    In: the configuration that says where its servers listen. Raises django.db.Error when the rows clash with others.
    """
    front_end_pools = _front_end_pools()
    pools = _trusted_application_pools(front_end_pools)
    _uccs(pools)
    servers = _servers(config, pools)
    _hostnames(pools, servers)
    _clients(config)
    _dns(config)
    _resolvers(config)


def _front_end_pools() -> dict[str, FrontEndPool]:
    sites = {name: Site.objects.get_or_create(name=name)[0] for name in estate.SITES}
    pools = {
        plan.name: FrontEndPool.objects.update_or_create(
            fqdn=estate.fqdn(plan.name), defaults={"site": sites[plan.site]}
        )[0]
        for plan in estate.FRONT_END_POOLS
    }
    for plan in estate.FRONT_END_POOLS:
        pools[plan.name].paired_with = pools[plan.paired_with] if plan.paired_with else None
        pools[plan.name].save(update_fields=["paired_with"])
    return pools


def _trusted_application_pools(front_end_pools: Mapping[str, FrontEndPool]) -> dict[str, TrustedApplicationPool]:
    return {
        plan.name: TrustedApplicationPool.objects.update_or_create(
            fqdn=estate.fqdn(plan.name),
            defaults={
                "front_end_pool": front_end_pools[plan.front_end_pool],
                "standby_runs_ucc": plan.standby_runs_ucc,
            },
        )[0]
        for plan in estate.POOLS
    }


def _uccs(pools: Mapping[str, TrustedApplicationPool]) -> None:
    for plan in estate.POOLS:
        for name, port in plan.uccs:
            ucc, _created = Ucc.objects.update_or_create(name=name, defaults={"description": name})
            TrustedApplication.objects.update_or_create(
                ucc=ucc,
                trusted_application_pool=pools[plan.name],
                defaults={"application_id": f"urn:application:{name.lower().replace(' ', '-')}", "port": port},
            )


def _servers(config: LabConfig, pools: Mapping[str, TrustedApplicationPool]) -> dict[str, Server]:
    return {
        server.name: Server.objects.update_or_create(
            name=server.name,
            defaults={
                "fqdn": server.fqdn,
                "address": server.address,
                "trusted_application_pool": pools[estate.pool_of(server.name).name],
                "web_port": server.web_port,
                "web_path": estate.WEB_PATHS[0],
            },
        )[0]
        for server in config.servers
    }


def _hostnames(pools: Mapping[str, TrustedApplicationPool], servers: Mapping[str, Server]) -> None:
    for plan in estate.HOSTNAMES:
        hostname, _created = DedicatedHostname.objects.update_or_create(
            fqdn=estate.fqdn(plan.name),
            defaults={
                "service_name": plan.service_name,
                "trusted_application_pool": pools[plan.pool],
                "ttl_s": estate.RECORD_TTL_S,
            },
        )
        if [target.name for target in hostname.targets.with_aims().order_by("order")] == [*plan.targets]:
            continue
        hostname.targets.all().delete()
        for order, name in enumerate(plan.targets, start=1):
            FailoverTarget.objects.create(hostname=hostname, server=servers[name], order=order)


def _clients(config: LabConfig) -> None:
    """An inventory of installed clients, a few of which would not follow a failover."""
    address = next(server.address for server in config.servers if server.name == "SRV3")
    for kind, place, host, ucc in estate.clients(address):
        ClientInstallation.objects.update_or_create(
            kind=kind, place=place, defaults={"host": host, "ucc_name": ucc, "note": ""}
        )


def _dns(config: LabConfig) -> None:
    """The zone, its servers (the first is the writer), and where the key's secret is: never the secret itself."""
    key, _created = UpdateKey.objects.update_or_create(
        name=config.tsig.name,
        defaults={"algorithm": config.tsig.algorithm, "secret_reference": f"file:{config.tsig.secret_file}"},
    )
    zone, _created = Zone.objects.update_or_create(name=config.domain, defaults={"key": key})
    for place, server in enumerate(config.dns):
        NameServer.objects.update_or_create(
            zone=zone,
            name=server.name,
            defaults={
                "address": server.address,
                "port": server.port,
                "is_writer": place == 0,
                "expected_lag_s": 0 if place == 0 else EXPECTED_LAG_S,
            },
        )


def _resolvers(config: LabConfig) -> None:
    """One for each site, as its clients have it."""
    for resolver in config.resolvers:
        Resolver.objects.update_or_create(
            site=Site.objects.get(name=resolver.site),
            name=resolver.name,
            defaults={"address": resolver.address, "port": resolver.port},
        )
