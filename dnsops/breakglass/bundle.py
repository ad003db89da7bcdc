"""The bundle: everything that a failover needs to know of the estate, in one sealed file. No secret is in it.

A key is named by where its secret is (``file:`` or ``env:``), never by the secret. The seal is an HMAC-SHA-256 over the
canonical JSON, by a key from a file of its own: whoever cannot read that file cannot make a bundle that is believed.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from dnsops.plan import Target, zone_of
from dnsops.providers.base import Endpoint, KeySetup, Setup
from pools.health import CheckKind
from pools.specs import ApplicationSpec, Check, Estate, HostnameSpec, ServerSpec, VirtualServiceSpec, checks_of
from pools.timing import Overrides

FORMAT = 1


class BundleError(Exception):
    """The bundle cannot be used; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class BundledTarget:
    """What a hostname may point at, and which servers clients end up on by it. Maintenance: when it was written."""

    target: Target
    server_ids: tuple[int, ...]
    maintenance_reason: str


@dataclass(frozen=True, slots=True)
class BundledZone:
    """A zone: how it is changed, with which keys (references, never secrets), at which servers (the writer first)."""

    name: str
    provider: str
    setup: Setup | None

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Its authoritative servers."""
        return self.setup.endpoints if self.setup else ()

    @property
    def writer(self) -> Endpoint | None:
        """The one server that changes are sent to."""
        return next((endpoint for endpoint in self.endpoints if endpoint.is_writer), None)


@dataclass(frozen=True, slots=True)
class BundledHostname:
    """A dedicated hostname and its targets, the primary first.

    ``last_written_at``: ISO, when an operation last changed it; "" for never. ``service_name``: in helpdesk's words.
    """

    id: int
    fqdn: str
    service_name: str
    record_type: str
    ttl_s: int
    pool_id: int
    pool: str
    targets: tuple[BundledTarget, ...]
    last_written_at: str


@dataclass(frozen=True, slots=True)
class Bundle:
    """The estate, as far as a failover needs it. ``policy``: ``dnsops.conf.Conf`` as it was; ``ca_file``: or ""."""

    written_at: str
    written_by: str
    policy: Mapping[str, float]
    ca_file: str
    zones: tuple[BundledZone, ...]
    servers: tuple[ServerSpec, ...]
    applications: tuple[ApplicationSpec, ...]
    virtual_services: tuple[VirtualServiceSpec, ...]
    hostnames: tuple[BundledHostname, ...]

    def hostname(self, text: str) -> BundledHostname:
        """Find a hostname by its FQDN. Raises BundleError."""
        wanted = text.strip().rstrip(".").lower()
        for hostname in self.hostnames:
            if hostname.fqdn == wanted:
                return hostname
        known = ", ".join(hostname.fqdn for hostname in self.hostnames[:20]) or "none"
        raise BundleError(f"hostname: found {text!r}, expected one that is in the bundle: {known}.")

    def zone_for(self, fqdn: str) -> BundledZone | None:
        """The zone that holds ``fqdn`` (the longest); None where there is none."""
        zones = {zone.name: zone for zone in self.zones}
        return zones.get(zone_of(fqdn, zones))

    def uccs_of(self, hostname: BundledHostname) -> list[str]:
        """The UCCs whose clients use this hostname."""
        return [application.ucc_name for application in self.applications if application.pool_id == hostname.pool_id]

    def checks_of(self, target: BundledTarget, hostname: BundledHostname) -> list[Check]:
        """What says whether this target can serve this hostname: the same checks as the standing ones."""
        service_id = target.target.virtual_service_id
        servers = tuple(server for server in self.servers if server.id in target.server_ids)
        pools = {server.pool_id for server in servers}
        estate = Estate(
            servers=servers,
            applications=tuple(application for application in self.applications if application.pool_id in pools),
            hostnames=(
                HostnameSpec(hostname.id, hostname.fqdn, target.server_ids, (service_id,) if service_id else ()),
            ),
            virtual_services=tuple(service for service in self.virtual_services if service.id == service_id),
        )
        return [check for check in checks_of(estate) if check.kind is not CheckKind.BALANCER]

    def age_s(self, now: datetime) -> float:
        """How old it is, in seconds; ``now`` is aware."""
        return (now - datetime.fromisoformat(self.written_at)).total_seconds()


def content_of(bundle: Bundle) -> dict[str, Any]:
    """The bundle as plain data, as JSON has it; what ``of_content`` takes."""
    content: dict[str, Any] = json.loads(json.dumps(asdict(bundle), default=str))
    return content


def of_content(content: Mapping[str, Any]) -> Bundle:
    """The inverse of ``content_of``. Raises BundleError."""
    try:
        return Bundle(
            **{
                **content,
                "zones": tuple(BundledZone(**{**zone, "setup": _setup(zone["setup"])}) for zone in content["zones"]),
                "servers": tuple(
                    ServerSpec(**{**server, "overrides": Overrides(**server["overrides"])})
                    for server in content["servers"]
                ),
                "applications": tuple(ApplicationSpec(**application) for application in content["applications"]),
                "virtual_services": tuple(map(_virtual_service, content["virtual_services"])),
                "hostnames": tuple(
                    BundledHostname(**{**hostname, "targets": tuple(map(_target, hostname["targets"]))})
                    for hostname in content["hostnames"]
                ),
            }
        )
    except (KeyError, TypeError) as error:
        raise BundleError(
            f"The bundle is of another version of a365admin ({error}). Write it anew: manage.py breakglass write."
        ) from error


def _setup(content: Mapping[str, Any] | None) -> Setup | None:
    if content is None:
        return None
    return Setup(
        content["zone"],
        tuple(Endpoint(**endpoint) for endpoint in content["endpoints"]),
        tuple(KeySetup(**{**key, "kdcs": tuple(key["kdcs"])}) for key in content["keys"]),
        Path(content["folder"]),
    )


def _server(content: Mapping[str, Any]) -> ServerSpec:
    return ServerSpec(**{**content, "overrides": Overrides(**content["overrides"])})


def _virtual_service(content: Mapping[str, Any]) -> VirtualServiceSpec:
    real_servers = tuple(tuple(real) for real in content["real_servers"])
    return VirtualServiceSpec(
        **{**content, "overrides": Overrides(**content["overrides"]), "real_servers": real_servers}
    )


def _target(content: Mapping[str, Any]) -> BundledTarget:
    return BundledTarget(Target(**content["target"]), tuple(content["server_ids"]), content["maintenance_reason"])


def seal(bundle: Bundle, key: bytes) -> bytes:
    """The file's content: the bundle and its seal, as JSON."""
    content = content_of(bundle)
    document = {"format": FORMAT, "bundle": content, "seal": mac_of(content, key)}
    return json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True).encode() + b"\n"


def unseal(data: bytes, key: bytes) -> Bundle:
    """The bundle, once its seal has been found good. Raises BundleError."""
    try:
        document = json.loads(data)
        found_format, content, found = document["format"], document["bundle"], document["seal"]
    except (ValueError, KeyError, TypeError) as error:
        raise BundleError(
            "The bundle is not complete, or no bundle at all. Take a copy from another machine, or a backup."
        ) from error
    if not isinstance(found, str) or not hmac.compare_digest(found.encode(), mac_of(content, key).encode()):
        raise BundleError(
            "The bundle's seal is broken: it was changed after it was written, or the key file is another one. Do not "
            "use it. Take the bundle and the key of one machine together."
        )
    if found_format != FORMAT:
        raise BundleError(f"The bundle has format {found_format}, this program reads {FORMAT}. Use the same version.")
    return of_content(content)


def mac_of(content: Any, key: bytes) -> str:
    """HMAC-SHA-256 (hex) over the canonical JSON of ``content``."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
