"""BIND, primary and secondary with TSIG, on loopback and free ports, without root: up in well under a second."""

from __future__ import annotations

import base64
import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from dnsops.asking import ask
from dnsops.providers.base import Endpoint
from tests.waiting import wait_until

NAMED = shutil.which("named", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
ZONE = "lab.example"
FROZEN = "frozen.example"  # a zone that takes no updates
KEY_NAME = "a365admin"
ALGORITHM = "hmac-sha256"
TTL_S = 30

ZONE_FILE = f"""$TTL 300
@ SOA ns1.{ZONE}. hostmaster.{ZONE}. 1 3600 600 86400 30
@ NS ns1.{ZONE}.
@ NS ns2.{ZONE}.
ns1 A 127.0.0.1
ns2 A 127.0.0.1
srv1 A 127.0.0.11
srv2 A 127.0.0.12
srv3 A 127.0.0.13
a365web1 {TTL_S} CNAME srv1.{ZONE}.
a365web2 {TTL_S} CNAME srv3.{ZONE}.
a365addr {TTL_S} A 127.0.0.11
"""

FROZEN_FILE = f"""$TTL 300
@ SOA ns1.{ZONE}. hostmaster.{ZONE}. 1 3600 600 86400 30
@ NS ns1.{ZONE}.
www CNAME srv1.{FROZEN}.
"""

OPTIONS = """options {{ directory "{directory}"; pid-file none; session-keyfile none; lock-file none;
 listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion no; dnssec-validation no;
 empty-zones-enable no; {more} }};
controls {{ }};
"""


@dataclass
class BindPair:
    """Two running servers. ``secret`` is BASE64; ``secret_file`` is as ``tsig-keygen`` writes it."""

    primary: Endpoint
    secondary: Endpoint
    secret: str
    secret_file: Path
    directory: Path
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def endpoints(self) -> list[Endpoint]:
        """Both servers, the writer first."""
        return [self.primary, self.secondary]

    def start(self, which: str) -> None:
        """Start "primary" or "secondary" and return when it answers for the zone."""
        directory = self.directory / which
        with (directory / "log").open("ab") as log:
            self.processes[which] = subprocess.Popen(
                [str(NAMED), "-f", "-n", "1", "-c", str(directory / "named.conf")],
                stdout=log,
                stderr=log,
                env={**os.environ, "KRB5RCACHENAME": "none:", "KRB5_CONFIG": str(self.directory / "krb5.conf")},
            )
        endpoint = self.primary if which == "primary" else self.secondary
        wait_until(
            lambda: ask(endpoint, f"srv1.{ZONE}", timeout_s=0.3).rrset is not None,
            timeout_s=15,
            message=lambda: f"named ({which}) does not answer:\n{(directory / 'log').read_text()[-2000:]}",
        )

    def stop(self, which: str) -> None:
        """End one of them at once."""
        process = self.processes.pop(which, None)
        if process is not None:
            process.kill()
            process.wait(10)


def free_port() -> int:
    """A port of 127.0.0.1 that is free for UDP and TCP now."""
    while True:
        with socket.socket() as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            port: int = tcp.getsockname()[1]
            try:
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


@contextmanager
def running_bind(
    directory: Path,
    *,
    more_hostnames: Sequence[str] = (),
    addresses: Mapping[str, str] | None = None,
    keytab: Path | None = None,
    account: str = "",
) -> Iterator[BindPair]:
    """Start both in ``directory``, and end them afterwards. ``more_hostnames``: more aliases of srv1.

    ``addresses``: of further servers by their short names, or in place of the usual ones.

    ``keytab``: the DNS server's own, for GSS-TSIG; ``account`` may then change what the key may change.
    """
    secret = base64.b64encode(secrets.token_bytes(32)).decode()
    key = f'key "{KEY_NAME}" {{ algorithm {ALGORITHM}; secret "{secret}"; }};\n'
    secret_file = directory / "tsig.key"
    secret_file.write_text(key)
    ports = {"primary": free_port(), "secondary": free_port()}
    pair = BindPair(
        Endpoint("dns1", "127.0.0.1", ports["primary"], is_writer=True, expected_lag_s=5),
        Endpoint("dns2", "127.0.0.1", ports["secondary"], expected_lag_s=5),
        secret,
        secret_file,
        directory,
    )
    _write_configuration(directory, key, ports, more_hostnames, account)
    (directory / "primary" / "zone.db").write_text(_zone_text(more_hostnames, addresses or {}))
    if keytab is not None:
        conf = directory / "primary" / "named.conf"
        conf.write_text(conf.read_text().replace("options {", f'options {{ tkey-gssapi-keytab "{keytab}";', 1))
    try:
        for which in ("primary", "secondary"):
            pair.start(which)
        yield pair
    finally:
        for which in ("primary", "secondary"):
            pair.stop(which)


def _write_configuration(
    directory: Path, key: str, ports: dict[str, int], more_hostnames: Sequence[str], account: str
) -> None:
    writable = ("a365web1", "a365web2", "a365addr", *more_hostnames)
    writers = [KEY_NAME, f'"{account}"'] if account else [KEY_NAME]
    grants = " ".join(f"grant {who} name {name}.{ZONE}. CNAME A AAAA;" for who in writers for name in writable)
    more = {
        # notify-delay 0: by default a second change within 5 s takes seconds to reach the secondary: no fault
        "primary": f"notify explicit; also-notify {{ 127.0.0.1 port {ports['secondary']}; }}; notify-delay 0; "
        f"serial-query-rate 1000; startup-notify-rate 1000; notify-rate 1000; allow-transfer {{ key {KEY_NAME}; }};",
        "secondary": "notify no;",
    }
    zone = {
        "primary": f'type primary; file "zone.db"; update-policy {{ {grants} }};',
        "secondary": 'type secondary; file "zone.db"; '
        f"primaries {{ 127.0.0.1 port {ports['primary']} key {KEY_NAME}; }};",
    }
    for which, port in ports.items():
        own = directory / which
        own.mkdir()
        options = OPTIONS.format(directory=own, port=port, more=more[which])
        frozen = f'zone "{FROZEN}" {{ type primary; file "frozen.db"; }};' if which == "primary" else ""
        (own / "named.conf").write_text(f'{key}{options}zone "{ZONE}" {{ {zone[which]} }};\n{frozen}\n')
    (directory / "primary" / "frozen.db").write_text(FROZEN_FILE)


def _zone_text(more_hostnames: Sequence[str], addresses: Mapping[str, str]) -> str:
    lines = [line for line in ZONE_FILE.splitlines() if line.split()[0] not in addresses]
    lines += [f"{name} A {address}" for name, address in addresses.items()]
    lines += [f"{name} {TTL_S} CNAME srv1.{ZONE}." for name in more_hostnames]
    return "\n".join(lines) + "\n"
