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
    """A Debian package, the commands that show that it is there, and what is skipped without it."""

    package: str
    commands: tuple[str, ...]
    needed_for: str


PARTS = (
    Part("bind9", ("named",), "DNS changes against BIND"),
    Part("bind9-dnsutils", ("dig", "nsupdate"), "asking and changing DNS as an administrator would"),
    Part("bind9-utils", ("tsig-keygen",), "keys for BIND"),
    Part("chromium", ("chromium",), "the browser tests"),
    Part("postgresql", ("initdb",), "the suite on PostgreSQL"),
    Part("redis-server", ("redis-server",), "the broker"),
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
    """The parts of which a command is not there."""
    return [part for part in PARTS if any(find(command) is None for command in part.commands)]


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
