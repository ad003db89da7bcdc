"""A real caching resolver before real authoritative servers: BIND before BIND, and the demo's own."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import dns.message
import dns.query
import dns.rcode
import pytest

from a365admin.lab.embedded import RunningLab, running_lab
from dnsops.asking import ask
from dnsops.lifecycle import Seen
from dnsops.plan import Change, RRset
from dnsops.providers.base import Endpoint
from dnsops.providers.rfc2136 import Rfc2136
from dnsops.secrets import SafeKey
from dnsops.turning import compare
from tests.integration import bind
from tests.waiting import wait_until

pytestmark = [pytest.mark.once]

NAME = f"a365web1.{bind.ZONE}"
SHORT_TTL_S = 2

CONFIGURATION = """options {{ directory "{directory}"; pid-file none; session-keyfile none; lock-file none;
 listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion yes; allow-recursion {{ 127.0.0.1; }};
 dnssec-validation no; empty-zones-enable no; }};
controls {{ }};
zone "{zone}" {{ type forward; forward only; forwarders {{ 127.0.0.1 port {upstream}; }}; }};
"""


@contextmanager
def caching_bind(directory: Path, upstream: Endpoint) -> Iterator[Endpoint]:
    """BIND as a caching resolver that forwards to ``upstream``."""
    directory.mkdir()
    port = bind.free_port()
    text = CONFIGURATION.format(directory=directory, port=port, zone=bind.ZONE, upstream=upstream.port)
    (directory / "named.conf").write_text(text)
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(bind.NAMED), "-f", "-n", "1", "-c", str(directory / "named.conf")], stdout=log, stderr=log
        )
    endpoint = Endpoint("rdns1", "127.0.0.1", port, recursive=True)
    try:
        wait_until(
            lambda: ask(endpoint, f"srv1.{bind.ZONE}", timeout_s=0.5).rrset is not None,
            timeout_s=15,
            message=lambda: f"the resolver does not answer:\n{(directory / 'log').read_text()[-2000:]}",
        )
        yield endpoint
    finally:
        process.kill()
        process.wait(10)


def value(number: int, ttl_s: int = SHORT_TTL_S) -> RRset:
    return RRset("CNAME", ttl_s, (f"srv{number}.{bind.ZONE}.",))


@pytest.mark.skipif(bind.NAMED is None, reason="BIND is missing: apt-get install bind9")
def test_a_caching_bind_keeps_the_old_answer_with_what_is_left_of_its_ttl_and_then_turns(tmp_path: Path) -> None:
    with bind.running_bind(tmp_path) as pair, caching_bind(tmp_path / "resolver", pair.primary) as resolver:
        provider = Rfc2136(pair.primary, partial(SafeKey, f"{bind.KEY_NAME}.", pair.secret, bind.ALGORITHM))
        first = Change(bind.ZONE, NAME, value(1, bind.TTL_S), value(1))
        provider.change(first, deadline=time.monotonic() + 3)
        kept = ask(resolver, NAME, timeout_s=2)
        assert kept.rrset is not None
        assert kept.rrset.same_data(value(1))
        # Of the CNAME at the name, and not of the address that it leads to, whose TTL is 300 s.
        assert kept.rrset.ttl_s <= SHORT_TTL_S

        provider.change(Change(bind.ZONE, NAME, value(1), value(2)), deadline=time.monotonic() + 3)
        seen: list[Seen] = []

        def turned() -> bool:
            answer = ask(resolver, NAME, timeout_s=2)
            seen.append(compare(answer, new=value(2), old=value(1)))
            return seen[-1] is Seen.NEW

        wait_until(turned, timeout_s=15, message="the resolver did not turn")
        assert set(seen) <= {Seen.OLD, Seen.NEW}


@pytest.mark.skipif(bind.NAMED is None, reason="BIND is missing: apt-get install bind9")
def test_an_answer_that_is_not_authoritative_counts_only_of_a_resolver(tmp_path: Path) -> None:
    with bind.running_bind(tmp_path) as pair, caching_bind(tmp_path / "resolver", pair.primary) as resolver:
        assert ask(resolver, NAME, timeout_s=2).answered
        as_server = ask(replace(resolver, recursive=False), NAME, timeout_s=2)
        assert as_server.state == "error"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLab]:
    with running_lab(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


@pytest.fixture
def rdns(lab: RunningLab) -> Endpoint:
    lab.client.reset(start_over=True)
    found = lab.config.resolvers[0]
    return Endpoint(found.name, found.address, found.port, recursive=True)


def says(endpoint: Endpoint) -> tuple[str, int]:
    answer = ask(endpoint, NAME, timeout_s=2)
    assert answer.rrset is not None, answer
    return answer.rrset.values[0], answer.rrset.ttl_s


def test_the_demos_resolver_keeps_an_answer_until_its_ttl_runs_out(lab: RunningLab, rdns: Endpoint) -> None:
    lab.client.edit(NAME, "srv1.lab.example", ttl_s=SHORT_TTL_S)
    assert says(rdns)[0] == "srv1.lab.example."
    lab.client.edit(NAME, "srv2.lab.example", ttl_s=SHORT_TTL_S)
    assert says(rdns)[0] == "srv1.lab.example."
    wait_until(lambda: says(rdns)[0] == "srv2.lab.example.", timeout_s=10, message="it did not turn")


def test_the_demos_resolver_stretches_ttls_and_forgets_when_it_is_told_to(lab: RunningLab, rdns: Endpoint) -> None:
    lab.client.set_fault(rdns.name, "stretching")
    lab.client.edit(NAME, "srv1.lab.example", ttl_s=1)
    assert says(rdns)[0] == "srv1.lab.example."
    lab.client.edit(NAME, "srv2.lab.example", ttl_s=1)
    kept_until = time.monotonic() + 1.2
    wait_until(lambda: time.monotonic() > kept_until, timeout_s=5)
    assert says(rdns) == ("srv1.lab.example.", 1)
    lab.client.set_fault(rdns.name, "forget")
    assert says(rdns)[0] == "srv2.lab.example."


def test_the_demos_resolver_is_silent_or_down_when_it_is_told_to(lab: RunningLab, rdns: Endpoint) -> None:
    lab.client.set_fault(rdns.name, "silent")
    assert ask(rdns, NAME, timeout_s=0.3).state == "silent"
    lab.client.set_fault(rdns.name, "silent", on=False)
    lab.client.set_fault(rdns.name, "down")
    assert ask(rdns, NAME, timeout_s=1).state == "error"
    lab.client.set_fault(rdns.name, "down", on=False)
    assert says(rdns)[0] == "srv1.lab.example."


def test_nobody_looks_into_its_cache_and_with_its_servers_down_it_says_so(lab: RunningLab, rdns: Endpoint) -> None:
    query = dns.message.make_query(NAME, "A", flags=0)
    assert dns.query.udp(query, rdns.address, port=rdns.port, timeout=2).rcode() == dns.rcode.REFUSED
    for server in ("dns1", "dns2"):
        lab.client.set_fault(server, "down")
    answer = ask(rdns, NAME, timeout_s=2)
    assert (answer.state, answer.rcode) == ("error", "SERVFAIL")


def test_the_demos_resolver_answers_over_tcp_and_what_is_no_question_is_dropped(
    lab: RunningLab, rdns: Endpoint
) -> None:
    query = dns.message.make_query(NAME, "A")
    over_tcp = dns.query.tcp(query, rdns.address, port=rdns.port, timeout=2)
    assert over_tcp.rcode() == dns.rcode.NOERROR
    assert len(over_tcp.answer) == 2
    state = lab.client.state()["resolvers"][0]
    assert state["answers"][NAME].startswith("CNAME srv1.lab.example.")
