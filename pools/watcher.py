"""Holds an idle connection to each UCC port of the pools that are watched, and asks for a probe when one ends.

One process for each vantage (``manage.py watch``), one selector, no thread or task for each connection. What is known
of each port (``watching.py``) stays in the process; what pages show of it is in Redis (``live.mark_watched``).
"""

from __future__ import annotations

import contextlib
import heapq
import logging
import selectors
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from django.conf import settings
from django.db import Error as DatabaseError, close_old_connections

from pools import lease, live, watching
from pools.estate import estate_version
from pools.models import Server
from pools.probing.tcp import Place, place, raise_descriptor_limit
from pools.redis_store import BrokerLost
from pools.watching import Watch

log = logging.getLogger(__name__)

SIGN_S = 1.0
RELOAD_S = 60.0
CONNECT_TIMEOUT_S = 2.0
DESCRIPTORS_KEPT = 64
CHUNK = 4096
# A host that is switched off sends no end; the kernel notices by itself after about 10 + 3 x 2 seconds.
KEEPALIVE = (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 3))


@dataclass(slots=True)
class _Port:
    """One watched port. ``sock`` is None between two connections; ``since``: of the connection or the connect."""

    key: str
    where: Place
    watch: Watch = field(default_factory=Watch)
    sock: socket.socket | None = None
    is_connected: bool = False
    since: float = 0.0
    received: int = 0


def watched_places() -> dict[str, Place]:
    """Return the UCC ports of the pools that are to be watched: check key -> where."""
    path = "trusted_application_pool__trusted_applications"
    watched = {"trusted_application_pool__watch_connections": True, f"{path}__isnull": False}
    rows = Server.objects.filter(**watched).values_list("id", "address", f"{path}__id", f"{path}__port")
    return {f"ucc:{server}:{application}": place(address, port) for server, address, application, port in rows}


class Watcher:
    """The connections. ``ask_now`` is called with the keys of checks whose connection ended."""

    def __init__(self, ask_now: Callable[[list[str]], None], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._ask_now = ask_now
        self._clock = clock
        self._ports: dict[str, _Port] = {}
        self._selector = selectors.DefaultSelector()
        self._due: list[tuple[float, str]] = []
        self._room = max(raise_descriptor_limit() - DESCRIPTORS_KEPT, 64)
        self._said_full = False

    def set_places(self, places: Mapping[str, Place]) -> None:
        """Watch exactly these from now on; what is known of those that stay is kept."""
        for key in [key for key, port in self._ports.items() if places.get(key) != port.where]:
            self._close(self._ports.pop(key))
        now = self._clock()
        for key, where in places.items():
            if key not in self._ports:
                self._ports[key] = _Port(key, where)
                heapq.heappush(self._due, (now, key))

    def turn(self, wait_s: float) -> None:
        """Wait for at most so long, and deal with what has happened."""
        until_due = max(self._due[0][0] - self._clock(), 0.0) if self._due else wait_s
        ended = [self._event(found.data) for found, _ in self._selector.select(min(wait_s, until_due))]
        keys = [key for key in ended if key]
        if keys:
            self._ask_now(keys)
        now = self._clock()
        while self._due and self._due[0][0] <= now:
            port = self._ports.get(heapq.heappop(self._due)[1])
            if port is not None:
                self._come_to(port, now)

    def held(self) -> int:
        """How many connections and connects there are."""
        return len(self._selector.get_map())

    def states(self) -> dict[str, str]:
        """Return for each port "" where it is watched, else why it is not at the moment."""
        now = self._clock()
        return {
            port.key: port.watch.reason
            if watching.is_resting(port.watch, now=now)
            else ("" if port.is_connected else "no connection at the moment")
            for port in self._ports.values()
        }

    def close(self) -> None:
        """End every connection."""
        self.set_places({})
        self._selector.close()

    # --------------------------------------------------------------------------------------------------- one connection

    def _come_to(self, port: _Port, now: float) -> None:
        """Its time has come: to connect, or to give up a connect that takes too long."""
        if port.is_connected:
            return
        if port.sock is not None:
            if now - port.since >= CONNECT_TIMEOUT_S:
                self._failed(port, now)
        elif watching.is_resting(port.watch, now=now):
            heapq.heappush(self._due, (port.watch.resting_until or now, port.key))
        elif self.held() >= self._room:
            self._say_full()
            heapq.heappush(self._due, (now + watching.LONGEST_DELAY_S, port.key))
        else:
            self._connect(port, now)

    def _connect(self, port: _Port, now: float) -> None:
        family, address = port.where
        port.since, port.received = now, 0
        try:
            sock = socket.socket(family, socket.SOCK_STREAM)
        except OSError:
            self._failed(port, now)
            return
        port.sock = sock
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in KEEPALIVE:
            if hasattr(socket, name):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        with contextlib.suppress(OSError):
            sock.connect_ex(address)
        self._selector.register(sock, selectors.EVENT_WRITE, port)
        heapq.heappush(self._due, (now + CONNECT_TIMEOUT_S, port.key))

    def _event(self, port: _Port) -> str | None:
        """Deal with one; return the check to be asked where a connection has ended."""
        if port.sock is None:
            return None
        now = self._clock()
        if not port.is_connected:
            if port.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self._failed(port, now)
            else:
                self._connected(port, now)
            return None
        if self._still_open(port):
            if port.received > watching.RECEIVED_MAX:
                self._close(port)
                port.watch = watching.talks(now=now)
                self._again(port, now)
            return None
        self._close(port)
        port.watch = watching.ended(port.watch, held_s=now - port.since)
        self._again(port, now)
        return port.key

    def _connected(self, port: _Port, now: float) -> None:
        port.is_connected, port.since = True, now
        port.watch = watching.judged(watching.connected(port.watch), now=now)
        if watching.is_resting(port.watch, now=now):
            log.info("%s is no longer watched: %s", port.key, port.watch.reason)
            self._close(port)
            self._again(port, now)
        elif port.sock is not None:
            self._selector.modify(port.sock, selectors.EVENT_READ, port)

    def _failed(self, port: _Port, now: float) -> None:
        self._close(port)
        port.watch = watching.connect_failed(port.watch)
        self._again(port, now)

    def _again(self, port: _Port, now: float) -> None:
        heapq.heappush(self._due, (now + watching.delay_s(port.watch), port.key))

    def _still_open(self, port: _Port) -> bool:
        """Read what has come, a bounded part of it, and throw it away."""
        if port.sock is None:
            return False
        try:
            part = port.sock.recv(CHUNK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        port.received += len(part)
        return bool(part)

    def _close(self, port: _Port) -> None:
        if port.sock is not None:
            with contextlib.suppress(KeyError):
                self._selector.unregister(port.sock)
            port.sock.close()
        port.sock, port.is_connected = None, False

    def _say_full(self) -> None:
        if not self._said_full:
            self._said_full = True
            log.warning(
                "%d connections are held, and no more file descriptors may be opened: the other ports are not watched, "
                "only probed. Raise the limit of open files (LimitNOFILE, ulimit -n).",
                self.held(),
            )


def run(stop: Callable[[], bool]) -> None:
    """Watch until ``stop()``: reads what is to be watched where the estate changed, and leaves signs of life."""
    watcher = Watcher(_ask)
    version, loaded_at, signed_at = -1, float("-inf"), float("-inf")
    try:
        while not stop():
            now = time.monotonic()
            if now - signed_at >= SIGN_S:
                signed_at = now
                live.mark_watched(watcher.states())
                fresh = estate_version()
                if fresh != version or now - loaded_at >= RELOAD_S:
                    version, loaded_at = fresh, now
                    _load(watcher)
            watcher.turn(0.25)
    finally:
        watcher.close()


def _load(watcher: Watcher) -> None:
    close_old_connections()
    try:
        watcher.set_places(watched_places())
    except DatabaseError:
        log.exception("the estate cannot be read; going on with what was watched before")


def _ask(keys: list[str]) -> None:
    try:
        lease.ask_holders(settings.POOLS["shards"], keys)
    except BrokerLost:
        pass  # a nudge: the checks come at their own time
