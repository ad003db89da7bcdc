"""Break-glass for real: other processes, real DNS, no broker, no worker, and a database that cannot be reached."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from a365admin.lab.embedded import RunningLab, running_lab
from dnsops.asking import ask
from dnsops.breakglass.files import read_key
from dnsops.breakglass.journal import read
from dnsops.breakglass.sheet import sheet_of
from dnsops.providers.base import Endpoint, KeySetup
from tests.integration.bind import ALGORITHM, KEY_NAME, NAMED, ZONE, running_bind
from tests.integration.test_executor_kill import endpoints, says, serial
from tests.unit.breakglass.samples import bundle, hostname, zone
from tests.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.enable_socket, pytest.mark.once]

HOSTNAME = "a365web1.lab.example"
ROOT = Path(__file__).resolve().parents[2]
NSUPDATE = shutil.which("nsupdate")


@dataclass
class Machine:
    """A machine with the program on it; ``closed`` is a port on which nothing listens: database and broker are lost."""

    lab: RunningLab
    var: Path
    closed: int

    def manage(self, *arguments: str, database: bool = False) -> subprocess.CompletedProcess[str]:
        """Run a management command, with the database or without."""
        lost = f"postgres://a365admin:x@127.0.0.1:{self.closed}/a365admin"
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("A365_", "DATABASE_", "REDIS_"))} | {
            "A365_ENV": "test",
            "A365_NO_BOOTSTRAP": "1",
            "A365_VAR": str(self.var),
            "A365_LAB": str(self.lab.config.path),
            "A365_MAX_TTL_WAIT_S": "0.2",
            "A365_LOG_LEVEL": "ERROR",
            "DATABASE_URL": f"sqlite:///{self.var / 'db.sqlite3'}" if database else lost,
            "REDIS_URL": f"redis://127.0.0.1:{self.closed}/0",
        }
        command = [sys.executable, "-W", "ignore", str(ROOT / "manage.py"), *arguments]
        return subprocess.run(
            command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
            check=False,
        )  # fmt: skip

    def done(self, *arguments: str) -> str:
        """Run one with the database, which must go well; return what it printed."""
        ended = self.manage(*arguments, database=True)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with running_lab(tmp_path_factory.mktemp("lab")) as lab, socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound, and not listening
        machine = Machine(lab, tmp_path_factory.mktemp("var"), nobody.getsockname()[1])
        machine.done("migrate", "-v", "0")
        machine.done("seed_demo")
        machine.done("breakglass", "write")
        yield machine


@pytest.fixture
def machine(shared: Machine) -> Machine:
    shared.lab.client.reset(start_over=True)
    shared.lab.client.set_fault("SRV2", "start_ucc")
    return shared


def glass(machine: Machine) -> subprocess.CompletedProcess[str]:
    return machine.manage("breakglass", "failover", HOSTNAME, "--reason", "site lost", "--yes", "--no-wait")


def test_without_a_database_it_moves_the_hostname_and_is_taken_into_the_history_once(machine: Machine) -> None:
    done = glass(machine)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [says(endpoint) for endpoint in endpoints(machine.lab)] == ["SRV2", "SRV2"]
    assert "Succeeded: Every DNS server answers SRV2." in done.stdout
    taken = machine.done("breakglass", "import")
    assert f"Taken in: failover of {HOSTNAME} to SRV2: succeeded" in taken
    assert "Nothing new" in machine.done("breakglass", "import")


def test_somebody_who_changes_the_bundle_gets_nothing_done(machine: Machine) -> None:
    path = machine.var / "breakglass" / "bundle.json"
    sealed = path.read_bytes()
    path.write_bytes(sealed.replace(b"srv2.lab.example", b"srv9.lab.example"))
    try:
        refused = glass(machine)
    finally:
        path.write_bytes(sealed)
    assert refused.returncode == 1
    assert "seal is broken" in refused.stderr
    assert says(endpoints(machine.lab)[0]) == "SRV1"


def test_nobody_is_there_to_confirm_so_nothing_is_done(machine: Machine) -> None:
    left = machine.manage("breakglass", "failover", HOSTNAME, "--reason", "site lost")
    assert left.returncode == 7, left.stdout
    assert says(endpoints(machine.lab)[0]) == "SRV1"


@pytest.mark.parametrize(
    ("point", "sent", "written_down"),
    [
        ("change_recorded", False, ["began", "sending"]),
        ("message_sent", True, ["began", "sending"]),
        ("answer_received", True, ["began", "sending"]),
        ("before_end", True, ["began", "sending", "answered"]),
    ],
)
def test_killed_at_any_point_the_journal_tells_the_truth_and_doing_it_again_changes_at_most_once(
    machine: Machine, tmp_path: Path, point: str, sent: bool, written_down: list[str]
) -> None:
    before = serial(machine.lab)
    glass = machine.var / "breakglass"
    command = [sys.executable, "-m", "tests.integration.breakglass_process", str(glass), str(tmp_path / "j"), HOSTNAME]
    environment = os.environ | {"A365_ENV": "test"}
    killed = subprocess.run(command, cwd=ROOT, env=environment | {"A365_KILL_AT": point}, timeout=30, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert [line.event for line in read(tmp_path / "j", read_key(glass / "key"))] == written_down
    again = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=30, check=True
    ).stdout.strip()
    # Found as desired there is nothing to do; otherwise it is done now.
    assert ("already points at SRV2" in again) if sent else (again == "succeeded"), again
    # "Already" is what the writer says; the second server follows it a moment later.
    wait_until(lambda: [says(endpoint) for endpoint in endpoints(machine.lab)] == ["SRV2", "SRV2"])
    assert serial(machine.lab) == before + 1


def test_the_terminal_needs_no_broker_and_no_worker(machine: Machine) -> None:
    done = machine.manage("failover", HOSTNAME, "--reason", "broker lost", "--yes", database=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [says(endpoint) for endpoint in endpoints(machine.lab)] == ["SRV2", "SRV2"]
    assert "The broker cannot be reached" in done.stderr
    lost = machine.manage("failover", HOSTNAME, "--dry-run")
    assert lost.returncode == 1
    assert "manage.py breakglass" in lost.stderr


def test_the_sheets_are_files_that_need_nothing_else(machine: Machine, tmp_path: Path) -> None:
    done = machine.manage("breakglass", "sheets", str(tmp_path))
    assert done.returncode == 0, done.stderr
    page = (tmp_path / f"{HOSTNAME}.html").read_text()
    assert "prereq yxrrset a365web1.lab.example. CNAME srv1.lab.example." in page
    assert not re.search(r"<(link|script|img)\b", page)
    secret = json.loads(machine.lab.config.path.read_text())["tsig"]
    assert machine.lab.config.tsig_secret() not in page, secret["name"]
    assert len(list(tmp_path.iterdir())) == len(machine.lab.config.hostnames) + 1


@pytest.mark.skipif(NAMED is None or NSUPDATE is None, reason="BIND is not installed: apt-get install bind9 dnsutils")
def test_the_commands_on_the_sheet_work_as_printed_and_refuse_a_record_that_is_not_as_expected(tmp_path: Path) -> None:
    with running_bind(tmp_path) as bind:
        key = KeySetup(KEY_NAME, f"file:{bind.secret_file}", ALGORITHM)
        servers = (replace(bind.primary, is_writer=True), bind.secondary)
        sample = bundle(zones=(zone(key, name=ZONE, endpoints=servers),), hostnames=(hostname(domain=ZONE),))
        sheet = sheet_of(sample, sample.hostname(HOSTNAME))
        over, back = sheet.moves
        assert _shell(over.nsupdate) == 0
        assert _points_at(bind.primary) == f"srv2.{ZONE}."
        assert _shell(over.nsupdate) != 0  # it is no longer what the sheet expects
        assert _shell(back.nsupdate) == 0
        assert _points_at(bind.primary) == f"srv1.{ZONE}."
        assert f"CNAME\tsrv1.{ZONE}." in _output(sheet.digs[0])


def _shell(script: str) -> int:
    return subprocess.run(["/bin/sh", "-c", script], capture_output=True, timeout=20, check=False).returncode


def _output(script: str) -> str:
    return subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, timeout=20, check=True).stdout


def _points_at(endpoint: Endpoint) -> str:
    rrset = ask(endpoint, HOSTNAME, timeout_s=2).rrset
    return rrset.values[0] if rrset else ""
