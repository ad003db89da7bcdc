"""Optional extras that the tests use, installed once what they are built with is there."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from a365admin.bootstrap import pip_command
from a365admin.testing.system_packages import find_command

GSSAPI = "requirements/gssapi.txt"
NEEDED = ("gcc", "krb5-config")


def ensure_gssapi(root: Path, say: Callable[[str], None]) -> bool:
    """Install gssapi where it is missing; without it, what needs Kerberos is skipped. Says whether it is there."""
    if importlib.util.find_spec("gssapi") is not None:
        return True
    if any(find_command(command) is None for command in NEEDED):
        say(f"gssapi is not installed, and cannot be built without {' and '.join(NEEDED)}: DNS by Kerberos is skipped.")
        return False
    say(f"Building gssapi ({GSSAPI})")
    pip = [*pip_command(Path(sys.executable)), "install", "-q", "--disable-pip-version-check", "--no-input"]
    # Without optimisation it takes a third of the time to build, and what it does here is wait for servers.
    env = dict(os.environ, CFLAGS="-O0", PIP_ROOT_USER_ACTION="ignore")
    done = subprocess.run(
        [*pip, "--require-hashes", "-r", str(root / GSSAPI)],
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        say("gssapi could not be built:\n" + "\n".join(done.stdout.splitlines()[-10:]))
    return done.returncode == 0
