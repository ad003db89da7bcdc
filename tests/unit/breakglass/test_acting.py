"""A failover without a database: the same plan, the same rules, the same ends; each written down before and after."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from dnsops.breakglass.bundle import BundleError
from dnsops.breakglass.journal import Journal, JournalError, Line
from dnsops.breakglass.looking import provider_of
from dnsops.lifecycle import OperationState
from dnsops.providers.base import Outcome, OutcomeKind
from dnsops.safety import Level
from tests.unit.breakglass.conftest import Glass, cname
from tests.unit.breakglass.samples import FQDN, zone


def levels(glass: Glass, to: str = "") -> dict[str, str]:
    """Each rule's word."""
    return {str(finding.rule): finding.level.value for finding in glass.look(to).findings}


def test_the_plan_is_made_against_live_dns_and_changes_nothing(glass: Glass) -> None:
    seen = glass.look()
    assert seen.plan is not None
    assert (seen.plan.kind, seen.plan.from_server, seen.plan.to_server) == ("failover", "SRV1", "SRV2")
    assert glass.dns.messages == []


def test_naming_the_primary_fails_back_and_needs_force_for_what_only_the_database_knows(glass: Glass) -> None:
    glass.dns.set(FQDN, cname("SRV2"))
    seen = glass.look("srv1.example.com")
    assert seen.plan is not None
    assert seen.plan.kind == "failback"
    blocking = [finding for finding in seen.findings if finding.level is Level.BLOCK]
    assert [str(finding.rule) for finding in blocking] == ["stability_time"]
    assert "Without the database" in blocking[0].sentence
    assert blocking[0].overridable


def test_a_standby_without_its_ucc_is_forbidden_here_too(glass: Glass) -> None:
    glass.bad = {"SRV2"}
    assert levels(glass)["target_ucc"] == "block"


def test_it_says_that_it_does_not_know_of_other_operations(glass: Glass) -> None:
    assert levels(glass)["no_other_operation"] == "warn"


def test_an_old_bundle_is_a_warning(glass: Glass) -> None:
    assert "bundle_age" not in levels(glass)
    glass.bundle = replace(glass.bundle, written_at=(datetime.now(UTC) - timedelta(days=3)).isoformat())
    assert levels(glass)["bundle_age"] == "warn"


def test_a_silent_writer_leaves_no_plan(glass: Glass) -> None:
    glass.dns.silent = {"dns1"}
    seen = glass.look()
    assert seen.plan is None
    assert "dns1 gives no answer" in seen.plan_error


def test_what_blocks_is_part_of_what_was_shown(glass: Glass) -> None:
    before = glass.look().digest
    glass.bad = {"SRV2"}
    assert glass.look().digest != before


def test_a_target_that_there_is_none_of_names_those_that_there_are(glass: Glass) -> None:
    with pytest.raises(BundleError, match="SRV1, SRV2"):
        glass.look("SRV7")


def test_it_moves_the_hostname_and_writes_down_every_step(glass: Glass) -> None:
    end = glass.act()
    assert end.state is OperationState.SUCCEEDED
    assert glass.dns.records["dns1"][FQDN] == cname("SRV2")
    assert [line.event for line in glass.lines()] == ["began", "sending", "answered", "ended"]
    began, ended = glass.lines()[0].content, glass.lines()[-1].content
    assert (began["by"], began["reason"], began["ticket"]) == ("root (terminal on adm1)", "site lost", "T1")
    assert ended["state"] == "succeeded"


def test_the_message_is_written_down_before_it_is_sent(glass: Glass, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Journal, "append", _full_disk("sending"))
    with pytest.raises(JournalError):
        glass.act()
    assert glass.dns.messages == []


def test_a_disk_that_is_full_after_the_message_stops_nothing_and_is_said(
    glass: Glass, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Journal, "append", _full_disk("answered", "ended"))
    assert glass.act().state is OperationState.SUCCEEDED
    assert any("Write down by hand: answered" in text for text in glass.said)


def test_a_refusal_fails_and_says_that_nothing_changed(glass: Glass) -> None:
    glass.dns.outcome = Outcome(OutcomeKind.DENIED, "REFUSED", "dns1 refused the change. Nothing was changed.")
    end = glass.act()
    assert end.state is OperationState.FAILED
    assert end.sentence.startswith("dns1 refused the change.")


def test_a_lost_answer_is_success_when_reading_shows_the_change(glass: Glass) -> None:
    glass.dns.lose_answer = True
    assert glass.act().state is OperationState.SUCCEEDED
    assert len(glass.dns.applied) == 1


def test_a_message_that_was_swallowed_is_sent_again_and_then_is_unknown(glass: Glass) -> None:
    glass.dns.swallow = True
    assert glass.act().state is OperationState.UNKNOWN
    assert len(glass.dns.messages) == 3


def test_a_server_that_stays_behind_makes_it_incomplete(glass: Glass) -> None:
    glass.dns.stuck = {"dns2"}
    end = glass.act()
    assert end.state is OperationState.INCOMPLETE
    assert "dns2 still says" in end.sentence


def test_a_zone_that_is_not_changed_by_us_leads_to_the_sheet(glass: Glass) -> None:
    with pytest.raises(BundleError, match="offline sheet"):
        provider_of(zone(provider="carrier pigeon"))
    with pytest.raises(BundleError, match="no writer"):
        provider_of(zone(endpoints=()))
    assert provider_of(zone()).writer.name == "dns1"


def _full_disk(*events: str) -> object:
    append = Journal.append

    def full(self: Journal, line: Line) -> None:
        if line.event in events:
            raise JournalError("The journal cannot be written (No space left on device).")
        append(self, line)

    return full
