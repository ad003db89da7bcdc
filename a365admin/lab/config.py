"""The demo estate's configuration, lab.json: everything needed to bind the very same addresses at the next start."""

import base64
import json
import os
import secrets
import socket
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from a365admin.lab import estate, pki
from a365admin.lab.errors import LabError

TSIG_KEY_NAME = "a365admin."
TSIG_ALGORITHM = "hmac-sha256"
WEB_PORTS = (8443, 18443, 28443)
FIRST_OWN_PORT, LAST_OWN_PORT = 20000, 32000  # below the ephemeral ports, so that a restart finds them free
ATTEMPTS = 200


@dataclass(frozen=True, slots=True)
class DnsServerConfig:
    """Where one authoritative DNS server listens, UDP and TCP."""

    name: str
    address: str
    port: int


@dataclass(frozen=True, slots=True)
class ResolverConfig:
    """Where a site's resolver listens, UDP and TCP."""

    name: str
    site: str
    address: str
    port: int


@dataclass(frozen=True, slots=True)
class ControlConfig:
    """Where the control listens, and the bearer token that it demands."""

    address: str
    port: int
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class TsigConfig:
    """The key that may change the dedicated hostnames. The secret itself (base64) is only in `secret_file`."""

    name: str
    algorithm: str
    secret_file: str


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """One A365 server. `ucc_running` is how it starts; `hostnames` are the dedicated hostnames in its certificate."""

    name: str
    fqdn: str
    address: str
    web_port: int
    ucc_ports: tuple[int, ...]
    ucc_running: bool
    hostnames: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HostnameConfig:
    """A dedicated hostname and the server FQDN that it points at in an untouched demo."""

    fqdn: str
    target: str


@dataclass(frozen=True, slots=True)
class LabConfig:
    """The whole of lab.json. `path` is where it was read from, and is not in the file."""

    domain: str
    block: str
    dns: tuple[DnsServerConfig, ...]
    control: ControlConfig
    tsig: TsigConfig
    ca_file: str
    servers: tuple[ServerConfig, ...]
    hostnames: tuple[HostnameConfig, ...]
    path: Path
    resolvers: tuple[ResolverConfig, ...] = ()

    @property
    def directory(self) -> Path:
        """Where the demo estate keeps its key, certificates, zones and state: `VAR/lab`."""
        return self.path.parent / "lab"

    @property
    def dns_ports(self) -> tuple[int, ...]:
        """The DNS servers' ports, the writer first."""
        return tuple(server.port for server in self.dns)

    def server(self, name: str) -> ServerConfig:
        """The A365 server of that name ("SRV1"). Raises KeyError."""
        return {server.name: server for server in self.servers}[name]

    def tsig_secret(self) -> str:
        """The TSIG secret in base64. Raises LabError when its file cannot be read."""
        try:
            return Path(self.tsig.secret_file).read_text(encoding="ascii").strip()
        except OSError as error:
            raise LabError(
                f"The TSIG key of the demo cannot be read: {error}. Remove {self.path} and start again."
            ) from error


def create_config(var: Path, *, block: str | None = None) -> LabConfig:
    """Choose free addresses and ports, make keys and certificates, and write `var`/lab.json.

    In: the folder for data; a block such as "127.77.0" where one is wanted. Records and state of an earlier demo in
    the same folder are forgotten. Raises LabError when no loopback addresses of our own can be bound.
    """
    path = var.absolute() / "lab.json"
    directory = path.parent / "lab"
    directory.mkdir(parents=True, exist_ok=True)
    for leftover in (*directory.glob("*.zone"), directory / "state.json"):
        leftover.unlink(missing_ok=True)
    block, web_port = _choose_block(block)
    ports = _free_ports(3 + len(estate.SITES))
    pki.create_authority(directory, domain=estate.DOMAIN)
    secret_file = directory / "tsig.key"
    write_private(secret_file, base64.b64encode(secrets.token_bytes(32)).decode() + "\n")
    config = LabConfig(
        domain=estate.DOMAIN,
        block=block,
        dns=(DnsServerConfig("dns1", "127.0.0.1", ports[0]), DnsServerConfig("dns2", "127.0.0.1", ports[1])),
        control=ControlConfig("127.0.0.1", ports[2], secrets.token_urlsafe(24)),
        tsig=TsigConfig(TSIG_KEY_NAME, TSIG_ALGORITHM, str(secret_file)),
        ca_file=str(directory / pki.CA_CERTIFICATE),
        servers=tuple(_server(name, block, web_port) for pool in estate.POOLS for name in pool.servers),
        hostnames=tuple(HostnameConfig(estate.fqdn(h.name), estate.fqdn(h.targets[0])) for h in estate.HOSTNAMES),
        path=path,
        resolvers=tuple(
            ResolverConfig(estate.resolver_of(site), site, "127.0.0.1", port)
            for site, port in zip(estate.SITES, ports[3:], strict=True)
        ),
    )
    document = asdict(config)
    del document["path"]
    write_private(path, json.dumps(document, indent=1) + "\n")
    return config


def load_config(path: Path) -> LabConfig:
    """Read lab.json. Raises LabError, with what to do, when it is missing or is not a configuration of ours."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return _from_document(document, path.absolute())
    except OSError as error:
        raise LabError(f"The demo estate's file cannot be read: {error}. Create it with --create.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise LabError(
            f"{path} is not a configuration of the demo estate ({error!r}). Remove it and start again."
        ) from error


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    temporary.replace(path)


def _from_document(document: Mapping[str, Any], path: Path) -> LabConfig:
    return LabConfig(
        domain=document["domain"],
        block=document["block"],
        dns=tuple(DnsServerConfig(**item) for item in document["dns"]),
        control=ControlConfig(**document["control"]),
        tsig=TsigConfig(**document["tsig"]),
        ca_file=document["ca_file"],
        servers=tuple(
            ServerConfig(**{**item, "ucc_ports": tuple(item["ucc_ports"]), "hostnames": tuple(item["hostnames"])})
            for item in document["servers"]
        ),
        hostnames=tuple(HostnameConfig(**item) for item in document["hostnames"]),
        path=path,
        resolvers=tuple(ResolverConfig(**item) for item in document.get("resolvers", ())),
    )


def _server(name: str, block: str, web_port: int) -> ServerConfig:
    return ServerConfig(
        name=name,
        fqdn=estate.fqdn(name),
        address=_address(name, block),
        web_port=web_port,
        ucc_ports=estate.pool_of(name).ucc_ports,
        ucc_running=estate.runs_ucc_at_start(name),
        hostnames=tuple(estate.fqdn(hostname) for hostname in estate.hostnames_served_by(name)),
    )


def _address(name: str, block: str) -> str:
    return f"{block}.{10 + int(name.removeprefix('SRV'))}"


def _choose_block(wanted: str | None) -> tuple[str, int]:
    """A loopback block of which every address and port that the servers need can be bound, and the web port in it."""
    if not _can_bind("127.254.0.1", [0]):
        raise LabError(
            "The demo estate gives each server an address of its own in 127.0.0.0/8, and this machine has only "
            "127.0.0.1 (macOS and BSD). Run it on Linux or in a Linux container, or start without the demo: up --empty."
        )
    blocks = [wanted] if wanted else [f"127.{20 + secrets.randbelow(230)}.0" for _ in range(ATTEMPTS)]
    for block in blocks:
        for web_port in WEB_PORTS:
            if all(
                _can_bind(_address(name, block), (web_port, *pool.ucc_ports))
                for pool in estate.POOLS
                for name in pool.servers
            ):
                return block, web_port
    raise LabError(
        f"No free addresses for the demo estate in {wanted or '127.0.0.0/8'}: another program holds its ports "
        "(6001 to 6003, 6101, 6102, 8443) on every address. Stop that program, or start without the demo: up --empty."
    )


def _can_bind(address: str, ports: Iterable[int]) -> bool:
    with ExitStack() as sockets:
        for port in ports:
            tcp = sockets.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                tcp.bind((address, port))
                tcp.listen(1)  # with SO_REUSEADDR only listen() notices another listener
            except OSError:
                return False
    return True


def _free_ports(count: int) -> list[int]:
    """Distinct ports of 127.0.0.1 that are free for UDP and TCP."""
    found: list[int] = []
    for _ in range(ATTEMPTS):
        port = FIRST_OWN_PORT + secrets.randbelow(LAST_OWN_PORT - FIRST_OWN_PORT)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            try:
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in found and _can_bind("127.0.0.1", [port]):
            found.append(port)
        if len(found) == count:
            return found
    raise LabError("No free ports on 127.0.0.1 for the demo estate. Stop what holds them, or start with up --empty.")
