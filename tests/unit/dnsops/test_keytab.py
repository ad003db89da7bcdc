"""Reading a keytab's names: what real tools write, and what a broken or hostile file may hold."""

from __future__ import annotations

import struct
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from dnsops import keytab
from dnsops.secrets import SecretError
from tests.keytabs import record, written


def test_it_tells_whose_keys_there_are(tmp_path: Path) -> None:
    hole = struct.pack("!i", -12) + b"\0" * 12
    path = written(tmp_path, record("svc"), hole, record("DNS", "dc1.ad.example", version=300))
    assert keytab.read(path) == [
        keytab.Entry("svc@AD.EXAMPLE", 3, 18),
        keytab.Entry("DNS/dc1.ad.example@AD.EXAMPLE", 300, 18),
    ]
    assert keytab.read(written(tmp_path, record("old", wide=False)))[0].version == 3


def test_the_account_has_to_be_in_it(tmp_path: Path) -> None:
    reference = f"file:{written(tmp_path, record('svc'))}"
    keytab.check(reference, "svc@AD.EXAMPLE")
    with pytest.raises(
        SecretError, match=r"holds no key of svc@ad\.example; it holds svc@AD\.EXAMPLE\. Capitals count"
    ):
        keytab.check(reference, "svc@ad.example")
    with pytest.raises(SecretError, match=r"holds no key of other@AD\.EXAMPLE"):
        keytab.check(reference, "other@AD.EXAMPLE")


@pytest.mark.parametrize("reference", ["env:KEYTAB", "svc.keytab", "file:relative", ""])
def test_it_is_a_file(reference: str) -> None:
    with pytest.raises(SecretError, match="A keytab is a file"):
        keytab.path_of(reference)


def test_what_is_none_is_said(tmp_path: Path) -> None:
    with pytest.raises(SecretError, match="cannot be read"):
        keytab.read(tmp_path / "nowhere")
    other = tmp_path / "other"
    other.write_text("key a365admin { secret abc; };")
    with pytest.raises(SecretError, match="is no keytab") as found:
        keytab.read(other)
    assert "abc" not in str(found.value)
    with pytest.raises(SecretError, match="is damaged"):
        keytab.read(written(tmp_path, record("svc")[:-20]))


@given(st.binary(max_size=200))
def test_no_content_breaks_it_or_comes_out_of_it(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = written(tmp_path_factory.getbasetemp(), content)
    with suppress(SecretError):
        keytab.read(path)
