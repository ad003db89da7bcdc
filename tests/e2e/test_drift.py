"""Somebody changes DNS behind our back: the page says so, and puts it right."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, expect

from a365admin.lab.config import load_config
from tests.e2e.steps import HOSTNAME, RECORD, answers, press_in_demo
from tests.product import Product
from tests.waiting import wait_until


def test_a_record_that_vanished_is_an_alarm_and_is_put_right(product: Product, sign_in: Callable[..., Page]) -> None:
    page = sign_in(product)
    dns = load_config(product.var / "lab.json").dns
    page.goto(f"{product.url}/hostnames/{HOSTNAME}/")
    expect(page.locator("#dns-says")).to_contain_text("Expected: CNAME srv1.lab.example")

    press_in_demo(product, page, "Delete it", of=RECORD)
    expect(page.locator("#drift-title")).to_contain_text("has vanished from DNS")
    page.locator("#go-put-right").click()
    expect(page.locator("#failover")).to_contain_text("nothing is overwritten")
    page.locator("#reason").fill("Scavenged")
    page.locator("#do-it").click()
    expect(page.locator("#operation")).to_contain_text("Succeeded")
    wait_until(lambda: answers(dns) == {"srv1.lab.example."}, timeout_s=10, message="DNS was not put right")

    page.goto(f"{product.url}/hostnames/{HOSTNAME}/")
    expect(page.locator("#drift-title")).to_have_count(0)
    expect(page.locator("#timeline")).to_contain_text("Put right by an operation.")
