"""Loopback targets in a process of their own: thousands of listeners on many addresses, closed or silenced on demand.

Run as ``python -m tests.benchmarks.health.targets NETWORK SERVERS PORTS``; it answers each line on standard input:
``close I J``, ``open I J`` and ``silence I J`` (server I's port number J) with ``ok`` and the epoch at which it was
done; it ends with its standard input.
"""

from __future__ import annotations

import contextlib
import resource
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.product import ROOT

FIRST_PORT = 6001
FILLERS = 2  # connects that fill the queue of a listener with backlog 0: the kernel drops every further SYN


def address_of(network: int, server: int) -> str:
    """The address of a server: all in 127.NETWORK.0.0/16."""
    return f"127.{network}.{server // 250}.{1 + server % 250}"


class Targets:
    """All listeners, and the connections that they have accepted."""

    def __init__(self, network: int, servers: int, ports: int) -> None:
        self._network = network
        self._epoll = select.epoll()
        self._listeners: dict[int, socket.socket] = {}
        self._by_place: dict[tuple[int, int], list[socket.socket]] = {}
        self._accepted: dict[int, socket.socket] = {}
        for server in range(servers):
            for number in range(ports):
                self.open(server, number)

    def open(self, server: int, number: int) -> None:
        """Listen, and accept."""
        self.close(server, number)
        listener = self._listen(server, number, backlog=128)
        listener.setblocking(False)
        self._epoll.register(listener, select.EPOLLIN)
        self._listeners[listener.fileno()] = listener
        self._by_place[server, number] = [listener]

    def close(self, server: int, number: int) -> None:
        """Listen no more: connects are refused."""
        for sock in self._by_place.pop((server, number), []):
            self._listeners.pop(sock.fileno(), None)
            sock.close()

    def silence(self, server: int, number: int) -> None:
        """Answer nothing at all, as a host that is switched off or behind a firewall that drops."""
        self.close(server, number)
        listener = self._listen(server, number, backlog=0)
        fillers = [socket.socket() for _ in range(FILLERS)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        self._by_place[server, number] = [listener, *fillers]

    def _listen(self, server: int, number: int, *, backlog: int) -> socket.socket:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address_of(self._network, server), FIRST_PORT + number))
        listener.listen(backlog)
        return listener

    def serve(self) -> None:
        """Accept, and close when the other side does, until standard input ends."""
        self._epoll.register(sys.stdin, select.EPOLLIN)
        while True:
            for fd, _ in self._epoll.poll():
                if fd == sys.stdin.fileno():
                    line = sys.stdin.readline()
                    if not line:
                        return
                    self._obey(line)
                elif fd in self._listeners:
                    self._accept(self._listeners[fd])
                elif fd in self._accepted:
                    self._accepted.pop(fd).close()

    def _obey(self, line: str) -> None:
        what, server, number = line.split()
        getattr(self, what)(int(server), int(number))
        sys.stdout.write(f"ok {time.time()}\n")
        sys.stdout.flush()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            self._accepted[connection.fileno()] = connection
            self._epoll.register(connection, select.EPOLLIN)


class RunningTargets:
    """The other process, from outside."""

    def __init__(self, process: subprocess.Popen[str], network: int, servers: int, ports: int) -> None:
        self._process = process
        self.network, self.servers, self.ports = network, servers, ports

    def tell(self, what: str, server: int, number: int) -> float:
        """Close, open or silence a port; the epoch at which it was done."""
        if self._process.stdin is None or self._process.stdout is None:
            raise AssertionError("the targets have no pipes")
        self._process.stdin.write(f"{what} {server} {number}\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline().split()[1])

    def places(self) -> Iterator[tuple[str, int]]:
        """Address and port of every target."""
        for server in range(self.servers):
            for number in range(self.ports):
                yield address_of(self.network, server), FIRST_PORT + number


@contextmanager
def running_targets(network: int, servers: int, ports: int) -> Iterator[RunningTargets]:
    """Start ``servers`` x ``ports`` listeners, and end them."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.health.targets", str(network), str(servers), str(ports)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        if process.stdout is None or process.stdout.readline().strip() != "listening":
            raise AssertionError("the targets do not listen")
        yield RunningTargets(process, network, servers, ports)
    finally:
        process.kill()
        process.wait()


def main(network: int, servers: int, ports: int) -> None:
    """Listen, say so, serve."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    targets = Targets(network, servers, ports)
    sys.stdout.write("listening\n")
    sys.stdout.flush()
    targets.serve()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
