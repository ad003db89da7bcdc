"""The contract, against Knot DNS with TSIG."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import pytest

from dnsops.providers.base import OutcomeKind
from tests.integration import bind, other_servers
from tests.integration.dns_contract import Kinds, ProviderContract, Server, TsigServer

pytestmark = [pytest.mark.once]
BADKEY = ((OutcomeKind.AUTH,), "or not for this (BADKEY)")


@pytest.fixture(scope="module")
def knot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TsigServer]:
    with other_servers.running_knot(tmp_path_factory.mktemp("knot")) as (endpoint, secret):
        yield TsigServer(endpoint, frozen=bind.FROZEN, secret=secret)


@pytest.mark.skipif(other_servers.KNOTD is None, reason="knotd is not installed (apt install knot)")
class TestKnot(ProviderContract):
    """Knot 3: what an ACL does not allow is BADKEY, as if the key were unknown."""

    not_allowed: ClassVar[tuple[Kinds, str]] = BADKEY
    read_only: ClassVar[tuple[Kinds, str]] = BADKEY

    @pytest.fixture
    def running(self, knot: TsigServer) -> Server:
        return knot
