"""A server's UCC service dies; an administrator fails over, DNS follows; later it is failed back."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from a365admin.lab.config import load_config
from tests.broker import running_broker
from tests.e2e.steps import answers, fail_over_and_back
from tests.integration.bind import ZONE, BindPair, running_bind
from tests.product import Product
from tests.waiting import wait_until


def test_an_administrator_fails_over_and_back_and_the_demo_dns_really_follows(
    product: Product, sign_in: Callable[..., Page]
) -> None:
    fail_over_and_back(product, sign_in(product), load_config(product.var / "lab.json").dns)


def test_a_site_is_moved_away_the_endpoints_are_confirmed_and_it_is_moved_back(
    product: Product, sign_in: Callable[..., Page]
) -> None:
    page, servers = sign_in(product), load_config(product.var / "lab.json").dns
    move_eindhoven(product, page, "Move away …")
    assert answers(servers, "a365web4.lab.example") == {"srv8.lab.example."}

    page.get_by_role("link", name="a365web4.lab.example").first.click()
    page.get_by_label("Note").fill("by the shift leader")
    page.get_by_role("button", name="I have moved the endpoints").click()
    expect(page.locator("#endpoints")).to_contain_text("Confirmed")

    move_eindhoven(product, page, "Move back …")
    assert answers(servers, "a365web4.lab.example") == {"srv7.lab.example."}


def move_eindhoven(product: Product, page: Page, button: str) -> None:
    """Choose the site, read the plan, confirm it, and watch the move to its end."""
    page.goto(product.url + "/moves/")
    link = page.get_by_role("listitem").filter(has_text="Eindhoven").first.get_by_role("link", name=button)
    wait_until(lambda: _there(page, link), timeout_s=30, message="it cannot be moved")
    link.click()
    wait_until(lambda: _can_move(page), timeout_s=60, message=lambda: page.inner_text("main"))
    page.get_by_label("Reason").fill("Power failure")
    page.get_by_role("button", name="Move").click()
    page.wait_for_url(re.compile("/moves/[0-9a-f-]{36}/"))
    expect(page.get_by_text("The hostname has moved.")).to_be_visible(timeout=90_000)


def _there(page: Page, link: Locator) -> bool:
    """The list goes by the standing checks, which may be a few seconds behind."""
    if link.count() == 0:
        page.reload()
    return link.count() > 0


def _can_move(page: Page) -> bool:
    """Back is refused until the primary has been healthy for the stability time: look again."""
    if page.get_by_text("1 can move").count() > 0:
        return True
    page.reload()
    return False


def test_the_same_on_bind_with_a_primary_a_secondary_and_tsig(sign_in: Callable[..., Page], tmp_path: Path) -> None:
    (tmp_path / "bind").mkdir()
    # A broker of ours, so that the command below can tell the workers that the estate has changed.
    with running_broker(tmp_path) as redis_url:
        environment = {"A365_MAX_TTL_WAIT_S": "5", "REDIS_URL": redis_url}
        with Product(tmp_path / "product", environment=environment) as product:
            servers = load_config(product.var / "lab.json").servers
            addresses = {server.name.lower(): server.address for server in servers}
            with running_bind(tmp_path / "bind", addresses=addresses) as bind:
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
