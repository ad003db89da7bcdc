"""The audit log's pages and exports."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from a365admin.accounts.models import Role
from a365admin.audit.context import Acting, act_as
from a365admin.audit.exports import harmless
from a365admin.audit.models import AuditEntry, Outcome
from a365admin.audit.services import record
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def auditor(client: Client) -> Client:
    client.force_login(UserFactory.create(role=Role.AUDITOR))
    return client


def body(response: Any) -> str:
    return b"".join(response.streaming_content).decode() if response.streaming else response.content.decode()


def test_the_log_shows_newest_first_and_pages_by_key(auditor: Client) -> None:
    for number in range(120):
        record(action="x.y", object_name=f"thing-{number:03}")
    first = auditor.get(reverse("audit:log"))
    names = [entry.object_name for entry in first.context["page"]]
    assert (names[0], names[-1], len(names)) == ("thing-119", "thing-070", 50)
    record(action="x.y", object_name="newer")
    second = auditor.get(reverse("audit:log") + first.context["older_url"])
    assert second.context["page"][0].object_name == "thing-069"
    third = auditor.get(reverse("audit:log") + second.context["older_url"])
    assert third.context["page"][-1].object_name == "thing-000"
    assert not third.context["older_url"]
    back = auditor.get(reverse("audit:log") + second.context["newer_url"])
    assert [entry.object_name for entry in back.context["page"]] == names


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("actor=ann", ["one"]),
        ("action=site.", ["one"]),
        ("object=TW", ["two"]),
        ("outcome=denied", ["two"]),
        ("text=because", ["one"]),
        ("text=10.0.0.9", ["two"]),
        ("request=r2", ["two"]),
        ("since=2000-01-01T00:00&until=2000-01-02T00:00", []),
        ("since=2000-01-01T00:00", ["two", "one"]),
        ("", ["two", "one"]),
    ],
)
def test_it_is_filtered_by_the_url(auditor: Client, query: str, found: list[str]) -> None:
    with act_as(Acting(1, "anna", "10.0.0.1", "r1")):
        record(action="site.added", object_name="one", reason="because")
    with act_as(Acting(2, "bob", "10.0.0.9", "r2")):
        record(action="access.denied", object_name="two", outcome=Outcome.DENIED)
    page = auditor.get(reverse("audit:log") + f"?{query}").context["page"]
    assert [entry.object_name for entry in page] == found


def test_a_filter_that_cannot_be_read_says_so_and_shows_nothing(auditor: Client) -> None:
    record(action="x.y")
    response = auditor.get(reverse("audit:log") + "?since=2026-02-02T00:00&until=2026-01-01T00:00")
    assert "is before" in body(response)
    assert not response.context["page"]
    assert auditor.get(reverse("audit:export") + "?since=nonsense").status_code == 400


@pytest.mark.parametrize("text", ["older=x", "older=99999999999999999999999", "newer=-1", "older=%F0%9D%9F%99"])
def test_a_nonsense_place_in_the_log_is_ignored(auditor: Client, text: str) -> None:
    assert auditor.get(reverse("audit:log") + f"?{text}").status_code == 200


def test_an_entry_shows_what_changed_and_its_requests_other_entries(auditor: Client) -> None:
    with act_as(Acting(1, "anna", None, "r1")):
        entry = record(action="a.b", before={"ttl": 60, "old": 1}, after={"ttl": 20, "new": "<b>"})
        other = record(action="c.d")
    response = auditor.get(reverse("audit:entry", args=[entry.pk]))
    words = {difference.name: difference.word for difference in response.context["differences"]}
    assert words == {"ttl": "changed", "new": "added", "old": "removed"}
    assert reverse("audit:entry", args=[other.pk]) in body(response)
    assert "&lt;b&gt;" in body(response)


def test_the_csv_export_is_what_the_filter_shows_and_is_recorded(auditor: Client) -> None:
    record(action="site.added", object_name="=1+1", reason="line\nbreak, comma")
    record(action="other.thing")
    response = auditor.get(reverse("audit:export") + "?kind=csv&action=site.")
    rows = list(csv.DictReader(io.StringIO(body(response).removeprefix("\ufeff"))))
    assert [row["object_name"] for row in rows] == ["'=1+1"]
    assert rows[0]["reason"] == "line\nbreak, comma"
    assert ".csv" in response["Content-Disposition"]
    own = AuditEntry.objects.get(action="audit.exported")
    assert own.after["filter"] == {"action": "site."}


def test_the_json_lines_export_holds_the_hashes(auditor: Client) -> None:
    entries = [record(action="x.y", after={"n": number}) for number in range(3)]
    lines = body(auditor.get(reverse("audit:export") + "?kind=jsonl")).splitlines()
    assert [json.loads(line)["hash"] for line in lines] == [entry.hash for entry in reversed(entries)]
    assert json.loads(lines[0])["after"] == {"n": 2}


@pytest.mark.parametrize("text", ["=x", "+x", "-x", "@x", "\tx", "\rx"])
def test_a_cell_never_starts_a_formula(text: str) -> None:
    assert harmless(text) == "'" + text
    assert harmless("x" + text) == "x" + text


def test_the_chain_is_verified_on_a_page_and_the_verification_recorded(auditor: Client) -> None:
    entries = [record(action="x.y") for _ in range(3)]
    assert "none is missing" in body(auditor.post(reverse("audit:verify")))
    AuditEntry.objects.filter(pk=entries[1].pk).update(reason="x")
    assert f"breaks at entry {entries[1].pk}" in body(auditor.post(reverse("audit:verify")))
    outcomes = AuditEntry.objects.filter(action="audit.verified").order_by("pk").values_list("outcome", flat=True)
    assert list(outcomes) == ["ok", "failed"]
