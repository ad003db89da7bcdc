"""An operation's page follows the operation, however close together its news comes."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable

from playwright.sync_api import Page, Route, expect

from tests.product import Product

PAGE = """<div id="operation" data-op="{id}" data-mark="{mark}" hx-get="/operations/{id}/"
 hx-trigger="a365:op-{id} from:body" hx-swap="outerHTML">{mark}</div>"""


def test_news_that_comes_while_the_page_is_being_fetched_is_not_lost(
    product: Product, sign_in: Callable[..., Page]
) -> None:
    page = sign_in(product)
    operation = str(uuid.uuid4())
    fetched: list[str] = []

    def stream(route: Route) -> None:
        """Two pieces of news at once, on a page that shows the operation."""
        if fetched:
            route.abort()
            return
        page.evaluate(
            "html => { const main = document.getElementById('content'); main.innerHTML = html; htmx.process(main); }",
            PAGE.format(id=operation, mark="new"),
        )
        news = (f"event: operation\ndata: {json.dumps({operation: mark})}\n\n" for mark in ("waiting", "ended"))
        route.fulfill(status=200, content_type="text/event-stream", body="".join(news))

    def fragment(route: Route) -> None:
        """The first answer was on its way before the operation ended."""
        fetched.append("ended" if fetched else "waiting")
        route.fulfill(status=200, content_type="text/html", body=PAGE.format(id=operation, mark=fetched[-1]))

    page.route("**/live/stream*", stream)
    page.route(f"**/operations/{operation}/", fragment)
    page.goto(product.url + "/helpdesk/")
    expect(page.locator("#operation")).to_have_text("ended")
    assert fetched == ["waiting", "ended"]
