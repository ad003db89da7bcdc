"""The contract where a person makes the change: with the commands that are shown, on a real BIND; and an operation so.

The person is ``nsupdate`` with our text. PowerShell is not here; its text is tested word by word in the unit tests.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from dnsops.plan import Change
from dnsops.providers.base import Endpoint, Outcome, OutcomeKind
from dnsops.providers.manual import Manual
from dnsops.secrets import SafeKey
from tests.integration import bind
from tests.integration.dns_contract import ChangingContract, Kinds, Server, TsigServer, answer_of, assert_is, soon
from tests.integration.kerberos import SBIN

pytestmark = [pytest.mark.once]
NSUPDATE = shutil.which("nsupdate", path=SBIN)


class Person(Manual):
    """Somebody who has the right key, does what the commands say, and is believed only where the record says so."""

    def __init__(self, writer: Endpoint, key_file: Path) -> None:
        super().__init__(writer)
        self.key_file = key_file

    def change(self, change: Change, *, deadline: float) -> Outcome:
        """Ask for the commands, run them, look again: as the operation does."""
        asked = super().change(change, deadline=deadline)
        if asked.kind is not OutcomeKind.BY_HAND:
            return asked
        commands: Mapping[str, str] = asked.evidence["commands"]
        command = [str(NSUPDATE), "-v", "-k", str(self.key_file)]
        subprocess.run(
            command,
            input=commands["nsupdate"],
            text=True,
            capture_output=True,
            check=False,
            timeout=max(deadline - time.monotonic(), 1),
        )
        again = super().change(change, deadline=deadline)
        if again.kind is OutcomeKind.ALREADY:
            return Outcome(OutcomeKind.APPLIED, again.rcode, again.sentence, evidence=again.evidence)
        return again


@dataclass(frozen=True)
class ByHandServer(TsigServer):
    """A server that a person changes."""

    key_file: Path = Path()

    def provider(self, writer: Endpoint | None = None) -> Person:  # type: ignore[override]
        """Somebody with the right key."""
        return Person(writer or self.writer, self.key_file)

    def key(self) -> SafeKey:
        """To put the record back."""
        return SafeKey(self.key_name, self.secret, "hmac-sha256")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[bind.BindPair]:
    with bind.running_bind(tmp_path_factory.mktemp("bind")) as pair:
        yield pair


@pytest.mark.skipif(bind.NAMED is None, reason="named is not installed (apt install bind9)")
@pytest.mark.skipif(NSUPDATE is None, reason="nsupdate is not installed (apt install bind9-dnsutils)")
class TestByHand(ChangingContract):
    """What a server refuses to a person, we only see as not done: the record says so, and it goes on waiting."""

    not_allowed: ClassVar[tuple[Kinds, str]] = ((OutcomeKind.BY_HAND,), "So far nothing was changed")
    not_served: ClassVar[tuple[Kinds, str]] = ((OutcomeKind.UNREACHABLE,), "REFUSED")
    read_only: ClassVar[tuple[Kinds, str]] = ((OutcomeKind.BY_HAND,), "So far nothing was changed")
    down: ClassVar[str] = "could not be asked"
    again: ClassVar[tuple[Kinds, str]] = ((OutcomeKind.ALREADY,), "already")

    @pytest.fixture
    def running(self, pair: bind.BindPair) -> Server:
        return ByHandServer(
            pair.primary, pair.secondary, frozen=bind.FROZEN, secret=pair.secret, key_file=pair.secret_file
        )

    def test_a_person_with_a_wrong_key_changes_nothing_and_it_goes_on_waiting(
        self, server: Server, tmp_path: Path
    ) -> None:
        wrong = tmp_path / "wrong.key"
        wrong.write_text('key "stranger" { algorithm hmac-sha256; secret "c3RyYW5nZXItc3RyYW5nZXItc3RyYW5nZXI="; };\n')
        outcome = Person(server.writer, wrong).change(server.change(1, 2), deadline=soon())
        assert_is(outcome, OutcomeKind.BY_HAND, "So far nothing was changed")
        assert server.says() == server.value(1)

    def test_nothing_is_sent_by_us(self, server: Server) -> None:
        outcome = Manual(server.writer).change(server.change(1, 2), deadline=soon())
        assert_is(outcome, OutcomeKind.BY_HAND)
        assert "secret" not in repr(outcome)
        assert server.says() == server.value(1)
        assert answer_of(server.writer, server.name).answered
