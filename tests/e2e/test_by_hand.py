"""A zone that is changed by hand: the page shows the commands, somebody runs them, the page notices by itself."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from a365admin.lab.config import load_config
from tests.e2e.steps import HOSTNAME, answers
from tests.integration.kerberos import SBIN
from tests.product import Product

NSUPDATE = shutil.which("nsupdate", path=SBIN)


@pytest.mark.skipif(NSUPDATE is None, reason="nsupdate is not installed (apt install bind9-dnsutils)")
def test_a_change_by_hand_is_shown_copied_done_and_noticed(product: Product, sign_in: Callable[..., Page]) -> None:
    config = load_config(product.var / "lab.json")
    page = sign_in(product)
    page.goto(product.url + "/estate/dns/")
    page.get_by_role("link", name=config.domain, exact=True).click()
    page.get_by_label("How it is changed").select_option(label="By hand (PowerShell or nsupdate)")
    page.get_by_label(re.compile("^Key")).select_option(label="---------")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("By hand (PowerShell or nsupdate)")).to_be_visible()

    page.goto(f"{product.url}/hostnames/{HOSTNAME}/failover/")
    expect(page.get_by_role("dialog")).to_contain_text("you make by hand")
    page.get_by_label("Reason").fill("the network people do it themselves")
    page.get_by_role("button", name="Fail over to SRV2").click()
    expect(page.get_by_role("heading", name="Do this now, by hand")).to_be_visible()
    expect(page.get_by_label("PowerShell")).to_contain_text("-HostNameAlias 'srv2.lab.example.'")

    page.get_by_role("button", name="I have done it").click()
    expect(page.get_by_text("admin said at").first).to_be_visible()
    assert answers(config.dns) == {"srv1.lab.example."}

    page.get_by_text("Or with nsupdate").click()
    commands = page.get_by_label("nsupdate").inner_text()
    key = f"{config.tsig.algorithm}:{config.tsig.name.rstrip('.')}:{config.tsig_secret()}"
    subprocess.run([str(NSUPDATE), "-v", "-y", key], input=commands, text=True, check=True, capture_output=True)
    expect(page.get_by_text("Made by hand: dns1 says CNAME srv2.lab.example").first).to_be_visible()
    expect(page.get_by_text("Succeeded").first).to_be_visible(timeout=90_000)
    expect(page.get_by_text("Every DNS server answers SRV2.").first).to_be_visible()
    assert answers(config.dns) == {"srv2.lab.example."}
