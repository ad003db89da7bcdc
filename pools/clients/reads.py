"""The estate as clients see it, and the inventory beside it, in a constant number of queries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.conf import settings

from pools.clients.difference import FIELDS, Known
from pools.clients.judging import BalancerName, Finding, Register, ServerName, Verdict, judge
from pools.clients.models import ClientInstallation
from pools.clients.values import Hostname, UccPlace
from pools.models import DedicatedHostname, Server, TrustedApplication, Ucc, VirtualService
from pools.reach import read_reach


def hostname_values(hostname: DedicatedHostname, leads_to: Iterable[int] = ()) -> Hostname:
    """Return a hostname with its paths: its own where it has some, else the installation's."""
    return Hostname(
        fqdn=hostname.fqdn,
        pool_id=hostname.trusted_application_pool_id,
        pool=hostname.trusted_application_pool.fqdn,
        attendant_path=hostname.attendant_path or settings.CLIENT_PATHS["attendant"],
        dashboard_path=hostname.dashboard_path or settings.CLIENT_PATHS["dashboard"],
        leads_to=frozenset(leads_to),
        service_name=hostname.service_name,
    )


def read_hostnames() -> list[Hostname]:
    """Every dedicated hostname, by name."""
    leads: dict[int, set[int]] = {}
    for server_id, hostname_ids in read_reach().of_server.items():
        for hostname_id in hostname_ids:
            leads.setdefault(hostname_id, set()).add(server_id)
    rows = DedicatedHostname.objects.select_related("trusted_application_pool").order_by("fqdn")
    return [hostname_values(row, leads.get(row.pk, ())) for row in rows]


def read_uccs() -> list[UccPlace]:
    """Every UCC with its pools, by name."""
    pools: dict[int, set[int]] = {}
    for ucc_id, pool_id in TrustedApplication.objects.values_list("ucc_id", "trusted_application_pool_id"):
        pools.setdefault(ucc_id, set()).add(pool_id)
    return [
        UccPlace(pk, name, frozenset(pools.get(pk, ())), home)
        for pk, name, home in Ucc.objects.order_by("name").values_list("pk", "name", "home_pool_id")
    ]


def read_register() -> Register:
    """What names and addresses mean in this estate."""
    servers = Server.objects.values_list("pk", "name", "fqdn", "address", "trusted_application_pool_id")
    balancers = VirtualService.objects.values_list("name", "fqdn", "address")
    return Register(
        read_hostnames(),
        (ServerName(*values) for values in servers),
        read_uccs(),
        (BalancerName(name, fqdn, str(address)) for name, fqdn, address in balancers),
    )


@dataclass(frozen=True, slots=True)
class Judged:
    """An installation with what is wrong with it."""

    row: ClientInstallation
    verdict: Verdict

    @property
    def first(self) -> Finding | None:
        """The finding that is told first."""
        return self.verdict.findings[0] if self.verdict.findings else None


def read_inventory() -> list[Judged]:
    """Judge the whole inventory: what is wrong first, then by place."""
    rows = list(ClientInstallation.objects.all())
    if not rows:
        return []
    register = read_register()
    judged = [Judged(row, judge(row.installed, register)) for row in rows]
    return sorted(judged, key=lambda one: (one.verdict.ok, one.row.place.lower(), one.row.kind))


def of_hostname(fqdn: str, inventory: Sequence[Judged]) -> list[Judged]:
    """Those whose clients should use this hostname."""
    return [one for one in inventory if fqdn in one.verdict.hostnames]


def fault_counts(inventory: Iterable[Judged]) -> Mapping[str, int]:
    """How many hold each fault first."""
    return Counter(one.first.fault.value for one in inventory if one.first)


def known_rows() -> dict[tuple[str, str], Known]:
    """The inventory by what its rows are recognised by."""
    return {
        (row.kind, row.place.lower()): Known(
            row.pk, str(row), row.place, {name: getattr(row, name) for name, _ in FIELDS}
        )
        for row in ClientInstallation.objects.all()
    }
