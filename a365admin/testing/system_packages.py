"""The real parts that the tests need from the system: installed where we may, else named in one line."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

POSTGRESQL_BINARIES = ("/usr/lib/postgresql/*/bin", "/usr/local/pgsql/bin", "/opt/homebrew/opt/postgresql*/bin")


@dataclass(frozen=True)
class Part:
    """A Debian package, the commands or files that show that it is there, and what is skipped without it."""

    package: str
    commands: tuple[str, ...]
    needed_for: str
    files: tuple[str, ...] = ()  # patterns below /


PARTS = (
    Part("bind9", ("named",), "DNS changes against BIND"),
    Part("bind9-dnsutils", ("dig", "nsupdate"), "asking and changing DNS as an administrator would"),
    Part("bind9-utils", ("tsig-keygen",), "keys for BIND"),
    Part("chromium", ("chromium",), "the browser tests"),
    Part("gcc", ("gcc",), "building gssapi, for DNS changes with Kerberos"),
    Part("knot", ("knotd",), "DNS changes against Knot DNS"),
    Part("krb5-admin-server", ("kadmin.local",), "DNS changes with Kerberos"),
    Part("krb5-kdc", ("krb5kdc", "kdb5_util"), "DNS changes with Kerberos"),
    Part("libfaketime", (), "clocks that are wrong", ("usr/lib/*/faketime/libfaketime.so.1",)),
    Part("libkrb5-dev", ("krb5-config",), "building gssapi, for DNS changes with Kerberos"),
    Part("pdns-backend-sqlite3", (), "DNS changes against PowerDNS", ("usr/lib/*/pdns/libgsqlite3backend.so",)),
    Part("pdns-server", ("pdns_server", "pdnsutil"), "DNS changes against PowerDNS"),
    Part("haproxy", ("haproxy",), "load balancing by a real load balancer"),
    Part("postgresql", ("initdb",), "the suite on PostgreSQL"),
    Part("redis-server", ("redis-server",), "the broker"),
    Part("samba", ("samba", "samba-tool"), "DNS changes in Active Directory"),
    Part("samba-ad-provision", (), "DNS changes in Active Directory", ("usr/share/samba/setup/ad-schema/*.ldf",)),
    Part("samba-dsdb-modules", (), "DNS changes in Active Directory", ("usr/lib/*/samba/ldb/samba_dsdb.so",)),
    Part("samba-vfs-modules", (), "DNS changes in Active Directory", ("usr/lib/*/samba/vfs/dfs_samba4.so",)),
)
STAND_INS = {"redis-server": ("valkey-server",), "chromium": ("chromium-browser",)}


def find_command(name: str) -> str | None:
    """Where a command is, /usr/sbin and PostgreSQL's own folders included; None when it is nowhere."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", *_postgresql_folders()])
    for candidate in (name, *STAND_INS.get(name, ())):
        found: str | None = shutil.which(candidate, path=path)
        if found:
            return found
    return None


def _postgresql_folders() -> list[str]:
    """Newest first."""
    return sorted(
        (str(p) for pattern in POSTGRESQL_BINARIES for p in Path("/").glob(pattern.lstrip("/"))), reverse=True
    )


def missing_parts(find: Callable[[str], str | None] = find_command) -> list[Part]:
    """The parts of which a command or a file is not there."""
    return [part for part in PARTS if not _is_there(part, find)]


def _is_there(part: Part, find: Callable[[str], str | None]) -> bool:
    files = all(any(Path("/").glob(pattern)) for pattern in part.files)
    return files and all(find(command) is not None for command in part.commands)


def ensure(say: Callable[[str], None]) -> list[Part]:
    """Install what is missing, as root on Debian; elsewhere say the one line. Return what is still missing."""
    missing = missing_parts()
    if not missing:
        return []
    packages = [part.package for part in missing]
    line = f"apt-get install -y {' '.join(packages)}"
    if os.geteuid() == 0 and shutil.which("apt-get"):
        say(f"Installing system packages: {' '.join(packages)}")
        _apt(packages, say)
        missing = missing_parts()
    if missing:
        say(f"Missing here: {', '.join(part.package for part in missing)}. To install (Debian, Ubuntu): sudo {line}")
        for part in missing:
            say(f"  without {part.package} these are skipped: {part.needed_for}")
    return missing


def _apt(packages: list[str], say: Callable[[str], None]) -> None:
    # RUNLEVEL=1: the packages' own services are not started; the tests start their own servers.
    env = dict(os.environ, DEBIAN_FRONTEND="noninteractive", RUNLEVEL="1")
    commands = (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages])
    for command in commands:
        done = subprocess.run(
            command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        if done.returncode != 0:
            say(f"{' '.join(command)} failed:\n" + "\n".join(done.stdout.splitlines()[-10:]))
