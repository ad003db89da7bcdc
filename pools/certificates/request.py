"""Pure: the text of a certificate request with every name that a server needs, for OpenSSL and for Windows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

CN_LIMIT = 64  # RFC 5280, upper bound of commonName
KEY_BITS = 3072


@dataclass(frozen=True, slots=True)
class RequestText:
    """A file, and the commands that make a request of it."""

    file_name: str
    text: str
    command: str


def names_for(fqdn: str, hostnames: Iterable[str]) -> tuple[str, ...]:
    """Return what belongs into the SAN: the dedicated hostnames, then the server's own name; each once."""
    return tuple(dict.fromkeys([*sorted(hostnames), fqdn]))


def _common_name(names: tuple[str, ...]) -> str:
    return next((name for name in names if len(name) <= CN_LIMIT), names[0].partition(".")[0][:CN_LIMIT])


def openssl_request(server: str, names: tuple[str, ...]) -> RequestText:
    """Return the configuration for ``openssl req``. ``names``: validated host names, at least one."""
    stem = _stem(server)
    alternatives = "\n".join(f"DNS.{number} = {name}" for number, name in enumerate(names, start=1))
    text = f"""[req]
prompt = no
distinguished_name = subject
req_extensions = extensions
default_md = sha256

[subject]
CN = {_common_name(names)}

[extensions]
subjectAltName = @names
keyUsage = critical, digitalSignature, keyEncipherment
extendedKeyUsage = serverAuth

[names]
{alternatives}
"""
    command = f"openssl req -new -newkey rsa:{KEY_BITS} -nodes -keyout {stem}.key -out {stem}.csr -config {stem}.cnf"
    return RequestText(f"{stem}.cnf", text, command)


def certreq_request(server: str, names: tuple[str, ...]) -> RequestText:
    """Return the .inf for ``certreq -new`` on the server itself, so that the key never leaves it."""
    stem = _stem(server)
    last = len(names) - 1
    alternatives = "\n".join(
        f'_continue_ = "dns={name}{"" if number == last else "&"}"' for number, name in enumerate(names)
    )
    text = f"""[Version]
Signature = "$Windows NT$"

[NewRequest]
Subject = "CN={_common_name(names)}"
KeyAlgorithm = RSA
KeyLength = {KEY_BITS}
HashAlgorithm = sha256
Exportable = FALSE
MachineKeySet = TRUE
ProviderName = "Microsoft Software Key Storage Provider"
RequestType = PKCS10
KeyUsage = 0xa0

[EnhancedKeyUsageExtension]
OID = 1.3.6.1.5.5.7.3.1

[Extensions]
2.5.29.17 = "{{text}}"
{alternatives}
"""
    command = f"certreq -new {stem}.inf {stem}.csr"
    return RequestText(f"{stem}.inf", text, command)


def _stem(server: str) -> str:
    """The server's short name as a file's name that no shell takes apart."""
    return "".join(char if char.isalnum() and char.isascii() else "-" for char in server.lower()).strip("-") or "server"
