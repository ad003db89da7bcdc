"""Certificates: strength, what comes first, and requests that OpenSSL itself accepts."""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from pools.certificates.advice import advise
from pools.certificates.request import certreq_request, names_for, openssl_request
from pools.probing.result import Cause
from pools.probing.tls import Expiry, judge_certificate, read_certificate, set_expiry
from tests.unit.pools.test_judgements import HOST, NOW, certificate

openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is missing: apt-get install openssl")


def made(directory: Path, *options: str, days: int = 400) -> bytes:
    """A self-signed certificate for HOST by OpenSSL, as DER."""
    path = directory / "made.der"
    subprocess.run(
        ["openssl", "req", "-x509", "-nodes", "-keyout", str(directory / "made.key"), "-outform", "DER", "-out",
         str(path), "-days", str(days), "-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}", *options],
        check=True, capture_output=True,
    )  # fmt: skip
    return path.read_bytes()


@openssl
@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("-newkey", "rsa:1024", "-sha256"), "its key is RSA 1024"),
        (("-newkey", "rsa:2048", "-sha1"), "it is signed with SHA-1"),
        (("-newkey", "rsa:1024", "-sha1"), "its key is RSA 1024 and it is signed with SHA-1"),
    ],
)
def test_a_weak_key_or_signature_is_told(tmp_path: Path, options: tuple[str, ...], says: str) -> None:
    der = made(tmp_path, *options)  # before the clock is read: it is valid from the second in which it is made
    result = judge_certificate("cert:1:1", datetime.now(UTC).timestamp(), der, HOST)
    assert (result.cause, result.degraded, result.ok) == (Cause.WEAK, True, True)
    assert says in result.sentence


@openssl
@pytest.mark.parametrize(
    ("options", "key"),
    [(("-newkey", "rsa:2048"), "RSA 2048"), (("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"), "EC 256"),
     (("-newkey", "ed25519"), "Ed25519")],
)  # fmt: skip
def test_a_strong_one_is_good_and_its_evidence_says_what_it_is(
    tmp_path: Path, options: tuple[str, ...], key: str
) -> None:
    der = made(tmp_path, *options)  # before the clock is read: it is valid from the second in which it is made
    result = judge_certificate("cert:1:1", datetime.now(UTC).timestamp(), der, HOST)
    assert (result.cause, result.evidence["key"]) == (Cause.OK, key)
    assert len(result.evidence["fingerprint"]) == 64
    assert result.evidence["self_signed"]


def test_self_signed_and_a_broken_chain_are_told_apart_where_chains_are_checked() -> None:
    seen = read_certificate(certificate(HOST))
    assert seen.self_signed
    result = judge_certificate(
        "cert:1:1", NOW.timestamp(), certificate(HOST), HOST, untrusted="self-signed certificate"
    )
    assert (result.cause, result.ok) == (Cause.SELF_SIGNED, False)
    assert "no authority vouches for it" in result.sentence


def test_when_to_warn_and_when_to_alarm_is_a_setting() -> None:
    set_expiry(Expiry(60, 25))
    try:
        result = judge_certificate("cert:1:1", NOW.timestamp(), certificate(HOST, days=20.5), HOST)
        assert result.evidence["urgent"]
        far = judge_certificate("cert:1:1", NOW.timestamp(), certificate(HOST, days=50.5), HOST)
        assert (far.cause, far.evidence["urgent"]) == (Cause.EXPIRING, False)
    finally:
        set_expiry(Expiry())


def test_what_needs_action_comes_first_and_nothing_is_called_down() -> None:
    order = [
        advise(health="degraded", cause="expired"),
        advise(health="degraded", cause="wrong_name"),
        advise(health="degraded", cause="tls"),
        advise(health="degraded", cause="untrusted"),
        advise(health="degraded", cause="expiring", urgent=True),
        advise(health="degraded", cause="weak"),
        advise(health="degraded", cause="expiring"),
        advise(health="unknown", cause="not_seen"),
        advise(health="up", cause="ok"),
    ]
    assert [advice.rank for advice in order] == sorted({advice.rank for advice in order})
    assert [advice.needs_action for advice in order] == [True] * 7 + [False, False]
    assert all(advice.todo for advice in order[:7])
    assert {advice.status for advice in order} == {"degraded", "unknown", "up"}


def test_every_cause_of_a_certificate_has_its_words() -> None:
    good = advise(health="up", cause="ok").word
    for cause in ("tls", "expired", "wrong_name", "untrusted", "self_signed", "weak", "expiring"):
        assert Cause(cause)
        assert advise(health="degraded", cause=cause).word != good


def test_a_good_one_that_is_too_old_to_be_believed_is_unknown() -> None:
    assert advise(health="up", cause="ok", stale=True).status == "unknown"


NAMES = names_for("srv1.corp.example", ["a365web2.corp.example", "a365web1.corp.example", "srv1.corp.example"])


def test_the_names_are_the_hostnames_and_the_servers_own_each_once() -> None:
    assert NAMES == ("a365web1.corp.example", "a365web2.corp.example", "srv1.corp.example")


@openssl
@pytest.mark.parametrize("names", [NAMES, (f"{'a' * 60}.corp.example",)])
def test_openssl_makes_a_request_with_every_name(tmp_path: Path, names: tuple[str, ...]) -> None:
    request = openssl_request("SRV 1", names)
    (tmp_path / request.file_name).write_text(request.text)
    subprocess.run(request.command.split(), cwd=tmp_path, check=True, capture_output=True)
    made_request = x509.load_pem_x509_csr((tmp_path / "srv-1.csr").read_bytes())
    assert made_request.is_signature_valid
    san = made_request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert san.get_values_for_type(x509.DNSName) == list(names)


def test_the_request_for_windows_joins_its_names_and_ends_without_an_ampersand() -> None:
    request = certreq_request("SRV1", NAMES)
    assert request.file_name == "srv1.inf"
    assert request.command == "certreq -new srv1.inf srv1.csr"
    lines = [line for line in request.text.splitlines() if line.startswith("_continue_")]
    assert lines == [
        '_continue_ = "dns=a365web1.corp.example&"',
        '_continue_ = "dns=a365web2.corp.example&"',
        '_continue_ = "dns=srv1.corp.example"',
    ]
    assert 'Subject = "CN=a365web1.corp.example"' in request.text
    assert "Exportable = FALSE" in request.text
