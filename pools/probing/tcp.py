"""TCP connects, thousands at once, on one selector and without a task, thread or coroutine for each."""

from __future__ import annotations

import contextlib
import errno
import select
import socket
from collections import deque
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")

_UNDER_WAY = frozenset({errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EINTR})
_KIND = socket.SOCK_STREAM | getattr(socket, "SOCK_NONBLOCK", 0)


class Ended(NamedTuple, Generic[T]):
    """A connect that has ended. ``code``: 0 connected, else an errno (ETIMEDOUT: its time is up)."""

    what: T
    code: int
    started: float


class _UnderWay(NamedTuple, Generic[T]):
    sock: socket.socket
    what: T
    started: float
    deadline: float


class TcpSweep(Generic[T]):
    """Connects under way. The caller says what the time is, starts connects, and collects what ended."""

    def __init__(self) -> None:
        # epoll where there is one; poll() has the same methods, but counts in milliseconds.
        self._epoll = select.epoll() if hasattr(select, "epoll") else None
        self._poll = None if self._epoll else select.poll()
        self._under_way: dict[int, _UnderWay[T]] = {}
        # By timeout: connects with the same timeout end in the order in which they were started.
        self._deadlines: dict[float, deque[tuple[float, int, float]]] = {}

    def __len__(self) -> int:
        """How many connects are under way."""
        return len(self._under_way)

    def start(self, what: T, address: str, port: int, *, now: float, timeout_s: float) -> Ended[T] | None:
        """Start one connect; return its end where it is known at once."""
        try:
            sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, _KIND)
        except OSError as error:
            return Ended(what, error.errno or errno.EMFILE, now)
        try:
            sock.setblocking(False)
            code = sock.connect_ex((address, port))
        except OSError as error:
            code = error.errno or errno.EADDRNOTAVAIL
        if code not in _UNDER_WAY:
            sock.close()
            return Ended(what, code, now)
        fd = sock.fileno()
        (self._epoll or self._poll).register(fd, select.POLLOUT)  # type: ignore[union-attr]
        self._under_way[fd] = _UnderWay(sock, what, now, now + timeout_s)
        self._deadlines.setdefault(timeout_s, deque()).append((now + timeout_s, fd, now))
        return None

    def ready(self, *, wait_s: float = 0.0) -> list[Ended[T]]:
        """Collect those that are connected or refused by now, or within ``wait_s``."""
        if not self._under_way:
            return []
        events = self._epoll.poll(wait_s, 4096) if self._epoll else self._poll.poll(wait_s * 1000)  # type: ignore[union-attr]
        ended = []
        for fd, _ in events:
            connect = self._under_way.get(fd)
            if connect is not None:
                code = connect.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                self._close(fd, connect.sock)
                ended.append(Ended(connect.what, code, connect.started))
        return ended

    def expired(self, now: float) -> list[Ended[T]]:
        """Give up those whose time is up. Call ``ready()`` first: an answer that is there counts, however late."""
        ended = []
        for waiting in self._deadlines.values():
            while waiting and waiting[0][0] <= now:
                _, fd, started = waiting.popleft()
                connect = self._under_way.get(fd)
                if connect is not None and connect.started == started:
                    self._close(fd, connect.sock)
                    ended.append(Ended(connect.what, errno.ETIMEDOUT, started))
            while waiting and self._is_over(waiting[0]):
                waiting.popleft()
        return ended

    def abandon(self) -> list[T]:
        """Drop everything that is under way, and return what it was: no result, ask again."""
        dropped = [connect.what for connect in self._under_way.values()]
        for fd, connect in list(self._under_way.items()):
            self._close(fd, connect.sock)
        self._deadlines.clear()
        return dropped

    def close(self) -> None:
        """Drop everything, and the selector."""
        self.abandon()
        if self._epoll:
            self._epoll.close()

    def _is_over(self, entry: tuple[float, int, float]) -> bool:
        connect = self._under_way.get(entry[1])
        return connect is None or connect.started != entry[2]

    def _close(self, fd: int, sock: socket.socket) -> None:
        del self._under_way[fd]
        if self._poll is not None:  # epoll forgets a closed descriptor by itself
            with contextlib.suppress(KeyError):
                self._poll.unregister(fd)
        sock.close()


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
