"""What a hostname's page shows of DNS: each server's answer, since when; and a drift with its ways out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from dnsops import services
from dnsops.drift import DriftKind, Remedy, ttl_warning
from dnsops.drifting import last_change
from dnsops.models import Drift, ExpectedAnswer, NameServer
from dnsops.pages import to_of_target
from dnsops.plan import Answer, RRset
from dnsops.standing import Standing, standing
from pools import overview
from pools.models import DedicatedHostname


@dataclass(frozen=True, slots=True)
class ServerLine:
    """One authoritative server: what it says, and whether that is what is expected."""

    server: str
    is_writer: bool
    answer: str
    ttl: str
    ttl_wrong: bool
    status: str
    word: str
    since: datetime | None
    lag_s: int


@dataclass(frozen=True, slots=True)
class DnsPage:
    """The card “What DNS says”. ``expected``: the answer that our records expect, and ``because``: why."""

    hostname: DedicatedHostname
    lines: Sequence[ServerLine]
    expected: str
    because: str
    ttl_sentence: str
    stale: bool


@dataclass(frozen=True, slots=True)
class DriftPage:
    """An open drift in words, and what can be done."""

    drift: Drift
    hostname: DedicatedHostname
    headline: str
    status: str
    remedy: Remedy
    digest: str
    found_text: str
    expected_text: str
    put_right_to: str
    targets_url: str


def dns_page(hostname: DedicatedHostname) -> DnsPage:
    """Gather the card, in a constant number of queries."""
    kept: ExpectedAnswer | None = (
        ExpectedAnswer.objects.select_related("operation").filter(hostname=hostname, fqdn=hostname.fqdn).first()
    )
    said = standing([hostname.pk]).get(hostname.pk, [])
    lags = dict(NameServer.objects.values_list("pk", "expected_lag_s"))
    return DnsPage(
        hostname=hostname,
        lines=[_line(one, kept, lags.get(one.name_server_id, 0), hostname.ttl_s) for one in said],
        expected=str(RRset.from_dict(kept.rrset)) if kept else "",
        because=last_change(kept) if kept else "",
        ttl_sentence=ttl_warning([one.answer for one in said], policy_ttl_s=hostname.ttl_s),
        stale=overview.ages.get().is_stale(hostname.pk, overview.clock()),
    )


def _line(one: Standing, kept: ExpectedAnswer | None, lag_s: int, policy_ttl_s: int) -> ServerLine:
    answer = one.answer
    status, word = _word(answer, kept, lag_s)
    seen = kept.seen.get(str(one.name_server_id)) if kept else None
    since = parse_datetime(seen[1]) if seen and seen[0] == answer.text else one.since
    return ServerLine(
        server=answer.server,
        is_writer=answer.is_writer,
        answer=answer.text,
        ttl=f"{answer.rrset.ttl_s} s" if answer.rrset else "–",
        ttl_wrong=answer.rrset is not None and answer.rrset.ttl_s != policy_ttl_s,
        status=status,
        word=word,
        since=since,
        lag_s=lag_s,
    )


def _word(answer: Answer, kept: ExpectedAnswer | None, lag_s: int) -> tuple[str, str]:
    """How an answer compares with what is expected: shape, colour and word."""
    if not answer.answered:
        return "unknown", "No answer"
    if kept is None:
        return "neutral", "Nothing expected yet"
    if RRset.from_dict(kept.rrset).same_data(answer.rrset):
        return "up", "As expected"
    if any(RRset.from_dict(old).same_data(answer.rrset) for old in kept.previous) and not answer.is_writer:
        late = timezone.now() > kept.since + timedelta(seconds=lag_s)
        return ("degraded", "Late: old answer") if late else ("switching", "Not yet: old answer")
    return "down", "Something else"


_HEADLINES = {
    DriftKind.MOVED: "DNS was changed behind our back: {name} points at {found}.",
    DriftKind.VANISHED: "The record of {name} has vanished from DNS. Clients find nothing.",
    DriftKind.RETYPED: "DNS was changed behind our back: {name} is {found} now.",
    DriftKind.SEVERAL: "DNS was changed behind our back: {name} has more than one value, {found}.",
    DriftKind.ONE_SERVER: "{servers} says something that no operation wrote: {found}.",
}


def drift_page(hostname: DedicatedHostname) -> DriftPage | None:
    """The open drift of a hostname with its ways out; None where there is none."""
    drift = services.open_drift(hostname)
    if drift is None:
        return None
    kind = DriftKind(drift.kind)
    found, expected = RRset.from_dict(drift.found), RRset.from_dict(drift.expected)
    values = ", ".join(value.rstrip(".") for value in found.values)
    headline = _HEADLINES[kind].format(
        name=hostname.fqdn,
        found=str(found) if kind is DriftKind.RETYPED else values or "no such name",
        servers=drift.servers,
    )
    remedy = services.remedy_of(drift, hostname)
    return DriftPage(
        drift=drift,
        hostname=hostname,
        headline=headline,
        status="degraded" if kind is DriftKind.ONE_SERVER else "down",
        remedy=remedy,
        digest=services.drift_digest(drift),
        found_text=str(found),
        expected_text=str(expected),
        put_right_to=to_of_target(remedy.put_right),
        targets_url=reverse("pools:estate-edit", args=["dedicated-hostname", hostname.pk]),
    )
