"""The contract in Active Directory: Samba's domain controller, GSS-TSIG, an account that may write one record only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from dnsops.providers.base import OutcomeKind
from dnsops.providers.tickets import Account
from tests.integration import samba
from tests.integration.dns_contract import Kinds, Server, assert_is, soon
from tests.integration.test_gss_contract import FAKETIME, GssContract, GssServer

pytestmark = [pytest.mark.once]


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[samba.DomainController]:
    with samba.running_samba(tmp_path_factory.mktemp("samba")) as controller:
        yield controller


def account(controller: samba.DomainController, name: str, folder: Path) -> Account:
    return Account(f"{name}@{samba.REALM}", samba.REALM, controller.keytab, (f"{samba.ADDRESS}:88",), folder)


@pytest.mark.skipif(samba.SAMBA is None, reason="samba is not installed (apt install samba samba-dsdb-modules)")
@pytest.mark.skipif(not samba.AS_ROOT, reason="a network namespace needs root")
class TestSamba(GssContract):
    """Samba 4, internal DNS: SERVFAIL where the directory denies access; answers that say no are our own, sent back."""

    not_allowed: ClassVar[tuple[Kinds, str]] = ((OutcomeKind.SERVER,), "give it the right to write that record")
    read_only: ClassVar[tuple[Kinds, str]] = not_allowed

    @pytest.fixture
    def running(self, controller: samba.DomainController, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
        folder = tmp_path_factory.getbasetemp() / "samba-tickets"
        accounts = {name: account(controller, name, folder) for name in samba.ACCOUNTS}
        server = GssServer(
            controller.endpoint,
            zone=samba.ZONE,
            frozen=samba.FROZEN,
            account=accounts["svc-failover"],
            stranger=accounts["ghost"],
            outdated=accounts["old"],
        )
        with controller.inside():
            yield server

    @pytest.mark.skipif(FAKETIME is None, reason="libfaketime is not installed (apt install libfaketime)")
    def test_a_clock_that_is_ten_minutes_off_says_so(
        self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Samba does not look at a signature's time; Kerberos does."""
        self.test_a_kdc_whose_clock_is_ten_minutes_off_says_so(server, tmp_path, monkeypatch)

    def test_another_account_may_not_write_the_record(
        self, server: GssServer, controller: samba.DomainController, tmp_path: Path
    ) -> None:
        provider = server.signed_by(account(controller, "svc-other", tmp_path))
        outcome = provider.change(server.change(1, 2), deadline=soon())
        kinds, words = self.not_allowed
        assert_is(outcome, kinds, words)
        assert server.says() == server.value(1)
