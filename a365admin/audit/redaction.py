"""What may not be kept in an audit entry: secrets, and text that a database would change."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

HIDDEN = "(not recorded)"
MAX_TEXT = 4000

_SECRET_NAME = re.compile(
    r"pass(word|wd|phrase)|secret|token|api.?key|private.?key|keytab|credential|cookie|session.?key",
    re.IGNORECASE,
)
_HARMLESS_NAME = re.compile(r"reference|where the secret is|token_name", re.IGNORECASE)
_SECRET_TEXT = (
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
    re.compile(r'(?<=\bsecret)\s+"?[A-Za-z0-9+/=]{8,}"?', re.IGNORECASE),  # a tsig-keygen file
    re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"),  # redis://user:password@host
    re.compile(r"(?<![A-Za-z0-9+/=])[A-Za-z0-9+/]{22,}={1,2}(?![A-Za-z0-9+/=])"),  # BASE64 of 128 bits and more
    re.compile(r"(?<=\bBearer )\S+", re.IGNORECASE),
)


def clean(value: Any, name: str = "") -> Any:
    """Return ``value`` fit for an entry: no secrets, only JSON's types, and the same after any database's round trip.

    Floats become text, since PostgreSQL rewrites them (1e5 -> 100000) and the entry's hash would no longer match.
    """
    if name and _SECRET_NAME.search(name) and not _HARMLESS_NAME.search(name):
        return HIDDEN if value not in (None, "") else value
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, Mapping):
        return {clean_text(str(key), 200): clean(item, str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [clean(item, name) for item in value]
    if isinstance(value, datetime | date):
        return value.isoformat()
    return clean_text(str(value))


def clean_text(text: str, max_length: int = MAX_TEXT) -> str:
    """Return ``text`` without secrets, without what no database can hold (NUL, lone surrogates), cut to its length."""
    for pattern in _SECRET_TEXT:
        text = pattern.sub(HIDDEN, text)
    text = text.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")
    return text if len(text) <= max_length else text[: max_length - 1] + "…"
