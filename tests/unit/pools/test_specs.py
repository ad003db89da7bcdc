"""Checks follow from the estate."""

from __future__ import annotations

from pools.health import CheckKind
from pools.specs import ApplicationSpec, Estate, HostnameSpec, ServerSpec, asked_with, checks_of, shard_of, spread

ESTATE = Estate(
    servers=(ServerSpec(1, "SRV1", "10.0.0.1", 7, 443, "/Attendant"), ServerSpec(2, "SRV2", "10.0.0.2", 7, 8443, "/")),
    applications=(ApplicationSpec(5, "Sales", 7, 6001), ApplicationSpec(6, "Desk", 7, 6002)),
    hostnames=(HostnameSpec(9, "a365web1.x", (1, 2)),),
)


def test_each_ucc_is_asked_on_each_server_of_its_pool() -> None:
    checks = {check.key: check for check in checks_of(ESTATE) if check.kind is CheckKind.UCC}
    assert checks.keys() == {"ucc:1:5", "ucc:1:6", "ucc:2:5", "ucc:2:6"}
    assert (checks["ucc:2:6"].address, checks["ucc:2:6"].port) == ("10.0.0.2", 6002)
    assert checks["ucc:2:6"].label == "UCC 6002 (Desk) on SRV2"


def test_web_and_certificate_are_asked_at_each_targets_own_address_under_the_hostname() -> None:
    checks = {check.key: check for check in checks_of(ESTATE) if check.kind is not CheckKind.UCC}
    assert checks.keys() == {"web:1:9", "cert:1:9", "web:2:9", "cert:2:9"}
    web = checks["web:2:9"]
    assert (web.address, web.port, web.host, web.path) == ("10.0.0.2", 8443, "a365web1.x", "/")


def test_nothing_is_asked_in_an_empty_estate() -> None:
    assert checks_of(Estate((), (), ())) == []


def test_a_certificate_goes_with_its_web_check_also_to_the_same_shard() -> None:
    assert asked_with("cert:2:9") == "web:2:9"
    assert asked_with("ucc:2:9") == "ucc:2:9"
    for number in range(50):
        assert shard_of(f"cert:{number}:9", 8) == shard_of(f"web:{number}:9", 8)


def test_checks_are_spread_over_the_interval_and_over_the_shards() -> None:
    keys = [f"ucc:{server}:{port}" for server in range(40) for port in range(25)]
    assert all(0 <= spread(key) < 1 for key in keys)
    tenths = [sum(int(spread(key) * 10) == tenth for key in keys) for tenth in range(10)]
    assert min(tenths) > 60
    assert min(sum(shard_of(key, 4) == shard for key in keys) for shard in range(4)) > 180
