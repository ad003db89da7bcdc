"""The contract, against PowerDNS with TSIG."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar

import pytest

from dnsops.plan import Change
from dnsops.providers.base import OutcomeKind
from tests.integration import bind, other_servers
from tests.integration.dns_contract import (
    Kinds,
    ProviderContract,
    Server,
    TsigServer,
    answer_of,
    assert_is,
    soon,
)

pytestmark = [pytest.mark.once]
UNSIGNED_NO = ((OutcomeKind.DENIED,), "PowerDNS")


@pytest.fixture(scope="module")
def powerdns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TsigServer]:
    with other_servers.running_powerdns(tmp_path_factory.mktemp("pdns")) as (endpoint, secret):
        yield TsigServer(endpoint, frozen=bind.FROZEN, secret=secret)


@pytest.mark.skipif(other_servers.PDNS is None, reason="pdns_server is not installed (apt install pdns-server)")
@pytest.mark.skipif(other_servers.PDNS_BACKEND is None, reason="no SQLite backend (apt install pdns-backend-sqlite3)")
class TestPowerDns(ProviderContract):
    """PowerDNS 4: whatever is wrong with the signature is answered REFUSED, unsigned."""

    wrong_key: ClassVar[tuple[Kinds, str]] = UNSIGNED_NO
    wrong_secret: ClassVar[tuple[Kinds, str]] = UNSIGNED_NO
    wrong_clock: ClassVar[tuple[Kinds, str]] = UNSIGNED_NO

    @pytest.fixture
    def running(self, powerdns: TsigServer) -> Server:
        return powerdns

    def test_a_name_that_may_not_be_changed_is_denied(self, server: Server) -> None:
        """What its policy refuses it confirms, signed: only reading the record tells, and the core reads."""
        old = answer_of(server.writer, server.denied_name).rrset
        assert old is not None
        change = Change(server.zone, server.denied_name, old, replace(old, values=("127.0.0.99",)))
        provider = server.provider()
        assert_is(provider.change(change, deadline=soon()), OutcomeKind.APPLIED)
        assert provider.read(server.writer, server.denied_name, deadline=soon()).rrset == old

    def test_a_zone_that_takes_no_updates_says_so(self, server: Server) -> None:
        """The same."""
        endpoint, change = server.frozen_change()
        provider = server.provider()
        assert_is(provider.change(change, deadline=soon()), OutcomeKind.APPLIED)
        assert provider.read(endpoint, change.name, deadline=soon()).rrset == change.expected
