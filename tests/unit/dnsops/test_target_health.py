"""Fresh probes of a target: what is asked again at the click, and what a good result a moment ago still says."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.utils import timezone

from dnsops import target_health
from dnsops.safety import TargetCheck
from pools import live, services as pools_services
from pools.models import CheckState, DedicatedHostname
from pools.probing.result import Cause, ProbeResult
from pools.specs import Check
from tests.factories import make_pair, make_virtual_service

ASKED: list[list[str]] = []


@pytest.fixture
def hostname(db: None) -> DedicatedHostname:
    return make_pair(ports=(6001, 6002))


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bool]]:
    """What each kind of check finds; ``ASKED`` holds the kinds that were asked, probe by probe."""
    works = {"ucc": True, "web": True, "cert": True}

    class Probing:
        def __init__(self, checks: Sequence[Check], timeout_s: float, *, beside: bool) -> None:
            ASKED.append([check.kind.value for check in checks])
            self.checks = checks

        def results(self) -> dict[str, ProbeResult]:
            return {
                check.key: ProbeResult(check.key, time.time(), works[check.kind], False, Cause.OK, "said")
                for check in self.checks
            }

        def close(self) -> None:
            pass

    monkeypatch.setattr(pools_services, "Probing", Probing)
    target_health._good.clear()
    ASKED.clear()
    yield works
    target_health._good.clear()


def at_the_click(hostname: DedicatedHostname) -> Sequence[TargetCheck]:
    return target_health.TargetProbe(checks(hostname), timeout_s=1, good_for_s=10).counting()


@pytest.mark.parametrize(
    ("cause", "works"),
    [("ok", True), ("expiring", True), ("weak", True), ("wrong_name", False), ("expired", False), ("untrusted", False)],
)
def test_a_certificate_that_clients_refuse_counts_as_bad_in_the_standing_checks_too(
    hostname: DedicatedHostname, monkeypatch: pytest.MonkeyPatch, cause: str, works: bool
) -> None:
    monkeypatch.setattr(live, "freshness", lambda: live.Freshness(True, {hostname.pk: time.time()}, {hostname.pk: 5.0}))
    aim = hostname.targets.get(order=2).aim
    CheckState.objects.create(
        key="cert:x", kind="cert", label="Certificate", server_id=aim.pk, hostname=hostname, cause=cause,
        health="up" if cause == "ok" else "degraded",
    )  # fmt: skip
    assert [check.ok for check in target_health.stored(aim, hostname)] == [works]


def checks(hostname: DedicatedHostname) -> list[Check]:
    target = hostname.targets.select_related("server").get(order=2)
    return target_health.checks_of(target.aim, hostname)


def test_the_checks_are_those_of_the_estate_for_this_server_and_hostname(hostname: DedicatedHostname) -> None:
    make_pair()
    server_id = hostname.targets.get(order=2).server_id
    standing = {
        check.key
        for check in pools_services.estate_checks()
        if check.server_id == server_id and check.hostname_id in {None, hostname.pk}
    }
    assert {check.key for check in checks(hostname)} == standing
    assert len(standing) == 4


def test_a_virtual_service_without_real_servers_has_the_checks_of_its_address(hostname: DedicatedHostname) -> None:
    service = make_virtual_service(servers=0)
    kinds = {check.kind.value for check in target_health.checks_of(service, hostname)}
    assert kinds == {"vip", "web", "cert"}


def test_at_the_click_ports_are_asked_again_and_good_web_services_are_not(
    hostname: DedicatedHostname, answers: dict[str, bool]
) -> None:
    target_health.probe(checks(hostname), timeout_s=1)
    found = at_the_click(hostname)
    assert ASKED == [["ucc", "ucc", "web", "cert"], ["ucc", "ucc"]]
    assert [check.ok for check in found] == [True] * 4


def test_bad_web_services_are_asked_again(hostname: DedicatedHostname, answers: dict[str, bool]) -> None:
    answers["web"] = False
    target_health.probe(checks(hostname), timeout_s=1)
    at_the_click(hostname)
    assert ASKED[1] == ["ucc", "ucc", "web"]


def test_what_has_failed_since_is_not_good_any_more(hostname: DedicatedHostname, answers: dict[str, bool]) -> None:
    target_health.probe(checks(hostname), timeout_s=1)
    answers["web"] = False
    target_health.probe(checks(hostname), timeout_s=1)
    answers["web"] = True
    at_the_click(hostname)
    assert "web" in ASKED[2]


def test_a_probe_without_patience_for_old_results_asks_everything(
    hostname: DedicatedHostname, answers: dict[str, bool]
) -> None:
    for _ in range(2):
        target_health.probe(checks(hostname), timeout_s=1)
    assert ASKED[0] == ASKED[1]


def test_what_was_not_answered_is_not_known(hostname: DedicatedHostname, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = SimpleNamespace(results=dict, close=lambda: None)
    monkeypatch.setattr(pools_services, "Probing", lambda checks, timeout_s, *, beside: nothing)
    found = target_health.probe(checks(hostname), timeout_s=1)
    assert {check.ok for check in found} == {None}
    assert target_health.problem_of(found).endswith("not answered in time.")


def good_since(hostname: DedicatedHostname, **changed: object) -> None:
    server = hostname.targets.get(order=2).server
    for check in checks(hostname):
        CheckState.objects.create(
            key=check.key, kind=check.kind.value, label=check.label, server=server, hostname_id=check.hostname_id,
            health="up", since=timezone.now() - timedelta(minutes=10), **changed,
        )  # fmt: skip


@pytest.mark.parametrize(("age_s", "known"), [(1.0, True), (12.0, True), (13.0, False), (None, False)])
def test_what_nobody_looked_at_lately_is_not_healthy(
    hostname: DedicatedHostname, monkeypatch: pytest.MonkeyPatch, age_s: float | None, known: bool
) -> None:
    good_since(hostname)
    oldest = {} if age_s is None else {hostname.pk: time.time() - age_s}
    monkeypatch.setattr(live, "freshness", lambda: live.Freshness(True, oldest, dict.fromkeys(oldest, 5.0)))
    found = target_health.healthy_for(hostname.targets.get(order=2).aim, hostname)
    assert (found is not None) is known
    if found is not None:
        assert found >= timedelta(minutes=10)


def test_with_the_broker_lost_nothing_is_healthy(hostname: DedicatedHostname) -> None:
    good_since(hostname)
    assert target_health.healthy_for(hostname.targets.get(order=2).aim, hostname) is None


def test_what_flaps_is_not_healthy(hostname: DedicatedHostname, monkeypatch: pytest.MonkeyPatch) -> None:
    good_since(hostname, flapping=True)
    now = {hostname.pk: time.time()}
    monkeypatch.setattr(live, "freshness", lambda: live.Freshness(True, now, dict.fromkeys(now, 5.0)))
    assert target_health.healthy_for(hostname.targets.get(order=2).aim, hostname) is None
