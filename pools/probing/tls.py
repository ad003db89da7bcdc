"""The certificate that a server shows: whose names are in it, how long it lasts, who vouches for it."""

from __future__ import annotations

import hashlib
import ssl
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.x509.oid import ExtensionOID, NameOID

from pools.probing.result import SENTENCE_LIMIT, Cause, ProbeResult, plain

NAMES_KEPT = 20
RSA_BITS, EC_BITS = 2048, 224  # NIST SP 800-131A: less is not allowed any more
_WEAK_HASHES = frozenset({"md5", "sha1"})
DAY_S = 86_400
_KEY_WORDS = {
    "RSAPublicKey": "RSA",
    "ECPublicKey": "EC",
    "EllipticCurvePublicKey": "EC",
    "DSAPublicKey": "DSA",
    "Ed25519PublicKey": "Ed25519",
    "Ed448PublicKey": "Ed448",
}


class Expiry(NamedTuple):
    """How many days before its end a certificate is worth a warning, and an alarm."""

    warn_days: int = 30
    alarm_days: int = 7


_expiry = Expiry()


def set_expiry(expiry: Expiry) -> None:
    """Set when certificates are told to expire, for this process; done once, when it starts."""
    global _expiry  # noqa: PLW0603 (probing knows no settings; they are handed in)
    _expiry = expiry


class Certificate(NamedTuple):
    """What counts in a certificate. ``names``: DNS names of its SAN in lower case; times: epoch seconds.

    ``key``: such as "RSA 2048"; ``signature``: the hash it was signed with; ``fingerprint``: SHA-256 in hexadecimal.
    ``weak``: what is too weak about key or signature, "" where nothing is. ``self_signed``: nobody else vouches for it.
    """

    names: tuple[str, ...]
    not_before: float
    not_after: float
    issuer: str
    key: str = ""
    signature: str = ""
    fingerprint: str = ""
    weak: str = ""
    self_signed: bool = False


@lru_cache(maxsize=2048)
def read_certificate(der: bytes) -> Certificate:
    """Read a certificate as it came over the wire. Raises ValueError for what is none."""
    parsed = x509.load_der_x509_certificate(der)
    try:
        san = parsed.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
        names = san.get_values_for_type(x509.DNSName) if isinstance(san, x509.SubjectAlternativeName) else []
    except x509.ExtensionNotFound:
        names = []
    issuer = parsed.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)
    key, signature, weak = _strength(parsed)
    return Certificate(
        tuple(plain(name.lower(), 253) for name in names),
        parsed.not_valid_before_utc.timestamp(),
        parsed.not_valid_after_utc.timestamp(),
        plain(str(issuer[0].value)) if issuer else "",
        key,
        signature,
        hashlib.sha256(der).hexdigest(),
        weak,
        _is_self_signed(parsed),
    )


def _strength(parsed: x509.Certificate) -> tuple[str, str, str]:
    """Return key and signature in words, and what is too weak about them."""
    weak = []
    try:
        public = parsed.public_key()
    except (ValueError, UnsupportedAlgorithm):
        key = "of an unknown kind"
    else:
        bits = getattr(public, "key_size", 0)
        key = _KEY_WORDS.get(type(public).__name__.removeprefix("_"), "key")
        key = f"{key} {bits}" if bits else key
        too_short = (isinstance(public, rsa.RSAPublicKey) and bits < RSA_BITS) or (
            isinstance(public, ec.EllipticCurvePublicKey) and bits < EC_BITS
        )
        if too_short or isinstance(public, dsa.DSAPublicKey):
            weak.append(f"its key is {key}")
    try:
        found = parsed.signature_hash_algorithm
    except UnsupportedAlgorithm:
        found = None
    signature = found.name if found else ""
    if signature in _WEAK_HASHES:
        weak.append(f"it is signed with {signature.upper().replace('SHA1', 'SHA-1')}")
    return key, signature, " and ".join(weak)


def _is_self_signed(parsed: x509.Certificate) -> bool:
    if parsed.issuer != parsed.subject:
        return False
    try:
        parsed.verify_directly_issued_by(parsed)
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return True


def names_host(names: tuple[str, ...], host: str) -> bool:
    """Whether one of ``names`` covers ``host`` (RFC 6125 section 6.4.3: a wildcard is the whole leftmost label)."""
    host = host.rstrip(".").lower()
    rest = host.partition(".")[2]
    return any(name == host or (name.startswith("*.") and rest and name[2:] == rest) for name in names)


def judge_certificate(key: str, at: float, der: bytes | None, host: str, *, untrusted: str = "") -> ProbeResult:
    """Return the result for the certificate ``der`` of a server that must serve ``host``; never worse than degraded.

    ``untrusted``: what is wrong with its chain, where that was looked at.
    """
    if not der:
        return _problem(key, at, Cause.TLS, "the server shows no certificate", {})
    try:
        seen = read_certificate(der)
    except ValueError as error:
        return _problem(key, at, Cause.TLS, f"the certificate cannot be read: {plain(str(error))}", {})
    evidence: dict[str, Any] = {
        "names": list(seen.names[:NAMES_KEPT]),
        "expires": datetime.fromtimestamp(seen.not_after, UTC).isoformat(timespec="seconds"),
        "issuer": seen.issuer,
        "key": seen.key,
        "signature": seen.signature,
        "fingerprint": seen.fingerprint,
    }
    if seen.self_signed:
        evidence["self_signed"] = True
    problem = _fault(seen, at, host, untrusted)
    if problem is not None:
        return _problem(key, at, *problem, evidence)
    day = _day(seen.not_after)
    days = int((seen.not_after - at) // DAY_S)
    if seen.weak:
        return ProbeResult(key, at, True, True, Cause.WEAK, f"too weak: {seen.weak}; clients refuse it", None, evidence)
    if days < _expiry.warn_days:
        urgency = "renew it now" if days < _expiry.alarm_days else "renew it"
        evidence["urgent"] = days < _expiry.alarm_days
        sentence = f"expires on {day}, in {days} day{'' if days == 1 else 's'}: {urgency}"
        return ProbeResult(key, at, True, True, Cause.EXPIRING, sentence, None, evidence)
    return ProbeResult(key, at, True, False, Cause.OK, f"names {host}, valid until {day}", None, evidence)


def _fault(seen: Certificate, at: float, host: str, untrusted: str) -> tuple[Cause, str] | None:
    if not names_host(seen.names, host):
        named = ", ".join(seen.names[:3]) or "nobody"
        return Cause.WRONG_NAME, f"does not name {host}: it names {named}"
    if seen.not_after <= at:
        return Cause.EXPIRED, f"expired on {_day(seen.not_after)}: clients refuse it"
    if seen.not_before > at:
        return Cause.EXPIRED, "not valid yet: is a clock wrong?"
    if untrusted and seen.self_signed:
        return Cause.SELF_SIGNED, "self-signed: no authority vouches for it, so clients do not trust it"
    if untrusted:
        return Cause.UNTRUSTED, f"not trusted: {plain(untrusted)}"
    return None


def _day(epoch_s: float) -> str:
    return datetime.fromtimestamp(epoch_s, UTC).strftime("%-d %B %Y")


def _problem(key: str, at: float, cause: Cause, sentence: str, evidence: dict[str, Any]) -> ProbeResult:
    return ProbeResult(key, at, False, True, cause, sentence[:SENTENCE_LIMIT], None, evidence)


class Contexts(NamedTuple):
    """How we open TLS connections: ``plain`` looks at any certificate, ``verifying`` also checks who vouches for it."""

    plain: ssl.SSLContext
    verifying: ssl.SSLContext | None


@lru_cache(maxsize=4)
def contexts(ca_file: str = "") -> Contexts:
    """Return the contexts for a file of trusted authorities (PEM); "" means that chains are not checked.

    Raises OSError or ssl.SSLError where the file cannot be read.
    """
    unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE  # we want to see the certificate that is there, also a wrong one
    if not ca_file:
        return Contexts(unverified, None)
    verifying = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    verifying.check_hostname = False  # names are judged by ``judge_certificate``, in its own words
    verifying.load_verify_locations(cafile=ca_file)
    return Contexts(unverified, verifying)
