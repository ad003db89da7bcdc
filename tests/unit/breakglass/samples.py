"""A bundle of one hostname, two servers, two DNS servers."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from dnsops.breakglass.bundle import Bundle, BundledHostname, BundledTarget, BundledZone
from dnsops.conf import Conf
from dnsops.plan import Target
from dnsops.providers.base import Endpoint, KeySetup, Setup
from pools.specs import ApplicationSpec, ServerSpec, VirtualServiceSpec

KEY = b"k" * 64
FQDN = "a365web1.example.com"
TSIG = KeySetup("a365admin", "file:/etc/a365admin/tsig.key", "hmac-sha256")
DNS = (Endpoint("dns1", "192.0.2.53", 53, True), Endpoint("dns2", "192.0.2.54", 53))


def zone(
    *keys: KeySetup, name: str = "example.com", provider: str = "rfc2136", endpoints: tuple[Endpoint, ...] = DNS
) -> BundledZone:
    """The sample's zone."""
    return BundledZone(name, provider, Setup(name, endpoints, keys or (TSIG,), Path("/var/lib/a365admin/kerberos")))


def hostname(*, domain: str = "example.com", record_type: str = "CNAME") -> BundledHostname:
    """The sample's hostname, at its two servers."""
    targets = tuple(
        BundledTarget(Target(pk, f"SRV{pk}", f"srv{pk}.{domain}", f"192.0.2.{pk}", pk), (pk,), "") for pk in (1, 2)
    )
    pool = f"a365pool1.{domain}"
    return BundledHostname(1, f"a365web1.{domain}", "Service Desk", record_type, 60, 1, pool, targets, "")


def bundle(**changes: object) -> Bundle:
    """The sample, with ``changes``."""
    service = VirtualServiceSpec(7, "VS1", "192.0.2.70", 443, real_servers=(("SRV1", "srv1.example.com", "192.0.2.1"),))
    fields: dict[str, object] = {
        "written_at": datetime.now(UTC).isoformat(),
        "written_by": "adm1",
        "policy": asdict(Conf()),
        "ca_file": "",
        "zones": (zone(),),
        "servers": tuple(ServerSpec(pk, f"SRV{pk}", f"192.0.2.{pk}", 1, 443, "/") for pk in (1, 2)),
        "applications": (ApplicationSpec(1, "Reception", 1, 6001), ApplicationSpec(2, "Sales", 2, 6001)),
        "virtual_services": (service,),
        "hostnames": (hostname(),),
    }
    return Bundle(**(fields | changes))  # type: ignore[arg-type]
