"""Each combination of servers, and of hostnames, has its sentence; nothing unknown is ever up."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given, strategies as st

from pools.facts import CheckFact, ServerFacts, UccFact
from pools.health import Health
from pools.places import Part, Verdict, roll_up_hostnames, roll_up_one, roll_up_pair, together

UP, DEGRADED, DOWN, UNKNOWN = Health.UP, Health.DEGRADED, Health.DOWN, Health.UNKNOWN


def fact(health: Health) -> CheckFact:
    return CheckFact(health, "refused" if health is Health.DOWN else "")


def server(name: str, *uccs: Health, web: Health = UP, both: bool = False) -> ServerFacts:
    return ServerFacts(
        1, name, f"{name}.example", "10.0.0.1",
        uccs=tuple(UccFact(n, f"Desk {n}", 6000 + n, fact(health)) for n, health in enumerate(uccs, start=1)),
        web=fact(web), standby_runs_ucc=both,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("one", "active", "expected"),
    [
        (server("A", UP, UP), True, Verdict(UP, "UCCs and web services answer.")),
        (server("A"), False, Verdict(UP, "Web services answer.")),
        (
            server("A", DOWN, DOWN),
            True,
            Verdict(DOWN, "UCC 6001, 6002 refused; web still answers: clients get no data."),
        ),
        (
            server("A", DOWN, DOWN),
            False,
            Verdict(UP, "It stands by: the UCC service is not started, web services answer."),
        ),
        (
            server("A", DOWN, DOWN),
            None,
            Verdict(DOWN, "UCC 6001, 6002 refused; web still answers: clients get no data."),
        ),
        (
            replace(server("A"), uccs=(UccFact(1, "Desk", 6001, CheckFact(DOWN, "timeout")),)),
            False,
            Verdict(DOWN, "No client is on it now. UCC 6001 timed out; web still answers: clients get no data."),
        ),
        (
            server("A", DOWN, DOWN, both=True),
            False,
            Verdict(DOWN, "No client is on it now. UCC 6001, 6002 refused; web still answers: clients get no data."),
        ),
        (
            server("A", DOWN, web=DOWN),
            False,
            Verdict(DOWN, "No client is on it now. A does not work: UCC 6001 refused, web refused."),
        ),
        (server("A", UNKNOWN), True, Verdict(UNKNOWN, "Whether it works is not known: A is not checked yet.")),
        (
            replace(server("A", UP), web=CheckFact(UNKNOWN, "", "the last results are too old to be believed")),
            True,
            Verdict(UNKNOWN, "Whether it works is not known: the last results are too old to be believed."),
        ),
    ],
)
def test_a_server_by_itself_is_judged_by_whether_clients_are_on_it(
    one: ServerFacts, active: bool | None, expected: Verdict
) -> None:
    assert roll_up_one(one, active=active) == expected


@pytest.mark.parametrize(
    ("servers", "expected"),
    [
        ([server("A", UP, UP), server("B", DOWN, DOWN)], Verdict(UP, "The UCC service runs on A; B stands by.")),
        (
            [server("A", DOWN), server("B", DOWN)],
            Verdict(DOWN, "No server runs the UCC service; web still answers: clients get no data."),
        ),
        (
            [server("A", DOWN, web=DOWN), server("B", DOWN, web=DOWN)],
            Verdict(DOWN, "No server runs the UCC service."),
        ),
        ([server("A", DOWN, web=DOWN)], Verdict(DOWN, "A does not run the UCC service.")),
        (
            [server("A", UP), server("B", UP)],
            Verdict(DEGRADED, "A and B both run the UCC service: only one of them should."),
        ),
        (
            [server("A", UP, both=True), server("B", UP, both=True)],
            Verdict(UP, "The UCC service runs on A and B, as it is meant to here."),
        ),
        (
            [server("A", UP, DOWN, UP), server("B", DOWN, DOWN, DOWN)],
            Verdict(DEGRADED, "UCC 6002 runs on no server; 2 of 3 UCCs run."),
        ),
        (
            [server("A", *[DOWN] * 6, UP)],
            Verdict(DEGRADED, "UCC 6001, 6002, 6003, 6004 and 2 more run on no server; 1 of 7 UCCs run."),
        ),
        (
            [server("A", UP, web=DOWN), server("B", DOWN)],
            Verdict(DEGRADED, "The UCC service runs on A, web does not: calls flow, screens dead."),
        ),
        (
            [server("A", UP, web=DOWN, both=True), server("B", UP, both=True)],
            Verdict(UP, "The UCC service runs on A and B, as it is meant to here."),
        ),
        (
            [server("A", *[DOWN] * 4, UP)],
            Verdict(DEGRADED, "UCC 6001, 6002, 6003, 6004 run on no server; 1 of 5 UCCs run."),
        ),
        ([server("A", UNKNOWN), server("B", DOWN)], Verdict(UNKNOWN, "Whether UCC 6001 runs is not known.")),
        ([server("A", UP, DOWN), server("B", DOWN, UP)], Verdict(UP, "The UCC service runs on A and B.")),
        ([], Verdict(UNKNOWN, "It has no server.")),
        ([server("A")], Verdict(UNKNOWN, "It has no trusted application, so no UCC can be checked.")),
    ],
)
def test_a_pair_says_where_the_ucc_service_runs(servers: list[ServerFacts], expected: Verdict) -> None:
    assert roll_up_pair(servers) == expected


@pytest.mark.parametrize("states", list(product(Health, repeat=4)))
def test_of_two_servers_with_two_uccs_nothing_unknown_is_up_and_no_outage_is_missed(states: tuple[Health, ...]) -> None:
    verdict = roll_up_pair([server("A", *states[:2]), server("B", *states[2:])])
    runs = [any(states[place] in {UP, DEGRADED} for place in (ucc, ucc + 2)) for ucc in (0, 1)]
    known_dead = [all(states[place] is DOWN for place in (ucc, ucc + 2)) for ucc in (0, 1)]
    if all(known_dead):
        assert verdict.health is DOWN
    elif any(known_dead):
        assert verdict.health is DEGRADED
    elif not all(runs):
        assert verdict.health is UNKNOWN
    else:
        assert verdict.health in {UP, DEGRADED}
    assert verdict.sentence.endswith(".")


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([], Verdict(UNKNOWN, "No dedicated hostname belongs to it, so no client depends on it.")),
        ([Part("a", UP, "")], Verdict(UP, "a works.")),
        ([Part("a", UP, ""), Part("b", UP, "on the standby")], Verdict(UP, "All 2 hostnames work.")),
        ([Part("a", DOWN, "web refused")], Verdict(DOWN, "a: web refused.")),
        (
            [Part("a", UP, ""), Part("b", DOWN, "web refused")],
            Verdict(DEGRADED, "Of 2 hostnames 1 down. b: web refused."),
        ),
        ([Part("a", UP, ""), Part("b", UNKNOWN, "")], Verdict(UNKNOWN, "Of 2 hostnames 1 not known. b.")),
        (
            [Part("a", DEGRADED, "x"), Part("b", DOWN, "y"), Part("c", UNKNOWN, "z"), Part("d", UP, "")],
            Verdict(DEGRADED, "Of 4 hostnames 1 down, 1 not known, 1 degraded. b: y; c: z; and 1 more."),
        ),
        (
            [Part("a", DOWN, "x"), Part("b", DOWN, "y"), Part("c", DOWN, "z")],
            Verdict(DOWN, "Of 3 hostnames 3 down. a: x; b: y; and 1 more."),
        ),
        ([Part("a", DOWN, "x"), Part("b", DOWN, "y")], Verdict(DOWN, "Of 2 hostnames 2 down. a: x; b: y.")),
    ],
)
def test_hostnames_are_counted_and_the_worst_are_named(parts: list[Part], expected: Verdict) -> None:
    assert roll_up_hostnames(parts) == expected


@given(st.lists(st.sampled_from(list(Health)), min_size=1, max_size=8))
def test_hostnames_are_up_only_where_each_is(healths: list[Health]) -> None:
    found = roll_up_hostnames([Part(str(n), health, "") for n, health in enumerate(healths)]).health
    assert (found is UP) == (set(healths) == {UP})
    assert (found is DOWN) == (set(healths) == {DOWN})
    if found is UNKNOWN:
        assert set(healths) <= {UP, UNKNOWN}


@given(st.lists(st.builds(Verdict, st.sampled_from(list(Health)), st.sampled_from(["", "a.", "b."])), min_size=1))
def test_together_the_worst_counts_and_is_said_first(verdicts: list[Verdict]) -> None:
    found = together(*verdicts)
    order = [DOWN, UNKNOWN, DEGRADED, UP]
    assert found.health is min((verdict.health for verdict in verdicts), key=order.index)
    assert len(found.sentence.split()) == sum(bool(verdict.sentence) for verdict in verdicts)
