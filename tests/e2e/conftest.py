"""A running product, and a real browser that looks at it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright

from tests.product import Product

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


# As long as an outage takes to be seen, and a busy machine to draw it.
expect.set_options(timeout=30_000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here is an end-to-end test with real sockets and a long time limit."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.enable_socket)
            item.add_marker(pytest.mark.timeout(240))


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    """Playwright, without a browser of its own."""
    os.environ.setdefault("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1")
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """Debian's Chromium, headless."""
    if CHROMIUM is None:
        pytest.skip("Chromium is missing: apt-get install chromium")
    running = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
    yield running
    running.close()


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """The product with its demo estate, as the README starts it."""
    with Product(tmp_path_factory.mktemp("product"), environment={"A365_MAX_TTL_WAIT_S": "5"}) as running:
        yield running


@pytest.fixture
def sign_in(browser: Browser) -> Iterator[Callable[..., Page]]:
    """``sign_in(product)`` -> a page of a fresh browser, signed in; its console must stay free of errors."""
    opened: list[tuple[Page, list[str]]] = []

    def _sign_in(product: Product, *, user: str = "admin", password: str | None = None) -> Page:
        page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
        page.set_default_timeout(20_000)
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on(
            "console",
            lambda message: errors.append(message.text) if "Content Security Policy" in message.text else None,
        )
        page.goto(product.url + "/")
        page.get_by_label("Name").fill(user)
        page.get_by_label("Password", exact=True).fill(password or product.password)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(product.url + "/")
        opened.append((page, errors))
        return page

    yield _sign_in
    for page, errors in opened:
        page.context.close()
        assert errors == []
