"""The contract with GSS-TSIG, against BIND and an MIT KDC; and what happens when KDCs fail."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import dns.tsig
import pytest

from dnsops import keytab
from dnsops.providers.base import Endpoint, OutcomeKind
from dnsops.providers.gss import GssTsig
from dnsops.providers.tickets import Account
from tests.integration import bind, kerberos
from tests.integration.dns_contract import Kinds, ProviderContract, Server, answer_of, assert_is, soon

gssapi = pytest.importorskip("gssapi", reason="the optional extra gssapi is not installed (requirements/gssapi.txt)")
pytestmark = [pytest.mark.once]
FAKETIME = next(iter(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None)
CLOCK_SLOW = {"LD_PRELOAD": str(FAKETIME), "FAKETIME": "-600"}


@dataclass(frozen=True)
class GssServer(Server):
    """A server that takes Kerberos accounts. ``stranger``, ``outdated``: accounts that will not do."""

    account: Account | None = None
    stranger: Account | None = None
    outdated: Account | None = None

    def signed_by(self, account: Account | None, writer: Endpoint | None = None) -> GssTsig:
        """A provider that signs as this account."""
        assert account is not None
        return GssTsig(writer or self.writer, lambda: account)

    def key(self) -> dns.tsig.Key:
        """Agreed on now."""
        return self.signed_by(self.account)._signers(soon())[0]()

    def provider(self, writer: Endpoint | None = None) -> GssTsig:
        """The right account."""
        return self.signed_by(self.account, writer)

    def with_wrong_key(self) -> GssTsig:
        """An account that the realm does not know any more."""
        return self.signed_by(self.stranger)

    def with_wrong_secret(self) -> GssTsig:
        """A keytab from before the password was changed."""
        return self.signed_by(self.outdated)

    def secrets(self) -> list[str]:
        """What is in the keytab."""
        assert self.account is not None
        return [repr(self.account.keytab.read_bytes())[2:-1][-40:]]


class GssContract(ProviderContract):
    """What differs with Kerberos: the KDC says no before the server is asked."""

    wrong_key: ClassVar[tuple[Kinds, str]] = ((OutcomeKind.AUTH,), "does not know account")
    wrong_secret: ClassVar[tuple[Kinds, str]] = ((OutcomeKind.AUTH,), "write the keytab anew")

    @pytest.mark.skipif(FAKETIME is None, reason="libfaketime is not installed (apt install libfaketime)")
    def test_a_kdc_whose_clock_is_ten_minutes_off_says_so(
        self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert isinstance(server, GssServer)
        assert server.account is not None
        for name, value in CLOCK_SLOW.items():
            monkeypatch.setenv(name, value)  # only processes that are started from now on see another time
        outcome = server.signed_by(replace(server.account, folder=tmp_path)).change(
            server.change(1, 2), deadline=soon()
        )
        assert_is(outcome, OutcomeKind.CLOCK, "the KDC", "NTP", "Nothing was sent")
        assert server.says() == server.value(1)


@dataclass(frozen=True)
class Realm:
    """A KDC, and a DNS server whose key it has."""

    kdc: kerberos.Kdc
    server: GssServer


@pytest.fixture(scope="module")
def realm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Realm]:
    folder, tickets = tmp_path_factory.mktemp("kdc"), tmp_path_factory.mktemp("tickets")
    with ExitStack() as stack:
        kdc = stack.enter_context(kerberos.running_kdc(folder))
        own, keytabs = kdc.keytab("DNS/ns1.lab.example"), {n: kdc.keytab(n) for n in ("failover", "ghost", "old")}
        kdc.admin("delprinc -force ghost", "cpw -randkey old")
        directory = tmp_path_factory.mktemp("bind")
        shutil.copy(folder / "krb5.conf", directory)
        pair = stack.enter_context(bind.running_bind(directory, keytab=own, account=f"failover@{kerberos.REALM}"))
        accounts = {
            name: Account(f"{name}@{kerberos.REALM}", kerberos.REALM, path, (kdc.address,), tickets)
            for name, path in keytabs.items()
        }
        server = GssServer(
            replace(pair.primary, host_name="ns1.lab.example"),
            pair.secondary,
            frozen=bind.FROZEN,
            account=accounts["failover"],
            stranger=accounts["ghost"],
            outdated=accounts["old"],
        )
        yield Realm(kdc, server)


@pytest.mark.skipif(bind.NAMED is None, reason="named is not installed (apt install bind9)")
@pytest.mark.skipif(kerberos.KRB5KDC is None, reason="krb5kdc is not installed (apt install krb5-kdc)")
@pytest.mark.skipif(kerberos.KADMIN is None, reason="kadmin.local is not installed (apt install krb5-admin-server)")
class TestBindWithKerberos(GssContract):
    """BIND 9 with ``tkey-gssapi-keytab``, an MIT KDC, and an account that may change single names."""

    @pytest.fixture
    def running(self, realm: Realm) -> Server:
        return realm.server

    def test_with_a_warm_ticket_no_kdc_is_needed(self, server: GssServer, realm: Realm) -> None:
        assert server.provider().keep_warm(deadline=soon()) == {}
        realm.kdc.stop()
        try:
            with socket.create_server(("127.0.0.1", int(realm.kdc.address.rpartition(":")[2]))) as silent:
                silent.setblocking(False)
                outcome = server.provider().change(server.change(1, 2), deadline=soon())
                assert_is(outcome, OutcomeKind.APPLIED)
                with pytest.raises(BlockingIOError):
                    silent.accept()  # nobody has come: the dead KDC cost nothing
        finally:
            realm.kdc.start()

    def test_a_silent_kdc_and_a_dead_one_before_a_good_one_are_left_out(
        self, server: GssServer, realm: Realm, tmp_path: Path
    ) -> None:
        assert server.account is not None
        with socket.create_server(("127.0.0.1", 0)) as silent:
            kdcs = (f"127.0.0.1:{bind.free_port()}", f"127.0.0.1:{silent.getsockname()[1]}", realm.kdc.address)
            account = replace(server.account, kdcs=kdcs, folder=tmp_path)
            outcome = server.signed_by(account).change(server.change(1, 2), deadline=soon(6))
        assert_is(outcome, OutcomeKind.APPLIED)

    def test_without_a_ticket_and_without_a_kdc_nothing_is_sent(self, server: GssServer, tmp_path: Path) -> None:
        assert server.account is not None
        account = replace(server.account, kdcs=(f"127.0.0.1:{bind.free_port()}",), folder=tmp_path)
        outcome = server.signed_by(account).change(server.change(1, 2), deadline=soon())
        assert_is(outcome, OutcomeKind.UNREACHABLE, "no KDC of LAB.EXAMPLE", "nothing listens", "Nothing was sent")
        assert server.says() == server.value(1)

    def test_a_silent_kdc_takes_no_longer_than_the_deadline(self, server: GssServer, tmp_path: Path) -> None:
        assert server.account is not None
        with socket.create_server(("127.0.0.1", 0)) as silent:
            account = replace(server.account, kdcs=(f"127.0.0.1:{silent.getsockname()[1]}",), folder=tmp_path)
            outcome = server.signed_by(account).change(server.change(1, 2), deadline=soon(1))
        assert_is(outcome, OutcomeKind.UNREACHABLE, "does not answer", "Nothing was sent")

    def test_a_ticket_that_the_server_no_longer_accepts_is_fetched_anew(self, server: GssServer, realm: Realm) -> None:
        provider = server.provider()
        provider.keep_warm(deadline=soon())
        ticket = provider.ticket_for(server.writer)
        assert ticket is not None
        assert server.outdated is not None
        intact = ticket.ccache.read_bytes()
        ticket.ccache.write_bytes(intact[:-40] + bytes(40))  # as after the server's own password was changed
        assert_is(provider.change(server.change(1, 2), deadline=soon()), OutcomeKind.APPLIED)
        assert ticket.ccache.read_bytes()[-40:] != bytes(40)

    def test_a_ticket_that_is_not_accepted_stays_where_no_kdc_gives_another(
        self, server: GssServer, realm: Realm
    ) -> None:
        provider = server.provider()
        provider.keep_warm(deadline=soon())
        ticket = provider.ticket_for(server.writer)
        assert ticket is not None
        intact = ticket.ccache.read_bytes()
        realm.kdc.stop()
        try:
            ticket.ccache.write_bytes(intact[:-40] + bytes(40))
            outcome = provider.change(server.change(1, 2), deadline=soon())
            assert_is(outcome, OutcomeKind.UNREACHABLE, "no KDC of LAB.EXAMPLE", "Nothing was sent")
            ticket.ccache.write_bytes(intact)  # it was the server that was wrong, for a moment
            assert_is(provider.change(server.change(1, 2), deadline=soon()), OutcomeKind.APPLIED)
        finally:
            realm.kdc.start()

    def test_a_name_server_that_the_realm_does_not_know_is_a_mistake_of_the_configuration(
        self, server: GssServer
    ) -> None:
        stranger = replace(server.writer, host_name="ns9.lab.example")
        outcome = server.provider(stranger).change(server.change(1, 2), deadline=soon())
        assert_is(outcome, OutcomeKind.CONFIG, "knows no DNS/ns9.lab.example", "Nothing was sent")
        nameless = replace(server.writer, host_name="")
        outcome = server.provider(nameless).change(server.change(1, 2), deadline=soon())
        assert_is(outcome, OutcomeKind.CONFIG, "full host name of dns1 is not entered", "Nothing was sent")

    def test_the_next_account_is_tried_where_the_first_is_not_accepted(self, server: GssServer) -> None:
        accounts = [server.stranger, server.account]
        provider = GssTsig(server.writer, *(partial(_give, account) for account in accounts))
        outcome = provider.change(server.change(1, 2), deadline=soon())
        assert_is(outcome, OutcomeKind.APPLIED)
        assert outcome.evidence["key"] == f"failover@{kerberos.REALM}"

    def test_tickets_are_kept_where_only_we_may_read_them(self, server: GssServer) -> None:
        assert server.account is not None
        server.provider().keep_warm(deadline=soon())
        files = [path for path in server.account.folder.rglob("*") if path.is_file()]
        folders = [path for path in server.account.folder.iterdir() if path.is_dir()]
        assert files
        assert all(folder.stat().st_mode & 0o077 == 0 for folder in folders)
        assert [path for path in files if path.suffix == ".ccache" and path.stat().st_mode & 0o077] == []

    def test_the_keytab_of_a_real_kdc_can_be_read(self, server: GssServer) -> None:
        assert server.account is not None
        names = {entry.principal for entry in keytab.read(server.account.keytab)}
        assert names == {f"failover@{kerberos.REALM}"}

    def test_a_server_that_takes_no_kerberos_is_told_from_one_that_is_down(
        self, server: GssServer, realm: Realm
    ) -> None:
        assert server.secondary is not None
        plain = replace(server.secondary, host_name="ns1.lab.example")
        outcome = server.provider(plain).change(server.change(1, 2), deadline=soon())
        assert_is(outcome, OutcomeKind.CONFIG, "does not agree on a key by Kerberos", "Nothing was sent")
        assert answer_of(plain, server.name).answered


def _give(account: Account | None) -> Account:
    assert account is not None
    return account
