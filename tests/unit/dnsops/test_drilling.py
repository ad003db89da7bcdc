"""A drill there and back, with DNS in memory and a client that sees what it is told to see."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client as Browser
from django.urls import reverse
from django.utils import timezone

from a365admin.accounts.models import Role
from a365admin.audit.models import AuditEntry
from dnsops import drill_pages, drill_tasks, drilling, gathering, services, target_health
from dnsops.drill_client import Client
from dnsops.drill_models import Drill, DrillState
from dnsops.lifecycle import OperationKind, OperationState
from dnsops.models import FailoverOperation
from dnsops.requesting import RequestRefused
from pools.models import DedicatedHostname
from tests.factories import UserFactory
from tests.unit.dnsops.world import FQDN, World


@pytest.fixture
def sees(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the client meets at its next probes, the last one for ever; and no time passes between them."""
    told = [""]

    class Scripted:
        def probe(self) -> str:
            return told.pop(0) if len(told) > 1 else told[0]

    monkeypatch.setattr(drilling, "client_of", lambda hostname, servers: Scripted())
    monkeypatch.setattr(drilling, "PROBE_EVERY_S", 0.0)
    monkeypatch.setattr(drilling, "SAVE_EVERY_S", 0.03)
    monkeypatch.setattr(drilling, "ASK_BACK_EVERY_S", 0.0)
    monkeypatch.setattr(target_health, "healthy_for", lambda aim, hostname: timedelta(hours=1))
    monkeypatch.setattr(drill_tasks, "nudge_drill", lambda drill_id: None)
    gathering._accepted.clear()
    return told


def start(world: World, **changes: Any) -> Drill:
    seen = services.preflight(hostname=world.hostname, kind=OperationKind.FAILOVER)
    fields: dict[str, Any] = {
        "user": world.operator, "hostname": world.hostname, "to_server_id": world.servers["SRV2"].pk,
        "digest": seen.digest, "stay_s": 10, "reason": "quarterly", "idempotency_key": uuid.uuid4().hex,
    }  # fmt: skip
    return drilling.start_drill(**(fields | changes))


def go(drill: Drill) -> Drill:
    drilling.carry_on(drill.pk, owner="test", for_s=0.0)
    drill.refresh_from_db()
    return drill


def there(world: World, drill: Drill) -> Drill:
    world.run(drill.there)
    return go(drill)


def over(drill: Drill) -> Drill:
    Drill.objects.update(stay_until=timezone.now())
    return go(drill)


def test_it_goes_there_stays_comes_back_and_tells_the_longest_outage(world: World, sees: list[str]) -> None:
    drill = go(start(world))
    assert drill.state == DrillState.THERE
    sees[:] = ["UCC 6001 on SRV1: refused.", "UCC 6001 on SRV1: refused.", ""]
    drill = there(world, drill)
    assert drill.state == DrillState.STAYING
    assert world.points_at() == "SRV2"
    drill = over(drill)
    assert drill.state == DrillState.BACK
    assert drill.back is not None
    assert drill.back.reason == "Drill, back: quarterly"
    world.run(drill.back)
    drill = go(drill)
    assert drill.state == DrillState.SUCCEEDED
    assert drill.result.startswith("There and back. The longest outage that a client saw was")
    assert drill.seen["failed"] == 2
    assert drill.seen["longest_why"] == "UCC 6001 on SRV1: refused."
    assert world.points_at() == "SRV1"
    assert drill.ended_at


def test_start_and_end_are_in_the_audit_log(world: World, sees: list[str]) -> None:
    drill = over(there(world, start(world)))
    assert drill.back is not None
    world.run(drill.back)
    go(drill)
    assert AuditEntry.objects.filter(action="drill.started", actor_name="system").count() == 1
    assert AuditEntry.objects.get(action="drill.ended").after["longest_outage_s"] == "0.0"


def test_it_does_not_go_back_before_its_time(world: World, sees: list[str]) -> None:
    drill = go(there(world, start(world, stay_s=300)))
    assert (drill.state, drill.back) == (DrillState.STAYING, None)


def test_somebody_may_go_back_at_once(world: World, sees: list[str]) -> None:
    drill = there(world, start(world, stay_s=300))
    drilling.go_back_now(drill=drill, user=world.operator)
    assert go(drill).state == DrillState.BACK
    with pytest.raises(RequestRefused, match="not staying"):
        drilling.go_back_now(drill=drill, user=world.operator)


def test_a_failover_that_changed_nothing_ends_the_drill(world: World, sees: list[str]) -> None:
    drill = start(world)
    services.cancel_operation(operation=drill.there, user=world.operator)
    drill = go(drill)
    assert drill.state == DrillState.FAILED
    assert drill.result.startswith("The failover did not succeed: Cancelled by otto")
    assert "fail back" not in drill.result


def test_a_failover_that_is_incomplete_ends_it_and_says_what_to_do(world: World, sees: list[str]) -> None:
    drill = start(world)
    world.dns.stuck = {"dns2"}
    drill = there(world, drill)
    assert drill.state == DrillState.FAILED
    assert drill.result.endswith("Nothing more is done by itself: look at it, then fail back.")


def test_where_a_rule_forbids_the_way_back_it_waits_and_says_why(world: World, sees: list[str]) -> None:
    drill = there(world, start(world))
    world.bad["SRV1"] = "connection refused"
    drill = over(drill)
    assert drill.state == DrillState.STAYING
    assert drill.result.startswith("Waiting to fail back: UCC 6001 on SRV1: connection refused")
    del world.bad["SRV1"]
    assert go(drill).state == DrillState.BACK


def test_it_does_not_wait_for_ever_for_the_way_back(world: World, sees: list[str]) -> None:
    drill = there(world, start(world))
    world.bad["SRV1"] = "connection refused"
    Drill.objects.update(stay_until=timezone.now() - timedelta(hours=1))
    drill = go(drill)
    assert drill.state == DrillState.FAILED
    assert "could not be failed back by itself" in drill.result
    assert world.points_at() == "SRV2"


def test_after_a_killed_worker_another_goes_on_and_tells_what_was_not_measured(world: World, sees: list[str]) -> None:
    drill = go(start(world))
    Drill.objects.update(lease_owner="dead", lease_until=timezone.now() - timedelta(seconds=1))
    seen = drill.seen | {"last_at": drill.seen["last_at"] - 60}
    Drill.objects.update(seen=seen)
    drill = there(world, drill)
    assert drill.state == DrillState.STAYING
    assert drill.seen["not_measured_s"] >= 60


def test_the_way_back_is_asked_for_once_also_when_a_worker_dies_in_between(world: World, sees: list[str]) -> None:
    drill = over(there(world, start(world)))
    Drill.objects.update(state=DrillState.STAYING.value, back=None)  # as if it had died before it noted the operation
    drill = go(drill)
    assert drill.state == DrillState.BACK
    assert FailoverOperation.objects.filter(kind=OperationKind.FAILBACK.value).count() == 1


def test_two_workers_do_not_lead_the_same_drill(world: World, sees: list[str]) -> None:
    drill = start(world)
    Drill.objects.update(lease_owner="other", lease_until=timezone.now() + timedelta(minutes=1))
    assert not drilling.carry_on(drill.pk, owner="test", for_s=0.0)
    assert str(drill.pk) not in drilling.due_drills(timezone.now())


def test_a_second_drill_of_the_hostname_is_refused_and_a_double_click_is_one(world: World, sees: list[str]) -> None:
    first = start(world, idempotency_key="same")
    assert start(world, idempotency_key="same", digest="").pk == first.pk
    with pytest.raises(RequestRefused, match="otto is drilling"):
        start(world)


def test_rules_forbid_a_drill_as_they_forbid_a_failover(world: World, sees: list[str]) -> None:
    world.bad["SRV2"] = "connection refused"
    with pytest.raises(RequestRefused, match="connection refused"):
        start(world)
    world.operator.role = Role.HELPDESK
    with pytest.raises(RequestRefused, match="may not start a drill"):
        start(world)
    assert Drill.objects.count() == 0


# ------------------------------------------------------------------------------------------------------------- client


def test_a_client_keeps_an_answer_for_its_ttl_and_then_asks_again(
    world: World, sees: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    met: list[str] = []
    clock = [0.0]

    def probe(checks: list[Any], *, timeout_s: float) -> tuple[Any, ...]:
        met.append(checks[0])
        return ()

    monkeypatch.setattr(target_health, "probe", probe)
    monkeypatch.setattr("dnsops.drill_client.time.monotonic", lambda: clock[0])
    targets = {"srv1.example.com.": ["SRV1"], "srv2.example.com.": ["SRV2"]}
    from dnsops.wiring import endpoints_of, zone_for

    client = Client(FQDN, endpoints_of(zone_for(FQDN)), targets)  # type: ignore[arg-type]
    assert client.probe() == ""
    world.dns.set(FQDN, world.dns.records["dns1"][FQDN].__class__("CNAME", 60, ("srv2.example.com.",)))
    client.probe()
    clock[0] = 61.0
    client.probe()
    assert met == ["SRV1", "SRV1", "SRV2"]
    world.dns.silent = {"dns1", "dns2"}
    clock[0] = 130.0
    assert client.probe() == f"{FQDN} does not resolve"


# -------------------------------------------------------------------------------------------------------------- pages


def browser(role: Role) -> Browser:
    signed_in = Browser()
    signed_in.force_login(UserFactory.create(role=role))
    return signed_in


def test_the_pages_start_a_drill_and_show_its_report(world: World, sees: list[str]) -> None:
    operator = browser(Role.OPERATOR)
    url = reverse("dnsops:drill-new", args=[FQDN])
    page = operator.get(url).content.decode()
    assert "Start the drill" in page
    seen = services.preflight(hostname=world.hostname, kind=OperationKind.FAILOVER)
    form = {"digest": seen.digest, "to": str(world.servers["SRV2"].pk), "stay": "30", "reason": "q",
            "idempotency_key": "abc"}  # fmt: skip
    assert operator.post(url, form | {"stay": "7"}).status_code == 409
    response = operator.post(url, form)
    drill = Drill.objects.get()
    assert response.headers["Location"] == drill.get_absolute_url()
    assert "Failing over" in operator.get(drill.get_absolute_url()).content.decode()
    assert drill_pages.drill_marks([str(drill.pk)])
    assert FQDN in operator.get(reverse("dnsops:drills")).content.decode()


def test_who_may_not_fail_over_may_only_read(world: World, sees: list[str]) -> None:
    drill = start(world)
    helpdesk = browser(Role.HELPDESK)
    assert helpdesk.get(reverse("dnsops:drill-new", args=[FQDN])).status_code == 403
    assert helpdesk.post(reverse("dnsops:drill-back", args=[drill.pk])).status_code == 403
    assert browser(Role.OPERATOR).get(reverse("dnsops:drill-back", args=[drill.pk])).status_code == 405
    assert helpdesk.get(drill.get_absolute_url()).status_code == 200


@pytest.mark.django_db
def test_an_empty_estate_does_not_claim_to_be_rehearsed() -> None:
    assert browser(Role.HELPDESK).get(reverse("dnsops:drills-summary")).content.decode().strip() == ""


def test_hostname_and_overview_say_when_it_was_last_rehearsed(world: World, sees: list[str]) -> None:
    helpdesk = browser(Role.HELPDESK)
    fragment, summary = reverse("dnsops:drills-of-hostname", args=[FQDN]), reverse("dnsops:drills-summary")
    assert "Never rehearsed." in helpdesk.get(fragment).content.decode()
    assert "1 hostname not rehearsed lately" in helpdesk.get(summary).content.decode()
    drill = start(world)
    Drill.objects.update(state=DrillState.SUCCEEDED.value, ended_at=timezone.now() - timedelta(days=3))
    assert "Last rehearsed 3 days ago." in helpdesk.get(fragment).content.decode()
    assert "Every hostname was rehearsed lately" in helpdesk.get(summary).content.decode()
    Drill.objects.update(ended_at=timezone.now() - timedelta(days=50))
    assert "more than 45 days" in helpdesk.get(fragment).content.decode()
    assert OperationState(drill.there.state) is OperationState.PENDING
    assert DedicatedHostname.objects.count() == 1
