"""The permission test on a real server: a record that is changed for itself leaves no trace, and a refusal shows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

import dns.message
import dns.query
import dns.rdatatype
import pytest

from dnsops.asking import ask
from dnsops.plan import Change
from dnsops.providers.base import Outcome, OutcomeKind
from dnsops.providers.rfc2136 import Rfc2136
from dnsops.secrets import SafeKey
from tests.integration import bind

pytestmark = [pytest.mark.once, pytest.mark.skipif(bind.NAMED is None, reason="BIND is missing: apt-get install bind9")]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[bind.BindPair]:
    with bind.running_bind(tmp_path_factory.mktemp("bind")) as pair:
        yield pair


def serial(pair: bind.BindPair) -> int:
    query = dns.message.make_query(bind.ZONE, dns.rdatatype.SOA)
    reply = dns.query.udp(query, pair.primary.address, port=pair.primary.port, timeout=3)
    return int(reply.answer[0][0].serial)


def for_itself(pair: bind.BindPair, label: str) -> Outcome:
    """Change a record for itself, as the standing readiness test does."""
    name = f"{label}.{bind.ZONE}"
    present = ask(pair.primary, name, timeout_s=2).rrset
    assert present is not None
    provider = Rfc2136(pair.primary, partial(SafeKey, f"{bind.KEY_NAME}.", pair.secret, bind.ALGORITHM))
    change = Change(bind.ZONE, name, present, present)
    return provider.change(change, deadline=time.monotonic() + 3)


def test_a_record_that_is_changed_for_itself_leaves_no_trace_on_bind(pair: bind.BindPair) -> None:
    before = serial(pair)
    outcome = for_itself(pair, "a365web1")
    assert outcome.kind is OutcomeKind.APPLIED, outcome
    assert serial(pair) == before
    answer = ask(pair.primary, f"a365web1.{bind.ZONE}", timeout_s=2).rrset
    assert answer is not None
    assert answer.ttl_s == bind.TTL_S


def test_a_record_that_we_may_not_write_is_refused_although_the_key_is_accepted(pair: bind.BindPair) -> None:
    outcome = for_itself(pair, "srv1")
    assert outcome.kind is OutcomeKind.DENIED, outcome
    assert outcome.authenticated


def test_how_far_the_clocks_are_apart_is_measured_on_the_way(
    pair: bind.BindPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    skew_s = for_itself(pair, "a365web1").evidence["clock_skew_s"]
    assert abs(skew_s) <= 5

    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - 600)
    outcome = for_itself(pair, "a365web1")
    assert outcome.kind is OutcomeKind.CLOCK, outcome
    assert 590 <= outcome.evidence["clock_skew_s"] <= 610
