"""A server's UCC service dies; an administrator fails over, DNS follows; later it is failed back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page

from a365admin.lab.config import load_config
from tests.broker import running_broker
from tests.e2e.steps import fail_over_and_back
from tests.integration.bind import ZONE, BindPair, running_bind
from tests.product import Product


def test_an_administrator_fails_over_and_back_and_the_demo_dns_really_follows(
    product: Product, sign_in: Callable[..., Page]
) -> None:
    fail_over_and_back(product, sign_in(product), load_config(product.var / "lab.json").dns)


def test_the_same_on_bind_with_a_primary_a_secondary_and_tsig(sign_in: Callable[..., Page], tmp_path: Path) -> None:
    (tmp_path / "bind").mkdir()
    with running_bind(tmp_path / "bind") as bind, running_broker(tmp_path) as redis_url:
        # A broker of ours, so that the command below can tell the workers that the estate has changed.
        environment = {"A365_MAX_TTL_WAIT_S": "5", "REDIS_URL": redis_url}
        with Product(tmp_path / "product", environment=environment) as product:
            use_bind(product, bind)
            fail_over_and_back(product, sign_in(product), bind.endpoints)


def use_bind(product: Product, bind: BindPair) -> None:
    """Let BIND serve the demo's zone."""
    estate = {
        "zone": ZONE,
        "secret_file": str(bind.secret_file),
        "servers": [[e.name, e.address, e.port, e.is_writer] for e in bind.endpoints],
    }
    product.manage("shell", "-v", "0", "-c", f"from tests.benchmarks.estate import use_bind; use_bind({estate!r})")
