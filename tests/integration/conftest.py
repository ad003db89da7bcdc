"""Integration tests use real parts on loopback: sockets, a broker, Celery workers."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_socket
import redis
from pytest_django import Settings

from tests.broker import running_broker

ROOT = Path(__file__).resolve().parent.parent.parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder is an integration test."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.integration)


@pytest.fixture(autouse=True)
def _network() -> None:
    pytest_socket.enable_socket()


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real Redis or Valkey of our own, on a free port with a password."""
    with running_broker(tmp_path_factory.mktemp("broker")) as url:
        yield url


@pytest.fixture
def broker(redis_url: str, settings: Settings) -> Iterator[redis.Redis]:
    """An empty broker that the code under test uses, too."""
    settings.REDIS_URL = redis_url
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
        yield client


@pytest.fixture
def environment(redis_url: str, tmp_path: Path) -> dict[str, str]:
    """The environment for processes of ours: a database, a folder and a broker of their own."""
    return {
        "PATH": os.environ["PATH"],
        "A365_ENV": "test",
        "A365_VAR": str(tmp_path),
        "DATABASE_URL": f"sqlite:///{tmp_path / 'db.sqlite3'}",
        "REDIS_URL": redis_url,
        "DJANGO_SETTINGS_MODULE": "a365admin.settings",
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "default",
        "VIRTUAL_ENV": str(Path(sys.executable).parent.parent),
    }
