"""Whatever is killed or frozen: what it fed turns grey, pages say so, and it recovers by itself."""

from __future__ import annotations

import json
import os
import re
import signal
import urllib.request
from collections.abc import Iterator

import pytest

from tests.http_session import HttpSession
from tests.product import Product
from tests.waiting import wait_until

pytestmark = [pytest.mark.enable_socket, pytest.mark.once, pytest.mark.timeout(300)]

PATIENCE_S = 90.0
WATCH_ALL = """
from pools.models import TrustedApplicationPool
from pools.services import estate_changed
TrustedApplicationPool.objects.update(watch_connections=True)
estate_changed()
"""


class Seen:
    """What a visitor and a supervisor see of a running product."""

    def __init__(self, product: Product) -> None:
        self._product = product
        self._session = HttpSession(product.url, accept_encoding="identity")
        self._session.sign_in("admin", product.password)

    def close(self) -> None:
        self._session.close()

    def words(self) -> dict[str, str]:
        """Each part's word."""
        with urllib.request.urlopen(f"{self._product.url}/healthz?deep=1", timeout=10) as answer:
            return dict(json.load(answer))

    def all_is_well(self) -> bool:
        return set(self.words().values()) == {"ok"} and "watch" in self.words() and not self.is_grey()

    def is_grey(self) -> bool:
        """Whether no row of the overview is shown as if it were true."""
        rows = re.findall(r'<li[^>]*class="(hrow[^"]*)"', self._session.get("/"))
        return bool(rows) and all("is-stale" in row or "hs-unknown" in row for row in rows)

    def says(self, sentence: str) -> bool:
        return sentence in self._session.get("/")

    def send(self, number: signal.Signals, *names: str) -> None:
        for name in names:
            os.kill(self._product.children(name)[-1], number)

    def until_well(self) -> None:
        wait_until(self.all_is_well, timeout_s=PATIENCE_S, message=lambda: f"{self.words()}\n{self._product.output()}")


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    with Product(tmp_path_factory.mktemp("kills") / "var") as product:
        product.manage("shell", "-v", "0", "-c", WATCH_ALL)
        made = Seen(product)
        made.until_well()
        yield made
        made.close()


def test_a_frozen_worker_beat_and_watcher_are_told_and_replaced(seen: Seen) -> None:
    seen.send(signal.SIGSTOP, "probes", "beat", "watch")
    wait_until(seen.is_grey, timeout_s=PATIENCE_S, message=lambda: f"{seen.words()}")
    wait_until(lambda: {seen.words()[part] for part in ("probes", "watch")} == {"lost"}, timeout_s=PATIENCE_S)
    wait_until(lambda: seen.says("The probes worker has not reported"), timeout_s=PATIENCE_S)
    seen.until_well()


def test_a_killed_worker_turns_what_it_fed_grey_and_comes_back(seen: Seen) -> None:
    seen.send(signal.SIGKILL, "probes", "beat", "watch")
    wait_until(seen.is_grey, timeout_s=PATIENCE_S, message=lambda: f"{seen.words()}")
    seen.until_well()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_without_a_broker_nothing_is_shown_as_if_it_were_true(seen: Seen, number: signal.Signals) -> None:
    seen.send(number, "broker")
    wait_until(seen.is_grey, timeout_s=PATIENCE_S, message=lambda: f"{seen.words()}")
    wait_until(lambda: seen.says("The broker (Redis) does not answer."), timeout_s=PATIENCE_S)
    seen.until_well()
