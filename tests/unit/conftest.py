"""Unit tests have no network and no broker: what needs Redis finds it lost, and has to bear that."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn

import pytest
import pytest_socket
import redis

from pools import redis_store


@pytest.fixture(autouse=True)
def _no_network(request: pytest.FixtureRequest) -> Iterator[None]:
    if request.node.get_closest_marker("enable_socket"):
        yield
        return
    pytest_socket.disable_socket(allow_unix_socket=True)
    yield
    pytest_socket.enable_socket()


@pytest.fixture(autouse=True)
def _no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost() -> NoReturn:
        raise redis.ConnectionError("unit tests have no broker")

    monkeypatch.setattr(redis_store, "client", lost)
