"""The demo estate's zone: made from the configuration, kept in a file, so that a restart finds what was changed."""

import logging
import os
from pathlib import Path

import dns.exception
import dns.name
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.versioned
import dns.zone

from a365admin.lab.config import HostnameConfig, LabConfig
from a365admin.lab.estate import RECORD_TTL_S

log = logging.getLogger(__name__)

ZONE_TTL_S = 300
NEGATIVE_TTL_S = 30


def zone_text(config: LabConfig, *, serial: int = 1) -> str:
    """The zone of an untouched demo, as a zone file: servers and VIPs as A records, dedicated hostnames as they are."""
    first = config.dns[0]
    lines = [
        f"$ORIGIN {config.domain}.",
        f"$TTL {ZONE_TTL_S}",
        f"@ SOA {first.name} hostmaster {serial} 3600 600 86400 {NEGATIVE_TTL_S}",
    ]
    lines += [f"@ NS {server.name}" for server in config.dns]
    lines += [f"{server.name} A {server.address}" for server in config.dns]
    lines += [f"{server.fqdn}. A {server.address}" for server in config.servers]
    lines += [f"{balancer.fqdn}. A {balancer.address}" for balancer in config.balancers]
    lines += [f"{hostname.fqdn}. {RECORD_TTL_S} {_record(hostname)}" for hostname in config.hostnames]
    return "\n".join(lines) + "\n"


def _record(hostname: HostnameConfig) -> str:
    dot = "." if hostname.record_type == "CNAME" else ""
    return f"{hostname.record_type} {hostname.target}{dot}"


def parse_zone(text: str) -> dns.versioned.Zone:
    """In: a zone file. Out: a zone whose names are absolute. Raises dns.exception.DNSException."""
    zone = dns.zone.from_text(text, zone_factory=dns.versioned.Zone, relativize=False)
    assert isinstance(zone, dns.versioned.Zone)
    return zone


def origin_of(zone: dns.versioned.Zone) -> dns.name.Name:
    """The zone's name, absolute."""
    assert zone.origin is not None
    return zone.origin


def serial_of(zone: dns.versioned.Zone) -> int:
    """The serial number in the zone's SOA record."""
    soa = zone.get_rdataset(origin_of(zone), dns.rdatatype.SOA)
    assert soa is not None
    return int(soa[0].serial)


def copy_zone(source: dns.versioned.Zone, destination: dns.versioned.Zone) -> None:
    """Make `destination` hold exactly what `source` holds now, serial included, in one transaction."""
    with source.reader() as reader, destination.writer(replacement=True) as writer:
        for name, rdataset in reader.iterate_rdatasets():
            writer.add(name, dns.rdataset.from_rdata_list(rdataset.ttl, list(rdataset)))


def set_record(zone: dns.versioned.Zone, name: dns.name.Name, record_type: str, value: str, *, ttl_s: int) -> bool:
    """Give `name` this one record and nothing else, with a new serial. Returns whether that changed anything.

    In: a value in the form of a zone file, names absolute. Raises dns.exception.DNSException for what is none.
    """
    wanted = dns.rdataset.from_text("IN", record_type, ttl_s, value)
    present = zone.get_rdataset(name, wanted.rdtype)
    if present is not None and present.ttl == ttl_s and list(present) == list(wanted):
        return False
    with zone.writer() as writer:
        writer.delete(name)
        writer.add(name, wanted)
        writer.update_serial(1, relative=True, name=origin_of(zone))
    return True


def remove_name(zone: dns.versioned.Zone, name: dns.name.Name) -> bool:
    """Delete everything at ``name``, with a new serial. Returns whether there was anything."""
    if zone.get_node(name) is None:
        return False
    with zone.writer() as writer:
        writer.delete(name)
        writer.update_serial(1, relative=True, name=origin_of(zone))
    return True


def load_zone(path: Path, config: LabConfig) -> dns.versioned.Zone:
    """The zone kept in `path`, or, where there is none that can be read, the zone of an untouched demo."""
    try:
        return parse_zone(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        pass
    except (OSError, ValueError, dns.exception.DNSException) as error:
        log.warning("%s cannot be used (%s): starting with the records of an untouched demo.", path, error)
    return parse_zone(zone_text(config))


def save_zone(path: Path, zone: dns.versioned.Zone) -> None:
    """Write the zone to `path`, whole or not at all. Raises OSError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    temporary.write_text(f"$ORIGIN {origin_of(zone)}\n" + zone.to_text(relativize=False), encoding="utf-8")
    temporary.replace(path)
