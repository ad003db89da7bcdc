"""A frozen probes worker: everything that it fed turns grey by itself, in words too, and comes back by itself."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from playwright.sync_api import Page, expect

from tests.product import Product


@pytest.fixture
def frozen(product: Product) -> Iterator[Callable[[], None]]:
    """``frozen()`` stops the worker and its pool; they go on after the test, or at the second call."""
    stopped: list[int] = []

    def toggle() -> None:
        if stopped:
            while stopped:
                with suppress(ProcessLookupError):  # `up` ends what stays frozen, and starts it again
                    os.kill(stopped.pop(), signal.SIGCONT)
            return
        for pid in product.children("probes"):
            os.kill(pid, signal.SIGSTOP)
            stopped.append(pid)

    yield toggle
    if stopped:
        toggle()


def test_when_the_probes_worker_is_frozen_open_pages_turn_grey_and_come_back(
    product: Product, sign_in: Callable[..., Page], frozen: Callable[[], None]
) -> None:
    overview = sign_in(product)
    pool = "/pools/a365pool1.lab.example/"
    pages = {path: overview.context.new_page() for path in ("/helpdesk/", "/servers/SRV1/", pool)}
    for path, page in pages.items():
        page.goto(product.url + path)
    row = overview.locator("li.hrow", has_text="a365web1.lab.example")
    expect(row).not_to_have_class("is-stale")
    sentence = pages["/helpdesk/"].locator("li.help-item", has_text="Service Desk Amsterdam")
    expect(sentence).to_contain_text("working")
    frozen()
    for page in (overview, *pages.values()):
        page.bring_to_front()
        expect(page.locator("#banners").get_by_text("The probes worker has not reported")).to_be_visible()
    overview.bring_to_front()
    expect(row.get_by_text("Unknown (stale")).to_be_visible()
    pages["/helpdesk/"].bring_to_front()
    expect(sentence.locator(".help-sentence:visible")).to_contain_text("not known at this moment")
    pages["/servers/SRV1/"].bring_to_front()
    expect(pages["/servers/SRV1/"].locator("tr.is-stale").first).to_be_visible()
    pages[pool].bring_to_front()
    expect(pages[pool].locator(".verdict.v-unknown")).to_be_visible()
    frozen()
    expect(pages[pool].locator(".verdict.v-up")).to_be_visible()
    pages["/helpdesk/"].bring_to_front()
    expect(sentence.locator(".help-sentence:visible")).to_contain_text("working")
    overview.bring_to_front()
    expect(row.get_by_text("Unknown (stale")).to_be_hidden()
