"""The arithmetic of the benches, and how their figures are shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from a365admin import benchmarks


def test_a_goal_is_met_when_the_ratio_is_not_above_it() -> None:
    figure = benchmarks.compare(bench="b", name="n", unit="ms", ours=9, peer_name="p", peer=26, goal=1.0)
    assert figure.ratio == pytest.approx(9 / 26)
    assert figure.met is True


def test_a_missed_goal_is_not_met() -> None:
    assert not benchmarks.compare(bench="b", name="n", unit="ms", ours=27, peer_name="p", peer=26, goal=1.0).met


def test_without_its_peer_a_figure_is_null_and_never_guessed() -> None:
    figure = benchmarks.compare(bench="b", name="n", unit="ms", ours=9, peer_name="gdnsd", peer=None, goal=1.0)
    assert (figure.peer, figure.ratio, figure.met) == (None, None, None)
    assert json.loads(benchmarks.as_json([figure])) == [
        {
            "bench": "b",
            "name": "n",
            "unit": "ms",
            "ours": 9,
            "peer_name": "gdnsd",
            "peer": None,
            "ratio": None,
            "goal": 1.0,
            "met": None,
        }
    ]


def test_a_limit_has_no_peer() -> None:
    figure = benchmarks.limit(bench="b", name="n", unit="s", ours=0.9, goal=1.0)
    assert (figure.peer_name, figure.met) == ("", True)


def test_percentiles_are_values_that_were_measured() -> None:
    values = [float(n) for n in range(1, 21)]
    assert benchmarks.p95(values) == 19
    assert benchmarks.percentile(values, 1) == 20
    assert benchmarks.percentile([7.0], 0.05) == 7


def test_rounds_are_interleaved_and_each_begins_with_another_subject() -> None:
    calls: list[str] = []
    seconds = benchmarks.interleaved(
        {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=2, repeat=2, warm_up=0
    )
    assert "".join(calls) == "aabb" + "bbaa"
    assert {name: len(values) for name, values in seconds.items()} == {"a": 4, "b": 4}


def test_one_bad_round_does_not_decide() -> None:
    assert benchmarks.median_of_rounds([1, 1, 90, 90, 2, 2], repeat=2, figure=benchmarks.p50) == 2


def test_benches_are_found_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "tests" / "benchmarks"
    folder.mkdir(parents=True)
    (folder / "bench_main.py").touch()
    (folder / "client.py").touch()
    assert benchmarks.available(tmp_path) == ["main"]
    with pytest.raises(benchmarks.BenchError, match=r"There is no bench 'mian'\. There are: main"):
        benchmarks.load("mian", tmp_path)


def test_the_table_shows_what_is_missing_as_a_dash() -> None:
    figure = benchmarks.compare(bench="b", name="n", unit="ms", ours=9, peer_name="gdnsd", peer=None, goal=1.0)
    assert benchmarks.table([figure]).splitlines()[-1].split() == ["b", "n", "ms", "9", "gdnsd", "-", "-", "1", "-"]
