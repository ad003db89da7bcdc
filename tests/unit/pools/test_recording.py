"""Results become states, transitions and roll-ups; what did not change costs nothing; an older fence is refused."""

from __future__ import annotations

import time

import pytest
from pytest_django import DjangoAssertNumQueries

from pools.health import CheckKind
from pools.models import CheckState, DedicatedHostname, HealthTransition, HostnameStatus, ProbeShard
from pools.probing.result import Cause, ProbeResult
from pools.recording import Recorder, StaleFence
from pools.services import estate_checks, record_results
from pools.specs import UCC_TIMING, Check, shard_of
from tests.factories import make_pair

pytestmark = pytest.mark.django_db

BAD = ("refused: nothing listens", Cause.REFUSED)


def dns_check(hostname: DedicatedHostname, number: int = 1) -> Check:
    return Check(
        f"dns:{number}:{hostname.pk}", CheckKind.DNS, f"dns{number}: x", "10.0.0.9", 53, host=hostname.fqdn,
        record_type="CNAME", hostname_id=hostname.pk, name_server=f"dns{number}",
    )  # fmt: skip


class Estate:
    """One pair of servers, one name server, and a recorder that holds the only shard."""

    def __init__(self) -> None:
        self.hostname = make_pair()
        self.primary, self.standby = (target.servers[0] for target in self.hostname.targets.order_by("order"))
        self.checks = [*estate_checks(), dns_check(self.hostname)]
        self.recorder = Recorder(0, 1)
        self.recorder.load(self.checks, fence=1)

    def result(self, key: str, *, ok: bool | None = True) -> ProbeResult:
        evidence = {}
        if key.startswith("dns") and ok:
            evidence = {"values": [f"{self.primary.fqdn}."], "server": "dns1", "rank": 0}
        cause, sentence = (Cause.OK, "answers") if ok else (BAD[1], BAD[0])
        return ProbeResult(key, time.time(), ok, False, cause, sentence, 3.0 if ok else None, evidence)

    def sweep(self, *, bad: str = "nothing", fence: int = 1) -> set[int]:
        results = [self.result(check.key, ok=not check.key.startswith(bad)) for check in self.checks]
        return record_results(results, recorder=self.recorder, fence=fence)

    def status(self) -> HostnameStatus:
        return HostnameStatus.objects.get(hostname=self.hostname)


@pytest.fixture
def estate() -> Estate:
    return Estate()


def test_the_first_good_sweep_makes_the_hostname_up(estate: Estate) -> None:
    assert estate.sweep() == {estate.hostname.pk}
    status = estate.status()
    assert (status.health, status.situation, status.active_server) == ("up", "working", estate.primary)
    assert (status.standby_server, status.standby_ready, status.latency_ms) == (estate.standby, True, 3.0)
    assert status.version > 0
    assert status.active_since is not None


def test_unchanged_results_cost_no_query(estate: Estate, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    estate.sweep()
    with django_assert_num_queries(0):
        assert estate.sweep() == set()


def test_a_dead_ucc_service_is_down_at_the_third_bad_result_and_each_retry_shows(estate: Estate) -> None:
    estate.sweep()
    dead = f"ucc:{estate.primary.pk}:"
    for retry in (1, 2):
        estate.sweep(bad=dead)
        assert estate.status().health == "up"
        assert set(CheckState.objects.filter(key__startswith=dead).values_list("streak", flat=True)) == {retry}
    estate.sweep(bad=dead)
    status = estate.status()
    assert (status.health, status.situation) == ("down", "no_data")
    assert "clients get no data" in status.phrase
    told = HealthTransition.objects.filter(hostname=estate.hostname, check_key="").values_list("old", "new")
    assert set(told) == {("unknown", "up"), ("up", "down")}
    assert HealthTransition.objects.filter(check_key__startswith=dead, new="down", server=estate.primary).count() == 2


def test_a_restart_neither_forgets_nor_alarms_anew(estate: Estate) -> None:
    for _ in range(4):
        estate.sweep(bad=f"web:{estate.primary.pk}:")
    before = (HealthTransition.objects.count(), estate.status().since)
    estate.recorder = Recorder(0, 1)
    estate.recorder.load(estate.checks, fence=2)
    estate.sweep(bad=f"web:{estate.primary.pk}:", fence=2)
    assert (HealthTransition.objects.count(), estate.status().since) == before


def test_results_of_an_older_fence_are_refused_and_change_nothing(estate: Estate) -> None:
    estate.sweep()
    Recorder(0, 1).load(estate.checks, fence=2)
    estate.sweep(bad="nothing", fence=1)  # nothing to write, nothing to refuse
    with pytest.raises(StaleFence):
        estate.sweep(bad="ucc:", fence=1)
    assert set(CheckState.objects.values_list("streak", flat=True)) == {0}
    assert ProbeShard.objects.get(shard=0).fence == 2


def test_rows_of_checks_that_are_gone_are_deleted_and_new_ones_are_unknown(estate: Estate) -> None:
    estate.sweep()
    kept = [check for check in estate.checks if check.kind is not CheckKind.UCC]
    fresh = dns_check(estate.hostname, number=2)
    estate.recorder.load([*kept, fresh], fence=1)
    keys = set(CheckState.objects.values_list("key", flat=True))
    assert keys == {check.key for check in kept} | {fresh.key}
    assert CheckState.objects.get(key=fresh.key).health == "unknown"


def test_a_shard_leaves_the_rows_of_other_shards_alone(estate: Estate) -> None:
    estate.sweep()
    keys = {check.key for check in estate.checks}
    # Keys hold ids, which differ from run to run: so many shards that they do not all fall into one.
    shards = next(count for count in range(2, 100) if len({shard_of(key, count) for key in keys}) > 1)
    own = shard_of(min(keys), shards)
    Recorder(own, shards).load([], fence=1)
    left = set(CheckState.objects.values_list("key", flat=True))
    assert left == {key for key in keys if shard_of(key, shards) != own}


def test_one_lost_packet_does_not_hide_what_a_name_server_said(estate: Estate) -> None:
    estate.sweep()
    estate.sweep(bad="dns:")
    row = CheckState.objects.get(kind="dns")
    assert (row.streak, row.evidence["values"]) == (1, [f"{estate.primary.fqdn}."])
    assert estate.status().active_server == estate.primary
    for _ in range(3):
        estate.sweep(bad="dns:")
    assert (estate.status().health, estate.status().situation) == ("unknown", "dns_silent")


def test_another_answer_of_dns_moves_the_active_server_at_once(estate: Estate) -> None:
    estate.sweep()
    moved = estate.result(estate.checks[-1].key)._replace(
        evidence={"values": [f"{estate.standby.fqdn}."], "server": "dns1", "rank": 0}
    )
    assert record_results([moved], recorder=estate.recorder, fence=1) == {estate.hostname.pk}
    status = estate.status()
    assert (status.active_server, status.on_primary, status.situation) == (estate.standby, False, "on_standby")


def test_when_nearly_all_servers_fail_at_once_the_prober_doubts_itself_instead() -> None:
    for _ in range(5):
        make_pair(ports=(6001,))
    estate = Estate()
    estate.sweep()
    for _ in range(4):
        estate.sweep(bad="")
    assert set(HostnameStatus.objects.values_list("health", flat=True)) == {"unknown"}
    assert "prober itself may be cut off" in estate.status().phrase
    assert not CheckState.objects.filter(health="down").exists()


def test_ages_tell_of_the_result_that_goes_stale_first_and_only_when_all_are_in(estate: Estate) -> None:
    assert estate.recorder.ages() == {}
    assert not estate.recorder.complete()
    estate.sweep()
    at, interval_s = estate.recorder.ages()[estate.hostname.pk]
    assert at == pytest.approx(time.time(), abs=5)
    assert interval_s == UCC_TIMING.interval_s
    assert estate.recorder.complete()


def test_what_is_to_be_asked_at_once_is_named_by_key_hostname_or_server(estate: Estate) -> None:
    everything = {check.key for check in estate.checks}
    assert estate.recorder.keys_for([f"hostname:{estate.hostname.pk}"]) == everything
    of_primary = {check.key for check in estate.checks if check.server_id == estate.primary.pk}
    assert estate.recorder.keys_for([f"server:{estate.primary.pk}"]) == of_primary
    assert estate.recorder.keys_for(["dns:1:999", "hostname:x", estate.checks[0].key]) == {estate.checks[0].key}


def test_a_result_for_a_check_that_is_gone_is_ignored(estate: Estate) -> None:
    assert record_results([estate.result("ucc:999:999")], recorder=estate.recorder, fence=1) == set()


def test_the_number_of_queries_of_a_change_does_not_depend_on_the_number_of_hostnames(
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    for _ in range(20):
        make_pair()
    estate = Estate()
    with django_assert_max_num_queries(26):
        estate.sweep()


def alternate(estate: Estate, dead: str, times: int) -> None:
    for _ in range(times):
        estate.sweep(bad=dead)
        estate.sweep()


def test_a_check_that_flaps_is_told_once_counts_as_degraded_and_costs_no_rows(
    estate: Estate, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    estate.sweep()
    dead = f"ucc:{estate.primary.pk}:"
    alternate(estate, dead, 4)
    row = CheckState.objects.filter(key__startswith=dead).first()
    assert row is not None
    assert (row.health, row.settled, row.flapping) == ("degraded", "up", True)
    assert "good and bad results alternate (bad: refused" in row.sentence
    assert (estate.status().health, "flapping" in estate.status().phrase) == ("degraded", True)
    with django_assert_num_queries(0):
        alternate(estate, dead, 8)
    told = HealthTransition.objects.filter(check_key=row.key).values_list("old", "new")
    assert list(told) == [("up", "degraded"), ("unknown", "up")]


def test_a_check_that_flapped_is_up_again_once_it_is_steady(estate: Estate) -> None:
    estate.sweep()
    alternate(estate, f"ucc:{estate.primary.pk}:", 8)
    for _ in range(20):
        estate.sweep()
    assert estate.status().health == "up"
    assert not CheckState.objects.filter(flapping=True).exists()


def test_a_check_that_flapped_and_then_stays_down_is_down_at_the_sixth_bad_result(estate: Estate) -> None:
    estate.sweep()
    dead = f"ucc:{estate.primary.pk}:"
    alternate(estate, dead, 8)
    for _ in range(5):
        estate.sweep(bad=dead)
    assert estate.status().health == "degraded"
    estate.sweep(bad=dead)
    assert (estate.status().health, estate.status().situation) == ("down", "no_data")


def test_a_restart_does_not_forget_that_a_check_flaps(estate: Estate) -> None:
    estate.sweep()
    dead = f"ucc:{estate.primary.pk}:"
    alternate(estate, dead, 8)
    before = HealthTransition.objects.count()
    estate.recorder = Recorder(0, 1)
    estate.recorder.load(estate.checks, fence=2)
    estate.sweep(bad=dead, fence=2)
    estate.sweep(fence=2)
    assert (HealthTransition.objects.count(), estate.status().health) == (before, "degraded")
