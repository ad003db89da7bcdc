"""The estate as it was entered, read for its page in a constant number of queries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Prefetch, QuerySet

from pools.kinds import Kind
from pools.maintenance.reads import attach_covering
from pools.models import FailoverTarget, FrontEndPool, Site, TrustedApplication, Ucc, VirtualService


@dataclass(frozen=True, slots=True)
class Step:
    """One step of entering an estate."""

    kind: Kind
    count: int
    why: str

    @property
    def done(self) -> bool:
        """Whether there is at least one."""
        return self.count > 0


@dataclass(frozen=True, slots=True)
class Tree:
    """What there is, what is not used, and what to enter next."""

    front_end_pools: list[FrontEndPool]
    empty_sites: list[Site]
    unused_uccs: list[Ucc]
    steps: list[Step]

    @property
    def complete(self) -> bool:
        """Whether every step was taken once."""
        return all(step.done for step in self.steps)

    @property
    def next_step(self) -> Step | None:
        """The first step that has not been taken."""
        return next((step for step in self.steps if not step.done), None)


_WHY = {
    "site": "A datacentre: pools stand in it.",
    "front-end-pool": "The Skype for Business pool, and the one that it is paired with.",
    "trusted-application-pool": "Where the A365 servers are, behind one front-end pool.",
    "server": "At least two: failing over needs somewhere to go.",
    "trusted-application": "Each UCC with its TCP port in this pool; every one is checked on every server of the pool.",
    "dedicated-hostname": "The name that clients use, with its primary and its standby.",
}


def _applications() -> QuerySet[TrustedApplication]:
    """Trusted applications with the virtual services whose load balancer checks them."""
    services = VirtualService.objects.select_related("site", "health_check__ucc").prefetch_related(
        "real_servers__server"
    )
    rows = TrustedApplication.objects.select_related("ucc").order_by("port")
    return rows.prefetch_related(Prefetch("health_checks", services.order_by("name")))


def read_tree(kinds: Mapping[str, Kind]) -> Tree:
    """Read everything that was entered."""
    below = "trusted_application_pools"
    pools: Any = FrontEndPool.objects.select_related("site", "paired_with").order_by("site__name", "fqdn")
    pools = pools.prefetch_related(
        below,
        f"{below}__servers",
        Prefetch(f"{below}__trusted_applications", _applications()),
        f"{below}__dedicated_hostnames",
        Prefetch(
            f"{below}__dedicated_hostnames__targets",
            FailoverTarget.objects.with_aims().order_by("order"),
        ),
    )
    steps = [Step(kinds[slug], kinds[slug].all().count(), why) for slug, why in _WHY.items()]
    found = list(pools)
    attach_covering(
        server for pool in found for tap in pool.trusted_application_pools.all() for server in tap.servers.all()
    )
    return Tree(
        front_end_pools=found,
        empty_sites=list(Site.objects.filter(front_end_pools__isnull=True)),
        unused_uccs=list(Ucc.objects.filter(trusted_applications__isnull=True)),
        steps=steps,
    )
