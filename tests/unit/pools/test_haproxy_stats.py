"""HAProxy's statistics, as it writes them, and as somebody who means harm would."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from pools.haproxy_stats import Line, NotStatisticsError, parse, usage
from pools.statistics_source import Source, Via, parse_source

HEAD = "# pxname,svname,qcur,status,weight,act,bck,lastchg,type,addr,\n"
REAL = (("SRV1", "srv1.corp.example", "10.0.0.1"), ("SRV2", "srv2.corp.example", "10.0.0.2"))


def line(server: str, status: str, *, backup: bool = False, changed: str = "10", backend: str = "web") -> str:
    return f"{backend},{server},0,{status},1,{int(not backup)},{int(backup)},{changed},2,,\n"


def who(*lines: str, backend: str = "") -> tuple[tuple[str, ...], float | None]:
    found = usage(parse(HEAD + "".join(lines)), backend=backend, real_servers=REAL)
    return found.in_use, found.used_for_s


def test_the_active_server_is_used_while_it_is_up() -> None:
    assert who(line("SRV1", "UP"), line("SRV2", "UP", backup=True)) == (("SRV1",), 10.0)


def test_the_backup_is_used_since_the_active_one_went() -> None:
    lines = (line("SRV1", "DOWN", changed="7"), line("SRV2", "UP", backup=True, changed="9000"))
    assert who(*lines) == (("SRV2",), 7.0)


def test_an_active_server_whose_checks_have_begun_to_fail_is_still_used() -> None:
    assert who(line("SRV1", "UP 1/3"), line("SRV2", "UP", backup=True))[0] == ("SRV1",)


def test_one_that_is_coming_up_again_is_not_used_yet() -> None:
    assert who(line("SRV1", "DOWN 1/2"), line("SRV2", "UP", backup=True))[0] == ("SRV2",)


@pytest.mark.parametrize("status", ["MAINT", "DRAIN", "NOLB", "DOWN"])
def test_a_server_that_gets_no_new_clients_is_not_used(status: str) -> None:
    assert who(line("SRV1", status), line("SRV2", "DOWN", backup=True))[0] == ()


def test_two_servers_without_a_backup_are_both_used() -> None:
    assert who(line("SRV1", "UP"), line("SRV2", "no check"))[0] == ("SRV1", "SRV2")


def test_servers_are_known_by_name_full_name_or_address_whatever_their_capitals() -> None:
    assert who(line("srv1", "UP"))[0] == ("SRV1",)
    assert who(line("SRV2.corp.example", "UP"))[0] == ("SRV2",)
    by_address = HEAD + "web,ams-a,0,UP,1,1,0,5,2,10.0.0.2:443,\n"
    assert usage(parse(by_address), backend="", real_servers=REAL).in_use == ("SRV2",)


def test_the_backend_that_is_named_is_the_one_that_counts() -> None:
    lines = (line("SRV1", "DOWN", backend="other"), line("SRV2", "UP", backend="other"), line("SRV1", "UP"))
    assert who(*lines, backend="WEB")[0] == ("SRV1",)
    assert who(*lines)[0] == ("SRV2",)


def test_statistics_of_other_servers_say_what_they_know() -> None:
    with pytest.raises(NotStatisticsError, match="backends there: “mail”"):
        who(line("mx1", "UP", backend="mail"))
    with pytest.raises(NotStatisticsError, match="no backend “nope”"):
        who(line("SRV1", "UP"), backend="nope")


@pytest.mark.parametrize("text", ["", "<html>sign in</html>", "\x00\x01\x02", HEAD.replace("svname", "name")])
def test_what_is_no_statistics_is_said(text: str) -> None:
    with pytest.raises(NotStatisticsError, match="no statistics: found"):
        parse(text)


def test_too_many_lines_are_refused() -> None:
    with pytest.raises(NotStatisticsError, match="more than 5000"):
        parse(HEAD + "x\n" * 6000)


@given(st.text(max_size=400))
def test_nothing_that_comes_breaks_the_reading(text: str) -> None:
    try:
        lines = parse(HEAD + text)
        usage(lines, backend="", real_servers=REAL)
    except NotStatisticsError:
        return
    assert all(isinstance(one, Line) for one in lines)


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("unix:/run/haproxy/admin.sock", Source(Via.UNIX, path="/run/haproxy/admin.sock")),
        ("tcp:10.0.0.5:9999", Source(Via.TCP, "10.0.0.5", 9999)),
        ("tcp:[2001:db8::5]:9999", Source(Via.TCP, "2001:db8::5", 9999)),
        ("http://10.0.0.5:8404/stats", Source(Via.HTTP, "10.0.0.5", 8404, "/stats;csv")),
        ("https://lb.corp.example/stats;csv", Source(Via.HTTPS, "lb.corp.example", 443, "/stats;csv")),
    ],
)
def test_a_source_is_understood(text: str, source: Source) -> None:
    assert parse_source(text) == source


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("admin.sock", "Found “admin.sock”"),
        ("unix:admin.sock", "starts with “/”"),
        ("tcp:10.0.0.5", "without a port"),
        ("tcp:10.0.0.5:99999", "not valid"),
        ("http://admin:secret@lb/stats", "kept where everybody can read it"),
        ("file:///etc/passwd", "Found"),
        ("http://lb/a b", "no spaces"),
    ],
)
def test_what_is_no_source_is_refused_with_what_was_expected(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_source(text)
