"""From the fault to the page: the demo estate in the product as ``up`` starts it, with its default settings.

What is timed begins when the lab is told and ends when the live stream has brought the row that says so, as a browser
would receive it.
"""

from __future__ import annotations

import http.client
import random
import re
import socket
import sqlite3
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from a365admin.lab.client import LabClient
from a365admin.lab.config import load_config
from a365admin.lab.faults import ServerFault
from tests.benchmarks.health import peers
from tests.benchmarks.health.targets import RunningTargets
from tests.http_session import HttpSession
from tests.product import Product
from tests.waiting import wait_until

INTERVAL_S = 1.5
WATCH = "from pools.models import TrustedApplicationPool as P; P.objects.update(watch_connections=True)"
HELD = "watched by an open connection"


class Stream(threading.Thread):
    """A browser's live stream: for each hostname the state of the row that came last, and when it came."""

    def __init__(self, session: HttpSession, url: str) -> None:
        super().__init__(daemon=True)
        address = urlsplit(url)
        self._connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=60)
        cookies = "; ".join(f"{key}={value}" for key, value in session.cookies.items())
        self._connection.request("GET", "/live/stream?v=0", headers={"Cookie": cookies, "Accept": "text/event-stream"})
        self._answer = self._connection.getresponse()
        self.rows: dict[str, tuple[str, float]] = {}

    def run(self) -> None:
        """Read until the end."""
        for line in self._answer:
            at = time.time()
            for row in re.finditer(rb'<li[^>]*class="hrow hs-(\w+)[^>]*data-name="([^"]+)"', line):
                self.rows[row[2].decode()] = (row[1].decode(), at)

    def shows(self, hostname: str, health: str) -> float | None:
        """When the row came that shows this health; None while another is shown."""
        shown, at = self.rows.get(hostname, ("", 0.0))
        return at if shown == health else None

    def close(self) -> None:
        """End it."""
        if self._connection.sock is not None:
            self._connection.sock.shutdown(socket.SHUT_RDWR)


class Demo:
    """The product on its demo estate, and its page."""

    def __init__(self, product: Product, session: HttpSession, stream: Stream) -> None:
        self._session = session
        self._product = product
        self._stream = stream
        self._lab = LabClient(load_config(product.var / "lab.json"))

    def pairs(self) -> list[tuple[str, str]]:
        """The hostnames that are well, and the server that each points at."""
        query = (
            "SELECT h.fqdn, s.name FROM pools_hostnamestatus st JOIN pools_dedicatedhostname h ON h.id = st.hostname_id"
            " JOIN pools_server s ON s.id = st.active_server_id WHERE st.health = 'up'"
        )
        with closing(sqlite3.connect(f"file:{self._product.var / 'a365admin.sqlite3'}?mode=ro", uri=True)) as database:
            return [(str(fqdn), str(name)) for fqdn, name in database.execute(query)]

    def use_watch_connections(self) -> None:
        """Let every pool be watched, and wait until the page says that the connections are held.

        A command beside the product does not know its broker, so the watcher finds out by itself, within a minute.
        """
        self._product.manage("shell", "-v", "0", "-c", WATCH)
        for _, server in self.pairs():
            wait_until(lambda: HELD in self._session.get(f"/servers/{server}/"), timeout_s=90, message="not watched")  # noqa: B023

    def time_to_show(self, fault: ServerFault, *, times: int) -> list[float]:
        """Break one server after the other, at moments spread over an interval; seconds until each is shown as down."""
        pairs = self.pairs()
        took = []
        for number in range(times):
            hostname, server = pairs[number % len(pairs)]
            time.sleep(random.uniform(0, INTERVAL_S) + 0.5)
            started = time.time()
            self._lab.set_fault(server, fault.value)
            shown = wait_until(lambda: self._stream.shows(hostname, "down"), timeout_s=30, message="never shown")  # noqa: B023
            took.append((shown or 0.0) - started)
            self._lab.set_fault(server, fault.value, on=False)
            wait_until(lambda: self._stream.shows(hostname, "up"), timeout_s=60, message="it does not recover")  # noqa: B023
        return took


@contextmanager
def demo(folder: Path) -> Iterator[Demo]:
    """Start the product with its demo estate, and open a page."""
    with Product(folder) as product:
        session = HttpSession(product.url, accept_encoding="identity")
        session.sign_in("admin", product.password)
        stream = Stream(session, product.url)
        stream.start()
        made = Demo(product, session, stream)
        wait_until(made.pairs, timeout_s=60, message="no hostname of the demo is well")
        time.sleep(3)
        try:
            yield made
        finally:
            stream.close()


def haproxy_notices(folder: Path, targets: RunningTargets, *, what: str, times: int) -> float:
    """The median time that HAProxy with its default check takes to call a port down that is closed or silenced."""
    places = list(targets.places())
    took = []
    with peers.haproxy(folder, places, check="") as running:
        time.sleep(3)
        first = targets.ports if what == "silence" else 0  # ports that no earlier round has closed
        for number in range(first, first + times):
            time.sleep(random.uniform(0, 2))
            started = targets.tell(what, number // targets.ports, number % targets.ports)
            wait_until(
                lambda: peers.haproxy_says(running.folder, number) == "DOWN",  # noqa: B023
                timeout_s=60,
                message="HAProxy does not notice",
            )
            took.append(time.time() - started)
    return statistics.median(took)
