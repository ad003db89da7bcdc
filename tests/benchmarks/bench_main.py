"""``bench main``: from the click to the authoritative answer on BIND, and the overview at 500 hostnames."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from a365admin.benchmarks import BenchError, Figure, compare, interleaved, median_of_rounds, p50, p95
from dnsops.asking import ask
from dnsops.providers.base import Endpoint
from tests.broker import running_broker
from tests.http_session import HttpSession, hidden
from tests.integration.bind import NAMED, ZONE, BindPair, running_bind
from tests.product import ROOT, Product, free_port
from tests.waiting import wait_until

WARM_UP, CLICK_ROUNDS, CLICKS = 4, 5, 20
HOSTNAME = f"a365web1.{ZONE}"
IDENTITY = {"Accept-Encoding": "identity"}
HOSTNAMES = 500
ROUNDS, REPEAT = 7, 30
NSUPDATE = shutil.which("nsupdate")


def run() -> list[Figure]:
    """Measure both."""
    with tempfile.TemporaryDirectory(prefix="a365-bench-") as folder:
        return click_figures(Path(folder)) + _overview(Path(folder))


def click_figures(folder: Path, *, bench: str = "main", rounds: int = CLICK_ROUNDS, only: str = "") -> list[Figure]:
    """Failovers and failbacks through the product, interleaved with as many bare ``nsupdate`` processes.

    Each figure is the median over rounds of the p50, or p95, of a round; ``only``: "p50" or "p95".
    """
    ours, peer = _clicks(folder, rounds * CLICKS)
    return [
        compare(
            bench=bench,
            name=f"click to authoritative answer on BIND, {label}",
            unit="ms",
            ours=median_of_rounds(ours, repeat=CLICKS, figure=figure) * 1000,
            peer_name="nsupdate, one process",
            peer=median_of_rounds(peer, repeat=CLICKS, figure=figure) * 1000 if peer else None,
            goal=1.0,
        )
        for label, figure in (("p50", p50), ("p95", p95))
        if only in {"", label}
    ]


def _clicks(folder: Path, count: int) -> tuple[list[float], list[float]]:
    """The seconds of each click, and of each process."""
    if NAMED is None:
        raise BenchError("BIND is missing: apt-get install bind9 bind9-dnsutils")
    bind_folder = folder / "bind"
    bind_folder.mkdir()
    # Patience does not belong to what is measured, and would make the bench wait between the clicks.
    impatient = {"A365_MAX_TTL_WAIT_S": "0.1", "A365_FAILBACK_STABILITY_S": "0", "A365_COOL_DOWN_S": "0"}
    ours: list[float] = []
    peer: list[float] = []
    with (
        running_bind(bind_folder, more_hostnames=["peer"]) as bind,
        Product(folder / "product", environment=impatient) as product,
    ):
        product.manage(
            "shell", "-v", "0", "-c", f"from tests.benchmarks.estate import use_bind; use_bind({_estate(bind)!r})"
        )
        session = HttpSession(product.url)
        session.sign_in("admin", product.password)
        for number in range(WARM_UP + count):
            took = _click(session, bind, product, number)
            if number >= WARM_UP:
                ours.append(took)
                if NSUPDATE:
                    peer.append(_nsupdate(bind, len(peer)))
    return ours, peer


def _estate(bind: BindPair) -> dict[str, object]:
    return {
        "zone": ZONE,
        "secret_file": str(bind.secret_file),
        "servers": [[e.name, e.address, e.port, e.is_writer] for e in bind.endpoints],
    }


def _click(session: HttpSession, bind: BindPair, product: Product, number: int) -> float:
    """Open the dialog, then time from the click until the writer was read back; seconds. Ends with the operation."""
    kind, to = ("failover", f"srv2.{ZONE}.") if number % 2 == 0 else ("failback", f"srv1.{ZONE}.")
    path = f"/hostnames/{HOSTNAME}/failover/"
    query = f"?kind={kind}&to={_standby(product)}" if kind == "failover" else f"?kind={kind}"
    fields = wait_until(
        lambda: _confirmable(session, path + query), timeout_s=60, message=f"the {kind} stays forbidden"
    )
    assert fields is not None
    started = time.time()
    status, text, headers = session.request("POST", path, fields | {"reason": "bench"}, IDENTITY)
    if status != 302:
        words = re.sub(r"<[^>]+>|\s+", " ", text)
        raise BenchError(f"The click was answered with {status}: {words[-1500:]}")
    operation = headers["location"].rstrip("/").rsplit("/", 1)[1]
    wait_until(lambda: _ended(product, operation), timeout_s=30, message="the operation does not end")
    written, state = _row(product, operation)
    answer = ask(bind.primary, HOSTNAME, timeout_s=1)
    if state != "succeeded" or written is None or answer.rrset is None or answer.rrset.values != (to,):
        raise BenchError(f"The {kind} ended {state}, and BIND says {answer}.")
    return written - started


def _standby(product: Product) -> int:
    """The number of SRV2: named, so that the click leads there also where it is not the best standby just then."""
    with sqlite3.connect(f"file:{product.var / 'a365admin.sqlite3'}?mode=ro", uri=True) as database:
        (found,) = database.execute("SELECT id FROM pools_server WHERE name = 'SRV2'").fetchone()
    return int(found)


def _confirmable(session: HttpSession, path: str) -> dict[str, str] | None:
    """The dialog's hidden fields, once no rule forbids the click any more."""
    fields = hidden(session.request("GET", path, headers=IDENTITY)[1])
    return fields if fields.get("digest") and "forced" not in fields else None


def _ended(product: Product, operation: str) -> bool:
    return _row(product, operation)[1] not in {"pending", "running"}


def _row(product: Product, operation: str) -> tuple[float | None, str]:
    """When the worker had read the new answer back from the writer (epoch seconds), and the operation's state."""
    with sqlite3.connect(f"file:{product.var / 'a365admin.sqlite3'}?mode=ro", uri=True) as database:
        written, state = database.execute(
            "SELECT written_at, state FROM dnsops_failoveroperation WHERE id = ?", [operation.replace("-", "")]
        ).fetchone()
    at = datetime.fromisoformat(written).replace(tzinfo=UTC).timestamp() if written else None
    return at, state


def nsupdate_script(writer: Endpoint, name: str, old: str, new: str) -> str:
    """What ``nsupdate`` is told for one change: the record is still what it was, delete it, add the new one."""
    return (
        f"server {writer.address} {writer.port}\nzone {ZONE}.\nprereq yxrrset {name}. CNAME {old}\n"
        f"update delete {name}. CNAME\nupdate add {name}. 30 CNAME {new}\nsend\n"
    )


def _nsupdate(bind: BindPair, number: int) -> float:
    """The same change by a process of ``nsupdate``, prerequisite included, as an administrator would; seconds."""
    old, new = (f"srv{1 + number % 2}.{ZONE}.", f"srv{2 - number % 2}.{ZONE}.")
    script = nsupdate_script(bind.primary, f"peer.{ZONE}", old, new)
    started = time.perf_counter()
    done = subprocess.run(
        [str(NSUPDATE), "-v", "-k", str(bind.secret_file)], input=script, text=True, capture_output=True, check=False
    )
    took = time.perf_counter() - started
    if done.returncode != 0:
        raise BenchError(f"nsupdate failed: {done.stderr}")
    return took


def _overview(folder: Path) -> list[Figure]:
    """The overview at 500 hostnames beside an empty view of the same server, signed in, connection kept."""
    with running_broker(folder) as broker, _pages(folder / "pages", broker) as (url, password):
        session = HttpSession(url)
        session.sign_in("admin", password)
        page = session.get("/", {"Accept-Encoding": "identity"})
        found = len(set(re.findall(r'data-name="(many\d+\.[^"]+)"', page)))
        if found != HOSTNAMES:
            raise BenchError(f"The overview shows {found} hostnames, not {HOSTNAMES}.")
        timed = interleaved(
            {"overview": lambda: session.get("/"), "empty": lambda: session.get("/empty")},
            rounds=ROUNDS,
            repeat=REPEAT,
            warm_up=20,
        )
    ours, peer = (median_of_rounds(timed[name], repeat=REPEAT, figure=p50) * 1000 for name in ("overview", "empty"))
    return [
        compare(
            bench="main",
            name=f"overview page at {HOSTNAMES} hostnames",
            unit="ms",
            ours=ours,
            peer_name="an empty Django view of the same server",
            peer=peer,
            goal=15,
        )
    ]


@contextmanager
def _pages(var: Path, broker: str) -> Iterator[tuple[str, str]]:
    """The web server alone, with 500 hostnames in its database."""
    var.mkdir()
    port = free_port()
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("A365_", "DATABASE_", "REDIS_"))} | {
        "A365_VAR": str(var),
        "REDIS_URL": broker,
        "DJANGO_SETTINGS_MODULE": "tests.benchmarks.settings",
    }
    made = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.estate", str(HOSTNAMES)],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if made.returncode != 0:
        raise BenchError(f"The estate could not be made: {made.stderr}")
    known = json.loads(made.stdout.splitlines()[-1])
    command = [sys.executable, "-m", "uvicorn", "a365admin.asgi:application", "--port", str(port)]
    server = subprocess.Popen(
        [*command, "--lifespan", "off", "--no-access-log", "--log-level", "warning"], cwd=ROOT, env=environment
    )
    try:
        wait_until(lambda: _answers(port), timeout_s=30, message="the web server does not answer")
        yield f"http://127.0.0.1:{port}", known["password"]
    finally:
        server.terminate()
        server.wait(10)


def _answers(port: int) -> bool:
    try:
        return HttpSession(f"http://127.0.0.1:{port}").request("GET", "/healthz")[0] == 200
    except OSError:
        return False
