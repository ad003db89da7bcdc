"""``bench gss``: what Kerberos costs at the moment of a change, with the KDC silent, as when its site is lost."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from a365admin.benchmarks import BenchError, Figure, compare, interleaved, limit, p50, p95
from dnsops.plan import Change, RRset
from dnsops.providers.base import OutcomeKind
from dnsops.providers.gss import GssTsig
from dnsops.providers.tickets import Account
from dnsops.providers.tkey import negotiate
from tests.integration import bind, kerberos

ROUNDS = 60
SPN = f"DNS/ns1.{bind.ZONE}@{kerberos.REALM}"
NAME = f"a365web1.{bind.ZONE}"
NSUPDATE = shutil.which("nsupdate", path=kerberos.SBIN)


@dataclass
class Realm:
    """A DNS server that takes Kerberos, a warm ticket for it, and a KDC that takes connections and says nothing."""

    provider: GssTsig
    ccache: Path
    env: dict[str, str]


def run() -> list[Figure]:
    """Agree on a key, and swap a record; beside one process of ``nsupdate -g`` for each swap."""
    if importlib.util.find_spec("gssapi") is None or kerberos.KRB5KDC is None or bind.NAMED is None:
        raise BenchError("gssapi, krb5kdc or named is not installed.")
    with tempfile.TemporaryDirectory(prefix="a365-bench-") as folder, _realm(Path(folder)) as realm:
        agreed = interleaved({"ours": lambda: _agree(realm)}, rounds=ROUNDS)["ours"]
        swaps = {"ours": _Swap(realm).ours}
        if NSUPDATE is not None:
            swaps["nsupdate -g"] = _Swap(realm).nsupdate
        took = interleaved(swaps, rounds=ROUNDS)
    peer = took.get("nsupdate -g")
    return [
        limit(bench="gss", name="agreeing on a key, KDC silent, warm ticket, p95", unit="ms", ours=p95(agreed) * 1e3,
              goal=50),
        compare(bench="gss", name="swap signed by Kerberos, KDC silent, p50", unit="ms", ours=p50(took["ours"]) * 1e3,
                peer_name="one nsupdate -g process", peer=p50(peer) * 1e3 if peer else None, goal=1.0),
    ]  # fmt: skip


@contextmanager
def _realm(folder: Path) -> Iterator[Realm]:
    with ExitStack() as stack:
        for name in ("kdc", "bind", "tickets"):
            (folder / name).mkdir()
        kdc = stack.enter_context(kerberos.running_kdc(folder / "kdc"))
        own, keytab = kdc.keytab(SPN.partition("@")[0]), kdc.keytab("failover")
        shutil.copy(folder / "kdc" / "krb5.conf", folder / "bind")
        account = Account(f"failover@{kerberos.REALM}", kerberos.REALM, keytab, (kdc.address,), folder / "tickets")
        pair = stack.enter_context(bind.running_bind(folder / "bind", keytab=own, account=account.principal))
        provider = GssTsig(replace(pair.primary, host_name=f"ns1.{bind.ZONE}"), lambda: account)
        provider.keep_warm(deadline=time.monotonic() + 10)
        ticket = provider.ticket_for(provider.writer)
        if ticket is None:
            raise BenchError("no ticket was given.")
        kdc.stop()
        stack.enter_context(socket.create_server(("127.0.0.1", int(kdc.address.rpartition(":")[2]))))
        env = os.environ | {"KRB5_CONFIG": str(folder / "bind" / "krb5.conf"), "KRB5CCNAME": f"FILE:{ticket.ccache}"}
        yield Realm(provider, ticket.ccache, env)


def _agree(realm: Realm) -> None:
    negotiate(realm.provider.writer, SPN, realm.ccache, account="failover", deadline=time.monotonic() + 5)


class _Swap:
    """Swaps a record to and fro, from whatever it says."""

    def __init__(self, realm: Realm) -> None:
        self.realm = realm

    def _next(self) -> Change:
        writer = self.realm.provider.writer
        old = self.realm.provider.read(writer, NAME, deadline=time.monotonic() + 2).rrset
        if old is None:
            raise BenchError("the record has vanished.")
        target = "srv1" if old.values[0].startswith("srv2") else "srv2"
        return Change(bind.ZONE, NAME, old, RRset("CNAME", 30, (f"{target}.{bind.ZONE}.",)))

    def ours(self) -> None:
        """Through the provider."""
        outcome = self.realm.provider.change(self._next(), deadline=time.monotonic() + 5)
        if outcome.kind is not OutcomeKind.APPLIED:
            raise BenchError(outcome.sentence)

    def nsupdate(self) -> None:
        """With a process, which uses the ticket that we keep."""
        change, writer = self._next(), self.realm.provider.writer
        text = (
            f"server {writer.address} {writer.port}\nzone {bind.ZONE}.\nprereq yxrrset {NAME}. CNAME "
            f"{change.expected.values[0]}\nupdate delete {NAME}. CNAME\nupdate add {NAME}. 30 CNAME "
            f"{change.new.values[0]}\nsend\n"
        )
        command = [str(NSUPDATE), "-g"]
        done = subprocess.run(command, input=text, text=True, env=self.realm.env, capture_output=True, check=False)
        if done.returncode != 0:
            raise BenchError(f"nsupdate -g: {done.stderr.strip()[-200:]}")
