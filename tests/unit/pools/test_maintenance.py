"""Maintenance: what covers a server, when, and what is told about it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, models
from django.utils import timezone
from hypothesis import given, strategies as st
from pytest_django import DjangoAssertNumQueries
from time_machine import travel

from a365admin.audit.context import Acting, act_as
from a365admin.audit.models import AuditEntry
from pools.facts import HostnameFacts
from pools.health import Health
from pools.maintenance.covering import Covering, Place, Scope, Window, covering_of
from pools.maintenance.models import Maintenance
from pools.maintenance.reads import coverings_of
from pools.maintenance.writes import OverError
from pools.models import DedicatedHostname, HealthTransition, HostnameStatus, Server
from pools.rollup import HostnameVerdict, roll_up_hostname
from pools.services import begin_maintenance, end_maintenance, keep_maintenance_time, move_end, refresh_hostnames
from tests.factories import ServerFactory, make_pair
from tests.unit.pools import test_recording as recording, test_rollup as facts

NOON = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
HERE = Place(server_id=1, trusted_application_pool_id=2, front_end_pool_id=3, site_id=4)


def window(
    scope: Scope = Scope.SERVER, object_id: int = 1, *, start: float = 0, end: float = 60, number: int = 1
) -> Window:
    """From ``start`` to ``end`` minutes after noon."""
    return Window(number, scope, object_id, f"{scope.value}-{object_id}", f"reason {number}",
                  NOON + timedelta(minutes=start), NOON + timedelta(minutes=end), "anna")  # fmt: skip


class TestWhatCoversAServer:
    @pytest.mark.parametrize(
        ("scope", "object_id"),
        [(Scope.SERVER, 1), (Scope.TRUSTED_APPLICATION_POOL, 2), (Scope.FRONT_END_POOL, 3), (Scope.SITE, 4)],
    )
    def test_itself_its_pool_its_front_end_pool_and_its_site(self, scope: Scope, object_id: int) -> None:
        assert covering_of(HERE, [window(scope, object_id)], NOON)
        assert not covering_of(HERE, [window(scope, object_id + 1)], NOON)

    def test_from_its_start_until_just_before_its_end(self) -> None:
        one = window(start=10, end=20)
        found = [bool(covering_of(HERE, [one], NOON + timedelta(minutes=m))) for m in (9.99, 10, 19.99, 20)]
        assert found == [False, True, True, False]

    def test_those_that_overlap_are_all_told_the_widest_first_and_the_last_end_counts(self) -> None:
        own, site = window(end=30, number=1), window(Scope.SITE, 4, end=90, number=2)
        found = covering_of(HERE, [own, site], NOON)
        assert found.windows == (site, own)
        assert found.until == NOON + timedelta(minutes=90)
        assert found.sentence == "site site-4: reason 2; reason 1"

    def test_one_that_begins_before_the_other_ends_keeps_it_out(self) -> None:
        later = window(Scope.SITE, 4, start=50, end=120, number=2)
        apart = window(Scope.SITE, 4, start=121, end=150, number=3)
        found = covering_of(HERE, [apart, later, window(end=60)], NOON)
        assert found.until == NOON + timedelta(minutes=120)
        assert len(found.windows) == 1

    @given(
        st.lists(
            st.builds(
                lambda scope, thing, start, length, number: window(
                    scope, thing, start=start, end=start + length, number=number
                ),
                st.sampled_from(list(Scope)),
                st.integers(1, 4),
                st.integers(-90, 90),
                st.integers(1, 90),
                st.integers(1, 99),
            ),
            max_size=8,
        ),
        st.integers(-120, 120),
    )
    def test_it_is_out_exactly_while_one_that_covers_it_is_on(self, windows: list[Window], minute: int) -> None:
        at = NOON + timedelta(minutes=minute)
        found: Covering = covering_of(HERE, windows, at)
        assert bool(found) == any(w.covers(HERE) and w.is_on(at) for w in windows)
        if found.until is None:
            assert not found
        else:
            assert not covering_of(HERE, windows, found.until)
            assert covering_of(HERE, windows, found.until - timedelta(microseconds=1))


@pytest.mark.django_db
class TestBeginningAndEnding:
    def test_it_needs_a_reason_and_an_end_that_is_yet_to_come(self) -> None:
        server = ServerFactory.create()
        now = timezone.now()
        for said, reason, start, end in (
            ("Say why", " ", None, now + timedelta(hours=1)),
            ("future", "patches", None, now - timedelta(minutes=1)),
            ("after it has started", "patches", now + timedelta(hours=2), now + timedelta(hours=1)),
            ("At most a year", "patches", None, now + timedelta(days=400)),
        ):
            with pytest.raises(ValidationError, match=said):
                begin_maintenance(thing=server, reason=reason, starts_at=start, ends_at=end)
        assert not AuditEntry.objects.exists()

    def test_it_begins_is_moved_and_ended_by_hand_and_each_is_logged_with_who_and_why(self) -> None:
        server = ServerFactory.create(name="SRV1")
        with act_as(Acting(actor_name="anna")):
            row = begin_maintenance(thing=server, reason="patches", ends_at=timezone.now() + timedelta(hours=1))
            assert Server.objects.get().in_maintenance
            move_end(maintenance_id=row.pk, ends_at=timezone.now() + timedelta(hours=3))
            end_maintenance(maintenance_id=row.pk, reason="done")
        assert not Server.objects.get().in_maintenance
        assert list(AuditEntry.objects.order_by("pk").values_list("action", "actor_name", "object_name", "reason")) == [
            ("maintenance.began", "anna", "SRV1", "patches"),
            ("maintenance.end-moved", "anna", "SRV1", ""),
            ("maintenance.ended", "anna", "SRV1", "done"),
        ]
        row.refresh_from_db()
        assert row.ended_by_name == "anna"

    def test_what_is_over_can_be_neither_moved_nor_ended(self) -> None:
        row = begin_maintenance(
            thing=ServerFactory.create(), reason="patches", ends_at=timezone.now() + timedelta(hours=1)
        )
        end_maintenance(maintenance_id=row.pk)
        with pytest.raises(OverError, match="over already"):
            end_maintenance(maintenance_id=row.pk)
        with pytest.raises(OverError):
            move_end(maintenance_id=row.pk, ends_at=timezone.now() + timedelta(hours=1))

    def test_it_ends_by_itself_even_where_nobody_tells_the_time(self) -> None:
        server = ServerFactory.create()
        begin_maintenance(thing=server, reason="patches", ends_at=timezone.now() + timedelta(hours=1))
        with travel(timezone.now() + timedelta(hours=2), tick=False):
            assert not Server.objects.get().in_maintenance

    def test_its_end_by_itself_is_logged_once_as_such(self) -> None:
        with act_as(Acting(actor_name="anna")):
            begin_maintenance(
                thing=ServerFactory.create(), reason="patches", ends_at=timezone.now() + timedelta(hours=1)
            )
            assert keep_maintenance_time() == 0
            with travel(timezone.now() + timedelta(hours=2), tick=False):
                assert keep_maintenance_time() == 1
                assert keep_maintenance_time() == 0
        entry = AuditEntry.objects.latest("pk")
        assert (entry.action, entry.actor_name) == ("maintenance.ended", "system")
        assert "by itself" in entry.reason
        row = Maintenance.objects.get()
        assert (row.ended_at, row.ended_by_name) == (row.ends_at, "")

    def test_one_that_is_planned_begins_by_itself(self) -> None:
        server = ServerFactory.create()
        now = timezone.now()
        begin_maintenance(
            thing=server, reason="patches", starts_at=now + timedelta(hours=1), ends_at=now + timedelta(hours=2)
        )
        assert not Server.objects.get().in_maintenance
        with travel(now + timedelta(minutes=61), tick=False):
            assert Server.objects.get().in_maintenance
            assert keep_maintenance_time() == 1
        assert list(AuditEntry.objects.order_by("pk").values_list("action", flat=True)) == [
            "maintenance.planned",
            "maintenance.began",
        ]

    def test_one_that_is_planned_can_be_called_off(self) -> None:
        now = timezone.now()
        row = begin_maintenance(
            thing=ServerFactory.create(), reason="x", starts_at=now + timedelta(hours=1),
            ends_at=now + timedelta(hours=2),
        )  # fmt: skip
        end_maintenance(maintenance_id=row.pk)
        assert AuditEntry.objects.latest("pk").action == "maintenance.called-off"
        with travel(now + timedelta(minutes=61), tick=False):
            assert keep_maintenance_time() == 0
            assert not Server.objects.get().in_maintenance

    def test_a_site_takes_out_every_server_in_it_and_no_other(self) -> None:
        pair, other = make_pair(), make_pair()
        site = pair.trusted_application_pool.front_end_pool.site
        begin_maintenance(thing=site, reason="power", ends_at=timezone.now() + timedelta(hours=1))
        out = coverings_of({target.servers[0].pk for hostname in (pair, other) for target in hostname.targets.all()})
        assert set(out) == {target.servers[0].pk for target in pair.targets.all()}
        assert {covering.sentence for covering in out.values()} == {f"site {site}: power"}

    def test_it_takes_a_constant_number_of_queries_for_any_number_of_servers(
        self, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        servers = [*ServerFactory.create_batch(5)]
        begin_maintenance(thing=servers[0], reason="x", ends_at=timezone.now() + timedelta(hours=1))
        with django_assert_num_queries(3):
            assert set(coverings_of({server.pk for server in servers})) == {servers[0].pk}

    @pytest.mark.parametrize("fields", [{}, {"reason": ""}, {"both": True}])
    def test_the_database_refuses_what_makes_no_sense(self, fields: dict[str, Any]) -> None:
        server = ServerFactory.create()
        things: dict[str, models.Model] = {"server": server}
        if fields.pop("both", False):
            things["trusted_application_pool"] = server.trusted_application_pool
        elif not fields:
            things = {}
        now = timezone.now()
        with pytest.raises(IntegrityError):
            Maintenance.objects.create(
                **things, reason=fields.get("reason", "x"), starts_at=now, ends_at=now + timedelta(hours=1), by_name="a"
            )


def rolled(*, active_out: bool, standby_out: bool = False) -> HostnameVerdict:
    primary = replace(facts.server(1, facts.REFUSED, facts.REFUSED), in_maintenance=active_out, maintenance="patches")
    return facts.verdict(primary, replace(facts.server(2), in_maintenance=standby_out))


class TestWhatAHostnameSays:
    def test_trouble_on_a_server_in_maintenance_is_true_and_no_alarm(self) -> None:
        found = rolled(active_out=True)
        assert (found.health, found.planned) == (Health.DOWN, True)
        assert found.maintenance == "SRV1 is in maintenance (patches)"

    def test_the_same_trouble_elsewhere_is_an_alarm(self) -> None:
        assert not rolled(active_out=False, standby_out=True).planned

    def test_trouble_in_dns_stays_an_alarm(self) -> None:
        primary = replace(facts.server(1, facts.REFUSED, facts.REFUSED), in_maintenance=True)
        dns = (facts.says("dns1", "srv1.x."), facts.says("dns2", check=facts.SILENT))
        assert not facts.verdict(primary, facts.server(2), dns=dns).planned

    def test_a_server_in_maintenance_that_works_changes_nothing_but_what_is_told(self) -> None:
        found = facts.verdict(replace(facts.server(1), in_maintenance=True), facts.server(2))
        assert (found.health, found.planned, found.maintenance) == (Health.UP, False, "SRV1 is in maintenance")

    def test_what_is_not_known_stays_unknown(self) -> None:
        found = facts.verdict(replace(facts.server(1, facts.NEW), in_maintenance=True), facts.server(2))
        assert (found.health, found.planned) == (Health.UNKNOWN, False)

    def test_the_standby_is_the_best_that_is_not_in_maintenance(self) -> None:
        second = replace(facts.server(2), in_maintenance=True)
        found = roll_up_hostname(HostnameFacts("a365web1.x", (facts.server(1), second, facts.server(3)), facts.ON_1))
        assert (found.standby_server_id, found.standby_ready) == (3, True)


@pytest.mark.django_db
class TestWhatIsRecorded:
    def take_out(self, estate: recording.Estate) -> Maintenance:
        return begin_maintenance(
            thing=estate.hostname.trusted_application_pool, reason="patches",
            ends_at=timezone.now() + timedelta(hours=1),
        )  # fmt: skip

    def test_it_is_still_probed_and_its_changes_are_marked(self) -> None:
        estate = recording.Estate()
        estate.sweep()
        self.take_out(estate)
        for _ in range(3):
            estate.sweep(bad="ucc")
        marked = HealthTransition.objects.filter(new="down")
        assert marked.exists()
        assert all(row.planned for row in marked)
        assert (estate.status().health, estate.status().planned) == ("down", True)

    def test_when_it_ends_what_is_still_wrong_is_an_alarm(self) -> None:
        estate = recording.Estate()
        estate.sweep()
        row = self.take_out(estate)
        for _ in range(3):
            estate.sweep(bad="ucc")
        end_maintenance(maintenance_id=row.pk)
        assert (estate.status().health, estate.status().planned) == ("down", False)

    def test_its_hostnames_say_so_at_once(self) -> None:
        hostname: DedicatedHostname = make_pair()
        refresh_hostnames({hostname.pk})
        begin_maintenance(
            thing=hostname.targets.get(order=2).servers[0], reason="disk", ends_at=timezone.now() + timedelta(hours=1)
        )
        assert "in maintenance (disk)" in HostnameStatus.objects.get().maintenance
