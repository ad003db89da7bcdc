"""What an administrator does in the browser, and what the DNS servers then say."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Protocol

import dns.message
import dns.query
import dns.rdatatype
from playwright.sync_api import Locator, Page, expect

from tests.product import Product
from tests.waiting import wait_until

HOSTNAME = "a365web1.lab.example"
"""The hostname that is failed over, and what is shown of it and of its primary on the demo's own page."""
RECORD = f'[data-hostname="{HOSTNAME}"]'
SRV1 = '[data-target="SRV1"]'


class NameServer(Protocol):
    """Where a DNS server listens."""

    @property
    def address(self) -> str:
        """Its IP address."""
        ...

    @property
    def port(self) -> int:
        """Its port."""
        ...


def answers(servers: Iterable[NameServer], name: str = HOSTNAME) -> set[str]:
    """What these DNS servers, asked over the network, say that ``name`` is an alias of."""
    found = set()
    for server in servers:
        query = dns.message.make_query(name, "CNAME")
        reply = dns.query.udp(query, server.address, port=server.port, timeout=3)
        found.add("".join(str(rrset[0].target) for rrset in reply.answer if rrset.rdtype == dns.rdatatype.CNAME))
    return found


def row_of(page: Page) -> Locator:
    """The hostname's line on the overview."""
    return page.locator(f'[data-name="{HOSTNAME}"]').first


def press_in_demo(product: Product, page: Page, button: str, *, of: str = SRV1) -> None:
    """Press a button of one thing (a selector: a server, a record) on the demo's own page, in a tab of its own."""
    demo = page.context.new_page()
    demo.goto(product.url + "/lab/")
    # A tab that is closed before the answer may take the press with it.
    with demo.expect_response(lambda answer: answer.request.method == "POST") as pressed:
        demo.locator(of).get_by_role("button", name=re.compile(button)).first.click()
    assert pressed.value.ok, pressed.value.text()
    demo.close()


def fail_over(page: Page, *, verb: str, to: str, reason: str) -> None:
    """Open the dialog on the overview, give a reason, confirm, and watch the operation until it has succeeded."""
    row_of(page).get_by_role("link", name=f"{verb} {HOSTNAME}").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(to)
    confirm = dialog.get_by_role("button", name=f"{verb} to {to}")
    look_again = dialog.get_by_role("link", name="Look again")

    def allowed() -> bool:
        """A failback is refused until the primary has been healthy for the stability time."""
        expect(confirm.or_(look_again)).to_be_visible()
        if not confirm.is_visible():
            with page.expect_response(re.compile("/failover/")):
                look_again.click()
            expect(page.locator(".htmx-request")).to_have_count(0)
        return confirm.is_visible()

    wait_until(allowed, timeout_s=60, message=dialog.inner_text)
    dialog.get_by_label("Reason").fill(reason)
    confirm.click()
    page.wait_for_url(re.compile("/operations/"))
    for step in ("Check again", "Write DNS", "Ask every authoritative server", "Wait for the old TTL"):
        expect(page.get_by_text(step).first).to_be_visible()
    expect(page.get_by_text("Succeeded").first).to_be_visible(timeout=90_000)


def fail_over_and_back(product: Product, page: Page, servers: Iterable[NameServer]) -> None:
    """The whole main job: break, see, fail over, ask DNS, mend, fail back, ask DNS, read the log."""
    servers = list(servers)
    expect(row_of(page)).to_contain_text("Up")
    assert answers(servers) == {"srv1.lab.example."}

    press_in_demo(product, page, "Stop the UCC service")
    expect(row_of(page)).to_contain_text("clients get no data")
    expect(row_of(page)).to_contain_text("Down")
    expect(page).to_have_title(re.compile(r"^\(\d+\) "))

    fail_over(page, verb="Fail over", to="SRV2", reason="SRV1 lost its UCC service")
    assert answers(servers) == {"srv2.lab.example."}

    page.goto(product.url + "/")
    expect(row_of(page)).to_contain_text("Active SRV2")
    press_in_demo(product, page, "Mend|Start the UCC service")
    expect(row_of(page)).to_contain_text("Up")

    fail_over(page, verb="Fail back", to="SRV1", reason="SRV1 is mended")
    assert answers(servers) == {"srv1.lab.example."}

    for reason in ("SRV1 lost its UCC service", "SRV1 is mended"):
        page.goto(product.url + "/audit/")
        page.get_by_label("Text").fill(reason)
        page.get_by_role("button", name="Filter").click()
        expect(page.get_by_text("requested")).to_be_visible()
        expect(page.get_by_text(reason).first).to_be_visible()
