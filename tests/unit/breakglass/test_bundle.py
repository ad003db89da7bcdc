"""The bundle: sealed, whole, without a secret, and only for who may read it."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from dnsops.breakglass import files
from dnsops.breakglass.bundle import BundledTarget, BundleError, seal, unseal
from dnsops.plan import Target
from tests.unit.breakglass.samples import FQDN, KEY, bundle


def test_what_was_sealed_is_read_back_as_it_was() -> None:
    sample = bundle()
    assert unseal(seal(sample, KEY), KEY) == sample


@given(place=st.integers(min_value=0), bit=st.integers(min_value=0, max_value=7))
def test_no_change_of_a_single_bit_makes_another_bundle(place: int, bit: int) -> None:
    data = bytearray(seal(bundle(written_at="2026-11-25T10:00:00+00:00"), KEY))
    data[place % len(data)] ^= 1 << bit
    try:
        found = unseal(bytes(data), KEY)
    except BundleError:
        return
    assert found == bundle(written_at="2026-11-25T10:00:00+00:00")  # white space between two values


def test_a_target_that_was_changed_in_the_file_is_not_believed() -> None:
    document = json.loads(seal(bundle(), KEY))
    document["bundle"]["hostnames"][0]["targets"][1]["target"]["fqdn"] = "evil.example.com"
    with pytest.raises(BundleError, match="seal is broken"):
        unseal(json.dumps(document).encode(), KEY)


def test_another_key_is_not_believed() -> None:
    with pytest.raises(BundleError, match="seal is broken"):
        unseal(seal(bundle(), KEY), b"x" * 64)


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"null", b"{", b'{"format": 1, "bundle": {}, "seal": 5}'])
def test_what_is_no_bundle_is_a_sentence(data: bytes) -> None:
    with pytest.raises(BundleError):
        unseal(data, KEY)


def test_a_bundle_of_another_version_says_so() -> None:
    document = json.loads(seal(bundle(), KEY))
    document["format"] = 99
    with pytest.raises(BundleError, match="format 99"):
        unseal(json.dumps(document).encode(), KEY)


def test_a_hostname_that_is_not_in_it_names_those_that_are() -> None:
    with pytest.raises(BundleError, match=FQDN):
        bundle().hostname("other.example.com")
    assert bundle().hostname(f" {FQDN.upper()}. ").fqdn == FQDN


def test_the_checks_of_a_target_are_those_of_its_own_pool() -> None:
    sample = bundle()
    second = sample.hostname(FQDN).targets[1]
    assert [check.key for check in sample.checks_of(second, sample.hostname(FQDN))] == [
        "ucc:2:1",
        "web:2:1",
        "cert:2:1",
    ]


def test_the_checks_of_a_virtual_service_are_its_own_and_those_of_its_real_servers() -> None:
    sample = bundle()
    target = BundledTarget(Target(0, "VS1", "", "192.0.2.70", 1, 7), (1,), "")
    found = {check.key for check in sample.checks_of(target, sample.hostname(FQDN))}
    assert {"vip:7", "ucc:1:1", "web:1:1"} < found
    assert not any(key.startswith(("ucc:2", "balancer")) for key in found)


def test_its_age_is_counted_from_when_it_was_written() -> None:
    now = datetime.now(UTC)
    assert bundle(written_at=(now - timedelta(hours=2)).isoformat()).age_s(now) == 7200


def test_it_is_written_whole_for_owner_and_group_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "glass" / "bundle.json"
    files.write_bundle(path, bundle(), KEY)
    files.write_bundle(path, bundle(written_by="adm2"), KEY)
    assert files.read_bundle(path, KEY).written_by == "adm2"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [found.name for found in path.parent.iterdir()] == ["bundle.json"]


def test_the_key_is_made_once_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "glass" / "key"
    key = files.ensure_key(path)
    assert files.ensure_key(path) == files.read_key(path) == key
    assert len(key) == 64
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [found.name for found in path.parent.iterdir()] == ["key"]


def test_a_missing_or_short_key_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="A365_BREAKGLASS_KEY"):
        files.read_key(tmp_path / "none")
    short = tmp_path / "short"
    short.write_text("abc")
    with pytest.raises(BundleError, match="3 characters, expected at least 64"):
        files.read_key(short)


def test_a_missing_bundle_says_where_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="another machine"):
        files.read_bundle(tmp_path / "none", KEY)
