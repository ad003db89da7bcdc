"""Looking for drift: rows in, rows out, and the ways in which it ends."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from a365admin.accounts.models import Role, User
from a365admin.audit.models import AuditEntry
from dnsops import drifting, services
from dnsops.drift import DriftKind, Resolution
from dnsops.lifecycle import OperationKind, OperationState
from dnsops.models import AnswerSource, Drift, ExpectedAnswer, FailoverOperation, NameServer
from dnsops.plan import RRset
from dnsops.providers.base import OutcomeKind
from pools.models import CheckState
from tests.unit.dnsops.world import FQDN, World, checked, cname

STRANGER = RRset("CNAME", 60, ("stranger.example.com.",))


def look(world: World) -> Drift | None:
    """The checks find what DNS says, and we look at it."""
    checked(world)
    drifting.look()
    return services.open_drift(world.hostname)


def drift_to(world: World, rrset: RRset | None) -> Drift:
    """Somebody changes DNS by hand, after we had seen what was there first."""
    look(world)
    world.dns.set(FQDN, rrset)
    drift = look(world)
    assert drift is not None
    return drift


def kept(world: World) -> ExpectedAnswer:
    return ExpectedAnswer.objects.get(hostname=world.hostname)


def refusal(world: World, code: str, *, user: User | None = None, digest: str = "", reason: str = "meant") -> str:
    drift = services.open_drift(world.hostname)
    digest = digest or (services.drift_digest(drift) if drift else "")
    with pytest.raises(services.RequestRefused) as error:
        services.adopt_drift(hostname=world.hostname, user=user or world.operator, digest=digest, reason=reason)
    assert error.value.code == code, error.value.sentence
    entry = AuditEntry.objects.first()
    assert entry is not None
    assert entry.action.startswith("drift.adopt_")
    return error.value.sentence


def test_what_dns_says_when_a_hostname_is_entered_is_expected_from_then_on(world: World) -> None:
    assert look(world) is None
    assert RRset.from_dict(kept(world).rrset) == cname("SRV1")
    assert kept(world).source == AnswerSource.ENTERED


def test_a_change_behind_our_back_opens_a_drift_that_says_who_changed_it_here_last(world: World) -> None:
    world.run(world.request())
    drift = drift_to(world, STRANGER)
    assert (drift.kind, drift.servers) == (DriftKind.MOVED, "dns1, dns2")
    assert "otto, by the failover to SRV2" in drift.last_change
    assert RRset.from_dict(drift.expected) == cname("SRV2")
    entry = AuditEntry.objects.get(action="drift.found")
    assert entry.object_name == FQDN
    assert "stranger" in entry.reason


def test_looking_twice_opens_one_drift(world: World) -> None:
    drift_to(world, STRANGER)
    look(world)
    drifting.look(everything=True)
    assert Drift.objects.count() == 1


def test_what_an_operation_wrote_is_no_drift(world: World) -> None:
    look(world)
    world.run(world.request())
    assert look(world) is None
    assert Drift.objects.count() == 0
    assert kept(world).source == AnswerSource.OPERATION
    assert kept(world).by_name == "otto"


def test_while_an_operation_runs_nothing_is_called_drift(world: World) -> None:
    look(world)
    world.request()
    world.dns.set(FQDN, STRANGER)
    assert look(world) is None


def test_what_an_operation_without_a_known_result_wrote_is_taken_as_ours(world: World) -> None:
    look(world)
    operation = world.request()
    state = OperationState.UNKNOWN.value
    FailoverOperation.objects.filter(pk=operation.pk).update(state=state, ended_at=timezone.now())
    world.dns.set(FQDN, cname("SRV2"))
    assert look(world) is None
    assert RRset.from_dict(kept(world).rrset) == cname("SRV2")


def test_a_row_of_a_check_that_is_out_of_date_opens_nothing(world: World) -> None:
    """What the checks say is made sure of by asking: a drift is never opened on hearsay."""
    look(world)
    world.dns.set(FQDN, STRANGER)
    checked(world)
    world.dns.set(FQDN, cname("SRV1"))
    drifting.look()
    assert Drift.objects.count() == 0


def test_a_server_that_lags_after_a_failover_has_not_drifted(world: World) -> None:
    look(world)
    world.dns.stuck = {"dns2"}
    world.run(world.request())
    assert look(world) is None


def test_a_record_that_vanished_is_a_drift(world: World) -> None:
    drift = drift_to(world, None)
    assert drift.kind == DriftKind.VANISHED
    assert RRset.from_dict(drift.found).is_absent


def test_a_silent_dns_is_no_drift(world: World) -> None:
    look(world)
    world.dns.silent = {"dns1", "dns2"}
    assert look(world) is None


def test_a_drift_ends_by_itself_when_dns_says_again_what_is_expected(world: World) -> None:
    drift_to(world, STRANGER)
    world.dns.set(FQDN, cname("SRV1"))
    assert look(world) is None
    assert Drift.objects.get().resolution == Resolution.BY_ITSELF
    assert AuditEntry.objects.filter(action="drift.by_itself").exists()


def test_another_change_by_hand_is_another_drift(world: World) -> None:
    drift_to(world, STRANGER)
    world.dns.set(FQDN, cname("SRV3"))
    drift = look(world)
    assert drift is not None
    assert [d.resolution for d in Drift.objects.order_by("opened_at")] == [Resolution.CHANGED_AGAIN, ""]


def test_a_change_that_replicates_stays_the_same_drift(world: World) -> None:
    look(world)
    world.dns.set(FQDN, STRANGER, "dns2")
    first = look(world)
    assert first is not None
    assert (first.kind, first.servers) == (DriftKind.ONE_SERVER, "dns2")
    world.dns.set(FQDN, STRANGER)
    second = look(world)
    assert second is not None
    assert (second.pk, second.kind, second.servers) == (first.pk, DriftKind.MOVED, "dns1, dns2")


def test_a_hostname_that_was_renamed_begins_anew(world: World) -> None:
    look(world)
    world.hostname.fqdn = "other.example.com"
    world.hostname.save()
    world.dns.set("other.example.com", STRANGER)
    CheckState.objects.all().delete()
    drifting.look(everything=True)
    assert Drift.objects.count() == 0


def test_since_when_a_server_gives_its_answer_survives_other_news_of_its_check(world: World) -> None:
    look(world)
    before = kept(world).seen
    CheckState.objects.update(streak=1, checked_at=timezone.now() + timedelta(seconds=1))
    drifting.look()
    assert kept(world).seen == before
    world.dns.set(FQDN, STRANGER, "dns2")
    look(world)
    changed = [key for key, value in kept(world).seen.items() if before[key] != value]
    assert changed == [str(NameServer.objects.get(name="dns2").pk)]


# ------------------------------------------------------------------------------------------------------------ put right


def put_right(world: World, to: str = "SRV1", **changes: object) -> FailoverOperation:
    return world.run(world.request(to, OperationKind.PUT_RIGHT, **changes))


def test_a_stranger_is_put_right_by_an_ordinary_operation(world: World) -> None:
    drift_to(world, STRANGER)
    operation = put_right(world)
    assert operation.state == OperationState.SUCCEEDED
    assert (operation.from_text, operation.to_text) == ("stranger.example.com", "SRV1")
    assert world.points_at() == "SRV1"
    assert look(world) is None
    drift = Drift.objects.get()
    assert (drift.resolution, drift.operation, drift.closed_by_name) == (Resolution.PUT_RIGHT, operation, "otto")


def test_a_vanished_record_is_created_and_nothing_is_overwritten(world: World) -> None:
    drift_to(world, None)
    operation = put_right(world)
    assert operation.state == OperationState.SUCCEEDED
    change = world.dns.messages[0]
    assert change.expected.is_absent
    assert (operation.from_text, world.points_at()) == ("no record", "SRV1")


def test_a_record_that_came_back_in_the_meantime_is_not_overwritten(world: World) -> None:
    drift_to(world, None)
    operation = world.request("SRV1", OperationKind.PUT_RIGHT)
    world.dns.set(FQDN, STRANGER)
    operation = world.run(operation)
    assert operation.state == OperationState.FAILED
    assert world.dns.applied == []
    assert world.dns.records["dns1"][FQDN] == STRANGER


def test_putting_right_has_its_preflight_and_its_safety_rules(world: World) -> None:
    drift_to(world, STRANGER)
    world.bad["SRV1"] = "refused"
    with pytest.raises(services.RequestRefused) as error:
        world.request("SRV1", OperationKind.PUT_RIGHT)
    assert error.value.code == "blocked"
    assert look(world) is not None


def test_where_no_target_is_named_it_is_put_right_to_what_our_records_say(world: World) -> None:
    world.run(world.request("SRV3"))
    drift_to(world, STRANGER)
    seen = services.preflight(hostname=world.hostname, kind=OperationKind.PUT_RIGHT)
    assert seen.plan is not None
    assert seen.plan.to_server == "SRV3"


def test_a_failover_that_moves_the_hostname_ends_the_drift(world: World) -> None:
    drift_to(world, cname("SRV2"))
    world.run(world.request("SRV3"))
    assert look(world) is None
    assert Drift.objects.get().resolution == Resolution.OPERATION


# ---------------------------------------------------------------------------------------------------------------- adopt


def adopt(world: World) -> Drift:
    drift = services.open_drift(world.hostname)
    assert drift is not None
    services.adopt_drift(
        hostname=world.hostname, user=world.operator, digest=services.drift_digest(drift), reason="Agreed by telephone"
    )
    drift.refresh_from_db()
    return drift


def test_a_known_target_is_adopted_and_dns_is_left_alone(world: World) -> None:
    drift_to(world, cname("SRV2"))
    drift = adopt(world)
    assert (drift.resolution, drift.closed_by, drift.closed_by_name) == (Resolution.ADOPTED, world.operator, "otto")
    assert RRset.from_dict(kept(world).rrset) == cname("SRV2")
    assert world.dns.messages == []
    assert look(world) is None
    entry = AuditEntry.objects.get(action="drift.adopted")
    assert entry.reason == "Agreed by telephone"


def test_after_adopting_a_server_that_lags_with_the_old_answer_has_not_drifted(world: World) -> None:
    drift_to(world, cname("SRV2"))
    adopt(world)
    world.dns.set(FQDN, cname("SRV1"), "dns2")
    assert look(world) is None


def test_a_stranger_is_not_adopted(world: World) -> None:
    drift_to(world, STRANGER)
    assert "none of the hostname's targets" in refusal(world, "blocked")


def test_a_click_on_a_stale_page_adopts_nothing(world: World) -> None:
    old = services.drift_digest(drift_to(world, cname("SRV2")))
    world.dns.set(FQDN, cname("SRV3"))
    look(world)
    refusal(world, "stale", digest=old)
    assert RRset.from_dict(kept(world).rrset) == cname("SRV1")


def test_what_dns_says_no_more_is_not_adopted(world: World) -> None:
    drift_to(world, cname("SRV2"))
    world.dns.set(FQDN, cname("SRV1"))
    refusal(world, "stale")
    world.dns.silent = {"dns1"}
    refusal(world, "stale")


def test_adopting_takes_a_reason_and_the_right_to_fail_over(world: World) -> None:
    drift_to(world, cname("SRV2"))
    refusal(world, "reason_missing", reason=" ")
    refusal(world, "not_permitted", user=User.objects.create_user(username="hans", role=Role.HELPDESK))


def test_nothing_is_adopted_while_an_operation_runs(world: World) -> None:
    drift_to(world, cname("SRV2"))
    world.request("SRV3")
    refusal(world, "active_operation")


def test_adopting_twice_does_one_thing(world: World) -> None:
    drift_to(world, cname("SRV2"))
    digest = services.drift_digest(Drift.objects.get())
    adopt(world)
    refusal(world, "stale", digest=digest)


def test_the_number_of_queries_does_not_grow_with_the_estate(
    world: World, django_assert_max_num_queries: object
) -> None:
    from tests.factories import DedicatedHostnameFactory

    look(world)
    for _ in range(20):
        hostname = DedicatedHostnameFactory.create()
        ExpectedAnswer.objects.create(
            hostname=hostname, fqdn=hostname.fqdn, rrset=cname("SRV1").as_dict(), source=AnswerSource.ENTERED
        )
    with django_assert_max_num_queries(10):  # type: ignore[operator]
        drifting.look(everything=True)


def test_an_outcome_that_is_a_conflict_leaves_the_drift_open(world: World) -> None:
    drift_to(world, STRANGER)
    operation = world.request("SRV1", OperationKind.PUT_RIGHT)
    world.dns.set(FQDN, cname("SRV3"))
    operation = world.run(operation)
    assert operation.state == OperationState.FAILED
    assert operation.dns_changes.filter(outcome=OutcomeKind.APPLIED.value).count() == 0
    assert look(world) is not None
