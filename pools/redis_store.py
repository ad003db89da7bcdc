"""All access to Redis: one client for each process, and one error for "the broker is lost"."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
import redis.asyncio
from django.conf import settings

# Short: whoever waits for a lost broker is a page or the probing loop.
CONNECT_TIMEOUT_S = 1.0
ANSWER_TIMEOUT_S = 2.0

_lock = threading.Lock()
_client: redis.Redis | None = None
_client_of: tuple[int, str] = (0, "")
_given_up = False


class BrokerLost(Exception):  # noqa: N818 (it is a state of the world, and reads as one)
    """Redis does not answer. What needs it goes on without, and says so; trying again later can help."""


def client() -> redis.Redis:
    """Return this process's client; its calls raise ``redis.RedisError``, so use it inside ``broker()``."""
    global _client, _client_of  # noqa: PLW0603 (one for each process: also after a fork, and when a test changes the URL)
    wanted = (os.getpid(), settings.REDIS_URL)
    with _lock:
        if _client is None or _client_of != wanted:
            _client = redis.Redis.from_url(
                settings.REDIS_URL, socket_connect_timeout=CONNECT_TIMEOUT_S, socket_timeout=ANSWER_TIMEOUT_S
            )
            _client_of = wanted
        return _client


def do_without_if_lost() -> bool:
    """For a command in a terminal: look once whether Redis answers; where not, this process does not wait for it again.

    Returns whether it answers.
    """
    global _given_up  # noqa: PLW0603 (as above)
    try:
        with broker() as redis:
            redis.ping()
    except BrokerLost:
        _given_up = True
    return not _given_up


@contextmanager
def broker() -> Iterator[redis.Redis]:
    """Give the client; raise BrokerLost for everything that Redis cannot do."""
    if _given_up:
        raise BrokerLost("The broker (Redis) did not answer when this command began.")
    try:
        yield client()
    except (redis.RedisError, OSError) as error:
        raise BrokerLost(f"The broker (Redis) does not answer: {error}") from error


def async_client(**options: Any) -> redis.asyncio.Redis:
    """Return a new client for the running event loop; whoever asks for it closes it (``await client.aclose()``)."""
    return redis.asyncio.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=CONNECT_TIMEOUT_S, **options)


def text(value: Any) -> str:
    """Return a Redis reply as text; "" for none."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")
