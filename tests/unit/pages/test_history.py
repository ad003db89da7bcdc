"""History on the pages: bars in the overview's rows, and a hostname's day with its figures."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from a365admin.accounts.models import Role
from pools.history import reading
from pools.history_models import HistoryProgress, HostnameHour
from pools.models import DedicatedHostname
from tests.factories import FailoverOperationFactory
from tests.unit.pages.conftest import SignIn, watched


def with_history(*codes: int) -> DedicatedHostname:
    """A hostname whose last slots, up to now, have these states."""
    hostname = watched()
    until = int(time.time() // 300 * 300)
    HistoryProgress.objects.update_or_create(name="slots", defaults={"until": until})
    for number, code in enumerate(reversed(codes), start=1):
        at = until - number * 300
        row, _ = HostnameHour.objects.get_or_create(hostname=hostname, hour=at // 3600)
        slots = bytearray(bytes(row.slots).ljust(12, b"\0"))
        slots[at % 3600 // 300] = code
        row.slots, row.latencies = bytes(slots), bytes([100 if c else 0 for c in slots])
        row.up_s += 300 * (code == 1)
        row.down_s += 300 * (code == 3)
        row.save()
    reading.forget_kept()
    return hostname


def test_each_row_of_the_overview_has_its_bar(sign_in: SignIn) -> None:
    with_history(1, 3, 1)
    watched()
    page = sign_in(Role.HELPDESK).get("/").content.decode()
    assert page.count('<svg class="hbar"') == 2
    assert "down 5 min" in page
    assert "Last 24 hours: nothing is known yet." in page
    assert "<!--bar-->" not in page


def test_a_kept_list_shows_new_bars_once_they_are_there(sign_in: SignIn) -> None:
    with_history(1, 1)
    browser = sign_in(Role.HELPDESK)
    assert "up all the time" not in browser.get("/").content.decode()
    HistoryProgress.objects.update(until=int(time.time() // 300 * 300) + 300)
    HostnameHour.objects.update(up_s=86_400)
    reading.latest_slot.forget()
    assert "up all the time" in browser.get("/").content.decode()


def test_bars_are_fetched_by_an_overview_that_stays_open(sign_in: SignIn) -> None:
    hostname = with_history(3)
    answer = sign_in(Role.HELPDESK).get("/history/bars/").json()
    assert 'class="hb-down"' in answer["bars"][str(hostname.pk)]


def test_a_hostname_shows_its_day_with_latencies_and_failovers(sign_in: SignIn) -> None:
    hostname = with_history(1, 1, 3, 1)
    operation = FailoverOperationFactory.create(
        hostname=hostname, to_text="SRV2", requested_by_name="olga", written_at=datetime.now(UTC), state="succeeded"
    )
    page = sign_in(Role.HELPDESK).get(f"/hostnames/{hostname.fqdn}/history/").content.decode()
    assert "75.00 %" in page
    assert "Latency: typically" in page
    assert f'<a href="{operation.get_absolute_url()}">Failover to SRV2, by olga</a>' in page
    assert page.count('class="hp-mark"') == 1


def test_a_hostname_without_history_says_that_nothing_is_known(sign_in: SignIn) -> None:
    page = sign_in(Role.HELPDESK).get(f"/hostnames/{watched().fqdn}/history/").content.decode()
    assert page.count("not known") >= 4
    assert "No latency yet" in page


def test_the_history_of_a_name_that_is_not_there_is_not_found(sign_in: SignIn) -> None:
    assert sign_in(Role.HELPDESK).get("/hostnames/nobody.example/history/").status_code == 404
