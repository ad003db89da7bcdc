"""Addresses with and without ports, as people write them."""

from __future__ import annotations

import pytest

from dnsops.addresses import parse_address, parse_addresses


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("192.0.2.1", ("192.0.2.1", 88)),
        (" 192.0.2.1:8888 ", ("192.0.2.1", 8888)),
        ("2001:db8::1", ("2001:db8::1", 88)),
        ("[2001:DB8::1]:750", ("2001:db8::1", 750)),
        ("[2001:db8::1]", ("2001:db8::1", 88)),
    ],
)
def test_an_address_with_or_without_a_port(text: str, parsed: tuple[str, int]) -> None:
    assert parse_address(text) == parsed


@pytest.mark.parametrize(
    "text",
    ["", "dc1.example", "192.0.2.1:", "192.0.2.1:0", "192.0.2.1:65536", "192.0.2.1:²", "[::1", "[::1]88", "1.2.3"],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_address(text)


def test_several_are_separated_by_commas_or_space() -> None:
    assert parse_addresses("192.0.2.1, 192.0.2.2:99\n::1") == (("192.0.2.1", 88), ("192.0.2.2", 99), ("::1", 88))
    assert parse_addresses("") == ()
