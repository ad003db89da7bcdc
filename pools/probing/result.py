"""Pure: what a probe found, told apart by cause, in words that a helpdesk understands."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple


class Cause(StrEnum):
    """Why a result is what it is."""

    OK = "ok"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    NO_ROUTE = "no_route"
    NAME_NOT_FOUND = "name_not_found"
    RESET = "reset"
    TLS = "tls"
    HTTP_STATUS = "http_status"
    REDIRECT = "redirect"
    WRONG_ANSWER = "wrong_answer"
    DNS_RCODE = "dns_rcode"
    EXPIRING = "expiring"
    EXPIRED = "expired"
    WRONG_NAME = "wrong_name"
    UNTRUSTED = "untrusted"
    SELF_SIGNED = "self_signed"
    WEAK = "weak"  # key or signature
    NOT_SEEN = "not_seen"  # what should be looked at did not come: no connection, so no certificate
    CUT_OFF = "cut_off"
    LOCAL = "local"  # the prober itself could not ask: no file descriptor, no port


# A certificate for which clients turn away; health calls it degraded, a failover to it is blocked.
REFUSED_CERTIFICATES = frozenset({Cause.TLS, Cause.EXPIRED, Cause.WRONG_NAME, Cause.UNTRUSTED, Cause.SELF_SIGNED})
NO_EVIDENCE: Mapping[str, Any] = MappingProxyType({})
SENTENCE_LIMIT = 300


class ProbeResult(NamedTuple):
    """One answer to one check.

    ``at``: epoch seconds. ``ok``: True good, False bad, None not known (the prober could not ask, or doubts itself).
    ``degraded``: at most a reason to call it degraded, whatever ``ok`` says. ``sentence``: for people, without the name
    of what was asked. ``latency_ms``: None where nothing answered. ``evidence``: small, JSON-able, bounded in size.
    """

    key: str
    at: float
    ok: bool | None
    degraded: bool
    cause: Cause
    sentence: str
    latency_ms: float | None = None
    evidence: Mapping[str, Any] = NO_EVIDENCE


_BY_ERRNO: dict[int, tuple[Cause, str]] = {
    errno.ECONNREFUSED: (Cause.REFUSED, "refused: the server is there, but nothing listens on this port"),
    errno.ECONNRESET: (Cause.RESET, "the connection was cut off as soon as it was made"),
    errno.ECONNABORTED: (Cause.RESET, "the connection was cut off as soon as it was made"),
    errno.EPIPE: (Cause.RESET, "the connection was cut off as soon as it was made"),
    errno.ETIMEDOUT: (Cause.TIMEOUT, "no answer in time"),
    errno.EHOSTUNREACH: (Cause.NO_ROUTE, "no route: the network cannot reach this server"),
    errno.ENETUNREACH: (Cause.NO_ROUTE, "no route: this machine has no way to that network"),
    errno.EHOSTDOWN: (Cause.NO_ROUTE, "no route: the network says that this server is off"),
    errno.ENETDOWN: (Cause.LOCAL, "not asked: the prober's own network is down"),
    errno.EACCES: (Cause.NO_ROUTE, "not let through: a firewall on the way forbids it"),
    errno.EPERM: (Cause.NO_ROUTE, "not let through: a firewall on the prober's machine forbids it"),
    errno.EMFILE: (Cause.LOCAL, "not asked: the prober has no file descriptor left (raise LimitNOFILE)"),
    errno.ENFILE: (Cause.LOCAL, "not asked: the prober's machine has no file descriptor left"),
    errno.EADDRNOTAVAIL: (Cause.LOCAL, "not asked: the prober's machine has no free local port or address"),
    errno.ENOBUFS: (Cause.LOCAL, "not asked: the prober's machine is out of network buffers"),
    errno.ENOMEM: (Cause.LOCAL, "not asked: the prober's machine is out of memory"),
}


def cause_of_errno(code: int) -> tuple[Cause, str]:
    """Return cause and sentence for an error number of a socket call."""
    return _BY_ERRNO.get(code) or (Cause.RESET, f"the connection failed ({errno.errorcode.get(code, code)})")


def plain(text: str, limit: int = 120) -> str:
    """Return what another machine sent as one bounded, printable line: safe in a log, a row and (escaped) a page."""
    line = "".join(c if c.isprintable() else " " for c in text[: limit * 2])
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def failed(key: str, at: float, cause: Cause, sentence: str, evidence: Mapping[str, Any] = NO_EVIDENCE) -> ProbeResult:
    """A result that is bad, or not known where the prober itself could not ask."""
    ok = None if cause in {Cause.LOCAL, Cause.CUT_OFF, Cause.NOT_SEEN} else False
    return ProbeResult(key, at, ok, False, cause, sentence[:SENTENCE_LIMIT], None, evidence)


def timed_out(key: str, at: float, timeout_s: float, what: str = "no answer") -> ProbeResult:
    """A result for a probe whose time is up."""
    return failed(key, at, Cause.TIMEOUT, f"{what} within {timeout_s:g} s")
