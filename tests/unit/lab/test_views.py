"""The page "Demo estate: break and mend"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from pytest_django import Settings

from a365admin.accounts.models import Role
from a365admin.audit.models import AuditEntry
from a365admin.lab.embedded import RunningLab, running_lab
from tests.factories import DedicatedHostnameFactory, ServerFactory

EDIT = {"hostname": "a365web1.lab.example", "target": "elsewhere.lab.example"}

pytestmark = [pytest.mark.django_db, pytest.mark.enable_socket]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLab]:
    with running_lab(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


@pytest.fixture
def lab(running: RunningLab, settings: Settings) -> RunningLab:
    settings.LAB_CONFIG = running.config.path
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "a365admin.lab"]
    settings.ROOT_URLCONF = "tests.unit.lab.urls"
    running.client.reset(start_over=True)
    return running


def signed_in(role: Role) -> Client:
    client = Client()
    client.force_login(get_user_model().objects.create_user(f"a-{role}", password="x", role=role))
    return client


def faults(lab: RunningLab, name: str = "SRV1") -> list[str]:
    state = lab.client.state()
    found: list[str] = next(server["faults"] for server in [*state["servers"], *state["dns"]] if server["name"] == name)
    return found


def record(lab: RunningLab) -> str:
    answers: dict[str, str] = lab.client.state()["dns"][0]["answers"]
    return answers[EDIT["hostname"]]


def test_it_shows_every_server_and_how_to_ask_dns(lab: RunningLab) -> None:
    page = signed_in(Role.OPERATOR).get("/lab/").content.decode()

    for name in ("SRV1", "SRV8", "dns1", "dns2"):
        assert f'data-target="{name}"' in page
    assert f"dig @127.0.0.1 -p {lab.dns_ports[0]} +noall +answer a365web1.lab.example" in page
    assert "Stop the UCC service (web stays up)" in page
    assert not re.search(r"<script>|style=| on[a-z]+=", page)


def test_a_button_breaks_and_the_next_one_mends_and_both_are_in_the_audit_log(lab: RunningLab) -> None:
    client = signed_in(Role.ADMINISTRATOR)
    data = {"target": "SRV1", "fault": "ucc_down"}

    answer = client.post("/lab/fault", data | {"on": "1"}, headers={"HX-Request": "true"})
    assert answer.status_code == 200
    assert "clients get no data" in answer.content.decode()
    assert "<html" not in answer.content.decode()
    assert faults(lab) == ["ucc_down"]
    answer = client.post("/lab/fault", data | {"on": "0"})
    assert (answer.status_code, answer.headers["Location"]) == (302, "/lab/")
    assert faults(lab) == []
    assert AuditEntry.objects.filter(action="lab.fault", object_name="SRV1").count() == 2


def test_mend_everything_mends_everything(lab: RunningLab) -> None:
    lab.client.set_fault("SRV1", "dead")
    lab.client.set_fault("dns2", "stuck")

    assert signed_in(Role.OPERATOR).post("/lab/reset").status_code == 302

    assert faults(lab) == faults(lab, "dns2") == []


def test_a_record_is_edited_by_hand_and_that_is_in_the_audit_log(lab: RunningLab) -> None:
    client = signed_in(Role.OPERATOR)
    assert "DNS says <code>CNAME srv1.lab.example.</code>" in client.get("/lab/").content.decode()

    answer = client.post("/lab/edit", EDIT, headers={"HX-Request": "true"})

    assert answer.status_code == 200
    assert "DNS says <code>CNAME elsewhere.lab.example.</code>" in answer.content.decode()
    assert record(lab) == "CNAME elsewhere.lab.example."
    entry = AuditEntry.objects.get(action="lab.edit")
    assert (entry.object_name, entry.after) == (EDIT["hostname"], {"points at": EDIT["target"]})
    lab.client.reset()
    assert record(lab) == "CNAME elsewhere.lab.example."
    lab.client.reset(start_over=True)
    assert record(lab) == "CNAME srv1.lab.example."


def test_a_record_is_deleted_by_hand_and_that_is_in_the_audit_log(lab: RunningLab) -> None:
    answer = signed_in(Role.OPERATOR).post(
        "/lab/remove", {"hostname": EDIT["hostname"]}, headers={"HX-Request": "true"}
    )

    assert "DNS says <code>no record</code>" in answer.content.decode()
    assert AuditEntry.objects.get(action="lab.remove").object_name == EDIT["hostname"]


@pytest.mark.parametrize(
    ("path", "data", "asked"),
    [
        ("fault", {"target": "SRV1", "fault": "ucc_down", "on": "1"}, {"server SRV1"}),
        ("fault", {"target": "SRV1", "fault": "ucc_down", "on": "0"}, {"server SRV1"}),
        ("fault", {"target": "dns2", "fault": "stuck", "on": "1"}, {"hostname a365web1", "hostname a365web2"}),
        ("edit", EDIT, {"hostname a365web1"}),
        ("remove", {"hostname": EDIT["hostname"]}, {"hostname a365web1"}),
        ("reset", {}, {"hostname a365web1", "hostname a365web2"}),
    ],
)
def test_what_was_changed_is_asked_at_once(
    lab: RunningLab, monkeypatch: pytest.MonkeyPatch, path: str, data: dict[str, str], asked: set[str]
) -> None:
    server = ServerFactory.create(name="SRV1")
    ServerFactory.create(name="SRV2")
    names = {DedicatedHostnameFactory.create(fqdn=f"{name}.lab.example").pk: name for name in ("a365web1", "a365web2")}
    DedicatedHostnameFactory.create(fqdn="other.example")
    found: set[str] = set()

    def note(*, server_id: int | None = None, hostname_id: int | None = None) -> None:
        found.add(f"server {server.name}" if server_id == server.pk else f"hostname {names[hostname_id or 0]}")

    monkeypatch.setattr("a365admin.lab.views.ask_now", note)

    assert signed_in(Role.OPERATOR).post(f"/lab/{path}", data).status_code == 302
    assert found == asked


@pytest.mark.parametrize("role", [Role.HELPDESK, Role.AUDITOR])
def test_who_may_not_break_the_demo_is_refused(lab: RunningLab, role: Role) -> None:
    client = signed_in(role)

    assert client.get("/lab/").status_code == 403
    assert client.post("/lab/fault", {"target": "SRV1", "fault": "dead", "on": "1"}).status_code == 403
    assert client.post("/lab/reset").status_code == 403
    assert client.post("/lab/edit", EDIT).status_code == 403
    assert client.post("/lab/remove", EDIT).status_code == 403
    assert faults(lab) == []
    assert record(lab) == "CNAME srv1.lab.example."


def test_nothing_is_broken_by_following_a_link(lab: RunningLab) -> None:
    client = signed_in(Role.OPERATOR)

    assert client.get("/lab/fault", {"target": "SRV1", "fault": "dead", "on": "1"}).status_code == 405
    assert client.get("/lab/reset").status_code == 405
    assert client.get("/lab/edit", EDIT).status_code == 405
    assert client.get("/lab/remove", EDIT).status_code == 405
    assert client.post("/lab/").status_code == 405


def test_nothing_is_broken_without_the_csrf_token(lab: RunningLab) -> None:
    client = signed_in(Role.OPERATOR)
    client.handler.enforce_csrf_checks = True

    assert client.post("/lab/fault", {"target": "SRV1", "fault": "dead", "on": "1"}).status_code == 403
    assert faults(lab) == []


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"target": "SRV99", "fault": "dead", "on": "1"},
        {"target": "SRV1", "fault": "<b>x</b>", "on": "1"},
    ],
)
def test_what_there_is_not_is_answered_with_a_sentence(lab: RunningLab, data: dict[str, str]) -> None:
    answer = signed_in(Role.OPERATOR).post("/lab/fault", data, headers={"HX-Request": "true"})

    assert answer.status_code == 409
    assert "of the demo has no" in answer.content.decode() or "The demo has no" in answer.content.decode()
    assert "<b>x" not in answer.content.decode()


@pytest.mark.parametrize("data", [{}, {**EDIT, "hostname": "srv1.lab.example"}, {**EDIT, "target": "<b>x..y"}])
def test_an_edit_that_cannot_be_is_answered_with_a_sentence(lab: RunningLab, data: dict[str, str]) -> None:
    answer = signed_in(Role.OPERATOR).post("/lab/edit", data, headers={"HX-Request": "true"})

    assert answer.status_code == 409
    assert "The demo has no" in answer.content.decode() or "is not a name" in answer.content.decode()
    assert "<b>x" not in answer.content.decode()
    assert not AuditEntry.objects.filter(action="lab.edit").exists()


def test_a_demo_that_does_not_run_is_said_in_a_sentence(lab: RunningLab, settings: Settings) -> None:
    settings.LAB_CONFIG = Path("/nonexistent/lab.json")

    answer = signed_in(Role.OPERATOR).get("/lab/")

    assert answer.status_code == 200
    assert "cannot be read" in answer.content.decode()


def test_an_installation_without_a_demo_has_no_such_page(lab: RunningLab, settings: Settings) -> None:
    settings.LAB_CONFIG = None

    assert signed_in(Role.OPERATOR).get("/lab/").status_code == 404
