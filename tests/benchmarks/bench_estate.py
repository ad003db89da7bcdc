"""``bench estate``: 200 hostnames of one site moved and verified on every DNS server, beside as many ``nsupdate``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from a365admin.benchmarks import BenchError, Figure, compare, limit, p50
from dnsops.asking_many import ask_pairs
from dnsops.plan import Change, RRset
from dnsops.providers.base import KeySetup, OutcomeKind, Setup
from dnsops.providers.rfc2136 import KIND, Rfc2136
from tests.benchmarks.bench_main import NSUPDATE
from tests.broker import running_broker
from tests.integration.bind import ALGORITHM, KEY_NAME, NAMED, TTL_S, ZONE, BindPair, running_bind
from tests.product import ROOT

HOSTNAMES = 200
ROUNDS = 3
NAMES = tuple(f"many{number}" for number in range(HOSTNAMES))


def run() -> list[Figure]:
    """Measure moves through the product, bare messages, and ``nsupdate``, in turn."""
    if NAMED is None or NSUPDATE is None:
        raise BenchError("BIND is missing: apt-get install bind9 bind9-dnsutils")
    with tempfile.TemporaryDirectory(prefix="a365-bench-") as folder:
        bind_folder = Path(folder) / "bind"
        bind_folder.mkdir()
        with running_bind(bind_folder, more_hostnames=NAMES) as bind, running_broker(Path(folder)) as broker:
            messages = [_messages(bind) for _ in range(ROUNDS)]
            moves = _moves(bind, Path(folder) / "var", broker)
            peer = p50([_nsupdates(bind, number) for number in range(ROUNDS)])
    name = f"{HOSTNAMES} hostnames changed and verified on both DNS servers"
    peer_name = f"nsupdate, {HOSTNAMES} processes, not verified"
    each, together = p50(moves["each"]), p50(moves["together"])
    one, singly = (p50([took[kind] for took in messages]) * 1000 for kind in ("one", "singly"))
    return [
        limit(bench="estate", name=f"{name}, each by itself", unit="s", ours=each, goal=2.0),
        compare(bench="estate", name=f"{name}, each by itself", unit="s", ours=each, peer_name=peer_name, peer=peer,
                goal=1.0),
        limit(bench="estate", name=f"{name}, all or nothing", unit="s", ours=together, goal=2.0),
        compare(bench="estate", name=f"{name}, all or nothing", unit="s", ours=together, peer_name=peer_name,
                peer=peer, goal=1.0),
        compare(bench="estate", name=f"{HOSTNAMES} names in one message, and its answer", unit="ms", ours=one,
                peer_name=f"the same as {HOSTNAMES} messages of ours", peer=singly, goal=0.5),
        limit(bench="estate", name=f"looking: DNS and probes of {HOSTNAMES} hostnames, nobody listening", unit="s",
              ours=p50(moves["look"]), goal=2.0),
    ]  # fmt: skip


def _moves(bind: BindPair, var: Path, broker: str) -> Mapping[str, Sequence[float]]:
    """In a process with a database of its own: moves to and fro, one by one and all or nothing."""
    var.mkdir()
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("A365_", "DATABASE_", "REDIS_"))} | {
        "A365_VAR": str(var),
        "REDIS_URL": broker,
        "DJANGO_SETTINGS_MODULE": "a365admin.settings",
    }
    told = {
        "zone": ZONE,
        "secret_file": str(bind.secret_file),
        "servers": [[e.name, e.address, e.port, e.is_writer] for e in bind.endpoints],
        "names": NAMES,
        "rounds": ROUNDS,
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.moves", json.dumps(told)],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise BenchError(f"The moves failed: {done.stderr[-3000:]}")
    found: Mapping[str, Sequence[float]] = json.loads(done.stdout.splitlines()[-1])
    return found


def _messages(bind: BindPair) -> dict[str, float]:
    """200 names to srv2 in one message, and back one by one; seconds."""
    provider = KIND.build(
        Setup(ZONE, tuple(bind.endpoints), (KeySetup(KEY_NAME, f"file:{bind.secret_file}", ALGORITHM),), ROOT)
    )
    assert isinstance(provider, Rfc2136)
    there, back = ([_change(name, *pair) for name in NAMES] for pair in (("srv1", "srv2"), ("srv2", "srv1")))
    started = time.perf_counter()
    outcome = provider.change_many(there, deadline=time.monotonic() + 10)
    one = time.perf_counter() - started
    _all_say(bind, "srv2")
    if outcome.kind is not OutcomeKind.APPLIED:
        raise BenchError(f"The message for all was answered with {outcome}.")
    started = time.perf_counter()
    for change in back:
        if provider.change(change, deadline=time.monotonic() + 10).kind is not OutcomeKind.APPLIED:
            raise BenchError(f"{change.name} was not changed.")
    singly = time.perf_counter() - started
    _all_say(bind, "srv1")
    return {"one": one, "singly": singly}


def _change(name: str, old: str, new: str) -> Change:
    rrset = partial(RRset, "CNAME", TTL_S)
    return Change(ZONE, f"{name}.{ZONE}", rrset((f"{old}.{ZONE}.",)), rrset((f"{new}.{ZONE}.",)))


def _all_say(bind: BindPair, server: str) -> None:
    answers = ask_pairs([(bind.primary, f"{name}.{ZONE}") for name in NAMES], timeout_s=5)
    wrong = [a for a in answers.values() if a.rrset is None or a.rrset.values != (f"{server}.{ZONE}.",)]
    if wrong:
        raise BenchError(f"{len(wrong)} of {len(answers)} names do not say {server}: {wrong[0]}.")


def _nsupdates(bind: BindPair, number: int) -> float:
    """One process for each hostname, prerequisite included, one after another, as a script would; seconds."""
    old, new = (f"srv{1 + number % 2}", f"srv{2 - number % 2}")
    started = time.perf_counter()
    for name in NAMES:
        script = (
            f"server {bind.primary.address} {bind.primary.port}\nzone {ZONE}.\n"
            f"prereq yxrrset {name}.{ZONE}. CNAME {old}.{ZONE}.\nupdate delete {name}.{ZONE}. CNAME\n"
            f"update add {name}.{ZONE}. {TTL_S} CNAME {new}.{ZONE}.\nsend\n"
        )
        done = subprocess.run(
            [str(NSUPDATE), "-v", "-k", str(bind.secret_file)],
            input=script, text=True, capture_output=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise BenchError(f"nsupdate failed: {done.stderr}")
    return time.perf_counter() - started
