"""Secrets never reach the log."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, strategies as st

from a365admin.audit.redaction import HIDDEN, clean, clean_text

SECRET = base64.b64encode(bytes(range(32))).decode()


@pytest.mark.parametrize(
    "name",
    ["password", "new_password1", "secret", "tsig_secret", "token", "api_key", "Private key", "keytab", "cookie"],
)
def test_a_field_that_is_called_like_a_secret_is_not_recorded(name: str) -> None:
    assert clean({name: "hunter2"}) == {name: HIDDEN}


@pytest.mark.parametrize("name", ["secret_reference", "where the secret is", "name", "reason"])
def test_where_a_secret_is_may_be_recorded(name: str) -> None:
    assert clean({name: "file:/etc/key"}) == {name: "file:/etc/key"}


@pytest.mark.parametrize(
    "text",
    [
        f"the key is {SECRET}",
        f'key "x" {{ algorithm hmac-sha256; secret "{SECRET}"; }};',
        "redis://user:hunter2-long-secret@host:6379/0",
        "-----BEGIN PRIVATE KEY-----\nMIIEvQ\n-----END PRIVATE KEY-----",
        "Authorization: Bearer abc.def-123",
    ],
)
def test_a_secret_inside_a_text_is_taken_out(text: str) -> None:
    cleaned = clean_text(text)
    assert HIDDEN in cleaned
    assert not any(part in cleaned for part in (SECRET, "hunter2", "MIIEvQ", "abc.def"))


def test_a_digest_is_no_secret() -> None:
    digest = "a3" * 32
    assert clean_text(digest) == digest


def test_nested_values_are_cleaned_too() -> None:
    assert clean({"a": [{"password": "x"}]}) == {"a": [{"password": HIDDEN}]}


def test_what_a_database_cannot_hold_is_taken_out() -> None:
    assert clean_text("a\x00b\ud800c") == "ab?c"
    assert clean({"when": datetime(2026, 1, 1, tzinfo=UTC), "f": 1.5})["f"] == "1.5"


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text()


@given(st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8))
def test_what_is_cleaned_survives_json_unchanged(value: Any) -> None:
    cleaned = clean({"value": value})
    assert json.loads(json.dumps(cleaned)) == cleaned
    assert clean(cleaned) == cleaned
