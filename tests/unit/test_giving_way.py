"""What can wait pauses before its queries while another thread changes DNS; never for long, never holding a lock."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from django.db import connection, transaction

from a365admin import giving_way as module
from a365admin.giving_way import giving_way, go_first, that_was_it

pytestmark = pytest.mark.django_db


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How often it has paused; each pause lasts a hundredth of a second by the module's clock, and no time at all."""
    taken: list[float] = []
    monkeypatch.setattr(module, "time", SimpleNamespace(sleep=taken.append, monotonic=lambda: len(taken) / 100))
    return taken


@pytest.fixture
def outside_a_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests are in one; what is tested is not, as far as it can see."""
    seen = SimpleNamespace(in_atomic_block=False, execute_wrapper=connection.execute_wrapper)
    monkeypatch.setattr(module, "connection", seen)


@pytest.fixture
def somebody_first() -> Iterator[None]:
    """Another thread changes DNS."""
    with ThreadPoolExecutor(1) as other:
        other.submit(go_first).result()
        yield
        other.submit(that_was_it).result()


def ask() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def test_a_query_is_put_off_while_another_thread_goes_first_and_no_longer_than_stated(
    naps: list[float], somebody_first: None, outside_a_transaction: None
) -> None:
    with giving_way():
        ask()
    assert len(naps) == module.AT_MOST_S * 100


def test_it_goes_on_as_soon_as_the_other_is_done(outside_a_transaction: None, monkeypatch: pytest.MonkeyPatch) -> None:
    paused = threading.Event()
    monkeypatch.setattr(module, "AT_MOST_S", 60.0)
    with ThreadPoolExecutor(1) as other:
        other.submit(go_first).result()

        def end() -> None:
            assert paused.wait(10)
            that_was_it()

        ending = other.submit(end)

        def nap(_: float) -> None:
            paused.set()
            ending.result(10)

        monkeypatch.setattr(module, "time", SimpleNamespace(sleep=nap, monotonic=time.monotonic))
        with giving_way():
            ask()
    assert paused.is_set()


def test_whoever_holds_the_database_does_not_wait(naps: list[float], somebody_first: None) -> None:
    with giving_way(), transaction.atomic():
        ask()
    assert naps == []


def test_whoever_goes_first_does_not_wait_for_himself(naps: list[float], outside_a_transaction: None) -> None:
    go_first()
    try:
        with giving_way():
            ask()
    finally:
        that_was_it()
    assert naps == []


def test_without_anybody_first_nothing_waits(naps: list[float], outside_a_transaction: None) -> None:
    with giving_way():
        ask()
    that_was_it()
    assert naps == []
