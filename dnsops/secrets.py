"""Where a TSIG secret is, and what it says. The secret itself is in no message, log line or representation of ours."""

from __future__ import annotations

import base64
import binascii
import os
import re
from pathlib import Path

import dns.exception
import dns.name
import dns.tsig

_KEY_BLOCK = re.compile(r'key\s+"?([^\s"{]+)"?\s*\{(.*?)\}\s*;', re.DOTALL)
_SECRET = re.compile(r'secret\s+"?([^\s";]+)"?\s*;')
_ALGORITHM = re.compile(r'algorithm\s+"?([^\s";]+)"?\s*;')
SHORTEST_SECRET_BYTES = 16


class SecretError(Exception):
    """A secret cannot be used; the message says why and what to do, and never what was found."""


class SafeKey(dns.tsig.Key):
    """A TSIG key whose representation does not show the secret."""

    def __repr__(self) -> str:
        return f"<TSIG key {self.name} ({self.algorithm})>"

    __str__ = __repr__


def load_key(*, name: str, algorithm: str, reference: str) -> SafeKey:
    """Return the key that ``reference`` ("file:/path" or "env:VARIABLE") leads to. Raises SecretError.

    The text there is either the secret in BASE64 or a file as ``tsig-keygen`` writes it. It is read at every use, so a
    new secret is in force at once.
    """
    text = _text_of(reference)
    found = _from_key_file(text, name=name, algorithm=algorithm, reference=reference)
    secret = _decode(found if found is not None else text, reference)
    try:
        return SafeKey(dns.name.from_text(name), secret, dns.name.from_text(algorithm))
    except dns.exception.DNSException as error:
        raise SecretError(f"“{name}” is not a possible name of a key. Enter it as the DNS server knows it.") from error


def _text_of(reference: str) -> str:
    scheme, _, rest = reference.partition(":")
    if scheme == "env" and rest:
        text = os.environ.get(rest, "")
        if not text.strip():
            raise SecretError(f"The environment variable {rest} is not set, or empty. It has to hold the key's secret.")
        return text.strip()
    if scheme == "file" and rest:
        try:
            text = Path(rest).read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else "it is not text"
            raise SecretError(
                f"The key file {rest} cannot be read ({why}). Check its path and who may read it."
            ) from None
        if not text.strip():
            raise SecretError(f"The key file {rest} is empty. Put the secret in BASE64 into it, or a tsig-keygen file.")
        return text.strip()
    raise SecretError("Say where the secret is: file:/path/to/file or env:VARIABLE.")


def _from_key_file(text: str, *, name: str, algorithm: str, reference: str) -> str | None:
    """The secret of the key called ``name`` in a tsig-keygen file; None where the text is no such file."""
    blocks = _KEY_BLOCK.findall(text)
    if not blocks:
        return None
    wanted = name.rstrip(".").lower()
    for found_name, body in blocks:
        if found_name.rstrip(".").lower() != wanted:
            continue
        stated = _ALGORITHM.search(body)
        if stated and stated.group(1).rstrip(".").lower() != algorithm:
            raise SecretError(
                f"{reference} says that key {wanted} is {stated.group(1)}, here it is {algorithm}. Make them agree."
            )
        secret = _SECRET.search(body)
        if secret is None:
            raise SecretError(f"{reference} has no secret for key {wanted}. Write the file with tsig-keygen.")
        return str(secret.group(1))
    names = ", ".join(found for found, _ in blocks)
    raise SecretError(f"{reference} holds no key called {wanted}; it holds {names}. Make the names agree.")


def _decode(text: str, reference: str) -> bytes:
    try:
        secret = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise SecretError(f"What {reference} holds is neither BASE64 nor a tsig-keygen file.") from None
    if len(secret) < SHORTEST_SECRET_BYTES:
        raise SecretError(
            f"The secret in {reference} has {len(secret)} bytes; at least {SHORTEST_SECRET_BYTES} are needed. Make "
            "one with tsig-keygen."
        )
    return secret
