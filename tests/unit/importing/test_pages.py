"""The pages: who may, what is shown, and that only what was shown is imported."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from a365admin.accounts.models import Role
from a365admin.audit.models import AuditEntry
from pools import import_views
from pools.importing import carried
from pools.models import Server
from tests.factories import UserFactory
from tests.unit.importing import samples

pytestmark = pytest.mark.django_db
IMPORT, CONFIRM, EXPORT = (
    reverse(f"pools:{name}") if name else "" for name in ("estate-import", "estate-import-confirm", "estate-export")
)


@pytest.fixture
def administrator(client: Client) -> Client:
    client.force_login(UserFactory.create(role=Role.ADMINISTRATOR))
    return client


def uploads() -> list[SimpleUploadedFile]:
    return [SimpleUploadedFile(file.name, file.data) for file in (*samples.files("clixml"), samples.hostnames())]


def look(client: Client, **fields: Any) -> Any:
    return client.post(IMPORT, {"chosen": uploads(), "pasted": "", "pools": "", **fields})


@pytest.mark.parametrize("role", [Role.HELPDESK, Role.AUDITOR, Role.OPERATOR])
def test_only_who_may_change_the_estate_imports_and_exports(client: Client, role: Role) -> None:
    client.force_login(UserFactory.create(role=role))
    assert [client.get(IMPORT).status_code, client.post(IMPORT).status_code, client.get(EXPORT).status_code] == [
        403
    ] * 3
    assert client.post(CONFIRM, {"carried": "x"}).status_code == 403
    assert AuditEntry.objects.filter(action="access.denied").count() == 4


def test_confirming_is_not_done_by_following_a_link(administrator: Client) -> None:
    assert administrator.get(CONFIRM).status_code == 405


def test_files_are_shown_as_a_difference_and_imported_when_confirmed(administrator: Client) -> None:
    page = look(administrator)
    assert page.status_code == 200
    assert "18 to add, 0 to change" in page.content.decode()
    assert not Server.objects.exists()
    done = administrator.post(CONFIRM, {"carried": page.context["carried"]}, follow=True)
    assert "Imported: 18 added, 0 changed." in done.content.decode()
    assert Server.objects.count() == 4
    again = look(administrator)
    assert "Nothing to do" in again.content.decode()
    assert again.context["carried"] is None


def test_an_import_can_be_restricted_to_a_pool(administrator: Client) -> None:
    page = look(administrator, pools="a365pool2.corp.example")
    names = [change.name for change in page.context["result"].difference.changes if change.kind.slug == "server"]
    assert names == ["SRV3", "SRV4"]
    administrator.post(CONFIRM, {"carried": page.context["carried"]})
    assert {server.name for server in Server.objects.all()} == {"SRV3", "SRV4"}


def test_text_can_be_pasted(administrator: Client) -> None:
    page = administrator.post(IMPORT, {"pasted": "sites: [{name: Utrecht}]"})
    (change,) = page.context["result"].difference.changes
    assert (change.name, change.at.file) == ("Utrecht", "pasted text")


def test_problems_are_shown_with_file_and_line_and_cannot_be_confirmed(administrator: Client) -> None:
    page = administrator.post(IMPORT, {"pasted": "servers:\n- fqdn: <script>.x.nl\n  colour: red\n"})
    assert page.status_code == 422
    text = page.content.decode()
    assert "line 3" in text
    assert "found the field “colour”" in text.replace("Found", "found")
    assert page.context["carried"] is None
    assert "<script>.x" not in text


def test_an_empty_form_says_what_to_do(administrator: Client) -> None:
    page = administrator.post(IMPORT, {"pasted": "", "pools": ""})
    assert page.status_code == 422
    assert "Choose at least one file" in page.content.decode()


def test_too_much_is_refused_before_it_is_read(administrator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_views, "MAX_BYTES", 100)
    page = look(administrator)
    assert page.status_code == 422
    assert "Export less at once" in page.content.decode()


def test_what_changed_meanwhile_is_shown_again_and_not_applied(administrator: Client) -> None:
    administrator.post(CONFIRM, {"carried": look(administrator).context["carried"]})
    page = administrator.post(IMPORT, {"pasted": "servers: [{fqdn: srv1.corp.example, web_port: 8443}]"})
    Server.objects.filter(name="SRV1").update(web_port=9443)
    again = administrator.post(CONFIRM, {"carried": page.context["carried"]})
    assert again.status_code == 409
    assert "has changed since the difference was shown" in again.content.decode()
    assert Server.objects.get(name="SRV1").web_port == 9443
    assert administrator.post(CONFIRM, {"carried": again.context["carried"]}).status_code == 302
    assert Server.objects.get(name="SRV1").web_port == 8443


@pytest.mark.parametrize("how", ["nonsense", "tampered", "somebody else's", "too old", "missing"])
def test_only_what_this_page_gave_this_user_is_accepted(
    administrator: Client, client: Client, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = look(administrator).context["carried"]
    if how == "somebody else's":
        client.force_login(UserFactory.create(role=Role.ADMINISTRATOR))
    if how == "too old":
        monkeypatch.setattr(carried, "MAX_AGE_S", -1)
    given = {"nonsense": "x", "tampered": text[:-5] + "AAAAA", "missing": ""}.get(how, text)
    answer = client.post(CONFIRM, {"carried": given}, follow=True)
    assert "Choose the files again" in answer.content.decode()
    assert not Server.objects.exists()


def test_what_is_too_large_for_a_page_points_to_the_command(
    administrator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carried, "MAX_CHARS", 100)
    page = look(administrator)
    assert "manage.py import_estate" in page.content.decode()
    assert page.context["carried"] is None


def test_a_thousand_uccs_fit_on_the_page(administrator: Client) -> None:
    files = [SimpleUploadedFile(file.name, file.data) for file in samples.many(1000)]
    page = administrator.post(IMPORT, {"chosen": files})
    assert "3,012 to add" in page.content.decode()
    assert administrator.post(CONFIRM, {"carried": page.context["carried"]}).status_code == 302


def test_the_export_is_a_file_and_recorded(administrator: Client) -> None:
    administrator.post(CONFIRM, {"carried": look(administrator).context["carried"]})
    answer = administrator.get(EXPORT)
    assert answer["Content-Disposition"] == 'attachment; filename="estate.yaml"'
    assert "a365web1.corp.example" in answer.content.decode()
    assert AuditEntry.objects.filter(action="estate.exported").count() == 1
    page = administrator.post(IMPORT, {"chosen": [SimpleUploadedFile("estate.yaml", answer.content)]})
    assert "Nothing to do" in page.content.decode()


def test_the_estate_page_leads_there(administrator: Client) -> None:
    text = administrator.get(reverse("pools:estate")).content.decode()
    assert IMPORT in text
    assert EXPORT in text
