"""Where a secret is, and that it never shows."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from dnsops.secrets import SecretError, load_key

SECRET = base64.b64encode(b"s" * 32).decode()
KEY_FILE = f'key "a365admin" {{\n\talgorithm hmac-sha256;\n\tsecret "{SECRET}";\n}};\n'


def load(reference: str, name: str = "a365admin", algorithm: str = "hmac-sha256") -> bytes:
    secret: bytes = load_key(name=name, algorithm=algorithm, reference=reference).secret
    return secret


def test_a_file_with_base64_is_read(tmp_path: Path) -> None:
    (tmp_path / "k").write_text(SECRET + "\n")
    assert load(f"file:{tmp_path / 'k'}") == b"s" * 32


def test_a_tsig_keygen_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "k").write_text(KEY_FILE)
    assert load(f"file:{tmp_path / 'k'}", name="A365admin.") == b"s" * 32


def test_the_right_key_of_several_is_read(tmp_path: Path) -> None:
    other = KEY_FILE.replace("a365admin", "other").replace(SECRET, base64.b64encode(b"o" * 32).decode())
    (tmp_path / "k").write_text(other + KEY_FILE)
    assert load(f"file:{tmp_path / 'k'}") == b"s" * 32


def test_an_environment_variable_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A365_TEST_TSIG", SECRET)
    assert load("env:A365_TEST_TSIG") == b"s" * 32


def test_a_new_secret_is_in_force_at_once(tmp_path: Path) -> None:
    file = tmp_path / "k"
    file.write_text(SECRET)
    load(f"file:{file}")
    file.write_text(base64.b64encode(b"n" * 32).decode())
    assert load(f"file:{file}") == b"n" * 32


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is empty"),
        ("this is no secret!", "neither BASE64 nor"),
        (base64.b64encode(b"short").decode(), "has 5 bytes"),
        (KEY_FILE.replace("a365admin", "other"), "holds no key called a365admin; it holds other"),
        (KEY_FILE.replace("hmac-sha256", "hmac-sha512"), "hmac-sha512"),
        (KEY_FILE.replace("secret", "sekret"), "has no secret"),
        ("\xff\xfe", "cannot be read"),
    ],
)
def test_what_cannot_be_used_is_said_without_showing_it(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "k").write_bytes(content.encode("latin-1"))
    with pytest.raises(SecretError, match=words) as error:
        load(f"file:{tmp_path / 'k'}")
    assert SECRET not in str(error.value)
    assert "this is no secret" not in str(error.value)


@pytest.mark.parametrize("reference", ["file:/nowhere/at/all", "env:A365_NOT_SET", "vault:x", "file:", "env:", SECRET])
def test_a_reference_that_leads_nowhere_says_what_to_do(reference: str) -> None:
    with pytest.raises(SecretError) as error:
        load(reference)
    assert SECRET not in str(error.value)


def test_a_name_that_is_none_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A365_TEST_TSIG", SECRET)
    with pytest.raises(SecretError, match="not a possible name"):
        load("env:A365_TEST_TSIG", name="a..b")


def test_a_key_does_not_show_its_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A365_TEST_TSIG", SECRET)
    key = load_key(name="a365admin", algorithm="hmac-sha256", reference="env:A365_TEST_TSIG")
    for shown in (repr(key), str(key), f"{key}", repr([key]), repr(vars(key).keys())):
        assert SECRET not in shown
    assert "a365admin" in repr(key)
