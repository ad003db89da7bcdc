"""TCP connects, thousands at once, on one selector and without a task, thread or coroutine for each."""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import struct
from typing import Generic, TypeAlias, TypeVar

T = TypeVar("T")
Place: TypeAlias = tuple[int, tuple[str, int]]  # address family; address and port

SLOW_S = 0.2
LOOKED_LATE_S = 0.002
EVENTS_MAX = 4096

_UNDER_WAY = frozenset({errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EINTR})
_NONBLOCK = getattr(socket, "SOCK_NONBLOCK", 0)
_KIND = socket.SOCK_STREAM | _NONBLOCK
_QUICKACK = getattr(socket, "TCP_QUICKACK", None)
_RESET_AT_CLOSE = struct.pack("ii", 1, 0)
_TCP_INFO = getattr(socket, "TCP_INFO", None)
_RTT_OFFSET = 68  # tcpi_rtt in struct tcp_info of linux/tcp.h, in microseconds
# The plain C type: socket.socket's Python layer on top of it costs a fifth of our own part of a probe.
_new_socket = socket.SocketType


Ended: TypeAlias = tuple[T, int, float]
"""A connect that has ended: what it was, its code (0 connected, else an errno; ETIMEDOUT: its time is up), seconds.

Plain tuples here and below: for each probe three named ones would cost as much as one of its system calls.
"""

_UnderWay: TypeAlias = tuple[socket.SocketType, T, float, float]  # socket, what, when it was started, timeout


def place(address: str, port: int) -> Place:
    """Where to connect to, in the form that ``TcpSweep.start`` wants."""
    return (socket.AF_INET6 if ":" in address else socket.AF_INET), (address, port)


class TcpSweep(Generic[T]):
    """Connects under way. The caller says what the time is, starts connects, and collects what ended.

    ``half_open``: the last packet of the handshake is held back and the connection reset, so that the server's
    ``accept()`` never sees it. Cheaper for both sides; a firewall may take it for a scan. Linux only, else ignored.
    """

    def __init__(self, *, half_open: bool = False) -> None:
        # epoll where there is one; poll() has the same methods, but counts in milliseconds.
        self._epoll = select.epoll() if hasattr(select, "epoll") else None
        self._poll = None if self._epoll else select.poll()
        self._register = (self._epoll or self._poll).register  # type: ignore[union-attr]
        self._half_open = half_open and _QUICKACK is not None
        # By descriptor, each in the order in which they were started. Most answer while they are fresh.
        self._fresh: dict[int, _UnderWay[T]] = {}
        self._slow: dict[float, dict[int, _UnderWay[T]]] = {}  # by timeout: they end in this order
        self._turned_slow: list[tuple[int, T]] = []
        self._at_once: list[Ended[T]] = []
        self._unseen: list[int] = []  # started since the last look

    def __len__(self) -> int:
        """How many connects are under way."""
        return len(self._fresh) + sum(map(len, self._slow.values()))

    def start(self, what: T, where: Place, *, now: float, timeout_s: float) -> int:
        """Start one connect; return its descriptor (for ``withdraw``), or -1 where it has ended: see ``ready()``."""
        family, address = where
        sock = None
        try:
            sock = _new_socket(family, _KIND)
            if not _NONBLOCK:
                sock.setblocking(False)
            if self._half_open:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
                sock.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 0)  # type: ignore[arg-type]
            code = sock.connect_ex(address)
        except OSError as error:
            code = error.errno or errno.EADDRNOTAVAIL
        if sock is None or code not in _UNDER_WAY:
            if sock is not None:
                sock.close()
            self._at_once.append((what, code, 0.0))
            return -1
        fd = sock.fileno()
        self._unseen.append(fd)
        if timeout_s > SLOW_S:
            self._fresh[fd] = (sock, what, now, timeout_s)
        else:
            self._slow.setdefault(timeout_s, {})[fd] = (sock, what, now, timeout_s)
        return fd

    def ready(self, now: float, *, wait_s: float = 0.0) -> list[Ended[T]]:
        """Collect those that are connected or refused by now, or within ``wait_s``."""
        ended, self._at_once = self._at_once, []
        if self._unseen:
            self._take(self._look_first(), now, ended)
        if len(self):
            self._take(self._selector_events(0.0 if ended else wait_s), now, ended)
        return ended

    def _look_first(self) -> list[tuple[int, int]]:
        """Ask for all new ones at once: near ones have answered, and need never be registered one by one."""
        look = select.poll()
        for fd in self._unseen:
            look.register(fd, select.POLLOUT)
        events = look.poll(0)
        for fd in set(self._unseen).difference(fd for fd, _ in events):
            self._register(fd, select.POLLOUT)
        self._unseen.clear()
        return events

    def _selector_events(self, wait_s: float) -> list[tuple[int, int]]:
        if self._epoll:
            return self._epoll.poll(wait_s, EVENTS_MAX)
        return self._poll.poll(wait_s * 1000)  # type: ignore[union-attr]

    def _take(self, events: list[tuple[int, int]], now: float, ended: list[Ended[T]]) -> None:
        for fd, event in events:
            connect = self._fresh.pop(fd, None) or self._pop_slow(fd)
            if connect is None:
                continue
            sock, what, started, _ = connect
            took_s = now - started
            code = 0
            if event != select.POLLOUT:
                code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            elif took_s > LOOKED_LATE_S:
                took_s = _round_trip_s(sock) or took_s
            if self._poll is not None:
                self._forget(fd)
            sock.close()
            ended.append((what, code, took_s))

    def slow(self, now: float) -> list[tuple[int, T]]:
        """Return those that have turned slow (no answer for 0.2 s) since the last call: descriptor and what it is."""
        self._age(now)
        turned, self._turned_slow = self._turned_slow, []
        return turned

    def expired(self, now: float) -> list[Ended[T]]:
        """Give up those whose time is up. Call ``ready()`` first: an answer that is there counts, however late."""
        self._age(now)
        ended = []
        for timeout_s, waiting in self._slow.items():
            over = []
            for fd, connect in waiting.items():
                if connect[2] + timeout_s > now:
                    break
                over.append(fd)
            for fd in over:
                sock, what, started, _ = waiting.pop(fd)
                self._close(fd, sock)
                ended.append((what, errno.ETIMEDOUT, now - started))
        return ended

    def withdraw(self, fd: int, what: T) -> bool:
        """Drop one connect, if it is still this one's; whether it was."""
        for under_way in (self._fresh, *self._slow.values()):
            connect = under_way.get(fd)
            if connect is not None and connect[1] is what:
                del under_way[fd]
                self._close(fd, connect[0])
                return True
        return False

    def abandon(self) -> list[T]:
        """Drop everything that is under way, and return what it was: no result, ask again."""
        dropped = []
        for under_way in (self._fresh, *self._slow.values()):
            for fd, (sock, what, _, _) in under_way.items():
                if self._poll is not None:
                    self._forget(fd)
                sock.close()
                dropped.append(what)
            under_way.clear()
        self._turned_slow.clear()
        self._unseen.clear()
        return dropped

    def close(self) -> None:
        """Drop everything, and the selector."""
        self.abandon()
        if self._epoll:
            self._epoll.close()

    def _age(self, now: float) -> None:
        aged = []
        for fd, connect in self._fresh.items():
            if connect[2] + SLOW_S > now:
                break
            aged.append(fd)
        for fd in aged:
            connect = self._fresh.pop(fd)
            self._slow.setdefault(connect[3], {})[fd] = connect
            self._turned_slow.append((fd, connect[1]))

    def _pop_slow(self, fd: int) -> _UnderWay[T] | None:
        return next((waiting.pop(fd) for waiting in self._slow.values() if fd in waiting), None)

    def _close(self, fd: int, sock: socket.SocketType) -> None:
        if self._poll is not None:
            self._forget(fd)
        if fd in self._unseen:  # its number may soon be somebody else's
            self._unseen.remove(fd)
        sock.close()

    def _forget(self, fd: int) -> None:
        """Only poll() has to be told; epoll forgets a closed descriptor by itself."""
        with contextlib.suppress(KeyError):
            self._poll.unregister(fd)  # type: ignore[union-attr]


def _round_trip_s(sock: socket.SocketType) -> float | None:
    """What the kernel measured between SYN and answer: it looked at once, and we may have come later."""
    if _TCP_INFO is None:
        return None
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _RTT_OFFSET + 4)
        return float(struct.unpack_from("I", info, _RTT_OFFSET)[0]) / 1e6 or None
    except (OSError, struct.error):
        return None


def raise_descriptor_limit() -> int:
    """Raise this process's limit of open files to what it may have, and return it."""
    try:
        import resource
    except ImportError:  # not on this system
        return 512
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(hard, 65_536) if hard != resource.RLIM_INFINITY else 65_536
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return 65_536 if soft == resource.RLIM_INFINITY else soft
