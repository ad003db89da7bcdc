"""A prober that may be cut off says so once, calls nothing down, and trusts itself again a moment later."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from pools import doubt as doubting
from pools.doubt import Doubt, parse_reference_targets
from pools.models import CheckState, HealthTransition, HostnameStatus
from pools.probing.result import Cause, ProbeResult
from pools.recording import Recorder
from pools.services import estate_checks, record_results
from tests.factories import make_pair


def test_a_doubt_lasts_from_its_first_reason_until_a_moment_after_its_last() -> None:
    doubt = doubting.followed_by(None, "cut off", 100.0)
    assert doubt == Doubt(100.0, "cut off", 100.0)
    doubt = doubting.followed_by(doubt, "cut off", 105.0)
    assert doubt == Doubt(100.0, "cut off", 105.0)
    assert doubting.followed_by(doubt, "", 107.9) == doubt
    assert doubting.followed_by(doubt, "", 108.0) is None
    assert doubting.followed_by(None, "", 108.0) is None


@given(st.lists(st.tuples(st.floats(0, 10), st.booleans()), max_size=30))
def test_there_is_no_doubt_without_a_reason_in_the_last_moment(looks: list[tuple[float, bool]]) -> None:
    doubt, at, last = None, 0.0, float("-inf")
    for passed, has_reason in looks:
        at += passed
        last = at if has_reason else last
        doubt = doubting.followed_by(doubt, "cut off" if has_reason else "", at)
        if has_reason:
            assert doubt is not None
        if doubt is not None:
            assert at - last < doubting.TRUSTED_AGAIN_AFTER_S
            assert doubt.since <= doubt.last == last


def result(key: str, *, ok: bool | None, at: float = 100.0, degraded: bool = False) -> ProbeResult:
    return ProbeResult(key, at, ok, degraded, Cause.OK if ok else Cause.TIMEOUT, "no answer")


@pytest.mark.parametrize(
    ("failing", "share", "doubts"), [(8, 0.8, False), (9, 0.8, True), (6, 0.5, True), (5, 0.5, False)]
)
def test_more_than_the_stated_share_of_the_servers_is_a_reason(failing: int, share: float, doubts: bool) -> None:
    results = [result(f"ucc:{n}:1", ok=n >= failing) for n in range(10)]
    found = doubting.reason_by_share(results, {}, lambda key: key.split(":")[1], share)
    assert found == (doubting.BY_SHARE if doubts else "")


def test_servers_that_failed_long_before_do_not_make_this_moment_doubtful() -> None:
    seen = {f"ucc:{n}:1": (10.0, True, 1.0) for n in range(20)}
    results = [result(f"ucc:{n}:1", ok=False) for n in range(7)]
    assert doubting.reason_by_share(results, seen, lambda key: key, 0.8) == ""


def test_what_failed_a_second_before_is_not_of_this_moment() -> None:
    seen: dict[str, tuple[float, bool | None, float | None]] = {
        f"ucc:{n}:1": (99.0, False, None) if n < 8 else (90.0, True, 1.0) for n in range(30)
    }
    results = [result("ucc:7:1", ok=False), result("ucc:8:1", ok=False)]
    assert doubting.reason_by_share(results, seen, lambda key: key, 0.8) == ""
    at_once: dict[str, tuple[float, bool | None, float | None]] = {
        key: (99.9, ok, None) for key, (_, ok, _) in seen.items() if ok is False
    }
    assert doubting.reason_by_share(results, seen | at_once, lambda key: key, 0.8) == doubting.BY_SHARE


def test_only_what_is_bad_becomes_not_known() -> None:
    good, bad, degraded = result("a", ok=True), result("b", ok=False), result("c", ok=False, degraded=True)
    found = doubting.as_not_known([good, bad, degraded], "cut off")
    assert [one.ok for one in found] == [True, None, False]
    assert (found[1].cause, found[1].sentence) == (Cause.CUT_OFF, "cut off (no answer)")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ()),
        ("192.0.2.1:53", (("192.0.2.1", 53),)),
        ("192.0.2.1:53 , [2001:db8::1]:443,", (("192.0.2.1", 53), ("2001:db8::1", 443))),
    ],
)
def test_reference_targets_are_addresses_with_ports(text: str, found: tuple[tuple[str, int], ...]) -> None:
    assert parse_reference_targets(text) == found


@pytest.mark.parametrize("text", ["dns1:53", "192.0.2.1", "192.0.2.1:0", "192.0.2.1:70000", "192.0.2.1:dns", ":53"])
def test_a_reference_target_that_is_none_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=text.split(":", maxsplit=1)[0] or "begin"):
        parse_reference_targets(f"192.0.2.9:53, {text}")


# ---------------------------------------------------------------------------------------------------------- recording


class Silent:
    """References of which nobody answers while ``silent``."""

    silent = True

    def all_silent(self) -> bool:
        return self.silent


class Cut:
    """One pair of servers, seen by a prober with reference targets; its clock is in the results."""

    def __init__(self) -> None:
        self.hostname = make_pair()
        self.checks = estate_checks()
        self.references = Silent()
        self.references.silent = False
        self.recorder = Recorder(0, 1, references=self.references)  # type: ignore[arg-type]
        self.recorder.load(self.checks, fence=1)
        self.at = 1_000_000.0

    def sweep(self, *, ok: bool, passed_s: float = 1.0) -> None:
        self.at += passed_s
        record_results([result(check.key, ok=ok, at=self.at) for check in self.checks], recorder=self.recorder, fence=1)


@pytest.mark.django_db
def test_without_its_reference_targets_a_prober_calls_nothing_down_and_raises_one_alarm() -> None:
    cut = Cut()
    cut.sweep(ok=True)
    before = HealthTransition.objects.exclude(check_key="").count()
    cut.references.silent = True
    for _ in range(5):
        cut.sweep(ok=False)
    assert set(CheckState.objects.values_list("health", "cause")) == {("unknown", "cut_off")}
    assert HostnameStatus.objects.get().health == "unknown"
    told = HealthTransition.objects.exclude(check_key="").order_by("id")[before:]
    assert [(one.label, one.new) for one in told] == [("The prober itself", "unknown")]


@pytest.mark.django_db
def test_a_prober_that_sees_again_says_so_and_each_check_is_as_before() -> None:
    cut = Cut()
    cut.sweep(ok=True)
    before = HealthTransition.objects.exclude(check_key="").count()
    cut.references.silent = True
    for _ in range(5):
        cut.sweep(ok=False)
    cut.references.silent = False
    cut.sweep(ok=True)
    cut.sweep(ok=True, passed_s=4.0)
    assert cut.recorder.doubt is None
    assert set(CheckState.objects.values_list("health", flat=True)) == {"up"}
    told = list(HealthTransition.objects.exclude(check_key="").order_by("id").values_list("label", "new"))[before:]
    assert told == [("The prober itself", "unknown"), ("The prober itself", "up")]


@pytest.mark.django_db
def test_what_is_down_when_the_prober_sees_again_is_told() -> None:
    cut = Cut()
    cut.sweep(ok=True)
    cut.references.silent = True
    for _ in range(5):
        cut.sweep(ok=False)
    cut.references.silent = False
    for _ in range(8):
        cut.sweep(ok=False)
    assert set(CheckState.objects.values_list("health", flat=True)) == {"down"}
    down = HealthTransition.objects.filter(new="down").exclude(check_key="")
    assert {one.check_key for one in down} == {check.key for check in cut.checks}


@pytest.mark.django_db
def test_what_was_down_before_the_doubt_is_not_told_again_after_it() -> None:
    cut = Cut()
    for _ in range(4):
        cut.sweep(ok=False)
    before = HealthTransition.objects.filter(new="down").count()
    assert before
    cut.references.silent = True
    for _ in range(5):
        cut.sweep(ok=False)
    cut.references.silent = False
    for _ in range(8):
        cut.sweep(ok=False)
    checks = HealthTransition.objects.filter(new="down").exclude(check_key="")
    assert checks.count() == len(cut.checks)


@pytest.mark.django_db
def test_with_reference_targets_that_answer_a_real_outage_of_a_small_estate_is_down() -> None:
    cut = Cut()
    cut.sweep(ok=True)
    for _ in range(3):
        cut.sweep(ok=False)
    assert not CheckState.objects.filter(health="unknown").exists()
    assert cut.recorder.doubt is None
