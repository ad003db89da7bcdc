"""A process that is killed with SIGKILL between any two lines that matter: another takes over, and the end is true."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from a365admin.lab.embedded import RunningLab, running_lab
from dnsops.asking import ask
from dnsops.checkpoints import BY_HAND_CHECKPOINTS, CHECKPOINTS
from dnsops.providers.base import Endpoint
from tests.integration.bind import free_port

pytestmark = [pytest.mark.integration, pytest.mark.enable_socket, pytest.mark.once]

HOSTNAME = "a365web1.lab.example"
ROOT = Path(__file__).resolve().parents[2]
# What has to be so for an operation to come by there: it waited for its worker; the answer to its message was lost.
ON_THE_WAY = {"asked_again": "waited", "check_recorded": "waited", "read_back": "lost", "read_back_recorded": "lost"}
# Where nothing has been recorded that could have been sent.
SURELY_NOT_SENT = {"before_claim", "asked_again"}


class OperationProcess:
    """The other process, by its lines."""

    def __init__(self, lab: RunningLab, var: Path, *, database: str = "") -> None:
        environment = os.environ | {
            "A365_ENV": "test",
            "A365_VAR": str(var),
            "DATABASE_URL": database or f"sqlite:///{var / 'kill.sqlite3'}",
            "REDIS_URL": f"redis://127.0.0.1:{free_port()}/0",
            "DJANGO_SETTINGS_MODULE": "a365admin.settings",
            "A365_LOG_LEVEL": "ERROR",
        }
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "tests.integration.operation_process", str(lab.config.path)],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._read()

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Send a command, return its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the process ended ({self._process.wait(5)})"
        answer: dict[str, Any] = json.loads(line)
        assert "error" not in answer, answer["error"]
        return answer

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)
        assert self._process.stdout is not None
        self._process.stdout.close()


@pytest.fixture(scope="module")
def shared_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLab]:
    with running_lab(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


@pytest.fixture(scope="module")
def process(shared_lab: RunningLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperationProcess]:
    process = OperationProcess(shared_lab, tmp_path_factory.mktemp("var"))
    yield process
    process.close()


@pytest.fixture
def lab(shared_lab: RunningLab) -> RunningLab:
    shared_lab.client.reset(start_over=True)
    shared_lab.client.set_fault("SRV2", "start_ucc")
    return shared_lab


def endpoints(lab: RunningLab) -> list[Endpoint]:
    return [Endpoint(server.name, server.address, server.port) for server in lab.config.dns]


def says(endpoint: Endpoint) -> str:
    rrset = ask(endpoint, HOSTNAME, timeout_s=2).rrset
    return rrset.values[0].split(".")[0].upper() if rrset else ""


def requested(lab: RunningLab, process: OperationProcess, name: str) -> str:
    """The id of an operation that will come by the point ``name``."""
    operation: str = process.ask("request", fqdn=HOSTNAME, to="SRV2")["id"]
    if ON_THE_WAY.get(name) == "waited":
        process.ask("age", id=operation)
    if ON_THE_WAY.get(name) == "lost":
        lab.client.set_fault("dns1", "reply_lost")
    return operation


def serial(lab: RunningLab) -> int:
    """The zone's serial number on the writer: one more for each change."""
    import dns.message
    import dns.query

    query = dns.message.make_query(lab.config.domain, "SOA")
    first = lab.config.dns[0]
    return int(dns.query.udp(query, first.address, port=first.port, timeout=2).answer[0][0].serial)


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_killed_at_any_point_it_is_taken_up_and_ends_truly_after_one_change(
    lab: RunningLab, process: OperationProcess, name: str
) -> None:
    before = serial(lab)
    operation = requested(lab, process, name)
    assert process.ask("run", id=operation, kill_at=name)["signal"] == signal.SIGKILL
    process.ask("expire", id=operation)
    assert process.ask("run", id=operation)["code"] == 0
    report = process.ask("report", id=operation)
    assert report["state"] == "succeeded", report
    assert [says(endpoint) for endpoint in endpoints(lab)] == ["SRV2", "SRV2"]
    assert serial(lab) == before + 1
    assert set(report["steps"].values()) <= {"done", "skipped"}, report
    assert report["ended_entries"] == 1


@pytest.mark.parametrize("name", [name for name in CHECKPOINTS if name != "ended"])
def test_killed_at_any_point_and_dns_changed_by_somebody_else_it_never_claims_success(
    lab: RunningLab, process: OperationProcess, name: str
) -> None:
    operation = requested(lab, process, name)
    assert process.ask("run", id=operation, kill_at=name)["signal"] == signal.SIGKILL
    lab.client.reset()
    _somebody_else(lab)
    process.ask("expire", id=operation)
    process.ask("run", id=operation)
    report = process.ask("report", id=operation)
    assert report["state"] in ({"failed"} if name in SURELY_NOT_SENT else {"unknown", "incomplete"}), report
    assert says(endpoints(lab)[0]) == "SRV9"
    assert report["ended_entries"] == 1


@pytest.mark.parametrize("name", [*BY_HAND_CHECKPOINTS, "read_back_recorded"])
def test_killed_while_a_person_makes_the_change_it_is_taken_up_and_ends_truly(
    lab: RunningLab, process: OperationProcess, name: str
) -> None:
    process.ask("provider", slug="manual")
    try:
        operation = process.ask("request", fqdn=HOSTNAME, to="SRV2")["id"]
        if name == "read_back_recorded":
            process.ask("run", id=operation, kill_at="waiting_for_hand")
            lab.client.edit(HOSTNAME, "srv2.lab.example")
            process.ask("expire", id=operation)
        assert process.ask("run", id=operation, kill_at=name)["signal"] == signal.SIGKILL
        lab.client.edit(HOSTNAME, "srv2.lab.example")
        process.ask("expire", id=operation)
        assert process.ask("run", id=operation)["code"] == 0
    finally:
        process.ask("provider", slug="rfc2136")
    report = process.ask("report", id=operation)
    assert report["state"] == "succeeded", report
    assert report["changes"] == ([] if name in {"claimed", "asked_again"} else ["applied"])
    assert report["ended_entries"] == 1


@pytest.mark.parametrize("fault", ["reply_lost", "refusing"])
def test_a_writer_with_a_fault_gives_a_true_end(lab: RunningLab, process: OperationProcess, fault: str) -> None:
    operation = process.ask("request", fqdn=HOSTNAME, to="SRV2")["id"]
    lab.client.set_fault("dns1", fault)
    process.ask("run", id=operation)
    report = process.ask("report", id=operation)
    assert report["state"] == {"reply_lost": "succeeded", "refusing": "failed"}[fault], report
    assert says(endpoints(lab)[0]) == {"reply_lost": "SRV2", "refusing": "SRV1"}[fault]


def test_a_broker_that_is_lost_leaves_the_operation_pending_and_says_so(
    lab: RunningLab, process: OperationProcess
) -> None:
    requested = process.ask("request", fqdn=HOSTNAME, to="SRV2")
    assert requested["state"] == "pending"
    assert "broker cannot be reached" in requested["result"]
    process.ask("run", id=requested["id"])


def _somebody_else(lab: RunningLab) -> None:
    """Point the record at SRV9, whatever it says."""
    import dns.name
    import dns.query
    import dns.tsig
    import dns.update

    update = dns.update.UpdateMessage(lab.config.domain)
    update.replace(dns.name.from_text(HOSTNAME), 60, "CNAME", f"srv9.{lab.config.domain}.")
    update.use_tsig(dns.tsig.Key(lab.config.tsig.name, lab.config.tsig_secret(), lab.config.tsig.algorithm))
    first = lab.config.dns[0]
    dns.query.tcp(update, first.address, port=first.port, timeout=2)
