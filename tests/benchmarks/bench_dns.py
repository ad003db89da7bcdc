"""``bench dns``: one change, 50 servers asked at once, a click on BIND, Kerberos with a silent KDC."""

from __future__ import annotations

import importlib.util
import selectors
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import dns.flags
import dns.message
import dns.rrset

from a365admin.benchmarks import BenchError, Figure, compare, interleaved, limit, median_of_rounds, p50
from dnsops import verify
from dnsops.plan import Change, RRset
from dnsops.providers import registry
from dnsops.providers.base import Endpoint, KeySetup, OutcomeKind, Setup
from tests.benchmarks.bench_main import NSUPDATE, click_figures, nsupdate_script
from tests.integration import kerberos
from tests.integration.bind import ALGORITHM, KEY_NAME, NAMED, ZONE, BindPair, running_bind

ROUNDS, REPEAT = 5, 20
SERVERS, SILENT, TIMEOUT_S = 50, 15, 1.0
NEGOTIATION_MS = 50.0
SESSION, PROCESS = "nsupdate, one session", "nsupdate, one process"


def run() -> list[Figure]:
    """Measure all four."""
    if NAMED is None:
        raise BenchError("BIND is missing: apt-get install bind9 bind9-dnsutils")
    with tempfile.TemporaryDirectory(prefix="a365-bench-") as folder:
        path = Path(folder)
        figures = _swaps(path / "swaps") + _verification() + _negotiation(path / "gss")
        return figures + click_figures(path, bench="dns", rounds=3, only="p95")


# ----------------------------------------------------------------------------------------------------------- one change


def _swaps(folder: Path) -> list[Figure]:
    """A compare-and-swap through the provider, as an operation makes one, beside two ways of using ``nsupdate``."""
    folder.mkdir()
    names = ["ours", "session", "process"]
    with running_bind(folder, more_hostnames=names) as bind, _session(bind) as session:
        swaps = {name: _Swap(bind, name) for name in names}
        subjects = {"ours": swaps["ours"].by_us}
        if session is not None:
            subjects |= {
                "session": lambda: session(swaps["session"].script()),
                "process": lambda: _process(bind, swaps["process"].script()),
            }
        timed = interleaved(subjects, rounds=ROUNDS, repeat=REPEAT, warm_up=3)
    took = {name: median_of_rounds(seconds, repeat=REPEAT, figure=p50) * 1000 for name, seconds in timed.items()}
    return [
        compare(
            bench="dns", name="one change through the provider", unit="ms", ours=took["ours"],
            peer_name=label, peer=took.get(name), goal=goal,
        )
        for name, label, goal in (("session", SESSION, 1.5), ("process", PROCESS, 0.1))
    ]  # fmt: skip


class _Swap:
    """To and fro on one name of its own."""

    def __init__(self, bind: BindPair, name: str) -> None:
        self._bind = bind
        self._name = f"{name}.{ZONE}"
        self._count = 0
        key = KeySetup(KEY_NAME, f"file:{bind.secret_file}", ALGORITHM)
        self._setup = Setup(ZONE, (bind.primary, bind.secondary), (key,), bind.directory)

    def _next(self) -> tuple[str, str]:
        self._count += 1
        old = 1 + (self._count + 1) % 2
        return f"srv{old}.{ZONE}.", f"srv{3 - old}.{ZONE}."

    def by_us(self) -> None:
        """As an operation does it: the provider is made, the key read, one message sent."""
        old, new = (RRset("CNAME", 30, (value,)) for value in self._next())
        provider = registry.kinds()["rfc2136"].build(self._setup)
        outcome = provider.change(Change(ZONE, self._name, old, new), deadline=time.monotonic() + 5)
        if outcome.kind is not OutcomeKind.APPLIED:
            raise BenchError(f"The change was not made: {outcome.sentence}")

    def script(self) -> str:
        """The same for ``nsupdate``."""
        old, new = self._next()
        return nsupdate_script(self._bind.primary, self._name, old, new)


@contextmanager
def _session(bind: BindPair) -> Iterator[_Session | None]:
    """One ``nsupdate`` process that is fed change after change; None where it is not installed."""
    if NSUPDATE is None:
        yield None
        return
    session = _Session(bind)
    try:
        yield session
    finally:
        session.close()


class _Session:
    """A process of ``nsupdate`` that says when a change is done: it is asked for its version after each."""

    def __init__(self, bind: BindPair) -> None:
        self._process = subprocess.Popen(
            ["stdbuf", "-oL", str(NSUPDATE), "-v", "-k", str(bind.secret_file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            bufsize=1,
        )

    def __call__(self, script: str) -> None:
        """Make one change."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(script + "version\n")
        self._process.stdin.flush()
        said = self._process.stdout.readline()
        if not said.startswith("nsupdate "):
            raise BenchError(f"nsupdate said: {said}")

    def close(self) -> None:
        """End it."""
        self._process.communicate()


def _process(bind: BindPair, script: str) -> None:
    command = [str(NSUPDATE), "-v", "-k", str(bind.secret_file)]
    done = subprocess.run(command, input=script, text=True, capture_output=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"nsupdate failed: {done.stderr}")


# --------------------------------------------------------------------------------------------------------- verification


def _verification() -> list[Figure]:
    """50 authoritative servers asked at once, 15 of which never answer."""
    with _name_servers() as endpoints:

        def ask() -> None:
            answers = verify.ask_all(endpoints, f"a365web1.{ZONE}", timeout_s=TIMEOUT_S)
            silent = sum(answer.state == "silent" for answer in answers)
            if silent != SILENT or sum(answer.answered for answer in answers) != SERVERS - SILENT:
                raise BenchError(f"{silent} of {SERVERS} servers were silent, not {SILENT}.")

        timed = interleaved({"ours": ask}, rounds=ROUNDS)
    ours = median_of_rounds(timed["ours"], repeat=1, figure=p50) * 1000
    name = f"{SERVERS} servers asked, {SILENT} of them silent"
    peer = TIMEOUT_S * 1000
    return [compare(bench="dns", name=name, unit="ms", ours=ours, peer_name="one timeout", peer=peer, goal=1.1)]


@contextmanager
def _name_servers() -> Iterator[list[Endpoint]]:
    """Sockets on loopback; those that are not silent give an authoritative answer."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(SERVERS)]
        for udp in sockets:
            udp.bind(("127.0.0.1", 0))
        stopped = threading.Event()
        answerer = threading.Thread(target=_answer, args=(sockets[SILENT:], stopped))
        answerer.start()
        try:
            yield [Endpoint(f"dns{i}", "127.0.0.1", udp.getsockname()[1]) for i, udp in enumerate(sockets)]
        finally:
            stopped.set()
            answerer.join()


def _answer(sockets: list[socket.socket], stopped: threading.Event) -> None:
    with selectors.DefaultSelector() as selector:
        for one in sockets:
            selector.register(one, selectors.EVENT_READ, one)
        while not stopped.is_set():
            for key, _ in selector.select(0.1):
                udp: socket.socket = key.data
                wire, client = udp.recvfrom(512)
                query = dns.message.from_wire(wire)
                answer = dns.message.make_response(query)
                answer.flags |= dns.flags.AA
                answer.answer.append(dns.rrset.from_text(query.question[0].name, 30, "IN", "CNAME", f"srv1.{ZONE}."))
                udp.sendto(answer.to_wire(), client)


# ------------------------------------------------------------------------------------------------------------- Kerberos


def _negotiation(folder: Path) -> list[Figure]:
    """Agreeing on a key with BIND by a ticket that is kept, while the KDC never answers."""
    parts = (kerberos.KRB5KDC, kerberos.KADMIN, importlib.util.find_spec("gssapi"))
    ours = None if None in parts else _negotiate_with_a_silent_kdc(folder)
    name = "agreeing on a GSS-TSIG key, the KDC silent, the ticket warm"
    return [limit(bench="dns", name=name, unit="ms", ours=ours, goal=NEGOTIATION_MS)]


def _negotiate_with_a_silent_kdc(folder: Path) -> float:
    from dnsops.providers.gss import spn_of
    from dnsops.providers.tickets import Account, Tickets
    from dnsops.providers.tkey import negotiate

    for part in ("kdc", "tickets", "bind"):
        (folder / part).mkdir(parents=True)
    with kerberos.running_kdc(folder / "kdc") as kdc:
        own, failover = kdc.keytab(f"DNS/ns1.{ZONE}"), kdc.keytab("failover")
        shutil.copy(folder / "kdc" / "krb5.conf", folder / "bind")
        account = Account(f"failover@{kerberos.REALM}", kerberos.REALM, failover, (kdc.address,), folder / "tickets")
        with running_bind(folder / "bind", keytab=own, account=account.principal) as bind:
            writer = replace(bind.primary, host_name=f"ns1.{ZONE}")
            spn = spn_of(writer, account)
            Tickets(account).keep_warm(spn, deadline=time.monotonic() + 20)
            kdc.stop()
            port = int(kdc.address.rpartition(":")[2])
            with socket.create_server(("127.0.0.1", port)):  # takes connections, and never answers

                def agree() -> None:
                    ticket = Tickets(account).get(spn, deadline=time.monotonic() + 5)
                    negotiate(writer, spn, ticket.ccache, account=account.principal, deadline=time.monotonic() + 5)

                timed = interleaved({"ours": agree}, rounds=ROUNDS, repeat=REPEAT, warm_up=2)
            kdc.start()
    return median_of_rounds(timed["ours"], repeat=REPEAT, figure=p50) * 1000
