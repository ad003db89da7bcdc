"""Knot DNS and PowerDNS on loopback and free ports, without root; each with one key that may change one name."""

from __future__ import annotations

import base64
import os
import secrets
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from dnsops.asking import ask
from dnsops.providers.base import Endpoint
from tests.integration import bind
from tests.integration.kerberos import SBIN, run
from tests.waiting import wait_until

KNOTD = shutil.which("knotd", path=SBIN)
PDNS = shutil.which("pdns_server", path=SBIN)
PDNSUTIL = shutil.which("pdnsutil", path=SBIN)
PDNS_SCHEMA = Path("/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql")
# A socket's path may have about 100 characters, and pytest's folders are long: it gets a short one of its own.
PDNS_BACKEND = next(iter(Path("/usr/lib").glob("*/pdns/libgsqlite3backend.so")), None)
KEY = "a365admin"
ALLOWED = f"a365web1.{bind.ZONE}."

KNOT = """server:
    listen: 127.0.0.1@{port}
    rundir: "{short}"
    udp-workers: 1
    tcp-workers: 2
    background-workers: 1
log:
  - target: stderr
    any: info
database:
    storage: "{folder}"
    journal-db-max-size: 50M
key:
  - id: {key}
    algorithm: hmac-sha256
    secret: {secret}
acl:
  - id: failover
    key: {key}
    action: update
    update-type: [CNAME, A, AAAA]
    update-owner: name
    update-owner-match: equal
    update-owner-name: [{allowed}]
template:
  - id: default
    storage: "{folder}"
    zonefile-sync: -1
    zonefile-load: difference
zone:
  - domain: {zone}
    file: zone.db
    acl: failover
  - domain: {frozen}
    file: frozen.db
"""

PDNS_CONF = """launch=gsqlite3
gsqlite3-database={folder}/pdns.sqlite3
local-address=127.0.0.1
local-port={port}
socket-dir={short}
write-pid=no
guardian=no
daemon=no
disable-syslog=yes
security-poll-suffix=
cache-ttl=0
query-cache-ttl=0
negquery-cache-ttl=0
zone-cache-refresh-interval=0
receiver-threads=1
dnsupdate=yes
allow-dnsupdate-from=
lua-dnsupdate-policy-script={folder}/policy.lua
"""

# PowerDNS has no setting that says which names a key may change: a few lines of Lua do.
PDNS_POLICY = """function updatepolicy(input)
  return input:getTsigName():toString() == "{key}." and input:getQName():toString() == "{allowed}"
end
"""


def _secret() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


@contextmanager
def running_knot(folder: Path) -> Iterator[tuple[Endpoint, str]]:
    """The server and the key's secret."""
    port, secret = bind.free_port(), _secret()
    values = {"folder": folder, "port": port, "key": KEY, "secret": secret, "allowed": ALLOWED}
    _zone_files(folder)
    with TemporaryDirectory(prefix="a365-") as short:
        (folder / "knot.conf").write_text(KNOT.format(zone=bind.ZONE, frozen=bind.FROZEN, short=short, **values))
        with _running("knot", [str(KNOTD), "-c", str(folder / "knot.conf")], folder, port) as endpoint:
            yield endpoint, secret


@contextmanager
def running_powerdns(folder: Path) -> Iterator[tuple[Endpoint, str]]:
    """The server and the key's secret."""
    port, secret = bind.free_port(), _secret()
    (folder / "policy.lua").write_text(PDNS_POLICY.format(key=KEY, allowed=ALLOWED))
    with sqlite3.connect(folder / "pdns.sqlite3") as database:
        database.executescript(PDNS_SCHEMA.read_text())
    database.close()
    _zone_files(folder)
    with TemporaryDirectory(prefix="a365-") as short:
        (folder / "pdns.conf").write_text(PDNS_CONF.format(folder=folder, short=short, port=port))
        _fill_powerdns(folder, secret)
        with _running("pdns", [str(PDNS), f"--config-dir={folder}"], folder, port) as endpoint:
            yield endpoint, secret


def _fill_powerdns(folder: Path, secret: str) -> None:
    util = [str(PDNSUTIL), f"--config-dir={folder}"]
    run([*util, "load-zone", bind.ZONE, str(folder / "zone.db")])
    run([*util, "load-zone", bind.FROZEN, str(folder / "frozen.db")])
    run([*util, "import-tsig-key", KEY, "hmac-sha256", secret])
    run([*util, "set-meta", bind.ZONE, "TSIG-ALLOW-DNSUPDATE", KEY])


def _zone_files(folder: Path) -> None:
    (folder / "zone.db").write_text(f"$ORIGIN {bind.ZONE}.\n{bind.ZONE_FILE}")
    (folder / "frozen.db").write_text(f"$ORIGIN {bind.FROZEN}.\n{bind.FROZEN_FILE}")


@contextmanager
def _running(name: str, command: Sequence[str], folder: Path, port: int) -> Iterator[Endpoint]:
    """A server that answers; ended afterwards."""
    log = folder / "log"
    env = {**os.environ, "TMPDIR": str(folder)}
    with log.open("ab") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=env)
    endpoint = Endpoint(name, "127.0.0.1", port, is_writer=True)
    try:
        wait_until(
            lambda: ask(endpoint, f"srv1.{bind.ZONE}", timeout_s=0.3).rrset is not None,
            timeout_s=20,
            message=lambda: f"{name} does not answer:\n{log.read_text()[-3000:]}",
        )
        yield endpoint
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
