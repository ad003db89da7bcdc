"""Ask many questions of a few servers: one socket for each server, many questions under way on it at once."""

from __future__ import annotations

import selectors
import socket
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from dnsops.asking import RESEND_AFTER_S, Question, ask
from dnsops.plan import Answer
from dnsops.providers.base import Endpoint

# Few enough that the answers fit into a socket's buffer also where this process is slow to read them.
UNDER_WAY = 64
RECEIVE_BYTES = 1 << 20
WRITERS_TIMEOUT_S = 3.0

Pair = tuple[Endpoint, str]


def ask_pairs(pairs: Sequence[Pair], *, timeout_s: float) -> dict[Pair, Answer]:
    """Ask each server for each name, all at once; there is an answer for every pair.

    A server is given up when nothing has come from it for ``timeout_s``: one that is silent costs that once, for all
    its names, and one that is slow under many questions is not called silent.
    """
    now = time.monotonic()
    lines: dict[Endpoint, _Line] = {}
    for endpoint, name in dict.fromkeys(pairs):
        lines.setdefault(endpoint, _Line(endpoint, now, timeout_s)).waiting.append(Question(endpoint, name))
    with selectors.DefaultSelector() as selector:
        for line in lines.values():
            if line.open():
                selector.register(line.socket, selectors.EVENT_READ, line)
        try:
            _exchange(selector, list(lines.values()))
        finally:
            for line in lines.values():
                line.close()
    found: dict[Pair, Answer] = {}
    for line in lines.values():
        found.update(line.result())
    return found


def ask_patiently(pairs: Sequence[Pair], *, timeout_s: float) -> dict[Pair, Answer]:
    """The same, and writers that were silent are asked once more, for longer: without them nothing can be changed.

    Of many names one lost datagram is not rare, and a busy machine may let a server wait for a second.
    """
    found = ask_pairs(pairs, timeout_s=timeout_s)
    silent = [pair for pair, answer in found.items() if pair[0].is_writer and answer.state == "silent"]
    return found | ask_pairs(silent, timeout_s=max(timeout_s, WRITERS_TIMEOUT_S)) if silent else found


def _exchange(selector: selectors.BaseSelector, lines: list[_Line]) -> None:
    while True:
        now = time.monotonic()
        busy = [line for line in lines if now < line.gives_up_at and line.fill(now)]
        if not busy:
            return
        wake_at = min(min(line.resend_at, line.gives_up_at) for line in busy)
        for key, _ in selector.select(max(wake_at - now, 0.0)):
            key.data.receive()


@dataclass(slots=True, eq=False)
class _Line:
    """The questions for one server. ``under_way`` by message id, each with the time at which it is sent again."""

    endpoint: Endpoint
    heard_at: float
    timeout_s: float
    waiting: deque[Question] = field(default_factory=deque)
    under_way: dict[bytes, tuple[Question, float]] = field(default_factory=dict)
    found: dict[str, Answer] = field(default_factory=dict)
    cut_short: list[str] = field(default_factory=list)
    socket: socket.socket = field(init=False)

    def open(self) -> bool:
        """Make the socket. False: this machine has no way there, and every question has that for an answer."""
        family = socket.AF_INET6 if ":" in self.endpoint.address else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self.socket.setblocking(False)
            with suppress(OSError):
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
            self.socket.connect((self.endpoint.address, self.endpoint.port))
        except OSError as error:
            self.fail(error)
            return False
        return True

    def close(self) -> None:
        """Give the socket back."""
        self.socket.close()

    @property
    def gives_up_at(self) -> float:
        """Until when it is waited for."""
        return self.heard_at + self.timeout_s

    @property
    def resend_at(self) -> float:
        """When the first question that is under way is to be sent again."""
        return min(at for _, at in self.under_way.values())

    def fill(self, now: float) -> bool:
        """Send again what has waited too long, and send more. False: nothing is left to wait for."""
        for ident, (question, at) in list(self.under_way.items()):
            if at <= now:
                self.under_way[ident] = (question, now + RESEND_AFTER_S)
                self._send(question)
        while self.waiting and len(self.under_way) < UNDER_WAY:
            question = self.waiting.popleft()
            while question.wire[:2] in self.under_way:  # ids are random, and two may be the same
                question = Question(self.endpoint, question.name)
            self.under_way[question.wire[:2]] = (question, now + RESEND_AFTER_S)
            self._send(question)
        return bool(self.under_way)

    def _send(self, question: Question) -> None:
        try:
            self.socket.send(question.wire)
        except BlockingIOError:
            pass  # it is sent again
        except OSError as error:
            self.fail(error)

    def receive(self) -> None:
        """Take every datagram that is there; what answers nothing of ours is let go."""
        while True:
            try:
                wire = self.socket.recv(65535)
            except BlockingIOError:
                return
            except OSError as error:
                self.fail(error)
                return
            question, _ = self.under_way.get(wire[:2], (None, 0.0))
            if question is None:
                continue
            if question.cut_short(wire):
                self.cut_short.append(question.name)
            elif (answer := question.parse(wire)) is not None:
                self.found[question.name] = answer
            else:
                continue
            del self.under_way[wire[:2]]
            self.heard_at = time.monotonic()

    def fail(self, error: OSError) -> None:
        """Nobody is there: the network said so for one question, and it is true of all."""
        said = "nothing listens there" if isinstance(error, ConnectionRefusedError) else (error.strerror or str(error))
        for question in [*(q for q, _ in self.under_way.values()), *self.waiting]:
            self.found[question.name] = question.error(said.lower())
        self.under_way.clear()
        self.waiting.clear()

    def result(self) -> dict[Pair, Answer]:
        """An answer for each name; those that did not fit into a datagram are asked for over TCP."""
        for name in self.cut_short:
            self.found[name] = ask(self.endpoint, name, timeout_s=self.timeout_s)
        for question in [*(q for q, _ in self.under_way.values()), *self.waiting]:
            self.found[question.name] = question.silent()
        return {(self.endpoint, name): answer for name, answer in self.found.items()}
