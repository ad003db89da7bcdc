"""Live updates: one subscription for all, only what changed, and nothing for who has signed out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
from django.db import connections
from django.http import HttpRequest, StreamingHttpResponse
from django.test import AsyncRequestFactory, Client
from django.urls import reverse

from a365admin import stream
from a365admin.accounts.models import Role, User
from a365admin.hub import Hub, decode
from pools import overview
from pools.models import HostnameStatus
from tests.factories import FailoverOperationFactory, UserFactory
from tests.unit.pages.conftest import Broker, SignIn, watched


class Channel:
    """A live channel in memory. ``subscriptions`` counts how often somebody listened."""

    def __init__(self) -> None:
        self.subscriptions = 0
        self.fail = False
        self.listening = asyncio.Event()
        self._heard: Callable[[dict[str, Any]], None] | None = None

    async def messages(self, heard: Callable[[dict[str, Any]], None]) -> None:
        self.subscriptions += 1
        if self.fail:
            self.fail = False
            raise ConnectionError("lost")
        self._heard = heard
        self.listening.set()
        await asyncio.Event().wait()

    def publish(self, **message: Any) -> None:
        assert self._heard is not None
        self._heard(message)


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(coroutine)


@pytest.mark.enable_socket
def test_many_viewers_share_one_subscription_and_the_last_one_ends_it() -> None:
    async def scenario() -> None:
        channel = Channel()
        hub = Hub(channel, tick_s=60)
        viewers = [hub.attach(actions=True) for _ in range(20)]
        await settled()
        assert channel.subscriptions == 1
        channel.publish(v=1, hostnames=[1], operations=["a"])
        assert all(viewer.woken.is_set() for viewer in viewers)
        for viewer in viewers:
            hub.detach(viewer)
        assert hub.viewers == 0
        again = hub.attach(actions=False)
        await settled()
        assert channel.subscriptions == 2
        hub.detach(again)

    run(scenario())


@pytest.mark.enable_socket
def test_a_slow_viewer_collects_without_a_queue_and_takes_all_at_once() -> None:
    async def scenario() -> None:
        channel = Channel()
        hub = Hub(channel, tick_s=60)
        viewer = hub.attach(actions=True)
        await settled()
        for number in range(10_000):
            channel.publish(v=number, operations=[str(number % 3)])
        assert viewer.take() == {"0", "1", "2"}
        assert viewer.take() == set()
        assert not viewer.woken.is_set()
        hub.detach(viewer)

    run(scenario())


@pytest.mark.enable_socket
def test_a_lost_channel_is_subscribed_again() -> None:
    async def scenario() -> None:
        channel = Channel()
        channel.fail = True
        hub = Hub(channel, tick_s=60)
        viewer = hub.attach(actions=True)
        async with asyncio.timeout(5):
            await channel.listening.wait()
        assert channel.subscriptions == 2
        hub.detach(viewer)

    run(scenario())


@pytest.mark.parametrize("data", [b"", b"not json", b"[1]", b'"text"', b"\xff\xfe"])
def test_a_message_that_is_not_ours_is_an_empty_change(data: bytes) -> None:
    assert decode(data) == {}


# ---- what a viewer is sent ------------------------------------------------------------------------------------------


def parts(events: list[bytes]) -> dict[str, str]:
    found = {}
    for raw in events:
        lines = raw.decode().splitlines()
        name = next(line[7:] for line in lines if line.startswith("event: "))
        found[name] = "\n".join(line[6:] for line in lines if line.startswith("data: "))
    return found


class Watching:
    """A viewer without a network."""

    def __init__(self, *, actions: bool, version: int = 0) -> None:
        from a365admin.hub import Viewer

        self.viewer = Viewer(actions=actions)
        self.shown = stream.Shown()
        self.version = version
        self.generation = 0

    def news(self, operations: set[str] | None = None) -> dict[str, str]:
        self.generation += 1
        overview.ages.forget()
        return parts(stream.changes(self.shown, self.generation, operations, self.viewer, self.version))


@pytest.mark.django_db
def test_a_viewer_gets_only_the_rows_that_changed_since_its_page() -> None:
    old = watched(version=1_000)
    new = watched(version=1_000_000)
    first = Watching(actions=False, version=500_000).news()
    assert new.fqdn in first["rows"]
    assert old.fqdn not in first["rows"]


@pytest.mark.django_db
def test_after_that_it_gets_only_what_changes_and_nothing_when_nothing_does() -> None:
    one, two = watched(version=1), watched(version=2)
    watching = Watching(actions=False)
    watching.news()
    assert set(watching.news(set())) <= {"fresh"}
    HostnameStatus.objects.filter(pk=two.pk).update(version=5_000, health="down", phrase="refused")
    news = watching.news(set())
    assert two.fqdn in news["rows"]
    assert one.fqdn not in news["rows"]
    assert json.loads(news["summary"])["down"] == 1


@pytest.mark.django_db
def test_a_change_whose_message_was_lost_still_arrives_with_the_next_tick() -> None:
    hostname = watched(version=1)
    watching = Watching(actions=False)
    watching.news()
    HostnameStatus.objects.filter(pk=hostname.pk).update(version=2, phrase="nobody published this")
    assert "nobody published this" in watching.news(set())["rows"]


@pytest.mark.django_db
def test_buttons_travel_only_to_who_may_use_them() -> None:
    watched(version=1, health="down")
    assert "Fail over</a>" in Watching(actions=True).news()["rows"]
    assert "Fail over</a>" not in Watching(actions=False).news()["rows"]


@pytest.mark.django_db
def test_the_beginning_and_the_end_of_an_operation_change_the_row() -> None:
    hostname = watched(version=1)
    watching = Watching(actions=True)
    watching.news()
    operation = FailoverOperationFactory.create(hostname=hostname, state="running")
    news = watching.news({str(operation.pk)})
    assert "failing over" in news["rows"]
    assert str(operation.pk) in json.loads(news["operation"])
    operation.state = "failed"
    operation.save()
    assert "failing over" not in watching.news(set())["rows"]


@pytest.mark.django_db
def test_a_lost_worker_reaches_open_pages(broker: Broker) -> None:
    from a365admin import banners

    watching = Watching(actions=True)
    assert watching.news()["banner"].strip() == ""
    broker.words = {"operations": "lost"}
    banners.liveness.forget()
    assert "The operations worker has not reported" in watching.news(set())["banner"]


# ---- over HTTP ------------------------------------------------------------------------------------------------------


def test_the_stream_needs_a_session(client: Client) -> None:
    assert client.get(reverse("live:poll")).status_code == 302


@pytest.mark.django_db
def test_polling_says_204_when_nothing_is_new(sign_in: SignIn, monkeypatch: pytest.MonkeyPatch, broker: Broker) -> None:
    hostname = watched(version=7)
    browser = sign_in(Role.OPERATOR)
    first = browser.get(reverse("live:poll") + "?v=0").json()
    assert hostname.fqdn in first["rows"]
    assert first["v"] == 7
    again = browser.get(reverse("live:poll"), {"v": first["v"], "f": first["f"]})
    assert again.status_code == 204


@pytest.mark.django_db
@pytest.mark.parametrize("version", ["", "x", "-1", "9" * 30])
def test_a_version_that_makes_no_sense_means_everything(sign_in: SignIn, version: str) -> None:
    hostname = watched(version=7)
    answer = sign_in(Role.OPERATOR).get(reverse("live:poll"), {"v": version})
    assert hostname.fqdn in answer.json()["rows"]


def signed_in_request(user: User, key: str) -> HttpRequest:
    from importlib import import_module

    from django.conf import settings

    request = AsyncRequestFactory().get("/live/stream")
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(key)

    async def auser() -> User:
        return user

    request.auser = auser
    request.user = user
    return request


@pytest.mark.django_db
def test_a_session_that_ended_or_a_role_that_changed_ends_the_stream() -> None:
    user = UserFactory.create(role=Role.OPERATOR)
    browser = Client()
    browser.force_login(user)
    request = signed_in_request(user, browser.session.session_key or "")
    assert stream._still_signed_in(request, actions=True)
    User.objects.filter(pk=user.pk).update(role=Role.HELPDESK)
    assert not stream._still_signed_in(request, actions=True)
    browser.logout()
    assert not stream._still_signed_in(request, actions=False)


@pytest.mark.enable_socket
@pytest.mark.django_db(transaction=True)
def test_a_stream_begins_with_what_the_page_has_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    hostname = watched(version=7)
    user = UserFactory.create(role=Role.OPERATOR)
    browser = Client()
    browser.force_login(user)
    key = browser.session.session_key or ""

    async def scenario() -> None:
        monkeypatch.setattr(stream, "hub", Hub(Channel(), tick_s=60))
        response = await stream.stream(signed_in_request(user, key))
        assert isinstance(response, StreamingHttpResponse)
        assert response.headers["X-Accel-Buffering"] == "no"
        assert "no-store" in response.headers["Cache-Control"]
        body = response.streaming_content
        assert isinstance(body, AsyncIterator)
        seen = b""
        async with asyncio.timeout(10):
            while b"event: fresh" not in seen:
                seen += await anext(body)
        assert hostname.fqdn.encode() in seen
        assert seen.index(b"id: 7") < seen.index(b"event: rows")
        await response._iterator.aclose()  # type: ignore[attr-defined]  # as when the browser goes away
        assert stream.hub.viewers == 0
        await stream.hub.run(connections.close_all)  # the hub's own thread lives as long as its process

    run(scenario())
