"""Fixtures of the unit tests of dnsops."""

from __future__ import annotations

import pytest
from pytest_django import Settings

from dnsops import gathering
from tests.unit.dnsops.world import World, build


@pytest.fixture
def world(db: None, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> World:
    """A small estate with DNS in memory, and no patience."""
    settings.DNSOPS = {"read_back_timeout_s": 0.05, "verify_min_s": 0.5, "verify_max_s": 0.5, "stability_s": 300.0}
    gathering._accepted.clear()
    return build(monkeypatch)
