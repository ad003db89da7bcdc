"""Both servers, neither, only some: each UCC with its sentence."""

from __future__ import annotations

import time
from itertools import product

import pytest

from pools import live
from pools.health import Health
from pools.models import CheckState, DedicatedHostname, FailoverTarget, HostnameStatus, Site, TrustedApplicationPool
from pools.rolling import read_facts
from pools.ucc_pages import ucc_table
from pools.ucc_states import Cell, Pattern, Run, UccLine, run_of, summary, ucc_line, worst_first
from tests.factories import make_pair

R, N, S, U, A = Run.RUNNING, Run.REFUSED, Run.SILENT, Run.UNKNOWN, Run.ABSENT


def line(
    *runs: Run, active: frozenset[int] = frozenset({1}), both: bool = False, out: frozenset[int] = frozenset()
) -> UccLine:
    cells = [Cell(n, f"SRV{n}", run, 6001, in_maintenance=n in out) for n, run in enumerate(runs, start=1)]
    return ucc_line("Sales", cells, active, both_normal=both)


@pytest.mark.parametrize(
    ("found", "pattern", "health", "sentence"),
    [
        (line(R, N), Pattern.RUNS, Health.UP, "Runs on SRV1."),
        (line(R, U), Pattern.RUNS, Health.UP, "Runs on SRV1."),
        (line(R, R), Pattern.BOTH, Health.DEGRADED, "Runs on SRV1 and SRV2: only one of them should run it."),
        (line(R, R, both=True), Pattern.BOTH_NORMAL, Health.UP, "Runs on SRV1 and SRV2, as is normal here."),
        (line(N, S), Pattern.NEITHER, Health.DOWN, "Runs nowhere: its clients get no data."),
        (line(N, U), Pattern.UNKNOWN, Health.UNKNOWN, "Whether it runs on SRV2 is not known."),
        (line(N, R), Pattern.ELSEWHERE, Health.DOWN,
         "Runs on SRV2, but DNS points at SRV1: its clients get no data."),
        (line(A, R), Pattern.ELSEWHERE, Health.DOWN,
         "Runs on SRV2, but DNS points at SRV1: its clients get no data."),
        (line(U, R), Pattern.UNKNOWN, Health.UNKNOWN, "Runs on SRV2; whether it runs on SRV1 is not known."),
        (line(N, R, active=frozenset({1, 2})), Pattern.RUNS, Health.UP, "Runs on SRV2."),
        (line(N, R, active=frozenset()), Pattern.RUNS, Health.UP, "Runs on SRV2."),
        (line(R, N, both=True), Pattern.STANDBY_MISSING, Health.DEGRADED,
         "Runs on SRV1, and not on SRV2, where it should run too."),
        (line(R, N, both=True, out=frozenset({2})), Pattern.RUNS, Health.UP, "Runs on SRV1."),
        (line(N, N, R, R), Pattern.BOTH, Health.DEGRADED, "Runs on SRV3 and SRV4: only one of them should run it."),
    ],
)  # fmt: skip
def test_each_combination_has_its_sentence(found: UccLine, pattern: Pattern, health: Health, sentence: str) -> None:
    assert (found.pattern, found.health, found.sentence) == (pattern, health, sentence)


def test_what_is_wrong_in_maintenance_is_shown_as_planned() -> None:
    assert line(N, N, out=frozenset({1})).status == "maintenance"
    assert line(N, N, out=frozenset({2})).status == "down"
    assert line(R, N, out=frozenset({1})).status == "up"
    assert line(U, N, out=frozenset({1})).status == "unknown"


def test_it_is_never_called_well_without_a_server_that_is_seen_to_run_it_where_clients_are_led() -> None:
    for runs in product(Run, repeat=3):
        for both in (False, True):
            found = line(*runs, both=both)
            assert found.sentence.endswith(".")
            if found.health is Health.UP:
                assert Run.RUNNING in runs
                assert both or runs.count(Run.RUNNING) == 1
                assert both or runs[0] is Run.RUNNING
            if Run.RUNNING not in runs and Run.UNKNOWN in runs:
                assert found.health is Health.UNKNOWN


@pytest.mark.parametrize(
    ("health", "cause", "stale", "run"),
    [("up", "ok", False, R), ("degraded", "ok", False, R), ("down", "refused", False, N), ("down", "timeout", False, S),
     ("down", "no_route", False, S), ("down", "reset", False, Run.FAILING), ("unknown", "cut_off", False, U),
     ("up", "ok", True, U), ("down", "refused", True, U)],
)  # fmt: skip
def test_stale_is_unknown_and_refused_is_not_silent(health: str, cause: str, stale: bool, run: Run) -> None:
    assert run_of(health=health, cause=cause, stale=stale) is run


def test_the_summary_counts_what_is_wrong_and_only_some_started_says_so() -> None:
    assert summary([line(R, N), line(R, N)]) == "All 2 run as they should."
    assert summary([line(R, N), line(N, N), line(N, N)]) == "2 run nowhere; 1 of 3 as it should be."
    assert summary([line(R, R)]) == "1 runs on two servers at once; 0 of 1 as it should be."
    assert summary([]) == "No UCC is entered for these servers."
    assert [one.health for one in worst_first([line(R, N), line(R, R), line(N, N)])] == ["down", "degraded", "up"]


@pytest.fixture
def pair(db: None, monkeypatch: pytest.MonkeyPatch) -> DedicatedHostname:
    """A pair whose two UCCs run on both servers, checked just now, in a pool that says that one should."""
    hostname = make_pair(ports=(6001, 6002), standby_runs_ucc=False)
    keys = []
    for target in FailoverTarget.objects.filter(hostname=hostname):
        (server,) = target.servers
        for application in hostname.trusted_application_pool.trusted_applications.all():
            key = f"ucc:{server.pk}:{application.pk}"
            CheckState.objects.create(
                key=key, kind="ucc", label=key, server=server, trusted_application=application, health="up", cause="ok"
            )
            keys.append(key)
    monkeypatch.setattr(live, "latest", lambda _: {k: live.Latest(time.time() - 2, "up", 0, None) for k in keys})
    HostnameStatus.objects.create(hostname=hostname, active_server=hostname.targets.get(order=1).server)
    return hostname


def table_of(hostname: DedicatedHostname) -> list[Pattern]:
    return [one.pattern for one in ucc_table(DedicatedHostname.objects.with_estate().get(pk=hostname.pk)).lines]


def test_the_pool_or_its_site_says_that_both_running_is_normal(pair: DedicatedHostname) -> None:
    def both_run() -> set[bool]:
        return {s.standby_runs_ucc for t in read_facts({pair.pk}, {})[pair.pk].targets for s in t.servers}

    assert (table_of(pair), both_run()) == ([Pattern.BOTH, Pattern.BOTH], {False})
    Site.objects.update(standby_runs_ucc=True)
    assert (table_of(pair), both_run()) == ([Pattern.BOTH_NORMAL, Pattern.BOTH_NORMAL], {True})
    Site.objects.update(standby_runs_ucc=False)
    TrustedApplicationPool.objects.update(standby_runs_ucc=True)
    assert (table_of(pair), both_run()) == ([Pattern.BOTH_NORMAL, Pattern.BOTH_NORMAL], {True})


def test_what_was_not_checked_lately_is_unknown(pair: DedicatedHostname, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "latest", lambda _: {})
    assert table_of(pair) == [Pattern.UNKNOWN, Pattern.UNKNOWN]
