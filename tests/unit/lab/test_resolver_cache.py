"""The demo's resolver: what it forgets stays forgotten."""

from __future__ import annotations

import asyncio
from typing import Any

import dns.asyncquery
import dns.message
import dns.name
import dns.rrset
import pytest

from a365admin.lab.config import DnsServerConfig, ResolverConfig
from a365admin.lab.resolver import Resolver

NAME = dns.name.from_text("a365web1.lab.example")


@pytest.mark.parametrize("forgets", [True, False])
def test_an_answer_that_was_under_way_when_the_cache_was_cleared_is_not_kept(
    monkeypatch: pytest.MonkeyPatch, forgets: bool
) -> None:
    async def go() -> tuple[str, int] | None:
        asked, may_answer = asyncio.Event(), asyncio.Event()

        async def udp(query: dns.message.Message, *_: Any, **__: Any) -> dns.message.Message:
            asked.set()
            await may_answer.wait()
            response = dns.message.make_response(query)
            response.answer.append(dns.rrset.from_text(NAME, 20, "IN", "A", "127.0.0.1"))
            return response

        monkeypatch.setattr(dns.asyncquery, "udp", udp)
        resolver = Resolver(ResolverConfig("r", "Amsterdam", "127.0.0.1", 1), [DnsServerConfig("dns1", "127.0.0.1", 2)])
        answering = asyncio.create_task(resolver.answer(dns.message.make_query(NAME, "A").to_wire()))
        await asked.wait()
        if forgets:
            resolver.forget()
        may_answer.set()
        assert await answering is not None
        return resolver.knows(NAME)

    kept = asyncio.run(go())
    assert (kept is None) is forgets
