"""The journal: in order, on the disk, and no line of it changed without notice."""

from __future__ import annotations

from pathlib import Path

import pytest

from dnsops.breakglass.journal import Journal, JournalError, Line, broken_off, in_use, read
from tests.unit.breakglass.samples import KEY


def line(event: str, run: str = "r1") -> Line:
    """One line."""
    return Line(run, event, "2026-11-25T10:00:00+00:00", {"text": f"é {event}"})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "journal.jsonl"
    with Journal(found, KEY) as journal:
        for event in ("began", "sending", "answered", "ended"):
            journal.append(line(event))
    return found


def test_it_reads_back_what_was_written_over_several_openings(path: Path) -> None:
    with Journal(path, KEY) as journal:
        journal.append(line("began", "r2"))
    assert [(found.run, found.event) for found in read(path, KEY)] == [
        ("r1", "began"), ("r1", "sending"), ("r1", "answered"), ("r1", "ended"), ("r2", "began"),
    ]  # fmt: skip


def test_without_a_journal_there_is_nothing_to_read(tmp_path: Path) -> None:
    assert read(tmp_path / "none", KEY) == []
    assert not in_use(tmp_path / "none")


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_line_that_was_taken_out_of_the_middle_shows(path: Path, number: int) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:number] + lines[number + 1 :]))
    with pytest.raises(JournalError, match=f"Line {number + 1}"):
        read(path, KEY)


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_a_line_that_was_changed_shows(path: Path, number: int) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    lines[number] = lines[number].replace(b'"r1"', b'"r9"')
    path.write_bytes(b"".join(lines))
    with pytest.raises(JournalError, match=f"Line {number + 1}"):
        read(path, KEY)


def test_a_line_that_was_spoilt_in_the_middle_shows_at_the_next(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1] = b"{\n"
    path.write_bytes(b"".join(lines))
    with pytest.raises(JournalError, match="Line 3"):
        read(path, KEY)


def test_nothing_is_added_to_a_journal_that_was_changed(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'"r1"', b'"r9"', 1))
    with pytest.raises(JournalError, match="changed"), Journal(path, KEY):
        pass


def test_another_key_is_not_believed(path: Path) -> None:
    with pytest.raises(JournalError):
        read(path, b"x" * 64)


def test_a_last_line_that_was_cut_off_by_a_power_loss_is_left_out_and_the_next_is_whole(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    assert [found.event for found in read(path, KEY)] == ["began", "sending", "answered"]
    with Journal(path, KEY) as journal:
        journal.append(line("ended"))
    assert [found.event for found in read(path, KEY)] == ["began", "sending", "answered", "ended"]


def test_an_attempt_without_an_end_is_the_last_one_of_its_hostname_only() -> None:
    def began(run: str, hostname: str = "a") -> Line:
        return Line(run, "began", "", {"plan": {"hostname": hostname}})

    def ended(run: str) -> Line:
        return Line(run, "ended", "", {})

    assert broken_off([], "a") is None
    assert broken_off([began("1"), ended("1")], "a") is None
    assert broken_off([began("1"), began("2", "b"), ended("2")], "a") == began("1")
    assert broken_off([began("1"), began("2"), ended("2")], "a") is None
    assert broken_off([began("1"), ended("1"), began("2")], "a") == began("2")


def test_only_one_attempt_at_a_time_writes_it(path: Path) -> None:
    with Journal(path, KEY):
        assert in_use(path)
        with pytest.raises(JournalError, match="under way"), Journal(path, KEY):
            pass
    assert not in_use(path)


def test_a_journal_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JournalError, match="cannot be written"), Journal(tmp_path / "file" / "journal", KEY):
        pass
