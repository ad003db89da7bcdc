"""manage.py's own set-up: what it decides, without the network."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from a365admin import bootstrap

ROOT = Path(bootstrap.__file__).resolve().parent.parent


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with requirements files that need nothing."""
    (tmp_path / "requirements").mkdir()
    for name in (bootstrap.BASE, bootstrap.TEST, bootstrap.POSTGRES):
        (tmp_path / name).write_text("# nothing\n")
    return tmp_path


def make_complete(project: Path, *files: str) -> Path:
    """An environment that looks as if ``files`` had been installed in it."""
    venv = project / ".venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").symlink_to(sys.executable)
    for name in files:
        stamp = bootstrap.stamp_path(venv, name)
        stamp.parent.mkdir(exist_ok=True)
        stamp.write_text(hashlib.sha256((project / name).read_bytes()).hexdigest())
    return venv


@pytest.mark.parametrize("name", ["manage.py", "a365admin/bootstrap.py"])
def test_the_head_can_be_read_by_a_python_that_is_too_old(name: str) -> None:
    ast.parse((ROOT / name).read_text(), feature_version=(3, 7))


def test_the_bootstrap_imports_nothing_but_the_standard_library() -> None:
    tree = ast.parse((ROOT / "a365admin/bootstrap.py").read_text())
    imported = {
        (name.name if isinstance(node, ast.Import) else node.module or "").split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in node.names
    }
    assert imported <= sys.stdlib_module_names


def test_a_complete_environment_needs_no_work(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    venv = make_complete(project, bootstrap.BASE)
    monkeypatch.setattr(bootstrap, "_install_all", lambda *_: pytest.fail("installed again"))
    assert bootstrap.prepare(project, venv, [bootstrap.BASE]) is False


def test_changed_requirements_are_installed_and_only_those(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    venv = make_complete(project, bootstrap.BASE, bootstrap.TEST)
    (project / bootstrap.TEST).write_text("# something else\n")
    installed: list[str] = []
    monkeypatch.setattr(bootstrap, "_install_all", lambda _root, _venv, files: installed.extend(files))
    assert bootstrap.prepare(project, venv, [bootstrap.BASE, bootstrap.TEST]) is True
    assert installed == [bootstrap.TEST]


def test_a_failed_installation_leaves_no_stamp_so_that_it_is_done_again(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    venv = make_complete(project)

    def fail(*_: object) -> None:
        raise bootstrap.SetupError("no network")

    monkeypatch.setattr(bootstrap, "_install", fail)
    with pytest.raises(bootstrap.SetupError):
        bootstrap.prepare(project, venv, [bootstrap.BASE])
    assert not bootstrap.stamp_path(venv, bootstrap.BASE).exists()


def test_the_second_of_two_first_starts_waits_and_installs_nothing(project: Path) -> None:
    """Real processes and a real lock: the first holds it while it installs, the second finds everything done."""
    make_complete(project)
    script = f"""
import importlib.util, sys, time
from pathlib import Path
spec = importlib.util.spec_from_file_location("bootstrap", {str(bootstrap.__file__)!r})
bootstrap = importlib.util.module_from_spec(spec)
sys.modules["bootstrap"] = bootstrap
spec.loader.exec_module(bootstrap)
def install(requirements, pip):
    print("installs", flush=True)
    sys.stdin.readline()
bootstrap._install = install
bootstrap.prepare(Path({str(project)!r}), Path({str(project / ".venv")!r}), [bootstrap.BASE])
print("done", flush=True)
"""

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    with start() as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "installs\n"
        with start() as second:
            assert second.stderr is not None
            assert "waiting for it" in second.stderr.readline()
            first.communicate("go on\n", timeout=20)
            said, _ = second.communicate(timeout=20)
    assert said == "done\n"


def test_developers_commands_need_the_tools_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    assert bootstrap.required_files(["manage.py", "test"]) == [bootstrap.BASE, bootstrap.TEST]
    assert bootstrap.required_files(["manage.py", "up"]) == [bootstrap.BASE]


def test_a_postgresql_database_needs_its_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://somewhere/else")
    assert bootstrap.required_files(["manage.py", "migrate"]) == [bootstrap.BASE, bootstrap.POSTGRES]


def test_a_container_that_forbids_setting_up_is_respected(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("A365_NO_BOOTSTRAP", "1")
    assert bootstrap.uses_own_environment(tmp_path / ".venv")


def test_an_environment_of_the_users_own_is_respected(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("A365_NO_BOOTSTRAP", raising=False)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "theirs"))
    monkeypatch.setattr(sys, "base_prefix", "/usr")
    assert bootstrap.uses_own_environment(tmp_path / ".venv")
    assert not bootstrap.uses_own_environment(tmp_path / "theirs")


def test_a_newer_python_beside_an_old_default_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "python3.14").write_text("#!/bin/sh\nexit 1\n")  # a shim for a version that is not installed
    (tmp_path / "python3.12").symlink_to(sys.executable)
    (tmp_path / "python3.14").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert bootstrap.newer_python() == str(tmp_path / "python3.12")


def test_without_any_new_enough_python_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(bootstrap.SetupError, match=r"Python 3\.11 or newer is needed"):
        bootstrap.newer_python()


def test_an_incomplete_venv_module_is_named_with_the_package_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(bootstrap.SetupError, match="sudo apt install python3-venv"):
        bootstrap._make_venv(tmp_path / ".venv")


def test_progress_counts_the_packages() -> None:
    seen: dict[str, int] = {}
    lines = [
        "Collecting Django==5.2.19 (from -r requirements.txt (line 3))",
        "  Downloading x.whl",
        "Collecting celery",
    ]
    shown = [bootstrap.progress_line(line, seen, 40) for line in lines]
    assert shown == ["Fetching Django … 1/40", None, "Fetching celery … 2/40"]


def test_an_absent_network_is_explained() -> None:
    said = bootstrap.explain_failure(
        "WARNING: Retrying … NewConnectionError\nERROR: No matching distribution found for x"
    )
    assert "Is there a network" in said
    assert "HTTPS_PROXY" in said


def test_a_package_that_is_not_the_pinned_one_is_named_as_such() -> None:
    assert "hash differs" in bootstrap.explain_failure("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM …")


def test_a_bare_python_without_network_ends_with_a_sentence_and_no_traceback(project: Path) -> None:
    """The real command, in a fresh folder, with an index that nobody answers on."""
    (project / "a365admin").mkdir()
    for name in ("manage.py", "a365admin/bootstrap.py"):
        (project / name).write_text((ROOT / name).read_text())
    (project / bootstrap.BASE).write_text(f"surely-not-there==1.0 --hash=sha256:{'0' * 64}\n")
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(project),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_RETRIES": "0",
    }
    # This suite may run inside an environment, which manage.py would respect: start it with the Python below that.
    bare = getattr(sys, "_base_executable", sys.executable)
    done = subprocess.run(
        [bare, "manage.py", "check"], cwd=project, env=env, capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 1
    assert "Is there a network" in done.stderr
    assert "Traceback" not in done.stderr
    assert not bootstrap.stamp_path(project / ".venv", bootstrap.BASE).exists()
