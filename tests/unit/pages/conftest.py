"""What the tests of pages need: a broker that answers from a dictionary, nothing kept from the test before."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from django.test import Client
from pytest_django import Settings

from a365admin import banners, stream
from a365admin.accounts.models import Role
from pools import helpdesk, live, overview
from pools.models import DedicatedHostname, HostnameStatus
from tests.factories import UserFactory, make_pair
from tests.unit.dnsops.world import World, build

__all__ = ["world"]

SignIn = Callable[[Role], Client]


@dataclass
class Broker:
    """What Redis would say. ``ages``: hostname id -> seconds; a hostname that is not named was checked just now."""

    known: bool = True
    ages: dict[int, float] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)

    def freshness(self) -> live.Freshness:
        """As ``live.freshness``."""
        if not self.known:
            return live.Freshness(known=False)
        ids = list(DedicatedHostname.objects.values_list("pk", flat=True))
        now = time.time()
        return live.Freshness(True, {pk: now - self.ages.get(pk, 1.0) for pk in ids}, dict.fromkeys(ids, 5.0), now)

    def liveness(self) -> live.Liveness:
        """As ``live.system_liveness``."""
        said = {"broker": "ok", "probes": "ok", "operations": "ok", "beat": "ok"} | self.words
        return live.Liveness(**said, age_s=dict.fromkeys(said, 45.0))


def forget() -> None:
    """Drop what the process keeps."""
    overview.forget_kept()
    helpdesk.forget_kept()
    stream.forget_kept()
    banners.liveness.forget()


@pytest.fixture(autouse=True)
def broker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Broker]:
    """A broker in memory."""
    broker = Broker()
    monkeypatch.setattr(live, "freshness", broker.freshness)
    monkeypatch.setattr(live, "system_liveness", broker.liveness)
    forget()
    yield broker
    forget()


@pytest.fixture
def sign_in(db: None) -> SignIn:
    """``sign_in(Role.OPERATOR)`` is a browser of somebody with that role."""

    def signed_in(role: Role) -> Client:
        client = Client()
        client.force_login(UserFactory.create(role=role))
        return client

    return signed_in


@pytest.fixture
def world(db: None, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> World:
    """The estate of dnsops' tests, with DNS in memory."""
    settings.DNSOPS = {"read_back_timeout_s": 0.05, "verify_min_s": 0.5, "verify_max_s": 0.5, "stability_s": 300.0}
    return build(monkeypatch)


def watched(*, health: str = "up", situation: str = "working", phrase: str = "All is well", version: int = 1,
            on_primary: bool = True, standby_ready: bool = True) -> DedicatedHostname:  # fmt: skip
    """A hostname with a status, as the probes worker would have left it."""
    hostname = make_pair()
    primary, standby = [target.server for target in hostname.targets.order_by("order")]
    HostnameStatus.objects.create(
        hostname=hostname,
        health=health,
        situation=situation,
        phrase=phrase,
        active_server=primary if on_primary else standby,
        standby_server=standby if on_primary else primary,
        standby_ready=standby_ready,
        on_primary=on_primary,
        version=version,
    )
    return hostname
