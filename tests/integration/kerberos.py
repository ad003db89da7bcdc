"""An MIT KDC on loopback and a free port, without root: a realm with a DNS server's key and two accounts."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from dnsops.providers.tickets import listening
from tests.integration.bind import free_port
from tests.waiting import wait_until

SBIN = "/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"
KRB5KDC = shutil.which("krb5kdc", path=SBIN)
KADMIN = shutil.which("kadmin.local", path=SBIN)
REALM = "LAB.EXAMPLE"


@dataclass
class Kdc:
    """A running KDC. ``address`` is where it listens."""

    address: str
    folder: Path
    env: dict[str, str]
    process: subprocess.Popen[bytes] | None = field(default=None)

    def keytab(self, principal: str) -> Path:
        """Make the account, and a keytab for it."""
        path = self.folder / f"{principal.replace('/', '-')}.keytab"
        self.admin(f"addprinc -randkey {principal}", f"ktadd -k {path} {principal}")
        return path

    def admin(self, *commands: str) -> None:
        """Commands of ``kadmin.local``."""
        run([str(KADMIN), "-r", REALM], env=self.env, text="".join(f"{command}\n" for command in commands))

    def start(self, *, preload: dict[str, str] | None = None) -> None:
        """Start it, and return when it listens."""
        with (self.folder / "kdc.out").open("ab") as log:
            env = {**self.env, **(preload or {})}
            self.process = subprocess.Popen([str(KRB5KDC), "-n"], env=env, stdout=log, stderr=log)
        wait_until(
            lambda: listening([self.address], deadline=float("inf")),
            message=lambda: f"krb5kdc does not listen:\n{(self.folder / 'kdc.out').read_text()[-2000:]}",
        )

    def stop(self) -> None:
        """End it at once."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None


def run(command: Sequence[str], *, env: dict[str, str] | None = None, text: str | None = None) -> str:
    """Run a command to its end; its words are in the failure."""
    done = subprocess.run(command, env=env, input=text, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout[-1500:]}{done.stderr[-1500:]}"
    return done.stdout


@contextmanager
def running_kdc(folder: Path) -> Iterator[Kdc]:
    """Make a realm in ``folder`` and start its KDC; end it afterwards."""
    port = free_port()
    (folder / "krb5.conf").write_text(
        f"[libdefaults]\n default_realm = {REALM}\n dns_lookup_kdc = false\n rdns = false\n"
        f"[realms]\n {REALM} = {{\n  kdc = 127.0.0.1:{port}\n }}\n"
    )
    (folder / "kdc.conf").write_text(
        f"[kdcdefaults]\n kdc_listen = 127.0.0.1:{port}\n kdc_tcp_listen = 127.0.0.1:{port}\n"
        f"[realms]\n {REALM} = {{\n  database_name = {folder}/principal\n  key_stash_file = {folder}/stash\n"
        f"  default_principal_flags = +preauth\n }}\n[logging]\n kdc = FILE:{folder}/kdc.log\n"
    )
    env = {
        "PATH": SBIN,
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "KRB5_CONFIG": str(folder / "krb5.conf"),
        "KRB5_KDC_PROFILE": str(folder / "kdc.conf"),
        "KRB5RCACHENAME": "none:",
    }
    run([str(shutil.which("kdb5_util", path=SBIN)), "create", "-s", "-r", REALM, "-P", os.urandom(8).hex()], env=env)
    kdc = Kdc(f"127.0.0.1:{port}", folder, env)
    kdc.start()
    try:
        yield kdc
    finally:
        kdc.stop()
