"""What is entered in a client, and what is wrong with those that are installed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, strategies as st

from pools.clients.difference import Known, compare
from pools.clients.judging import BalancerName, Fault, Installed, Register, ServerName, judge
from pools.clients.reading import Row, read_table
from pools.clients.values import (
    ClientKind,
    Hostname,
    UccPlace,
    all_values,
    grouped_values,
    hostnames_of_ucc,
    values_for,
)

WEB1 = Hostname("a365web1.x", 1, "a365pool1.x", leads_to=frozenset({1, 2}))
WEB2 = Hostname("a365web2.x", 2, "a365pool2.x", leads_to=frozenset({3, 4, 1}))
SERVERS = [
    ServerName(number, f"SRV{number}", f"srv{number}.x", f"10.0.0.{number}", 1 if number < 3 else 2)
    for number in range(1, 5)
]
SALES = UccPlace(1, "Sales", frozenset({1}))
DESK = UccPlace(2, "Service Desk", frozenset({2}))
BOTH = UccPlace(3, "Both", frozenset({1, 2}))
ALONE = UccPlace(4, "Alone", frozenset({9}))
REGISTER = Register([WEB2, WEB1], SERVERS, [SALES, DESK, BOTH, ALONE], [BalancerName("AMS-VIP", "vip.x", "10.0.0.9")])


class TestWhatToEnter:
    def test_a_web_wallboard_gets_two_urls(self) -> None:
        assert [(v.asked, v.value) for v in values_for(ClientKind.WEB_WALLBOARD, WEB1)] == [
            ("URL of the Attendant service", "https://a365web1.x/Attendant"),
            ("URL of the Dashboard service", "https://a365web1.x/DashboardService"),
        ]

    @pytest.mark.parametrize(
        "kind", [ClientKind.SNAPPER, ClientKind.ATTENDANT, ClientKind.INFLIGHT_WALLBOARD, ClientKind.WALLBOARD]
    )
    def test_those_with_a_ucc_get_its_name_as_it_is_and_the_hostname(self, kind: ClientKind) -> None:
        assert [(v.asked, v.value) for v in values_for(kind, WEB1, "Sales")] == [
            ("UCC name", "Sales"),
            ("UCC host name", "a365web1.x"),
        ]

    def test_webchat_plus_gets_the_hostname_for_the_servers_fqdn(self) -> None:
        assert [(v.asked, v.value) for v in values_for(ClientKind.WEBCHAT_PLUS, WEB1)] == [
            ("FQDN of the server", "a365web1.x")
        ]

    def test_paths_are_those_of_the_hostname(self) -> None:
        own = Hostname("w.x", 1, "p.x", attendant_path="/A", dashboard_path="/D")
        assert [v.value for v in values_for(ClientKind.WEB_WALLBOARD, own)] == ["https://w.x/A", "https://w.x/D"]

    def test_every_client_is_answered_and_no_value_names_a_server(self) -> None:
        assert {v.client for v in all_values(WEB1, "Sales")} == set(ClientKind)
        assert not any("srv" in v.value for v in all_values(WEB1, "Sales"))
        assert sum(len(group.clients.split(", ")) for group in grouped_values(WEB1)) == len(ClientKind)

    def test_a_uccs_clients_use_the_hostname_of_the_pool_that_it_runs_in(self) -> None:
        assert hostnames_of_ucc(SALES, [WEB1, WEB2]) == (WEB1,)
        assert hostnames_of_ucc(BOTH, [WEB1, WEB2]) == (WEB1, WEB2)
        assert hostnames_of_ucc(UccPlace(3, "Both", frozenset({1, 2}), 2), [WEB1, WEB2]) == (WEB2,)
        assert hostnames_of_ucc(UccPlace(3, "Both", frozenset({1, 2}), 7), [WEB1, WEB2]) == (WEB1, WEB2)


def found(kind: ClientKind, host: str, ucc: str = "") -> list[tuple[Fault, str]]:
    return [(f.fault, f.value) for f in judge(Installed(kind, "PC-1", host, ucc), REGISTER).findings]


class TestWhatIsWrong:
    @pytest.mark.parametrize(
        ("kind", "host", "ucc"),
        [
            (ClientKind.SNAPPER, "a365web1.x", "Sales"),
            (ClientKind.SNAPPER, "A365WEB1.X.", "Sales"),
            (ClientKind.ATTENDANT, "a365web2.x", "Service Desk"),
            (ClientKind.ATTENDANT, "a365web2.x", "Both"),
            (ClientKind.WEBCHAT_PLUS, "a365web2.x", ""),
            (ClientKind.WEB_WALLBOARD, "https://a365web1.x/Attendant https://a365web1.x/DashboardService/", ""),
            (ClientKind.WEB_WALLBOARD, "https://a365web1.x:443/attendant", "Sales"),
        ],
    )
    def test_nothing(self, kind: ClientKind, host: str, ucc: str) -> None:
        assert found(kind, host, ucc) == []

    @pytest.mark.parametrize(
        ("kind", "host", "ucc", "fault", "value"),
        [
            (ClientKind.SNAPPER, "srv1.x", "Sales", Fault.SERVER_NAME, "a365web1.x"),
            (ClientKind.SNAPPER, "SRV1", "Sales", Fault.SERVER_NAME, "a365web1.x"),
            (ClientKind.SNAPPER, "10.0.0.2", "Sales", Fault.SERVER_ADDRESS, "a365web1.x"),
            (ClientKind.WEBCHAT_PLUS, "srv3.x", "", Fault.SERVER_NAME, "a365web2.x"),
            (ClientKind.SNAPPER, "a365web2.x", "Sales", Fault.OTHER_POOL, "a365web1.x"),
            (ClientKind.SNAPPER, "old.x", "Sales", Fault.UNKNOWN_HOST, "a365web1.x"),
            (ClientKind.WEBCHAT_PLUS, "a365web1", "", Fault.UNKNOWN_HOST, "a365web1.x"),
            (ClientKind.WEBCHAT_PLUS, "old.x", "", Fault.UNKNOWN_HOST, ""),
            (ClientKind.SNAPPER, "vip.x", "Sales", Fault.BALANCER, "a365web1.x"),
            (ClientKind.SNAPPER, "10.0.0.9", "Sales", Fault.BALANCER, "a365web1.x"),
            (ClientKind.SNAPPER, "https://a365web1.x/", "Sales", Fault.WRONG_FORM, "a365web1.x"),
            (ClientKind.SNAPPER, "a365web1.x:8443", "Sales", Fault.WRONG_FORM, "a365web1.x"),
            (ClientKind.WEB_WALLBOARD, "a365web1.x", "Sales", Fault.WRONG_FORM, ""),
            (ClientKind.WEB_WALLBOARD, "https://srv1.x/Attendant", "", Fault.SERVER_NAME, "https://a365web1.x/Attendant"),
            (ClientKind.WEB_WALLBOARD, "https://srv1.x/DashboardService", "Sales", Fault.SERVER_NAME,
             "https://a365web1.x/DashboardService"),
            (ClientKind.WEB_WALLBOARD, "http://a365web1.x/Attendant", "", Fault.NOT_HTTPS, "https://a365web1.x/Attendant"),
            (ClientKind.WEB_WALLBOARD, "https://a365web1.x/Dash", "", Fault.WRONG_PATH,
             "https://a365web1.x/DashboardService"),
            (ClientKind.SNAPPER, "a365web1.x", "Salse", Fault.UCC_UNKNOWN, "Sales"),
            (ClientKind.SNAPPER, "a365web1.x", "sales", Fault.UCC_SPELLING, "Sales"),
            (ClientKind.SNAPPER, "a365web1.x", "", Fault.UCC_MISSING, ""),
            (ClientKind.SNAPPER, "srv1.x", "Both", Fault.SERVER_NAME, ""),
        ],
    )  # fmt: skip
    def test_each_fault_has_its_exact_value(
        self, kind: ClientKind, host: str, ucc: str, fault: Fault, value: str
    ) -> None:
        assert (fault, value) in found(kind, host, ucc)

    def test_each_is_said_in_words_with_what_to_do(self) -> None:
        (one,) = judge(Installed(ClientKind.SNAPPER, "PC-1", "srv1.x", "Sales"), REGISTER).findings
        assert one.sentence == "holds SRV1’s own name (srv1.x): it stays there after a failover"
        assert one.fix == "Enter a365web1.x in place of it."
        (one,) = judge(Installed(ClientKind.SNAPPER, "PC-1", "a365web2.x", "Sales"), REGISTER).findings
        assert one.sentence == "holds a365web2.x, the hostname of a365pool2.x; its UCC runs in a365pool1.x"

    def test_two_values_that_may_both_be_right_are_both_told(self) -> None:
        (one,) = judge(Installed(ClientKind.SNAPPER, "PC-1", "old.x", "Both"), REGISTER).findings
        assert one.fix == "Enter a365web1.x or a365web2.x in place of it."

    def test_of_many_values_that_may_be_right_a_few_are_named(self) -> None:
        many = [replace(WEB1, fqdn=f"desk{number}.x") for number in range(40)]
        (one,) = judge(Installed(ClientKind.WEBCHAT_PLUS, "PC-1", "srv1.x"), Register(many, SERVERS, [])).findings
        assert one.fix.startswith("Enter the one that serves this place of the 40 that are possible (desk0.x, desk1.x,")
        assert one.fix.count("desk") == 3

    def test_a_ucc_in_no_pool_with_a_hostname_has_nothing_to_enter(self) -> None:
        assert (Fault.NO_HOSTNAME, "") in found(ClientKind.SNAPPER, "a365web1.x", "Alone")

    @given(st.sampled_from(list(ClientKind)), st.text(max_size=60), st.text(max_size=20))
    def test_whatever_is_in_the_inventory_it_is_judged_and_only_a_known_hostname_is_right(
        self, kind: ClientKind, host: str, ucc: str
    ) -> None:
        verdict = judge(Installed(kind, "PC-1", host, ucc), REGISTER)
        if verdict.ok and host.strip():
            assert any(name in host.lower() for name in ("a365web1.x", "a365web2.x"))
        for finding in verdict.findings:
            assert finding.sentence
            assert finding.fix

    @given(st.sampled_from(list(ClientKind)), st.sampled_from([WEB1, WEB2]))
    def test_what_we_tell_people_to_enter_is_right(self, kind: ClientKind, hostname: Hostname) -> None:
        ucc = "Sales" if hostname is WEB1 else "Service Desk"
        values = [v.value for v in values_for(kind, hostname)]
        assert found(kind, " ".join(values), ucc) == []


def table(text: str) -> list[str]:
    return [str(problem) for problem in read_table("clients.csv", text.encode()).problems]


class TestReadingATable:
    @pytest.mark.parametrize(
        "text",
        [
            "client,place,host,ucc,note\nSnapper,PC-1,a.x,Sales,hi\n",
            "client;place;host;ucc;note\r\nsnapper;PC-1;a.x;Sales;hi\r\n",
            "note\tUCC name\thost\tMachine\tkind\nhi\tSales\ta.x\tPC-1\tSNAPPER\n",
            "Snapper\tPC-1\ta.x\tSales\thi",
            "\ufeffclient,place,host,ucc,note\nSnapper,'PC-1,a.x,Sales,hi\n".replace("'PC", "PC"),
        ],
    )
    def test_columns_in_any_order_with_any_separator_or_none_named(self, text: str) -> None:
        (row,) = read_table("x", text.encode()).rows
        assert (row.kind, row.place, row.host, row.ucc_name, row.note) == ("snapper", "PC-1", "a.x", "Sales", "hi")

    def test_every_wrong_line_is_told_with_its_number_and_field(self) -> None:
        said = table(
            "client,place,host,ucc\nSnaper,PC-1,a.x,S\nSnapper,,a.x,S\nSnapper,PC-2,,S\nSnapper,PC-3,a.x b.x,S\n"
            f"Snapper,PC-4,a.x,{'u' * 81}\nSnapper,PC-5,a.x\nSnapper,pc-6,a.x,S\nSNAPPER,PC-6,b.x,S\n"
        )
        places = [sentence.partition(":")[0] for sentence in said]
        assert places == [
            "clients.csv, line 7", "clients.csv, line 2, client", "clients.csv, line 3, place",
            "clients.csv, line 4, host", "clients.csv, line 5, host", "clients.csv, line 6, ucc", "clients.csv, line 9",
        ]  # fmt: skip
        assert "“Snaper”; expected one of Web Wallboard, Wallboard, Snapper" in said[1]
        assert "a second time" in said[-1]

    def test_lines_are_counted_right_without_a_line_of_names(self) -> None:
        assert table("Snapper,PC-1,a.x\nSnapper,,a.x")[0].startswith("clients.csv, line 2, place")

    @pytest.mark.parametrize(
        ("data", "words"),
        [
            (b"", "found nothing"),
            (b"a,b\n1,2", "found no column client and no column place and no column host"),
            (b"client,place,host\n", "no client"),
            (b"\xff\xfeS\x00", "found no client"),
            ("client,place,host\nSnapper,Kött,a.x".encode("latin-1"), "which is no UTF-8"),
            (b"client,place,host\nSnapper,a\0b,a.x", "NUL"),
            (b'client,place,host\nSnapper,"PC,a.x', "expected quotes to come in pairs"),
            (b"x" * 10_000_001, "at most 10 MB"),
            (b"client,client,place,host\n1,2,3,4", "twice"),
        ],
    )
    def test_hostile_and_broken_files_get_a_sentence(self, data: bytes, words: str) -> None:
        read = read_table("x", data)
        assert words in str(read.problems[0])
        assert not read.rows

    @given(st.binary(max_size=200))
    def test_no_file_breaks_it(self, data: bytes) -> None:
        read = read_table("x", data)
        assert read.rows or read.problems


class TestTheDifference:
    ROW = Row(2, ClientKind.SNAPPER, "PC-1", "a.x", "Sales")

    def known(self, **changed: str) -> dict[tuple[str, str], Known]:
        values = {"host": "a.x", "ucc_name": "Sales", "note": ""} | changed
        return {self.ROW.key: Known(7, "Snapper at PC-1", "PC-1", values)}

    def test_the_same_lines_twice_change_nothing(self) -> None:
        assert compare([self.ROW], {}, whole=False).added == (self.ROW,)
        again = compare([self.ROW], self.known(), whole=True)
        assert not again.any
        assert again.unchanged == 1

    def test_a_changed_host_is_told_with_before_and_after(self) -> None:
        (change,) = compare([self.ROW], self.known(host="old.x"), whole=False).changed
        assert change.fields == (("host or URL", "old.x", "a.x"),)

    def test_only_a_whole_inventory_removes(self) -> None:
        other = Row(3, ClientKind.SNAPPER, "PC-2", "a.x", "Sales")
        assert not compare([other], self.known(), whole=False).removed
        assert [known.id for known in compare([other], self.known(), whole=True).removed] == [7]
        assert compare([other], self.known(), whole=False).digest != compare([other], self.known(), whole=True).digest
