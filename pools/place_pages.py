"""What the pages of pools and sites show: rolled up, and nothing that is too old to be true."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db.models import Q
from django.http import Http404
from django.urls import reverse

from pools import live, overview
from pools.cards import Role, ServerCard, server_card
from pools.facts import CheckFact, ServerFacts, UccFact
from pools.health import CheckKind, Health, is_stale
from pools.models import (
    CheckState,
    DedicatedHostname,
    FrontEndPool,
    HostnameStatus,
    Server,
    Site,
    TrustedApplicationPool,
)
from pools.pages import status_of
from pools.places import Part, Verdict, roll_up_hostnames, roll_up_pair, together

TOO_OLD = "the last results are too old to be believed"
_WORST = {Health.DOWN: 0, Health.UNKNOWN: 1, Health.DEGRADED: 2, Health.UP: 3}


@dataclass(frozen=True, slots=True)
class Place:
    """A pool or a site with its verdict."""

    word: str
    name: str
    url: str
    icon: str
    verdict: Verdict
    note: str = ""


@dataclass(frozen=True, slots=True)
class PlacePage:
    """Everything that a place's page shows."""

    place: Place
    lead: str
    hostnames: Sequence[tuple[DedicatedHostname, HostnameStatus]]
    servers: Sequence[ServerCard] = ()
    inner: Sequence[Place] = ()
    inner_title: str = ""
    up: Sequence[tuple[str, str]] = ()
    edit_url: str = ""
    move_query: str = ""
    """Says to *Move a site* what to move from here; empty where nothing can be moved as one."""


def pool_page(fqdn: str) -> PlacePage:
    """Gather a trusted application pool's page in a fixed number of queries. Raises Http404."""
    pools = TrustedApplicationPool.objects.select_related("front_end_pool__site")
    pool = pools.prefetch_related("servers", "trusted_applications__ucc").filter(fqdn=fqdn.lower()).first()
    if pool is None:
        raise Http404(f"There is no trusted application pool “{fqdn}” in this estate.")
    hostnames = _hostnames(Q(trusted_application_pool=pool))
    servers = list(pool.servers.all())
    checks = fresh_checks(servers)
    verdict = together(roll_up_pair(facts_of(servers, pool, checks)), roll_up_hostnames(_parts(hostnames)))
    front_end = pool.front_end_pool
    return PlacePage(
        place=_place(pool, verdict),
        lead=f"Trusted application pool · next hop {front_end} · {front_end.site}",
        hostnames=hostnames,
        servers=[server_card(server, checks, role=_role(server, hostnames), order=0) for server in servers],
        up=[(str(front_end.site), url_of(front_end.site)), (str(front_end), url_of(front_end))],
        edit_url=reverse("pools:estate-edit", args=["trusted-application-pool", pool.pk]),
    )


def front_end_pool_page(fqdn: str) -> PlacePage:
    """Gather a front-end pool's page, with its pair, in a fixed number of queries. Raises Http404."""
    pool = FrontEndPool.objects.select_related("site", "paired_with").filter(fqdn=fqdn.lower()).first()
    if pool is None:
        raise Http404(f"There is no front-end pool “{fqdn}” in this estate.")
    both = [pool, *([pool.paired_with] if pool.paired_with else [])]
    hostnames = _hostnames(Q(trusted_application_pool__front_end_pool__in=both))
    own = [pair for pair in hostnames if pair[0].trusted_application_pool.front_end_pool_id == pool.pk]
    theirs = [pair for pair in hostnames if pair not in own]
    inner = [
        _place(tap, roll_up_hostnames(_parts([p for p in own if p[0].trusted_application_pool_id == tap.pk])))
        for tap in pool.trusted_application_pools.all()
    ]
    if pool.paired_with:
        inner.append(_place(pool.paired_with, roll_up_hostnames(_parts(theirs)), "its pair"))
    return PlacePage(
        place=_place(pool, roll_up_hostnames(_parts(own))),
        lead=f"Front-end pool · {pool.site} · {f'paired with {pool.paired_with}' if pool.paired_with else 'unpaired'}",
        hostnames=own,
        inner=inner,
        inner_title=f"Its trusted application pools{', and its pair' if pool.paired_with else ''}",
        up=[(str(pool.site), url_of(pool.site))],
        edit_url=reverse("pools:estate-edit", args=["front-end-pool", pool.pk]),
        move_query=f"pool={pool.pk}",
    )


def site_page(name: str) -> PlacePage:
    """Gather a site's page in a fixed number of queries. Raises Http404."""
    site = Site.objects.filter(name__iexact=name).first()
    if site is None:
        raise Http404(f"There is no site “{name}” in this estate.")
    hostnames = _hostnames(Q(trusted_application_pool__front_end_pool__site=site))
    inner = [
        _place(pool, roll_up_hostnames(_parts([pair for pair in hostnames if _front_end_of(pair[0]) == pool.pk])))
        for pool in site.front_end_pools.all()
    ]
    return PlacePage(
        place=_place(site, roll_up_hostnames(_parts(hostnames))),
        lead="Site",
        hostnames=hostnames,
        inner=inner,
        inner_title="Its front-end pools",
        edit_url=reverse("pools:estate-edit", args=["site", site.pk]),
        move_query=f"site={site.pk}",
    )


def url_of(place: Site | FrontEndPool | TrustedApplicationPool) -> str:
    """Where a place's page is."""
    if isinstance(place, Site):
        return reverse("pools:site", args=[place.name])
    name = "pools:front-end-pool" if isinstance(place, FrontEndPool) else "pools:trusted-application-pool"
    return reverse(name, args=[place.fqdn])


def _place(place: Site | FrontEndPool | TrustedApplicationPool, verdict: Verdict, note: str = "") -> Place:
    icons = {Site: "building", FrontEndPool: "sitemap", TrustedApplicationPool: "server-2"}
    word = str(place._meta.verbose_name).replace("front end", "front-end")
    return Place(word, str(place), url_of(place), icons[type(place)], verdict, note)


def _front_end_of(hostname: DedicatedHostname) -> int:
    return hostname.trusted_application_pool.front_end_pool_id


def _hostnames(which: Q) -> list[tuple[DedicatedHostname, HostnameStatus]]:
    found = DedicatedHostname.objects.with_estate().filter(which).order_by("fqdn")
    return [(hostname, status_of(hostname)) for hostname in found]


def _parts(hostnames: Iterable[tuple[DedicatedHostname, HostnameStatus]]) -> list[Part]:
    """Each hostname as it counts: what is too old is not known, whatever it was."""
    age, now = overview.ages.get(), overview.clock()
    return [
        Part(hostname.fqdn, Health.UNKNOWN, TOO_OLD)
        if age.is_stale(hostname.pk, now)
        else Part(hostname.fqdn, Health(status.health), status.phrase)
        for hostname, status in hostnames
    ]


def fresh_checks(servers: Collection[Server]) -> list[CheckState]:
    """The checks of these servers; those whose newest result is too old count as unknown (nothing is saved)."""
    latest, now = live.latest(settings.POOLS["shards"]), time.time()
    found = list(
        CheckState.objects.filter(server__in=servers)
        .select_related("server", "trusted_application__ucc")
        .order_by("label")
    )
    for check in found:
        seen = latest.get(check.key)
        if is_stale(seen.at if seen else None, check.interval_s, now):
            check.health, check.sentence, check.cause, check.streak = Health.UNKNOWN.value, TOO_OLD, "", 0
    return found


def facts_of(
    servers: Iterable[Server], pool: TrustedApplicationPool, checks: Sequence[CheckState]
) -> list[ServerFacts]:
    """What these servers of one pool look like, by these checks."""
    by_key: Mapping[str, CheckState] = {check.key: check for check in checks}

    def fact(check: CheckState | None) -> CheckFact:
        return CheckFact(Health(check.health), check.cause, check.sentence) if check else CheckFact()

    def web(server: Server) -> CheckFact:
        own = [check for check in checks if check.server_id == server.pk and check.kind == CheckKind.WEB]
        return fact(min(own, key=lambda check: _WORST[Health(check.health)], default=None))

    return [
        ServerFacts(
            server_id=server.pk,
            name=server.name,
            fqdn=server.fqdn,
            address=str(server.address),
            uccs=tuple(
                UccFact(one.ucc_id, one.ucc.name, one.port, fact(by_key.get(f"ucc:{server.pk}:{one.pk}")))
                for one in pool.trusted_applications.all()
            ),
            web=web(server),
            standby_runs_ucc=pool.standby_runs_ucc or pool.front_end_pool.site.standby_runs_ucc,
        )
        for server in servers
    ]


def _role(server: Server, hostnames: Sequence[tuple[DedicatedHostname, HostnameStatus]]) -> Role:
    active = [hostname.fqdn for hostname, status in hostnames if status.active_server_id == server.pk]
    if active:
        return Role("Active", "active", f"for {', '.join(active[:3])}")
    return Role("Not active", "other")
