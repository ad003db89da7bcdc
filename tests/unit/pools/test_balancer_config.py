"""The configuration that is ready to paste: right, and safe whatever a name holds. HAProxy itself reads ours."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from a365admin.testing.system_packages import find_command
from pools.balancer_config import RealServerConfig, ServiceConfig, haproxy, kemp, quoted

SERVERS = (
    RealServerConfig("SRV1", "srv1.corp.example", "10.0.0.1", 443),
    RealServerConfig("SRV2", "srv2.corp.example", "10.0.0.2", 443),
)
SERVICE = ServiceConfig("AMS-VIP", "10.1.0.1", 443, "Reception", 6001, SERVERS, "tcp:10.1.0.2:9999")

SOURCES = [
    "",
    "tcp:10.1.0.2:9999",
    "tcp:[2001:db8::2]:9999",
    "unix:/run/haproxy/admin.sock",
    "http://10.1.0.2:8404/stats;csv",
    "http://lb.corp.example:8404/",
]


def haproxy_says(text: str, folder: Path) -> tuple[int, str]:
    """What HAProxy itself says of this as its whole configuration."""
    command = find_command("haproxy")
    if command is None:
        pytest.skip("haproxy is not installed")
    file = folder / "haproxy.cfg"
    file.write_text(text)
    done = subprocess.run([command, "-c", "-f", str(file)], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_the_active_server_is_used_first_and_the_ucc_port_is_what_is_checked() -> None:
    text = haproxy(SERVICE)
    assert "    bind 10.1.0.1:443\n" in text
    assert "default-server check port 6001 " in text
    assert "    server SRV1 10.0.0.1:443 on-marked-up shutdown-backup-sessions\n" in text
    assert "    server SRV2 10.0.0.2:443 backup\n" in text
    assert "stats socket ipv4@10.1.0.2:9999 level user" in text


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("address", ["10.1.0.1", "2001:db8::1"])
def test_haproxy_accepts_it_without_a_warning(tmp_path: Path, source: str, address: str) -> None:
    service = ServiceConfig("AMS-VIP", address, 443, "Reception", 6001, SERVERS, source)
    assert haproxy_says(haproxy(service), tmp_path) == (0, "Configuration file is valid\n")


def test_haproxy_accepts_it_whatever_the_names_hold(tmp_path: Path) -> None:
    nasty = '"; global\n  user root #${HOME} \\x ’ Ä '
    servers = (RealServerConfig(nasty, "srv1.corp.example", "10.0.0.1", 443), SERVERS[1])
    service = ServiceConfig(nasty, "10.1.0.1", 443, nasty, 6001, servers)
    assert haproxy_says(haproxy(service), tmp_path) == (0, "Configuration file is valid\n")


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=40), st.text(max_size=40))
def test_no_name_adds_a_line_or_a_word(name: str, ucc: str) -> None:
    plain = haproxy(SERVICE)
    service = ServiceConfig(name, "10.1.0.1", 443, ucc, 6001, SERVERS, "tcp:10.1.0.2:9999")
    text = haproxy(service)
    assert len(text.splitlines()) == len(plain.splitlines())
    for before, after in zip(plain.splitlines(), text.splitlines(), strict=True):
        if not before.lstrip().startswith("#"):
            assert len(before.split(" ")) == len(after.split(" "))
            assert after.isascii()


def test_kemps_commands_check_the_same_port_and_weigh_the_active_server_heaviest() -> None:
    text = kemp(SERVICE)
    assert "New-AdcVirtualService -VirtualService '10.1.0.1' -VSPort 443 -VSProtocol tcp" in text
    assert "-Nickname 'AMS-VIP' -Schedule fixed -CheckType tcp -CheckPort 6001" in text
    one, two = (line for line in text.splitlines() if line.startswith("New-AdcRealServer"))
    assert "-RealServer '10.0.0.1' -RealServerPort 443 -Weight 1000" in one
    assert "-RealServer '10.0.0.2' -RealServerPort 443 -Weight 900" in two


@pytest.mark.parametrize(
    ("text", "literal"),
    [
        ("AMS", "'AMS'"),
        ("it's", "'it''s'"),
        ("it’s", "'it’’s'"),
        ("$(Remove-Item x)`n", "'$(Remove-Item x)`n'"),
        ("a\nb\x00", "'a b '"),
    ],
)
def test_powershell_reads_a_name_as_nothing_but_text(text: str, literal: str) -> None:
    assert quoted(text) == literal


@given(st.text(max_size=60))
def test_no_quote_stays_single(text: str) -> None:
    inside = quoted(text)[1:-1]
    for quote in "'‘’‚‛":
        assert inside.count(quote) % 2 == 0
    assert "\n" not in inside
