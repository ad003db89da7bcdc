"""The demo estate on real sockets: each fault as a client sees it, and dig and nsupdate against its DNS servers."""

from __future__ import annotations

import http.client
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.tsig
import dns.update
import pytest
from dns.rcode import Rcode

from a365admin.lab.client import LabClient
from a365admin.lab.config import ServerConfig, create_config, load_config
from a365admin.lab.embedded import RunningLab, running_lab
from a365admin.lab.errors import LabError
from a365admin.lab.estate import RECORD_TTL_S
from a365admin.lab.running import FOLLOW_LAG_S
from dnsops.asking import ask
from dnsops.providers.base import Endpoint
from tests.waiting import wait_until

pytestmark = [pytest.mark.enable_socket]

HOSTNAME = "a365web1.lab.example"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def shared_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLab]:
    with running_lab(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


@pytest.fixture
def lab(shared_lab: RunningLab) -> RunningLab:
    shared_lab.client.reset(start_over=True)
    return shared_lab


@pytest.fixture
def srv1(lab: RunningLab) -> ServerConfig:
    return lab.config.server("SRV1")


def connect(server: ServerConfig, port: int, timeout_s: float = 2.0) -> None:
    socket.create_connection((server.address, port), timeout=timeout_s).close()


def get(
    lab: RunningLab, server: ServerConfig, path: str, *, hostname: str = HOSTNAME, timeout_s: float = 4.0
) -> http.client.HTTPResponse:
    """Ask the server's own address, with SNI and Host = the dedicated hostname, and check the certificate."""
    context = ssl.create_default_context(cafile=lab.config.ca_file)
    raw = socket.create_connection((server.address, server.web_port), timeout=timeout_s)
    try:
        secure = context.wrap_socket(raw, server_hostname=hostname)
    except BaseException:
        raw.close()
        raise
    connection = http.client.HTTPSConnection(hostname)
    connection.sock = secure
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
        return response
    finally:
        connection.close()


def says(lab: RunningLab, place: int = 0, *, timeout_s: float = 2.0, name: str = HOSTNAME) -> str:
    query = dns.message.make_query(name, "CNAME")
    answer = dns.query.udp(query, "127.0.0.1", port=lab.dns_ports[place], timeout=timeout_s, ignore_unexpected=True)
    return str(answer.answer[0][0].to_text())


def key(lab: RunningLab) -> dns.tsig.Key:
    return dns.tsig.Key(lab.config.tsig.name, lab.config.tsig_secret(), lab.config.tsig.algorithm)


def swap(lab: RunningLab, before: str, after: str) -> dns.update.UpdateMessage:
    message = dns.update.UpdateMessage("lab.example.")
    message.present("a365web1", "CNAME", f"{before}.lab.example.")
    message.delete("a365web1", "CNAME")
    message.add("a365web1", 60, "CNAME", f"{after}.lab.example.")
    message.use_tsig(key(lab))
    return message


def send(lab: RunningLab, message: dns.message.Message, place: int = 0, *, timeout_s: float = 2.0) -> Rcode:
    answer = dns.query.tcp(message, "127.0.0.1", port=lab.dns_ports[place], timeout=timeout_s)
    return Rcode(answer.rcode())


# --- servers


def test_every_server_answers_as_an_untouched_demo_should(lab: RunningLab) -> None:
    for server in lab.config.servers:
        for port in server.ucc_ports:
            if server.name == "SRV6":
                with pytest.raises(ConnectionRefusedError):
                    connect(server, port)
            else:
                connect(server, port)
        for hostname in (*server.hostnames, server.fqdn):
            assert get(lab, server, "/Attendant", hostname=hostname).status == 200


@pytest.mark.parametrize(
    ("path", "status"),
    [("/", 200), ("/Attendant", 200), ("/DashboardService", 200), ("/Snapper/", 200), ("/nothing", 404)],
)
def test_the_web_services_have_their_pages(lab: RunningLab, srv1: ServerConfig, path: str, status: int) -> None:
    assert get(lab, srv1, path).status == status


def test_the_web_services_still_answer_200_when_the_ucc_service_is_dead(lab: RunningLab, srv1: ServerConfig) -> None:
    held = socket.create_connection((srv1.address, 6001), timeout=2)
    lab.client.set_fault("SRV1", "ucc_down")

    for port in srv1.ucc_ports:
        with pytest.raises(ConnectionRefusedError):
            connect(srv1, port)
    with held, pytest.raises(ConnectionResetError):
        held.recv(1)
    assert get(lab, srv1, "/DashboardService").status == 200
    lab.client.set_fault("SRV1", "ucc_down", on=False)
    connect(srv1, 6001)


def test_the_ucc_ports_still_answer_when_the_web_services_are_dead(lab: RunningLab, srv1: ServerConfig) -> None:
    lab.client.set_fault("SRV1", "web_down")

    connect(srv1, 6001)
    with pytest.raises(ConnectionRefusedError):
        connect(srv1, srv1.web_port)


def test_a_dead_server_refuses_everything(lab: RunningLab, srv1: ServerConfig) -> None:
    lab.client.set_fault("SRV1", "dead")

    for port in (*srv1.ucc_ports, srv1.web_port):
        with pytest.raises(ConnectionRefusedError):
            connect(srv1, port)


def test_a_silent_server_neither_accepts_nor_refuses(lab: RunningLab, srv1: ServerConfig) -> None:
    held = socket.create_connection((srv1.address, 6001), timeout=0.3)
    lab.client.set_fault("SRV1", "silent")

    for port in (*srv1.ucc_ports, srv1.web_port):
        for _again in range(3):
            with pytest.raises(TimeoutError):
                connect(srv1, port, timeout_s=0.3)
    with held, pytest.raises(TimeoutError):
        held.recv(1)
    lab.client.set_fault("SRV1", "silent", on=False)
    connect(srv1, 6001)
    assert get(lab, srv1, "/").status == 200


def test_a_silent_server_stays_silent_under_many_clients(lab: RunningLab, srv1: ServerConfig) -> None:
    lab.client.set_fault("SRV1", "silent")

    def outcome(_number: int) -> str:
        try:
            connect(srv1, 6001, timeout_s=1.5)
        except OSError as error:
            return type(error).__name__
        return "connected"

    with ThreadPoolExecutor(20) as pool:
        assert set(pool.map(outcome, range(40))) == {"TimeoutError"}


def test_a_slow_server_answers_after_a_second_and_a_half(lab: RunningLab, srv1: ServerConfig) -> None:
    lab.client.set_fault("SRV1", "slow")

    connect(srv1, 6001)
    with pytest.raises(TimeoutError):
        get(lab, srv1, "/", timeout_s=1.0)
    assert get(lab, srv1, "/", timeout_s=4.0).status == 200


def test_a_wrong_certificate_does_not_name_the_hostname(lab: RunningLab, srv1: ServerConfig) -> None:
    lab.client.set_fault("SRV1", "wrong_certificate")

    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        get(lab, srv1, "/")
    assert get(lab, srv1, "/", hostname="retired-srv1.lab.example").status == 200
    lab.client.set_fault("SRV1", "wrong_certificate", on=False)
    assert get(lab, srv1, "/").status == 200


def test_the_ucc_service_of_a_cold_standby_is_started_and_stopped(lab: RunningLab) -> None:
    srv6 = lab.config.server("SRV6")

    lab.client.set_fault("SRV6", "start_ucc")
    connect(srv6, 6001)
    lab.client.reset()
    connect(srv6, 6001)
    lab.client.set_fault("SRV6", "stop_ucc")
    with pytest.raises(ConnectionRefusedError):
        connect(srv6, 6001)


def test_garbage_at_the_web_port_harms_nobody(lab: RunningLab, srv1: ServerConfig) -> None:
    with socket.create_connection((srv1.address, srv1.web_port), timeout=2) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + bytes(range(256)) * 50)
    with socket.create_connection((srv1.address, 6001), timeout=2) as raw:
        raw.sendall(b"\0" * 100_000)

    assert get(lab, srv1, "/").status == 200


# --- control


def test_who_has_no_token_controls_nothing(lab: RunningLab) -> None:
    connection = http.client.HTTPConnection(lab.config.control.address, lab.config.control.port, timeout=2)
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": lab.config.control.token}):
        connection.request("GET", "/state", headers=headers)
        response = connection.getresponse()
        response.read()
        assert response.status == 401
    connection.close()


@pytest.mark.parametrize(
    ("target", "fault", "sentence"),
    [
        ("SRV99", "dead", "no server 'SRV99'"),
        ("SRV1", "tired", "no fault 'tired'"),
        ("SRV1", "stuck", "no fault 'stuck'"),
        ("dns1", "stuck", "no fault 'stuck'"),
        ("dns2", "reply_lost", "no fault 'reply_lost'"),
    ],
)
def test_a_fault_that_there_is_not_is_refused_with_a_sentence(
    lab: RunningLab, target: str, fault: str, sentence: str
) -> None:
    with pytest.raises(LabError, match=sentence):
        lab.client.set_fault(target, fault)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"target": 1, "fault": "dead", "on": true}', b"[" * 60_000])
def test_a_body_that_is_not_a_fault_is_refused(lab: RunningLab, body: bytes) -> None:
    connection = http.client.HTTPConnection(lab.config.control.address, lab.config.control.port, timeout=2)
    connection.request("POST", "/fault", body=body, headers={"Authorization": f"Bearer {lab.config.control.token}"})
    response = connection.getresponse()
    response.read()
    connection.close()

    assert response.status == 400


def test_a_body_that_is_too_long_is_refused(lab: RunningLab) -> None:
    connection = http.client.HTTPConnection(lab.config.control.address, lab.config.control.port, timeout=2)
    headers = {"Authorization": f"Bearer {lab.config.control.token}"}
    connection.request("POST", "/fault", body=b" " * 70_000, headers=headers)
    response = connection.getresponse()
    response.read()
    connection.close()

    assert response.status == 413


# --- DNS


@pytest.mark.skipif(shutil.which("dig") is None, reason="dig is missing: apt-get install bind9-dnsutils")
@pytest.mark.parametrize("transport", ["+notcp", "+tcp"])
def test_dig_shows_the_cname_and_the_address(lab: RunningLab, srv1: ServerConfig, transport: str) -> None:
    shown = subprocess.run(
        ["dig", "@127.0.0.1", "-p", str(lab.dns_ports[0]), transport, "+noall", "+answer", HOSTNAME],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\n")

    assert shown[0].split() == [f"{HOSTNAME}.", str(RECORD_TTL_S), "IN", "CNAME", "srv1.lab.example."]
    assert shown[1].split() == ["srv1.lab.example.", "300", "IN", "A", srv1.address]


def nsupdate(lab: RunningLab, *commands: str, secret: str | None = None, name: str = "a365admin.") -> str:
    script = "\n".join([f"server 127.0.0.1 {lab.dns_ports[0]}", "zone lab.example.", *commands, "send", "answer", ""])
    done = subprocess.run(
        ["nsupdate", "-t", "3", "-y", f"hmac-sha256:{name}:{secret or lab.config.tsig_secret()}"],
        input=script,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("nsupdate") is None, reason="nsupdate is missing: apt-get install bind9-dnsutils")
def test_nsupdate_changes_a_record_and_both_servers_tell(lab: RunningLab) -> None:
    shown = nsupdate(
        lab,
        f"prereq yxrrset {HOSTNAME}. CNAME srv1.lab.example.",
        f"update delete {HOSTNAME}. CNAME",
        f"update add {HOSTNAME}. 60 CNAME srv2.lab.example.",
    )

    assert "status: NOERROR" in shown
    assert says(lab) == "srv2.lab.example."
    wait_until(lambda: says(lab, 1) == "srv2.lab.example.", timeout_s=5, message="dns2 did not follow")


@pytest.mark.skipif(shutil.which("nsupdate") is None, reason="nsupdate is missing: apt-get install bind9-dnsutils")
@pytest.mark.parametrize(
    ("commands", "secret", "name", "shown"),
    [
        ([f"prereq yxrrset {HOSTNAME}. CNAME srv9.lab.example."], None, "a365admin.", "NXRRSET"),
        ([f"prereq nxrrset {HOSTNAME}. CNAME"], None, "a365admin.", "YXRRSET"),
        ([f"prereq nxdomain {HOSTNAME}."], None, "a365admin.", "YXDOMAIN"),
        (["prereq yxdomain nobody.lab.example."], None, "a365admin.", "NXDOMAIN"),
        (["update add srv1.lab.example. 60 A 127.0.0.1"], None, "a365admin.", "REFUSED"),
        ([f"update delete {HOSTNAME}."], "d3Jvbmc=", "a365admin.", "BADSIG"),
        ([f"update delete {HOSTNAME}."], None, "ghost.", "BADKEY"),
    ],
)
def test_nsupdate_understands_each_refusal(
    lab: RunningLab, commands: list[str], secret: str | None, name: str, shown: str
) -> None:
    assert shown in nsupdate(lab, *commands, secret=secret, name=name)
    assert says(lab) == "srv1.lab.example."


def test_of_twenty_who_race_exactly_one_wins(lab: RunningLab) -> None:
    messages = [swap(lab, "srv1", f"winner{number}") for number in range(20)]

    with ThreadPoolExecutor(20) as pool:
        rcodes = list(pool.map(lambda message: send(lab, message), messages))

    assert sorted(rcodes) == [Rcode.NOERROR] + [Rcode.NXRRSET] * 19
    assert says(lab) == f"winner{rcodes.index(Rcode.NOERROR)}.lab.example."


def test_the_second_server_refuses_changes(lab: RunningLab) -> None:
    assert send(lab, swap(lab, "srv1", "srv2"), 1) == Rcode.REFUSED


def test_a_stuck_second_server_keeps_the_old_answer_and_follows_when_it_is_mended(lab: RunningLab) -> None:
    lab.client.set_fault("dns2", "stuck")
    assert send(lab, swap(lab, "srv1", "srv2")) == Rcode.NOERROR

    until = time.monotonic() + 2 * FOLLOW_LAG_S
    while time.monotonic() < until:
        assert says(lab, 1) == "srv1.lab.example."
        time.sleep(0.05)
    lab.client.set_fault("dns2", "stuck", on=False)
    assert says(lab, 1) == "srv2.lab.example."


def test_a_refusing_server_refuses_changes_and_answers_questions(lab: RunningLab) -> None:
    lab.client.set_fault("dns1", "refusing")

    assert send(lab, swap(lab, "srv1", "srv2")) == Rcode.REFUSED
    assert says(lab) == "srv1.lab.example."


def test_a_silent_dns_server_lets_everybody_wait(lab: RunningLab) -> None:
    lab.client.set_fault("dns1", "silent")

    with pytest.raises(dns.exception.Timeout):
        says(lab, timeout_s=0.3)
    with pytest.raises(dns.exception.Timeout):
        send(lab, swap(lab, "srv1", "srv2"), timeout_s=0.3)
    lab.client.set_fault("dns1", "silent", on=False)
    assert says(lab) == "srv1.lab.example."


def test_a_lost_reply_comes_after_the_change(lab: RunningLab) -> None:
    lab.client.set_fault("dns1", "reply_lost")

    with pytest.raises(dns.exception.Timeout):
        send(lab, swap(lab, "srv1", "srv2"), timeout_s=0.5)
    assert says(lab) == "srv2.lab.example."


def test_who_vanishes_makes_the_change_and_is_silent_until_it_is_mended(lab: RunningLab) -> None:
    lab.client.set_fault("dns1", "vanishing")
    assert says(lab) == "srv1.lab.example."

    with pytest.raises(dns.exception.Timeout):
        send(lab, swap(lab, "srv1", "srv2"), timeout_s=0.3)
    with pytest.raises(dns.exception.Timeout):
        says(lab, timeout_s=0.3)
    assert lab.client.state()["dns"][0]["faults"] == ["silent"]
    assert says(lab, 1) == "srv1.lab.example."
    lab.client.set_fault("dns1", "silent", on=False)
    assert says(lab) == says(lab, 1) == "srv2.lab.example."


@pytest.mark.parametrize("target", ["srv2.lab.example", "elsewhere.lab.example."])
def test_an_edit_by_hand_reaches_both_servers_and_spoils_a_change_that_was_planned(
    lab: RunningLab, target: str
) -> None:
    lab.client.edit(HOSTNAME, target)

    assert says(lab) == target.rstrip(".") + "."
    wait_until(lambda: says(lab, 1) == says(lab), timeout_s=5, message="dns2 did not follow")
    assert send(lab, swap(lab, "srv1", "srv2")) == Rcode.NXRRSET


def test_a_record_that_is_deleted_by_hand_is_gone_on_both_servers(lab: RunningLab) -> None:
    state = lab.client.remove(HOSTNAME)

    assert state["dns"][0]["answers"][HOSTNAME] == ""
    wait_until(
        lambda: lab.client.state()["dns"][1]["answers"][HOSTNAME] == "", timeout_s=5, message="dns2 did not follow"
    )
    assert send(lab, swap(lab, "srv1", "srv2")) == Rcode.NXRRSET
    with pytest.raises(LabError, match="no dedicated hostname"):
        lab.client.remove("srv1.lab.example")


def test_a_ttl_is_changed_by_hand(lab: RunningLab) -> None:
    lab.client.edit(HOSTNAME, "srv1.lab.example", ttl_s=3600)
    answer = ask(Endpoint("dns1", "127.0.0.1", lab.dns_ports[0]), HOSTNAME, timeout_s=2)
    assert answer.rrset is not None
    assert answer.rrset.ttl_s == 3600
    with pytest.raises(LabError, match="TTL"):
        lab.client.edit(HOSTNAME, "srv1.lab.example", ttl_s=-1)


@pytest.mark.parametrize(
    ("hostname", "target", "sentence"),
    [
        ("srv1.lab.example", "srv2.lab.example", "no dedicated hostname"),
        (HOSTNAME, "two..dots", "is not a name"),
        (HOSTNAME, "x" * 64, "is not a name"),
        (HOSTNAME, "", "is not a name"),
        (HOSTNAME, HOSTNAME, "is not a name"),
    ],
)
def test_an_edit_that_cannot_be_is_refused_with_a_sentence(
    lab: RunningLab, hostname: str, target: str, sentence: str
) -> None:
    with pytest.raises(LabError, match=sentence):
        lab.client.edit(hostname, target)
    assert says(lab) == "srv1.lab.example."


def test_a_dns_server_that_is_down_refuses_connections_and_comes_back(lab: RunningLab) -> None:
    lab.client.set_fault("dns1", "down")

    with pytest.raises(ConnectionRefusedError):
        send(lab, swap(lab, "srv1", "srv2"))
    lab.client.set_fault("dns1", "down", on=False)
    assert send(lab, swap(lab, "srv1", "srv2")) == Rcode.NOERROR


def test_half_messages_over_tcp_harm_nobody(lab: RunningLab) -> None:
    for data in (b"\0", b"\xff\xff" + b"x" * 100, b"\0\0", b"\0\x05hello", b"\0\x0c" + b"\0" * 12):
        with socket.create_connection(("127.0.0.1", lab.dns_ports[0]), timeout=2) as raw:
            raw.sendall(data)

    assert says(lab) == "srv1.lab.example."


# --- start and stop


def test_a_restart_keeps_addresses_records_and_faults(tmp_path: Path) -> None:
    with running_lab(tmp_path) as lab:
        before = lab.config
        assert send(lab, swap(lab, "srv1", "srv2")) == Rcode.NOERROR
        lab.client.set_fault("SRV1", "ucc_down")
        lab.client.set_fault("SRV6", "start_ucc")
        lab.client.set_fault("dns2", "stuck")
        lab.client.set_fault("dns1", "vanishing")
        with pytest.raises(dns.exception.Timeout):
            send(lab, swap(lab, "srv2", "srv1"), timeout_s=0.3)
    with running_lab(tmp_path) as lab:
        assert lab.config == before
        state = lab.client.state()
        faults = {server["name"]: server["faults"] for server in [*state["servers"], *state["dns"]]}
        assert {name: found for name, found in faults.items() if found} == {
            "SRV1": ["ucc_down"],
            "dns1": ["silent"],
            "dns2": ["stuck"],
        }
        lab.client.set_fault("dns1", "silent", on=False)
        assert says(lab) == "srv1.lab.example."
        connect(lab.config.server("SRV6"), 6001)


def test_damaged_files_do_not_prevent_a_start(tmp_path: Path) -> None:
    create_config(tmp_path)
    (tmp_path / "lab" / "dns1.zone").write_text("nonsense")
    (tmp_path / "lab" / "state.json").write_text("[]")

    with running_lab(tmp_path) as lab:
        assert says(lab) == "srv1.lab.example."


def test_secrets_are_for_their_owner_only(tmp_path: Path) -> None:
    config = create_config(tmp_path)

    for path in (config.path, Path(config.tsig.secret_file), config.directory / "ca.key"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert config.tsig_secret() not in config.path.read_text()
    assert load_config(config.path) == config


def test_a_client_of_a_demo_that_does_not_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="Is it running"):
        LabClient(create_config(tmp_path)).state()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_says_ready_and_ends_at_once_when_asked_to(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "a365admin.lab", "--config", str(tmp_path / "lab.json"), "--create"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    client = LabClient(load_config(tmp_path / "lab.json"))
    with socket.create_connection((client.state()["servers"][0]["address"], 6001), timeout=2):
        second = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False, cwd=ROOT)
        process.send_signal(number)
        _out, errors = process.communicate(timeout=5)

    assert (process.returncode, errors) == (0, "")
    assert second.returncode == 1
    assert "Is the demo running already?" in second.stderr
    assert "Traceback" not in second.stderr
