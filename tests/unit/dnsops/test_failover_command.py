"""``manage.py failover``: the same rules and the same executor from a terminal, and an exit code that says the end."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError

from a365admin.audit.models import AuditEntry
from a365admin.management.commands import failover
from dnsops import wiring
from dnsops.lifecycle import OperationKind, OperationState
from dnsops.models import FailoverOperation
from dnsops.providers.manual import Manual
from dnsops.terminal import ExitCode
from pools import redis_store
from tests.unit.dnsops.world import FQDN, World, cname

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(world: World, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run it; return the exit code and what was printed."""
    monkeypatch.setattr(redis_store, "do_without_if_lost", lambda: False)
    monkeypatch.setattr(failover, "count_down", lambda *_: world.leave(FailoverOperation.objects.get()))

    def go(*arguments: str, **options: Any) -> tuple[int, str]:
        out = io.StringIO()
        try:
            call_command("failover", *arguments, stdout=out, stderr=io.StringIO(), **options)
        except SystemExit as end:
            return int(str(end.code)), out.getvalue()
        return 0, out.getvalue()

    return go


def answer(monkeypatch: pytest.MonkeyPatch, said: bool) -> list[str]:
    """Somebody is there to confirm; returns what they were asked to type."""
    asked: list[str] = []

    def confirmed(out: object, wanted: str) -> bool:
        asked.append(wanted)
        return said

    monkeypatch.setattr(failover, "confirmed", confirmed)
    return asked


def test_it_shows_the_plan_moves_the_hostname_and_ends_with_zero(
    world: World, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dnsops.executor.SHORT_WAIT_S", 0.0)
    code, said = run(FQDN, "--reason", "UCC down", "--ticket", "T1", "--yes")
    assert code == 0, said
    assert "CNAME srv1.example.com -> CNAME srv2.example.com" in said
    assert "dns1: CNAME srv1.example.com, TTL 60 s (the writer)" in said
    assert "Succeeded: Every DNS server answers SRV2." in said
    assert world.points_at() == "SRV2"
    assert world.nudges == []
    operation = FailoverOperation.objects.get()
    assert operation.requested_by is None
    assert "terminal on" in operation.requested_by_name
    assert AuditEntry.objects.get(action="operation.ended").actor_name == operation.requested_by_name


def test_a_dry_run_changes_nothing_and_needs_no_reason(world: World, run: Run) -> None:
    code, said = run(FQDN, "--dry-run")
    assert code == 0
    assert "Nothing was changed" in said
    assert not FailoverOperation.objects.exists()
    assert world.dns.messages == []


def test_without_a_reason_it_does_nothing(run: Run) -> None:
    with pytest.raises(CommandError, match="--reason: found nothing"):
        run(FQDN, "--yes")


def test_it_asks_and_no_is_no(world: World, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answer(monkeypatch, said=False)
    code, _ = run(FQDN, "--reason", "test")
    assert code == ExitCode.NOT_CONFIRMED
    assert asked == ["yes"]
    assert world.dns.messages == []


def test_what_a_rule_forbids_is_refused_and_names_the_option(world: World, run: Run) -> None:
    world.bad["SRV2"] = "refused"
    code, said = run(FQDN, "--reason", "test", "--yes")
    assert code == ExitCode.REFUSED
    assert "--force target_ucc" in said
    assert not FailoverOperation.objects.exists()


def test_a_rule_that_was_named_is_overridden_and_recorded_as_forced(
    world: World, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.bad["SRV2"] = "refused"
    asked = answer(monkeypatch, said=True)
    code, _ = run(FQDN, "--reason", "test", "--force", "target_ucc")
    assert asked == [FQDN]
    assert world.points_at() == "SRV2"
    assert code == ExitCode.INCOMPLETE  # the service is dead there, as was known
    assert AuditEntry.objects.get(action="failover.forced").after["overridden"] == ["target_ucc"]


def test_another_rule_than_the_one_that_was_named_still_forbids(world: World, run: Run) -> None:
    world.bad["SRV2"] = "refused"
    code, _ = run(FQDN, "--reason", "test", "--yes", "--force", "target_maintenance")
    assert code == ExitCode.REFUSED


def test_naming_the_primary_fails_back(world: World, run: Run) -> None:
    world.dns.set(FQDN, cname("SRV2"))
    code, said = run(FQDN, "--to", "srv1.example.com", "--reason", "test", "--yes", "--force", "stability_time")
    assert code == 0, said
    assert FailoverOperation.objects.get().kind == OperationKind.FAILBACK
    assert world.points_at() == "SRV1"


def test_without_a_plan_it_says_why(world: World, run: Run) -> None:
    world.dns.silent = {"dns1"}
    code, said = run(FQDN, "--reason", "test", "--yes")
    assert code == ExitCode.REFUSED
    assert "dns1 gives no answer" in said


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [(("other.example.com",), FQDN), ((FQDN, "--to", "SRV9"), "SRV1, SRV2, SRV3")],
)
def test_a_wrong_name_is_answered_with_the_right_ones(run: Run, arguments: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence):
        run(*arguments, "--reason", "test", "--yes")


def test_what_was_left_by_a_worker_that_died_is_carried_on(world: World, run: Run) -> None:
    operation = world.request()
    code, said = run(FQDN, "--resume")
    assert code == 0, said
    operation.refresh_from_db()
    assert operation.state == OperationState.SUCCEEDED
    with pytest.raises(CommandError, match="No operation is under way"):
        run(FQDN, "--resume")


def test_a_lost_database_leads_to_break_glass(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: object) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr(failover.Command, "_hostname", lost)
    with pytest.raises(CommandError, match=r"manage\.py breakglass"):
        run(FQDN, "--dry-run")


def test_a_zone_that_is_changed_by_hand_shows_the_commands_once_and_waits(
    world: World, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dnsops.executor.SHORT_WAIT_S", 0.0)
    monkeypatch.setattr("dnsops.by_hand.LOOK_AGAIN_S", 0.0)
    monkeypatch.setattr(wiring, "provider_for", lambda zone, writer: Manual(writer))
    monkeypatch.setattr(
        Manual, "read", lambda self, endpoint, name, *, deadline: world.dns.ask(endpoint, name, timeout_s=1)
    )
    looks: list[float] = []

    def wait(seconds: float) -> None:
        """The person is done after the third look; there is no record for a moment before that."""
        looks.append(seconds)
        if len(looks) == 2:
            world.dns.set(FQDN, None)
        if len(looks) == 3:
            world.dns.set(FQDN, cname("SRV2"))

    monkeypatch.setattr("time.sleep", wait)
    code, said = run(FQDN, "--reason", "UCC down", "--yes")
    assert code == 0, said
    assert said.count("update add a365web1.example.com.") == 1
    assert "dns1 still says CNAME srv1.example.com. Change it by hand, with the commands above." in said
    assert "has no record for a365web1.example.com at the moment" in said
    assert "Made by hand: dns1 says CNAME srv2.example.com." in said
    assert world.dns.messages == []
