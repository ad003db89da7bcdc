"""The journal becomes history: each attempt once, with who, when and why, and an end that is true."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pytest_django import Settings

from a365admin.audit import services as audit
from a365admin.audit.models import AuditEntry
from dnsops import services
from dnsops.breakglass import importing, keeping
from dnsops.breakglass.bundle import unseal
from dnsops.breakglass.journal import Journal
from dnsops.lifecycle import OperationState
from dnsops.models import FailoverOperation
from tests.unit.breakglass.conftest import POLICY, Glass
from tests.unit.breakglass.samples import KEY
from tests.unit.dnsops.world import FQDN, World


@pytest.fixture
def both(glass: Glass, world: World, settings: Settings, tmp_path: Path) -> Glass:
    """The database is back: the same estate in it as in the bundle."""
    (tmp_path / "key").write_bytes(KEY)
    settings.BREAKGLASS = {"bundle": tmp_path / "bundle", "key": tmp_path / "key", "journal": glass.path}
    settings.DNSOPS = {**settings.DNSOPS, **POLICY}
    glass.bundle = keeping.collect()
    world.dns.records = glass.dns.records
    return glass


def cut_after(glass: Glass, event: str) -> None:
    """As when the machine was lost after this line."""
    lines = glass.path.read_bytes().splitlines(keepends=True)
    number = next(i for i, line in enumerate(glass.lines()) if line.event == event)
    glass.path.write_bytes(b"".join(lines[: number + 1]))


def test_an_attempt_becomes_an_operation_with_its_steps_and_its_message(both: Glass) -> None:
    both.act()
    (operation,) = importing.take_in()
    assert operation is not None
    operation.refresh_from_db()
    assert operation.state == OperationState.SUCCEEDED
    assert operation.requested_by_name == "root (terminal on adm1)"
    assert (operation.reason, operation.ticket) == ("site lost", "T1")
    assert operation.created_at.isoformat() == both.lines()[0].at
    assert operation.dns_changes.get().outcome == "applied"
    states = {step.kind: step.state for step in operation.steps.all()}
    assert states["verify"] == "done"
    assert states["wait_ttl"] == "skipped"


def test_it_is_in_the_audit_log_under_who_did_it_and_the_chain_is_whole(both: Glass) -> None:
    both.act()
    importing.take_in()
    entries = {entry.action: entry for entry in AuditEntry.objects.all()}
    requested = entries["failover.requested"]
    assert requested.actor_name == "root (terminal on adm1)"
    assert requested.after["done_at"] == both.lines()[0].at
    assert entries["operation.ended"].after["state"] == "succeeded"
    assert entries["breakglass.taken_in"].actor_name == "system"
    assert audit.verify_chain().ok


def test_taking_it_in_twice_does_it_once(both: Glass) -> None:
    both.act()
    assert len(importing.take_in()) == 1
    count = AuditEntry.objects.count()
    assert importing.take_in() == []
    assert AuditEntry.objects.count() == count
    both.dns.set(FQDN, both.dns.records["dns1"][FQDN])
    both.act("r2", "SRV3")
    assert len(importing.take_in()) == 1
    assert FailoverOperation.objects.count() == 2


def test_an_attempt_that_broke_off_before_sending_changed_nothing(both: Glass) -> None:
    both.act()
    cut_after(both, "began")
    (operation,) = importing.take_in()
    assert operation is not None
    assert operation.state == OperationState.FAILED
    assert "before anything was sent" in operation.result


@pytest.mark.parametrize("event", ["sending", "answered"])
def test_an_attempt_that_broke_off_after_sending_is_not_known_until_it_is_asked_again(
    both: Glass, world: World, event: str
) -> None:
    both.act()
    cut_after(both, event)
    (operation,) = importing.take_in()
    assert operation is not None
    assert operation.state == OperationState.UNKNOWN
    asked = services.retry_verification(operation=operation, user=world.operator)
    assert asked.state == OperationState.SUCCEEDED


def test_an_attempt_that_is_under_way_is_left_for_later(both: Glass) -> None:
    both.act()
    with Journal(both.path, KEY):
        assert importing.take_in() == []
    assert len(importing.take_in()) == 1


def test_an_attempt_on_a_hostname_that_is_gone_is_in_the_log_all_the_same(both: Glass, world: World) -> None:
    both.act()
    world.hostname.delete()
    assert importing.take_in() == [None]
    entry = AuditEntry.objects.get(action="breakglass.taken_in")
    assert "no longer in the estate" in entry.reason
    assert AuditEntry.objects.filter(action="failover.requested", object_name=FQDN).exists()
    assert importing.take_in() == []


def test_the_sweeper_takes_it_in_by_itself_and_logs_a_spoilt_journal_once(
    both: Glass, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "_seen", (0, 0))
    both.act()
    importing.take_in_new()
    assert FailoverOperation.objects.count() == 1
    both.path.write_bytes(both.path.read_bytes().replace(b"site lost", b"site LOST"))
    importing.take_in_new()
    importing.take_in_new()
    assert caplog.text.count("could not be taken in") == 1


def test_the_bundle_holds_the_estate_and_no_secret(
    both: Glass, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A365_TEST_TSIG", "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0")
    keeping.write()
    data = settings.BREAKGLASS["bundle"].read_bytes()
    assert b"c2VjcmV0" not in data
    assert b"env:A365_TEST_TSIG" in data
    found = unseal(data, KEY)
    assert replace(found, written_at="") == replace(keeping.collect(), written_at="")
    assert [target.target.name for target in found.hostname(FQDN).targets] == ["SRV1", "SRV2", "SRV3"]


def test_a_bundle_that_cannot_be_written_stops_nobody(
    both: Glass, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.BREAKGLASS = {**settings.BREAKGLASS, "bundle": both.path / "not" / "a" / "folder"}
    both.path.touch()
    keeping.refresh()
    assert "could not be written" in caplog.text


def test_it_is_written_after_an_operation_and_once_a_minute(
    both: Glass, world: World, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.run(world.request())
    found = unseal(settings.BREAKGLASS["bundle"].read_bytes(), KEY)
    assert found.hostname(FQDN).last_written_at
    written = []
    monkeypatch.setattr(keeping, "write", lambda: written.append(1))
    keeping.keep_fresh()
    assert written == []
    monkeypatch.setattr(keeping, "REWRITTEN_AFTER_S", -1.0)
    keeping.keep_fresh()
    assert written == [1]
