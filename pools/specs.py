"""Pure: the checks that an estate needs. Nobody types checks in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from zlib import crc32

from pools.health import CheckKind, Policy
from pools.timing import NOTHING, Overrides, Timing, timing_of

DEFAULT_POLICY = Policy()


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to ask, again and again.

    ``key`` is stable over restarts: ``ucc:<server>:<trusted application>``, ``web:<server>:<hostname>``,
    ``cert:<server>:<hostname>``, ``dns:<name server>:<hostname>``, ``vip:<virtual service>``,
    ``balancer:<virtual service>`` (database ids; through a VIP ``v<virtual service>`` stands for the server).
    ``address`` and ``port`` are where
    it is asked. ``host`` is SNI and Host for web and cert, the name asked for DNS. ``name_server`` is the short name of
    the one asked for DNS, and ``rank`` its place (the writer first). ``interval_s``, ``timeout_s`` and ``retry_s``
    (after a first failure) are seconds. ``service:<hostname>`` asks through the hostname: ``ask_at`` are its
    authoritative servers, ``known`` the addresses of its targets by their names.
    """

    key: str
    kind: CheckKind
    label: str
    address: str
    port: int
    host: str = ""
    path: str = "/"
    expected_text: str = ""
    record_type: str = ""
    server_id: int | None = None
    hostname_id: int | None = None
    trusted_application_id: int | None = None
    interval_s: float = 5.0
    timeout_s: float = 2.0
    retry_s: float = 0.5
    policy: Policy = DEFAULT_POLICY
    name_server: str = ""
    rank: int = 0
    virtual_service_id: int | None = None
    real_servers: tuple[tuple[str, str, str], ...] = ()
    health_check_port: int = 0
    ask_at: tuple[tuple[str, int], ...] = ()
    known: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ServerSpec:
    """A server: where it is, in which trusted application pool, and what is stated about its checks."""

    id: int
    name: str
    address: str
    pool_id: int
    web_port: int
    web_path: str
    overrides: Overrides = NOTHING


@dataclass(frozen=True, slots=True)
class ApplicationSpec:
    """A trusted application: a UCC's port in one pool."""

    id: int
    ucc_name: str
    pool_id: int
    port: int


@dataclass(frozen=True, slots=True)
class HostnameSpec:
    """A dedicated hostname, the servers that may serve it, the primary first, and the virtual services it may use."""

    id: int
    fqdn: str
    target_ids: tuple[int, ...]
    virtual_service_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class VirtualServiceSpec:
    """A virtual service: its VIP, and where its load balancer's statistics can be read ("": nowhere).

    ``real_servers``: (name, FQDN, address) of each, the active one first; ``backend``: its name in the statistics;
    ``health_check_port``: the UCC port that the load balancer checks on each of them.
    """

    id: int
    name: str
    address: str
    port: int
    web_path: str = "/"
    overrides: Overrides = NOTHING
    statistics: str = ""
    backend: str = ""
    real_servers: tuple[tuple[str, str, str], ...] = ()
    health_check_port: int = 0


@dataclass(frozen=True, slots=True)
class Estate:
    """A snapshot of everything that is to be checked on servers."""

    servers: tuple[ServerSpec, ...]
    applications: tuple[ApplicationSpec, ...]
    hostnames: tuple[HostnameSpec, ...]
    virtual_services: tuple[VirtualServiceSpec, ...] = ()


# Down is known after U(0, interval) + retry where a port refuses, about 0.9 s at the median; after U(0, interval) +
# timeout + 0.4 s where a host is silent (``probing.engine``). The kernel sends a lost packet again after 1 s: in time.
UCC_TIMING = Timing(interval_s=1.5, timeout_s=1.5, retry_s=0.1)
WEB_TIMING = Timing(interval_s=10.0, timeout_s=4.0, retry_s=0.5)
# The certificate is looked at in the connection of the web check: the same timing.
CERT_TIMING = Timing(interval_s=10.0, timeout_s=4.0, retry_s=0.5, policy=Policy(rise=1, fall=2))
VIP_TIMING = Timing(interval_s=5.0, timeout_s=2.0, retry_s=0.3)
SERVICE_TIMING = Timing(interval_s=30.0, timeout_s=6.0, retry_s=1.0)
# A load balancer's statistics are its own words, not a measurement: one answer is enough to believe them.
BALANCER_TIMING = Timing(interval_s=3.0, timeout_s=2.0, retry_s=0.5, policy=Policy(rise=1, fall=2))
TIMINGS: Mapping[CheckKind, Timing] = {
    CheckKind.UCC: UCC_TIMING,
    CheckKind.WEB: WEB_TIMING,
    CheckKind.CERT: CERT_TIMING,
    CheckKind.VIP: VIP_TIMING,
    CheckKind.SERVICE: SERVICE_TIMING,
    CheckKind.BALANCER: BALANCER_TIMING,
}


def checks_of(estate: Estate, timings: Mapping[CheckKind, Timing] = TIMINGS) -> list[Check]:
    """Return every check of the estate's servers: UCC ports, and for each hostname's targets web and certificate."""
    timings = {**TIMINGS, **timings}
    return [
        *_ucc_checks(estate, timings[CheckKind.UCC]),
        *_web_checks(estate, timings),
        *_vip_checks(estate, timings),
        *_web_checks_through_vips(estate, timings),
    ]


def _ucc_checks(estate: Estate, default: Timing) -> Iterable[Check]:
    applications: dict[int, list[ApplicationSpec]] = {}
    for application in estate.applications:
        applications.setdefault(application.pool_id, []).append(application)
    for server in estate.servers:
        timing = timing_of(CheckKind.UCC, default, server.overrides)
        for application in applications.get(server.pool_id, []):
            yield Check(
                key=f"ucc:{server.id}:{application.id}",
                kind=CheckKind.UCC,
                label=f"UCC {application.port} ({application.ucc_name}) on {server.name}",
                address=server.address,
                port=application.port,
                server_id=server.id,
                trusted_application_id=application.id,
                interval_s=timing.interval_s,
                timeout_s=timing.timeout_s,
                retry_s=timing.retry_s,
                policy=timing.policy,
            )


def _web_checks(estate: Estate, timings: Mapping[CheckKind, Timing]) -> Iterable[Check]:
    servers = {server.id: server for server in estate.servers}
    words = {CheckKind.WEB: "Web services", CheckKind.CERT: "Certificate"}
    for hostname in estate.hostnames:
        for target_id in hostname.target_ids:
            server = servers[target_id]
            for kind, word in words.items():
                timing = timing_of(kind, timings[kind], server.overrides)
                yield Check(
                    key=f"{kind.value}:{server.id}:{hostname.id}",
                    kind=kind,
                    label=f"{word} of {server.name} as {hostname.fqdn}",
                    address=server.address,
                    port=server.web_port,
                    host=hostname.fqdn,
                    path=server.web_path,
                    expected_text=server.overrides.expected_text,
                    server_id=server.id,
                    hostname_id=hostname.id,
                    interval_s=timing.interval_s,
                    timeout_s=timing.timeout_s,
                    retry_s=timing.retry_s,
                    policy=timing.policy,
                )


def _vip_checks(estate: Estate, timings: Mapping[CheckKind, Timing]) -> Iterable[Check]:
    for service in estate.virtual_services:
        yield _of_service(CheckKind.VIP, f"VIP of {service.name}", service, timings)
        if service.statistics:
            check = _of_service(CheckKind.BALANCER, f"Load balancer of {service.name}", service, timings)
            yield replace(check, path=service.statistics, host=service.backend, real_servers=service.real_servers)


def _of_service(kind: CheckKind, label: str, service: VirtualServiceSpec, timings: Mapping[CheckKind, Timing]) -> Check:
    timing = timings[kind]
    return Check(
        key=f"{kind.value}:{service.id}",
        kind=kind,
        label=label,
        address=service.address,
        port=service.port,
        virtual_service_id=service.id,
        health_check_port=service.health_check_port,
        interval_s=timing.interval_s,
        timeout_s=timing.timeout_s,
        retry_s=timing.retry_s,
        policy=timing.policy,
    )


def _web_checks_through_vips(estate: Estate, timings: Mapping[CheckKind, Timing]) -> Iterable[Check]:
    services = {service.id: service for service in estate.virtual_services}
    words = {CheckKind.WEB: "Web services", CheckKind.CERT: "Certificate"}
    for hostname in estate.hostnames:
        for service_id in hostname.virtual_service_ids:
            service = services[service_id]
            for kind, word in words.items():
                own = {kind: timing_of(kind, timings[kind], service.overrides)}
                check = _of_service(kind, f"{word} through {service.name} as {hostname.fqdn}", service, own)
                yield replace(
                    check,
                    key=f"{kind.value}:v{service.id}:{hostname.id}",
                    host=hostname.fqdn,
                    path=service.web_path,
                    expected_text=service.overrides.expected_text,
                    hostname_id=hostname.id,
                )


def asked_with(key: str) -> str:
    """Return the key of the check in whose connection this one is answered: a certificate's is its web check's."""
    return f"web:{key[5:]}" if key.startswith("cert:") else key


def spread(key: str) -> float:
    """Return where in its interval a check is asked, 0 to 1: by a hash, the same after each restart."""
    return crc32(asked_with(key).encode()) / 2**32


def shard_of(key: str, shards: int) -> int:
    """Return which of ``shards`` asks this check; one that is answered in another's connection goes with that one."""
    return crc32(asked_with(key).encode()) % shards
