"""The standing checks that follow from zones and name servers: what DNS says, and the service through each hostname."""

from __future__ import annotations

from collections.abc import Sequence

from dnsops.conf import conf
from dnsops.models import NameServer
from dnsops.plan import zone_of
from pools.estate import server_spec, spec_of
from pools.health import CheckKind
from pools.models import DedicatedHostname, Server
from pools.specs import SERVICE_TIMING, Check, ServerSpec


def dns_checks() -> list[Check]:
    """A DNS check for each authoritative server of each dedicated hostname, and one of the service through its name.

    The writer's has rank 0, and is asked first where the hostname leads.
    """
    servers: dict[str, list[NameServer]] = {}
    for server in NameServer.objects.select_related("zone").order_by("-is_writer", "name"):
        servers.setdefault(server.zone.name, []).append(server)
    checks = []
    for hostname in DedicatedHostname.objects.with_estate():
        asked = servers.get(zone_of(hostname.fqdn, servers) or "", [])
        checks += [_dns_check(server, rank, hostname) for rank, server in enumerate(asked)]
        if asked and hostname.targets.all():
            checks.append(_service_check(hostname, asked))
    return checks


def _dns_check(server: NameServer, rank: int, hostname: DedicatedHostname) -> Check:
    return Check(
        key=f"dns:{server.pk}:{hostname.pk}",
        kind=CheckKind.DNS,
        label=f"{server.name}: {hostname.fqdn}",
        address=server.address,
        port=server.port,
        host=hostname.fqdn,
        record_type=hostname.record_type,
        hostname_id=hostname.pk,
        interval_s=conf().dns_check_interval_s,
        name_server=server.name,
        rank=rank,
    )


def _service_check(hostname: DedicatedHostname, asked: Sequence[NameServer]) -> Check:
    aims = [target.aim for target in hostname.targets.all()]
    first = server_spec(aims[0]) if isinstance(aims[0], Server) else spec_of(aims[0])
    return Check(
        key=f"service:{hostname.pk}",
        kind=CheckKind.SERVICE,
        label=f"The service through {hostname.fqdn}",
        address=str(aims[0].address),
        port=first.web_port if isinstance(first, ServerSpec) else first.port,
        host=hostname.fqdn,
        path=first.web_path,
        expected_text=first.overrides.expected_text,
        hostname_id=hostname.pk,
        interval_s=SERVICE_TIMING.interval_s,
        timeout_s=SERVICE_TIMING.timeout_s,
        retry_s=SERVICE_TIMING.retry_s,
        ask_at=tuple((server.address, server.port) for server in asked),
        known=tuple((aim.fqdn, str(aim.address)) for aim in aims if aim.fqdn),
    )
