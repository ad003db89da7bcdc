"""``manage.py test``: what it decides; the gates and the suite themselves are run by it, not here."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from django.core.management import load_command_class

from a365admin.management.commands import lock
from a365admin.management.commands.test import Command, SuiteResult, closing_line, counts_of
from a365admin.testing import extras, gates, system_packages

ROOT = Path(gates.__file__).resolve().parent.parent.parent


def test_a_failing_gate_is_reported_with_its_output_and_the_others_run_all_the_same() -> None:
    said: list[str] = []
    python = sys.executable
    results = gates.run_gates(
        [
            gates.Gate("bad", (python, "-c", "print('what is wrong'); raise SystemExit(3)")),
            gates.Gate("absent", ("/nowhere/to/be/found",)),
            gates.Gate("good", (python, "-c", "")),
        ],
        ROOT,
        said.append,
    )
    assert [result.passed for result in results] == [False, False, True]
    assert "what is wrong" in said


def test_a_gate_does_not_see_the_settings_of_the_users_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://precious")
    monkeypatch.setenv("A365_VAR", "/precious")
    code = "import os; raise SystemExit(any('precious' in value for value in os.environ.values()))"
    assert gates.run_gate(gates.Gate("clean", (sys.executable, "-c", code)), ROOT).passed


def test_every_promised_gate_is_there() -> None:
    names = {gate.name for gate in gates.all_gates(ROOT, Path("/var"))}
    assert names == {
        "ruff check",
        "ruff format --check",
        "mypy --strict",
        "lint-imports",
        "check --deploy",
        "makemigrations --check",
        "djlint --lint",
    }


def test_missing_commands_name_their_packages() -> None:
    absent = {"nsupdate", "redis-server"}
    missing = system_packages.missing_parts(lambda command: None if command in absent else command)
    assert [part.package for part in missing if part.commands] == ["bind9-dnsutils", "redis-server"]


def test_a_package_without_a_command_is_known_by_its_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    there = system_packages.Part("there", (), "nothing", (f"{tmp_path.relative_to('/')}/*.so",))
    gone = system_packages.Part("gone", (), "nothing", (f"{tmp_path.relative_to('/')}/*.nothing",))
    (tmp_path / "a.so").touch()
    monkeypatch.setattr(system_packages, "PARTS", (there, gone))
    assert system_packages.missing_parts() == [gone]


def test_an_extra_that_cannot_be_built_is_said_and_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr(extras, "find_command", lambda command: None)
    said: list[str] = []
    assert not extras.ensure_gssapi(ROOT, said.append)
    assert "cannot be built without gcc and krb5-config" in said[0]


def test_elsewhere_than_on_debian_as_root_the_one_line_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system_packages, "missing_parts", lambda: [system_packages.PARTS[0]])
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    said: list[str] = []
    assert system_packages.ensure(said.append) == [system_packages.PARTS[0]]
    assert "sudo apt-get install -y bind9" in said[0]
    assert "DNS changes against BIND" in said[1]


def run_pytest(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "tests.plugins.forbid_skips",
            "-c",
            os.devnull,
            f"--rootdir={folder}",
            *options,
            folder,
        ],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_where_skips_are_forbidden_a_skipped_test_fails_the_run_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text(
        "import pytest\ndef test_runs(): pass\n@pytest.mark.skip(reason='no BIND here')\ndef test_bind(): pass\n"
    )
    done = run_pytest(tmp_path)
    assert done.returncode == 1, done.stdout
    assert "test_bind: Skipped: no BIND here" in done.stdout


def test_where_skips_are_forbidden_a_skipped_module_counts_too(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text("def test_runs(): pass\n")
    (tmp_path / "test_b.py").write_text("import pytest\npytest.skip('no module', allow_module_level=True)\n")
    assert run_pytest(tmp_path).returncode == 1


def test_where_skips_are_forbidden_expected_failures_are_still_fine(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text("import pytest\n@pytest.mark.xfail\ndef test_known(): assert False\n")
    assert run_pytest(tmp_path).returncode == 0


def test_locking_pins_the_base_first_and_the_others_agree_with_it() -> None:
    lines = [lock.command(*file, upgrade=True) for file in lock.FILES]
    assert lines[0][lines[0].index("-o") + 1] == "requirements.txt"
    assert all("requirements.txt" in line[line.index("-c") + 1 :] for line in lines[1:])
    assert all("--upgrade" in line and "--generate-hashes" in line for line in lines)


def test_requirements_are_pinned_with_hashes() -> None:
    for _, result, _ in lock.FILES:
        text = (ROOT / result).read_text()
        assert all("==" in line for line in lock.pinned(ROOT / result))
        assert text.count("==") <= text.count("--hash=sha256:")


def suite(**changes: object) -> SuiteResult:
    counts = Counter({"passed": 40, "failed": 0})
    return replace(SuiteResult("tests on SQLite", True, 3.0, "", 0, counts), **changes)  # type: ignore[arg-type]


def test_the_counts_come_from_pytests_own_report(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text(
        "import pytest\ndef test_a(): pass\ndef test_b(): assert 0\ndef test_c(): pytest.skip('x')\n"
        "@pytest.fixture\ndef broken(): raise OSError\ndef test_d(broken): pass\n"
    )
    report = tmp_path / "report.xml"
    run_pytest(tmp_path, f"--junitxml={report}")
    assert counts_of(report) == {"passed": 1, "failed": 1, "skipped": 1, "error": 1}


def test_a_run_that_wrote_no_report_counts_nothing(tmp_path: Path) -> None:
    assert not counts_of(tmp_path / "nothing.xml")


def test_the_last_line_adds_all_suites_up_in_the_form_in_which_pytest_ends() -> None:
    results = [gates.GateResult("ruff", True, 1.0, ""), suite(), suite(counts=Counter(passed=2, failed=1))]
    assert closing_line(results, 61.5) == "===== 1 failed, 42 passed in 61.50s ====="
    assert closing_line([], 1.0) == "===== no tests ran in 1.00s ====="


@pytest.mark.parametrize("given", [["--fast", "--", "-k", "drift"], ["--fast", "-k", "drift"]])
def test_what_is_not_ours_goes_to_pytest_with_and_without_two_dashes(
    given: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[dict[str, object]] = []
    monkeypatch.setattr(Command, "run", lambda self, **options: ran.append(options))
    with pytest.raises(SystemExit):
        Command().run_from_argv(["manage.py", "test", *given])
    assert [(options["fast"], options["pytest_arguments"]) for options in ran] == [(True, ["-k", "drift"])]


def test_our_test_command_is_the_one_that_runs() -> None:
    assert load_command_class("a365admin", "test").help.startswith("Run every gate and every test")
