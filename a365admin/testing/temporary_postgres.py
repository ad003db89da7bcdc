"""A PostgreSQL cluster for one run of the tests: in a temporary folder, on a Unix socket, gone afterwards."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from a365admin.testing.system_packages import find_command

UNPRIVILEGED_USERS = ("postgres", "nobody")
SERVER_OPTIONS = (
    "-c listen_addresses= -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c shared_buffers=64MB"
)


class PostgresError(Exception):
    """No cluster can be made here; the text says why."""


@contextmanager
def temporary_postgres() -> Generator[str, None, None]:
    """Give the DATABASE_URL of a fresh, empty cluster. Raises ``PostgresError``."""
    initdb = find_command("initdb")
    if initdb is None:
        raise PostgresError("PostgreSQL is not installed")
    # The folder with the commands themselves: what is on the PATH may be a link or a wrapper that has no pg_ctl beside.
    binaries = Path(initdb).resolve().parent
    # Short, because the path of a Unix socket may have only about 100 characters.
    folder = Path(tempfile.mkdtemp(prefix="a365pg-", dir="/tmp"))
    as_user = _unprivileged(folder)
    data = folder / "data"
    pg_ctl = [*as_user, str(binaries / "pg_ctl"), "-D", str(data), "-w", "-t", "30"]
    try:
        _run(
            [
                *as_user,
                str(binaries / "initdb"),
                "-D",
                str(data),
                "-U",
                "a365",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--no-sync",
            ]
        )
        options = f"{SERVER_OPTIONS} -c unix_socket_directories={folder}"
        _run([*pg_ctl, "-l", str(folder / "log"), "-o", options, "start"])
        try:
            yield f"postgres://a365@{quote(str(folder), safe='')}/postgres"
        finally:
            _run([*pg_ctl, "-m", "immediate", "stop"])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unprivileged(folder: Path) -> list[str]:
    """PostgreSQL refuses to run as root: hand the folder to somebody else, and say how to become them."""
    if os.geteuid() != 0:
        return []
    for name in UNPRIVILEGED_USERS:
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        os.chown(folder, user.pw_uid, user.pw_gid)
        if shutil.which("setpriv"):
            return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        if shutil.which("runuser"):
            return ["runuser", "-u", name, "--"]
    raise PostgresError("PostgreSQL does not run as root, and neither setpriv nor runuser is there")


def _run(command: list[str]) -> None:
    # Output to a file, not a pipe: the server that pg_ctl leaves running would hold a pipe open.
    with tempfile.TemporaryFile() as output:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd="/",
            check=False,
            timeout=120,
        )
        output.seek(0)
        said = output.read().decode(errors="replace")
    if done.returncode != 0:
        raise PostgresError(f"{' '.join(command[-6:])} failed: {said.strip()[-800:]}")
