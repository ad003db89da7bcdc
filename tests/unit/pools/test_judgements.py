"""What a web answer, a certificate and a DNS answer are worth."""

from __future__ import annotations

import errno
from datetime import UTC, datetime, timedelta

import dns.flags
import dns.message
import dns.rcode
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pools.health import CheckKind
from pools.probing.asking import tcp_result
from pools.probing.dns import judge_dns
from pools.probing.result import Cause, cause_of_errno, failed, plain
from pools.probing.tls import judge_certificate, names_host
from pools.probing.web import Answer, judge_answer, stays_on_host
from pools.specs import Check

HOST = "a365web1.corp.example"
CHECK = Check("web:1:1", CheckKind.WEB, "web", "10.0.0.1", 443, host=HOST, path="/Attendant")
ASK_DNS = Check("dns:1:1", CheckKind.DNS, "dns1: x", "10.0.0.9", 53, host=HOST, record_type="CNAME", name_server="dns1")
NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize("status", [200, 204, 299, 401, 403])
def test_these_statuses_are_alive(status: int) -> None:
    result = judge_answer(CHECK, 5.0, Answer(status, ""), 7.5)
    assert (result.ok, result.cause, result.latency_ms, result.evidence) == (True, Cause.OK, 7.5, {"status": status})


@pytest.mark.parametrize("status", [300, 304, 400, 404, 405, 429, 500, 503])
def test_these_statuses_are_not(status: int) -> None:
    result = judge_answer(CHECK, 5.0, Answer(status, ""), 7.5)
    assert (result.ok, result.cause) == (False, Cause.HTTP_STATUS)
    assert f"HTTP {status}" in result.sentence


@pytest.mark.parametrize(
    "location", ["/login", "login", f"https://{HOST}/x", f"https://{HOST.upper()}:8443/", f"//{HOST}/"]
)
def test_a_redirect_within_the_host_is_alive(location: str) -> None:
    assert stays_on_host(location, HOST)
    assert judge_answer(CHECK, 5.0, Answer(302, location), 1).ok


@pytest.mark.parametrize(
    "location",
    [
        "https://login.corp.example/",
        "//other/",
        f"https://{HOST}.evil.example/",
        "ftp://x/",
        "http://[",
        "javascript:1",
    ],
)
def test_a_redirect_off_the_host_is_not(location: str) -> None:
    assert not stays_on_host(location, HOST)
    result = judge_answer(CHECK, 5.0, Answer(302, location), 1)
    assert (result.ok, result.cause) == (False, Cause.REDIRECT)


def test_what_a_server_sends_is_cut_and_made_printable() -> None:
    result = judge_answer(CHECK, 5.0, Answer(302, "https://" + "x" * 5000 + "/"), 1)
    assert len(result.sentence) <= 300
    assert plain("a\x00b\nc\x1b[31m") == "a b c [31m"
    assert plain("x" * 500, 20) == "x" * 19 + "…"


def certificate(*names: str, days: float = 300, begins_days_ago: float = 10, issuer: str = "") -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Corp CA")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]) if issuer else subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - timedelta(days=begins_days_ago))
        .not_valid_after(NOW + timedelta(days=days))
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


@pytest.mark.parametrize(
    ("der", "cause", "degraded", "says"),
    [
        (certificate(HOST), Cause.OK, False, "valid until"),
        (certificate("*.corp.example"), Cause.OK, False, "valid until"),
        (certificate("srv1.corp.example"), Cause.WRONG_NAME, True, "it names srv1.corp.example"),
        (certificate(), Cause.WRONG_NAME, True, "it names nobody"),
        (certificate(HOST, days=20.5), Cause.EXPIRING, True, "in 20 days: renew it"),
        (certificate(HOST, days=1.5), Cause.EXPIRING, True, "in 1 day: renew it now"),
        (certificate(HOST, days=-1), Cause.EXPIRED, True, "expired on 28 February 2026"),
        (certificate(HOST, begins_days_ago=-1), Cause.EXPIRED, True, "not valid yet"),
        (b"nonsense", Cause.TLS, True, "cannot be read"),
        (None, Cause.TLS, True, "no certificate"),
    ],
)
def test_a_certificate_is_judged_and_never_worse_than_degraded(
    der: bytes | None, cause: Cause, degraded: bool, says: str
) -> None:
    result = judge_certificate("cert:1:1", NOW.timestamp(), der, HOST)
    assert (result.cause, result.degraded) == (cause, degraded)
    assert says in result.sentence


def test_an_untrusted_chain_degrades() -> None:
    result = judge_certificate(
        "cert:1:1", NOW.timestamp(), certificate(HOST, issuer="Another CA"), HOST, untrusted="unable to get issuer"
    )
    assert (result.cause, result.degraded) == (Cause.UNTRUSTED, True)


@pytest.mark.parametrize(
    ("name", "covers"),
    [(HOST, True), ("*.corp.example", True), ("*.example", False), ("*.a365web1.corp.example", False), ("*", False),
     ("*.", False), ("a*.corp.example", False)],
)  # fmt: skip
def test_a_wildcard_covers_one_whole_label(name: str, covers: bool) -> None:
    assert names_host((name,), HOST) is covers


def dns_answer(text: str, rcode: dns.rcode.Rcode = dns.rcode.NOERROR, *, aa: bool = True) -> dns.message.Message:
    answer = dns.message.from_text(f"id 1\nopcode QUERY\nflags QR {'AA' if aa else ''}\n;ANSWER\n{text}\n")
    answer.set_rcode(rcode)
    return answer


def test_an_authoritative_answer_with_data_is_good_whatever_it_says() -> None:
    result = judge_dns(ASK_DNS, 5.0, dns_answer(f"{HOST}. 60 IN CNAME SRV1.corp.example."), 2.0)
    assert (result.ok, result.latency_ms) == (True, 2.0)
    assert result.evidence == {
        "rtype": "CNAME", "ttl": 60, "values": ["srv1.corp.example."], "rcode": "NOERROR", "aa": True,
        "server": "dns1", "rank": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "cause", "says"),
    [
        (dns_answer("", dns.rcode.NXDOMAIN), Cause.NAME_NOT_FOUND, "no such name"),
        (dns_answer(""), Cause.WRONG_ANSWER, "no CNAME record"),
        (dns_answer("other. 60 IN CNAME x."), Cause.WRONG_ANSWER, "no CNAME record"),
        (dns_answer("", dns.rcode.REFUSED), Cause.DNS_RCODE, "REFUSED"),
        (dns_answer("", dns.rcode.SERVFAIL), Cause.DNS_RCODE, "SERVFAIL"),
        (dns_answer(f"{HOST}. 60 IN CNAME x.", aa=False), Cause.DNS_RCODE, "not authoritative"),
    ],
)
def test_other_dns_answers_are_bad(answer: dns.message.Message, cause: Cause, says: str) -> None:
    result = judge_dns(ASK_DNS, 5.0, answer, 2.0)
    assert (result.ok, result.cause) == (False, cause)
    assert says in result.sentence


@pytest.mark.parametrize(
    ("code", "cause", "ok"),
    [(0, Cause.OK, True), (errno.ECONNREFUSED, Cause.REFUSED, False), (errno.ETIMEDOUT, Cause.TIMEOUT, False),
     (errno.EHOSTUNREACH, Cause.NO_ROUTE, False), (errno.ECONNRESET, Cause.RESET, False),
     (errno.EMFILE, Cause.LOCAL, None), (99999, Cause.RESET, False)],
)  # fmt: skip
def test_each_end_of_a_connect_has_its_cause(code: int, cause: Cause, ok: bool | None) -> None:
    result = tcp_result(CHECK, 5.0, code, 0.001)
    assert (result.cause, result.ok) == (cause, ok)
    assert result.sentence


def test_a_prober_that_cannot_ask_does_not_call_anything_bad() -> None:
    assert failed("k", 1.0, cause_of_errno(errno.EADDRNOTAVAIL)[0], "x").ok is None
