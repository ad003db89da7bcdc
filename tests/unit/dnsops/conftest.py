"""Fixtures of the unit tests of dnsops."""

from __future__ import annotations

import time

import pytest
from pytest_django import Settings

from dnsops import gathering
from pools import live
from pools.models import DedicatedHostname
from tests.unit.dnsops.world import World, build


def just_looked() -> live.Freshness:
    """The standing checks of every hostname were asked a moment ago."""
    ids, now = list(DedicatedHostname.objects.values_list("pk", flat=True)), time.time()
    return live.Freshness(True, dict.fromkeys(ids, now - 1.0), dict.fromkeys(ids, 5.0), now)


@pytest.fixture
def world(db: None, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> World:
    """A small estate with DNS in memory, and no patience."""
    settings.DNSOPS = {"read_back_timeout_s": 0.05, "verify_min_s": 0.2, "verify_max_s": 0.2, "stability_s": 300.0}
    gathering._accepted.clear()
    monkeypatch.setattr(live, "freshness", just_looked)
    return build(monkeypatch)
