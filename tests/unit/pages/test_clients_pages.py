"""The pages Clients: values for everybody, the inventory, its import and export."""

from __future__ import annotations

import csv
import html
import io

import pytest
from django.conf import settings as django_settings
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from a365admin.accounts.models import Role
from a365admin.audit.models import AuditEntry
from pools.models import ClientInstallation, DedicatedHostname, Ucc
from tests.factories import make_pair
from tests.unit.pages.conftest import SignIn

LIST = "/clients/inventory/"


@pytest.fixture
def hostname(db: None) -> DedicatedHostname:
    return make_pair(ports=(6001, 6002))


def said(browser: Client, url: str) -> str:
    response = browser.get(url)
    assert response.status_code == 200
    return html.unescape(response.content.decode())


def wrong_one(hostname: DedicatedHostname) -> ClientInstallation:
    ucc = Ucc.objects.order_by("pk").first()
    assert ucc is not None
    server = hostname.targets.get(order=1).servers[0]
    return ClientInstallation.objects.create(kind="snapper", place="PC-1", host=server.fqdn, ucc_name=ucc.name)


def test_helpdesk_reads_what_to_enter_for_all_for_one_hostname_and_for_one_ucc(
    sign_in: SignIn, hostname: DedicatedHostname
) -> None:
    browser, uccs = sign_in(Role.HELPDESK), list(Ucc.objects.all())
    for url in ("/clients/", reverse("pools:clients-hostname", args=[hostname.fqdn])):
        page = said(browser, url)
        assert f'data-copy="https://{hostname.fqdn}/DashboardService"' in page
        assert all(f'data-copy="{ucc.name}"' in page for ucc in uccs)
    page = said(browser, reverse("pools:clients-ucc", args=[uccs[0].pk]))
    assert f'data-copy="{uccs[0].name}"' in page
    assert uccs[1].name not in page


def test_paths_are_the_installations_or_the_hostnames_own(sign_in: SignIn, hostname: DedicatedHostname) -> None:
    assert django_settings.CLIENT_PATHS["attendant"] == "/Attendant"
    DedicatedHostname.objects.update(attendant_path="/Reception")
    page = said(sign_in(Role.HELPDESK), reverse("pools:clients-hostname", args=[hostname.fqdn]))
    assert f"https://{hostname.fqdn}/Reception" in page
    assert f"https://{hostname.fqdn}/Attendant" not in page


def test_the_values_as_csv_can_be_no_formula_and_the_export_is_logged(
    sign_in: SignIn, hostname: DedicatedHostname
) -> None:
    Ucc.objects.order_by("pk").filter(pk=Ucc.objects.order_by("pk").values("pk")[:1]).update(name="=cmd|'/C calc'!A1")
    text = sign_in(Role.HELPDESK).get("/clients/values.csv").content.decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 2 * (2 + 4 * 2 + 1)
    assert {row["UCC"] for row in rows if "cmd" in row["UCC"]} == {"'=cmd|'/C calc'!A1"}
    assert AuditEntry.objects.filter(action="clients.exported").count() == 1


def test_who_holds_a_servers_own_name_is_listed_with_the_value_and_counted_on_the_hostnames_page(
    sign_in: SignIn, hostname: DedicatedHostname
) -> None:
    row, browser = wrong_one(hostname), sign_in(Role.HELPDESK)
    page = said(browser, f"{LIST}?show=wrong")
    assert f"’s own name ({row.host})" in page
    assert f'data-copy="{hostname.fqdn}"' in page
    assert "1 of 1 wrong" in said(browser, reverse("pools:clients-summary", args=[hostname.fqdn]))
    ClientInstallation.objects.update(host=hostname.fqdn)
    assert "All 1 right" in said(browser, reverse("pools:clients-summary", args=[hostname.fqdn]))
    assert "Nothing matches" in said(browser, f"{LIST}?show=wrong")


def carried(page: str) -> str:
    return page.partition('name="carried" value="')[2].partition('"')[0]


def test_an_import_is_shown_first_then_done_as_shown_and_logged(sign_in: SignIn, hostname: DedicatedHostname) -> None:
    wrong_one(hostname)
    browser = sign_in(Role.ADMINISTRATOR)
    pasted = f"client,place,host,ucc\nSnapper,PC-1,{hostname.fqdn},Sales\nWebchat Plus,www1,{hostname.fqdn},\n"
    shown = html.unescape(browser.post(f"{LIST}import/", {"pasted": pasted}).content.decode())
    assert "1 to add, 1 to change, 0 to remove" in shown
    assert ClientInstallation.objects.count() == 1
    assert browser.post(f"{LIST}import/confirm/", {"carried": carried(shown)}).status_code == 302
    assert set(ClientInstallation.objects.values_list("place", "host")) == {
        ("PC-1", hostname.fqdn),
        ("www1", hostname.fqdn),
    }
    assert AuditEntry.objects.get(action="clients.imported").after["added"] == 1
    again = html.unescape(browser.post(f"{LIST}import/", {"pasted": pasted}).content.decode())
    assert "Nothing to do" in again


def test_what_has_changed_since_is_not_imported(sign_in: SignIn, hostname: DedicatedHostname) -> None:
    browser = sign_in(Role.ADMINISTRATOR)
    shown = html.unescape(
        browser.post(f"{LIST}import/", {"pasted": "Snapper,PC-1,a.x", "whole": "on"}).content.decode()
    )
    wrong_one(hostname)
    response = browser.post(f"{LIST}import/confirm/", {"carried": carried(shown)})
    assert response.status_code == 409
    assert "has changed since" in response.content.decode()
    assert ClientInstallation.objects.get().host != "a.x"
    assert browser.post(f"{LIST}import/confirm/", {"carried": "x"}).status_code == 302


def test_a_whole_inventory_removes_what_is_not_in_it(sign_in: SignIn, hostname: DedicatedHostname) -> None:
    wrong_one(hostname)
    browser = sign_in(Role.ADMINISTRATOR)
    upload = io.BytesIO(b"client,place,host\nWebchat Plus,www1,a.x\n")
    upload.name = "clients.csv"
    shown = html.unescape(browser.post(f"{LIST}import/", {"chosen": upload, "whole": "on"}).content.decode())
    assert "1 to remove" in shown
    browser.post(f"{LIST}import/confirm/", {"carried": carried(shown)})
    assert ClientInstallation.objects.get().place == "www1"


def test_a_wrong_line_stops_all_of_it(sign_in: SignIn, hostname: DedicatedHostname) -> None:
    response = sign_in(Role.ADMINISTRATOR).post(f"{LIST}import/", {"pasted": "Snapper,PC-1,a.x\nSnapper,,b.x"})
    page = html.unescape(response.content.decode())
    assert response.status_code == 422
    assert "line 2" in page
    assert carried(page) == ""


def test_the_export_can_be_imported_again_and_changes_nothing(sign_in: SignIn, hostname: DedicatedHostname) -> None:
    wrong_one(hostname)
    ClientInstallation.objects.create(kind="webchat_plus", place="=www", host="-x", note='+1; "q", ü')
    browser = sign_in(Role.ADMINISTRATOR)
    exported = io.BytesIO(browser.get("/clients/inventory.csv").content)
    exported.name = "again.csv"
    page = html.unescape(browser.post(f"{LIST}import/", {"chosen": exported, "whole": "on"}).content.decode())
    assert "Nothing to do" in page


def test_one_client_is_entered_changed_and_deleted_with_its_entries(
    sign_in: SignIn, hostname: DedicatedHostname
) -> None:
    browser = sign_in(Role.ADMINISTRATOR)
    data = {"kind": "snapper", "place": "PC-9", "host": "a.x", "ucc_name": "Sales", "note": ""}
    assert browser.post(f"{LIST}installation/add/", data).headers["Location"] == LIST
    row = ClientInstallation.objects.get()
    again = browser.post(f"{LIST}installation/add/", {**data, "place": "pc-9"})
    assert again.status_code == 422
    two = html.unescape(browser.post(f"{LIST}installation/add/", {**data, "host": "a.x b.x"}).content.decode())
    assert "one host, without spaces" in two
    form = browser.get(f"{LIST}installation/{row.pk}/").content.decode()
    seen = form.partition('name="seen" value="')[2].partition('"')[0]
    browser.post(f"{LIST}installation/{row.pk}/", {**data, "host": hostname.fqdn, "seen": seen})
    browser.post(f"{LIST}installation/{row.pk}/delete/")
    assert not ClientInstallation.objects.exists()
    assert [entry.action for entry in AuditEntry.objects.order_by("pk") if entry.action.startswith("client.")] == [
        "client.added",
        "client.changed",
        "client.deleted",
    ]


@pytest.mark.parametrize("role", [Role.HELPDESK, Role.AUDITOR, Role.OPERATOR])
def test_others_read_the_inventory_and_change_nothing(sign_in: SignIn, hostname: DedicatedHostname, role: Role) -> None:
    row, browser = wrong_one(hostname), sign_in(role)
    assert f"{LIST}installation/" not in said(browser, LIST)
    for url in ("import/", "import/confirm/", "installation/add/", f"installation/{row.pk}/delete/"):
        assert browser.post(f"{LIST}{url}", {"pasted": "Snapper,PC-1,a.x"}).status_code == 403
    assert ClientInstallation.objects.get() == row


def test_the_number_of_queries_does_not_grow_with_the_inventory(
    sign_in: SignIn, hostname: DedicatedHostname, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    ClientInstallation.objects.bulk_create(
        ClientInstallation(kind="snapper", place=f"PC-{n}", host="srv.x", ucc_name="x") for n in range(300)
    )
    browser = sign_in(Role.ADMINISTRATOR)
    with django_assert_max_num_queries(24):
        browser.get(LIST)
