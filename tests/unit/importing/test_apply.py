"""Into the database: all or nothing, twice the same, out again and back."""

from __future__ import annotations

import time
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from a365admin.audit.models import AuditEntry
from a365admin.audit.services import verify_chain
from pools import models
from pools.importing import apply
from pools.importing.apply import ImportResult, apply_import, dry_run
from pools.importing.export import export_estate
from pools.importing.reading import SourceFile, read_files
from pools.models import DedicatedHostname, FailoverTarget, FrontEndPool, Server, Site, TrustedApplication, Ucc
from tests.unit.importing import samples

pytestmark = pytest.mark.django_db

MODELS: tuple[Any, ...] = (
    models.Site,
    models.FrontEndPool,
    models.TrustedApplicationPool,
    models.Server,
    models.Ucc,
    models.TrustedApplication,
    models.DedicatedHostname,
    models.FailoverTarget,
)


def whole(form: str = "json") -> list[SourceFile]:
    return [*samples.files(form), samples.hostnames()]


def yaml(text: str) -> list[SourceFile]:
    return [SourceFile("a.yaml", text.encode())]


def run(files: list[SourceFile]) -> ImportResult:
    reading = read_files(files)
    shown = dry_run(reading)
    assert shown.problems == ()
    return apply_import(reading, sources=[file.name for file in files], digest=shown.difference.digest)


def sentences(files: list[SourceFile]) -> list[str]:
    return [str(problem) for problem in dry_run(read_files(files)).problems]


def rows() -> dict[str, list[dict[str, Any]]]:
    return {model.__name__: list(model._meta.default_manager.order_by("pk").values()) for model in MODELS}


def test_the_four_exports_and_a_yaml_file_make_the_whole_estate() -> None:
    result = run(whole())
    assert result.applied
    assert {model.__name__: model._meta.default_manager.count() for model in MODELS} == {
        "Site": 2, "FrontEndPool": 2, "TrustedApplicationPool": 2, "Server": 4, "Ucc": 2, "TrustedApplication": 4,
        "DedicatedHostname": 2, "FailoverTarget": 5,
    }  # fmt: skip
    first, second = FrontEndPool.objects.order_by("fqdn")
    assert (first.paired_with, second.paired_with) == (second, first)
    hostname = DedicatedHostname.objects.get(fqdn="a365web1.corp.example")
    assert [target.name for target in hostname.targets.order_by("order")] == ["SRV1", "SRV2", "SRV3"]


def test_every_row_that_was_imported_is_valid() -> None:
    run(whole())
    for model in MODELS:
        for row in model._meta.default_manager.all():
            row.full_clean()


def test_a_dry_run_writes_nothing_at_all() -> None:
    result = dry_run(read_files(whole()))
    assert result.ready
    assert not result.applied
    assert all(not found for found in rows().values())
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize("form", ["json", "csv", "csv-semicolon", "clixml", "wrapped"])
def test_a_second_import_changes_nothing(form: str) -> None:
    run(whole(form))
    before, entries = rows(), AuditEntry.objects.count()
    again = dry_run(read_files(whole("json")))
    assert (again.difference.changes, again.problems) == ((), ())
    applied = apply_import(read_files(whole()), sources=[], digest=again.difference.digest)
    assert not applied.applied
    assert rows() == before
    assert AuditEntry.objects.count() == entries


def test_an_export_imported_into_an_empty_database_gives_the_same_estate() -> None:
    run(whole())
    models.TrustedApplicationPool.objects.filter(fqdn="a365pool2.corp.example").update(standby_runs_ucc=True)
    DedicatedHostname.objects.update(ttl_s=20, shares_primary=True)
    Site.objects.create(name="Empty: “yes”")
    Ucc.objects.create(name="null", description="- not # a comment")
    exported = export_estate(to="test")
    for model in reversed(MODELS):
        if model is FrontEndPool:
            FrontEndPool.objects.update(paired_with=None)
        model._meta.default_manager.all().delete()
    assert run(yaml(exported)).applied
    assert export_estate(to="test") == exported
    assert dry_run(read_files(yaml(exported))).difference.changes == ()


def test_one_wrong_value_and_nothing_is_imported() -> None:
    wrong = [{**samples.COMPUTERS[0], "Address": "10.1.0.999"}, *samples.COMPUTERS[1:]]
    files = [file for file in whole() if not file.name.startswith("computers")]
    files.append(SourceFile("computers.csv", samples.as_csv(wrong)))
    reading = read_files(files)
    result = dry_run(reading)
    (problem,) = result.problems
    assert str(problem).startswith("computers.csv, line 2, Address: found “10.1.0.999”. ")
    assert not apply_import(reading, sources=[], digest=result.difference.digest).applied
    assert all(not found for found in rows().values())


def test_everything_that_is_wrong_is_told_at_once() -> None:
    found = sentences(
        yaml("servers:\n- {fqdn: srv9.corp.example, web_path: x, trusted_application_pool: p9.corp.example}\n")
    )
    assert [sentence.split(": ")[0].rsplit(", ", 1)[1] for sentence in found] == [
        "name",
        "address",
        "trusted_application_pool",
        "web_path",
    ]


def test_a_failure_in_the_middle_takes_everything_back(monkeypatch: pytest.MonkeyPatch) -> None:
    reading = read_files(whole())
    digest = dry_run(reading).difference.digest

    def broken(**_: Any) -> None:
        raise RuntimeError("the log is full")

    monkeypatch.setattr(apply, "record", broken)
    with pytest.raises(RuntimeError):
        apply_import(reading, sources=[], digest=digest)
    assert all(not found for found in rows().values())


@pytest.mark.parametrize(
    ("text", "place", "told"),
    [
        ("sites: [{name: %s}]" % ("x" * 81), "name", "at most 80 characters"),
        ("servers:\n- {fqdn: srv1.corp.example, web_port: 70000}", "web_port", "from 1 to 65535"),
        ("servers:\n- {fqdn: srv1.corp.example, web_path: attendant}", "web_path", "starts with “/”"),
        ("dedicated_hostnames:\n- {fqdn: a365web1.corp.example, ttl_s: 86400}", "ttl_s", "3600"),
        ("dedicated_hostnames:\n- {fqdn: a365web1.corp.example, record_type: MX}", "record_type", "MX"),
        ("front_end_pools: [{fqdn: fepool, site: Amsterdam}]", "fqdn", "full name with its domain"),
        (
            "dedicated_hostnames:\n- {fqdn: a365web1.corp.example, targets: [SRV3, SRV1]}",
            "targets",
            "already the primary of",
        ),
        ("front_end_pools: [{fqdn: fepool1.corp.example, paired_with: null}]", "", "serve a365web1"),
        (
            """servers:
- {fqdn: srv1.corp.example, address: '2001:db8::1'}
dedicated_hostnames:
- {fqdn: a365web1.corp.example, record_type: A}""",
            "",
            "an A record cannot hold",
        ),
    ],
)
def test_what_the_models_refuse_is_told_at_its_place(text: str, place: str, told: str) -> None:
    run(whole())
    before = rows()
    found = dry_run(read_files(yaml(text))).problems
    assert any(told in problem.sentence and (not place or problem.at.field == place) for problem in found), found
    assert all(problem.at.line for problem in found)
    assert rows() == before


def test_a_server_that_moves_away_from_its_hostname_is_refused() -> None:
    run(whole())
    extra = yaml(
        "front_end_pools: [{fqdn: fepool9.corp.example, site: Amsterdam}]\n"
        "trusted_application_pools: [{fqdn: p9.corp.example, front_end_pool: fepool9.corp.example}]\n"
        "servers:\n- {fqdn: srv2.corp.example, trusted_application_pool: p9.corp.example}\n"
    )
    (sentence,) = sentences(extra)
    assert sentence.startswith("a.yaml, line 4")
    assert "serve a365web1.corp.example" in sentence


def test_what_only_the_written_rows_can_show_prevents_the_import_itself_too() -> None:
    run(whole())
    before = rows()
    reading = read_files(yaml("dedicated_hostnames:\n- {fqdn: a365web1.corp.example, targets: [SRV3, SRV1]}"))
    result = apply_import(reading, sources=[], digest=dry_run(reading).difference.digest)
    assert not result.applied
    assert result.problems
    assert rows() == before


def test_names_that_people_have_given_survive_the_next_import() -> None:
    run(whole())
    Server.objects.filter(name="SRV1").update(name="Front")
    Site.objects.filter(name="Utrecht").update(name="Datacentre 2")
    Ucc.objects.filter(name="reception").update(name="Reception Amsterdam")
    assert dry_run(read_files(samples.files("json"))).difference.changes == ()


def test_changes_are_written_field_by_field_and_ports_can_be_exchanged() -> None:
    run(whole())
    pk = Server.objects.get(name="SRV1").pk
    pool = "trusted_application_pool: a365pool1.corp.example"
    result = run(
        yaml(
            f"""
servers: [{{fqdn: srv1.corp.example, web_port: 8443}}]
uccs: [{{name: RECEPTION, description: Front desk}}]
trusted_applications:
  - {{{pool}, application_id: "urn:application:reception", port: 6002}}
  - {{{pool}, application_id: "urn:application:servicedesk", port: 6001}}
dedicated_hostnames: [{{fqdn: a365web2.corp.example, targets: [SRV4, SRV3]}}]
"""
        )
    )
    assert result.applied
    assert Server.objects.get(pk=pk).web_port == 8443
    assert Ucc.objects.get(description="Front desk").name == "RECEPTION"
    ports = TrustedApplication.objects.filter(trusted_application_pool__fqdn="a365pool1.corp.example")
    assert dict(ports.values_list("application_id", "port")) == {
        "urn:application:reception": 6002,
        "urn:application:servicedesk": 6001,
    }
    targets = FailoverTarget.objects.filter(hostname__fqdn="a365web2.corp.example").order_by("order")
    assert [target.name for target in targets] == ["SRV4", "SRV3"]
    assert Server.objects.count() == 4


def test_what_can_only_be_exchanged_by_way_of_a_third_value_is_told_and_nothing_is_written() -> None:
    run(whole())
    before = rows()
    (sentence,) = sentences(
        yaml("servers:\n- {fqdn: srv1.corp.example, name: SRV2}\n- {fqdn: srv2.corp.example, name: SRV1}\n")
    )
    assert "Exchange them in two imports" in sentence
    assert rows() == before


def test_the_import_is_one_entry_of_the_audit_log_with_each_change() -> None:
    run(whole())
    entry = AuditEntry.objects.get(action="estate.imported")
    assert entry.after["added"] == 18
    assert len(entry.after["changes"]) == 18
    assert any(
        "added server SRV1: FQDN srv1.corp.example, IP address 10.1.0.1" in sentence
        for sentence in entry.after["changes"]
    )
    assert "hostnames.yaml" in entry.object_name
    assert verify_chain().ok


def test_only_what_was_shown_is_applied() -> None:
    run(whole())
    reading = read_files(yaml("servers: [{fqdn: srv1.corp.example, web_port: 8443}]"))
    digest = dry_run(reading).difference.digest
    Server.objects.filter(name="SRV1").update(web_port=9443)
    result = apply_import(reading, sources=[], digest=digest)
    assert result.stale
    assert not result.applied
    assert Server.objects.get(name="SRV1").web_port == 9443


def test_the_workers_learn_of_it_after_the_commit(
    monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    told: list[bool] = []
    monkeypatch.setattr(apply, "estate_changed", lambda: told.append(True))
    with django_capture_on_commit_callbacks(execute=True):
        dry_run(read_files(whole()))
    assert told == []
    with django_capture_on_commit_callbacks(execute=True):
        run(whole())
    assert told == [True]


def test_a_thousand_uccs_need_few_queries_and_seconds() -> None:
    files = samples.many(1000)
    reading = read_files(files)
    started = time.process_time()  # of this process: a busy machine makes no difference
    with CaptureQueriesContext(
        connection,
    ) as queries:
        result = dry_run(reading)
        assert result.problems == ()
        assert apply_import(reading, sources=["x"], digest=result.difference.digest).applied
    assert time.process_time() - started < 20
    assert TrustedApplication.objects.count() == 2000
    assert len(queries) < 120
    with CaptureQueriesContext(connection) as queries:
        assert dry_run(read_files(files)).difference.changes == ()
    assert len(queries) < 15


def test_the_command_shows_first_and_applies_when_told(tmp_path: Path) -> None:
    paths = []
    for file in whole():
        path = tmp_path / file.name
        path.write_bytes(file.data)
        paths.append(str(path))
    out = StringIO()
    call_command("import_estate", *paths, stdout=out)
    assert "+ added server SRV1" in out.getvalue()
    assert "Nothing was changed" in out.getvalue()
    assert not Site.objects.exists()
    call_command("import_estate", *paths, "--apply", stdout=StringIO())
    assert Server.objects.count() == 4
    assert AuditEntry.objects.get(action="estate.imported").actor_name.startswith("import_estate (")
    exported = tmp_path / "estate.yaml"
    call_command("export_estate", str(exported), stdout=StringIO())
    out = StringIO()
    call_command("import_estate", str(exported), "--apply", stdout=out)
    assert "Nothing to do" in out.getvalue()


def test_the_command_ends_in_failure_where_there_are_problems(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("servers:\n- fqdn: x.y.nl\n")
    err = StringIO()
    with pytest.raises(CommandError, match="nothing was imported"):
        call_command("import_estate", str(path), "--apply", stdout=StringIO(), stderr=err)
    assert "a.yaml, line 2" in err.getvalue()
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("import_estate", str(tmp_path / "none.yaml"))
