"""Which target is next, and why: every reason for passing one over."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, strategies as st

from pools.next_target import Candidate, next_target

SRV1 = Candidate("SRV1", 1, "Amsterdam", "fepool1", active=True)
SRV2 = Candidate("SRV2", 2, "Amsterdam", "fepool1")
SRV3 = Candidate("SRV3", 3, "Rotterdam", "fepool2")
SRV4 = Candidate("SRV4", 4, "Rotterdam", "fepool2")
ALL = (SRV1, SRV2, SRV3, SRV4)


def named(*candidates: Candidate, lost: tuple[str, ...] = ()) -> str:
    found = next_target(candidates, lost=lost).target
    return found.name if found else ""


def test_within_the_pair_first() -> None:
    found = next_target(ALL)
    assert found.target is SRV2
    assert found.ready
    assert found.reason == "It is number 2 in the order, and works."


def test_when_the_pairs_other_server_is_down_the_paired_pool_is_next() -> None:
    found = next_target((SRV1, replace(SRV2, problem="UCC 6001 refused"), SRV3, SRV4))
    assert found.target is SRV3
    assert found.reason == "It is the first in the order that works, in Rotterdam. Passed over: SRV2: UCC 6001 refused."


def test_when_a_whole_site_is_lost_nothing_in_it_is_chosen() -> None:
    found = next_target(ALL, lost=["Amsterdam"])
    assert found.target is SRV3
    assert found.skipped[0].reason == "it is in Amsterdam, which is being left"


def test_a_front_end_pool_can_be_left_as_well() -> None:
    assert named(*ALL, lost=("fepool1",)) == "SRV3"


def test_a_server_in_maintenance_is_passed_over_and_its_reason_is_told() -> None:
    found = next_target((SRV1, replace(SRV2, in_maintenance=True, maintenance="new disks"), SRV3))
    assert found.target is SRV3
    assert found.skipped[0].reason == "in maintenance (new disks)"


def test_one_that_works_goes_before_one_of_which_nothing_is_known() -> None:
    unknown = replace(SRV2, known=False)
    assert named(SRV1, unknown, SRV3) == "SRV3"
    found = next_target((SRV1, unknown))
    assert found.target is unknown
    assert not found.ready
    assert found.reason == "It is number 2 in the order; it is not known whether it works."


def test_a_cold_standby_keeps_its_place_and_says_what_to_start() -> None:
    found = next_target((SRV1, replace(SRV2, cold=True), SRV3))
    assert found.target is not None
    assert found.target.name == "SRV2"
    assert not found.ready
    assert "start its UCC service first" in found.reason


def test_where_none_works_the_first_is_named_with_what_is_wrong() -> None:
    found = next_target((SRV1, replace(SRV2, problem="web refused."), replace(SRV3, problem="UCC 6001 refused")))
    assert found.target is not None
    assert found.target.name == "SRV2"
    assert not found.ready
    assert found.reason == "It is number 2 in the order; it is not ready: web refused."


def test_from_a_standby_the_primary_is_next_once_it_works() -> None:
    found = next_target((replace(SRV1, active=False), replace(SRV2, active=True), SRV3))
    assert found.target is not None
    assert found.target.name == "SRV1"
    assert found.reason == "It is the primary, and works."


def test_without_another_target_there_is_nowhere_to_go() -> None:
    assert next_target((SRV1,)).reason == "It has no other target."


def test_where_all_are_in_what_is_left_it_says_so() -> None:
    found = next_target((SRV1, SRV2), lost=["Amsterdam"])
    assert found.target is None
    assert found.reason == "None of its other targets can be used: SRV2: it is in Amsterdam, which is being left."


candidates = st.lists(
    st.builds(
        Candidate,
        name=st.just("S"),
        order=st.integers(1, 9),
        site=st.sampled_from(["A", "R"]),
        front_end_pool=st.sampled_from(["f1", "f2"]),
        problem=st.sampled_from(["", "down"]),
        known=st.booleans(),
        cold=st.booleans(),
        in_maintenance=st.booleans(),
        active=st.booleans(),
    ),
    max_size=6,
    unique_by=lambda candidate: candidate.order,
)


@given(candidates, st.sampled_from([(), ("A",), ("f2",)]))
def test_what_is_chosen_is_never_active_in_maintenance_or_lost(found: list[Candidate], lost: tuple[str, ...]) -> None:
    result = next_target(found, lost=lost)
    if result.target is None:
        return
    assert not result.target.active
    assert not result.target.in_maintenance
    assert result.target.site not in lost
    assert result.target.front_end_pool not in lost
    assert result.ready == result.target.ready


@given(candidates)
def test_no_earlier_one_that_works_is_passed_over(found: list[Candidate]) -> None:
    result = next_target(found)
    ready = [candidate.order for candidate in found if candidate.ready and not candidate.active]
    if ready:
        assert result.target is not None
        assert result.target.order <= min(ready)


@given(candidates)
def test_everything_before_the_chosen_one_is_told_with_its_reason(found: list[Candidate]) -> None:
    result = next_target(found)
    if result.target is not None:
        before = [c for c in found if not c.active and c.order < result.target.order]
        assert len(result.skipped) == len(before)
        assert all(skipped.reason for skipped in result.skipped)
