"""``/live/stream`` and ``/live/poll``: only what changed travels to the browser.

Events of the stream: ``rows`` (HTML of changed rows), ``summary`` (counts), ``fresh`` (age of each hostname's oldest
result), ``operation`` (marks; pages fetch their own fragment), ``banner`` (what is wrong with ourselves),
``heartbeat``, ``signed-out``. ``id`` is the version that the browser has after the event; it comes back as
``Last-Event-ID``.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

import redis
from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import get_user
from django.db import connections
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, StreamingHttpResponse
from django.views.decorators.http import require_safe

from a365admin.accounts.permissions import Capability, may
from a365admin.banners import banners_html
from a365admin.hub import Hub, Viewer, decode
from dnsops.drill_pages import drill_marks
from dnsops.move_pages import move_marks
from dnsops.pages import operation_marks
from pools import overview, redis_store
from pools.kept import Kept
from pools.live import CHANNEL

HEARTBEAT_S = 15.0
SESSION_CHECK_S = 30.0
# Versions are milliseconds, and are given out before the row that carries them can be read: a page may have read a
# later one and not yet this one. So a catch-up looks a little further back; the browser skips what it has already.
OVERLAP_MS = 3000


class RedisSource:
    """The product's live channel."""

    async def messages(self, heard: Callable[[dict[str, Any]], None]) -> None:
        """Subscribe and pass on every message; raises ConnectionError when the broker is lost."""
        client = redis_store.async_client(health_check_interval=15)
        try:
            async with client.pubsub(ignore_subscribe_messages=True) as channel:
                await channel.subscribe(CHANNEL)
                async for message in channel.listen():
                    heard(decode(message["data"]))
        except redis.RedisError as error:
            raise ConnectionError(str(error)) from error
        finally:
            await client.aclose()


hub = Hub(RedisSource())
_snapshots: Kept[overview.Overview] = Kept(limit=2)
_diffs: Kept[frozenset[int]] = Kept(limit=16)
_frames: Kept[tuple[str, str]] = Kept(limit=2)
_joined: Kept[str] = Kept(limit=64)


def forget_kept() -> None:
    """Forget everything that this process keeps (for tests)."""
    for memory in (_snapshots, _diffs, _frames, _joined):
        memory.forget()


def event(name: str, data: str, version: int | None = None) -> bytes:
    """One server-sent event."""
    head = f"id: {version}\nevent: {name}\n" if version is not None else f"event: {name}\n"
    return (head + "".join(f"data: {line}\n" for line in data.splitlines() or [""]) + "\n").encode()


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


@dataclass(slots=True)
class Shown:
    """What one viewer was sent last, so that only differences are sent."""

    seen: overview.Overview | None = None
    summary: str = ""
    banner: str | None = None
    fresh: str = ""


def changed_since(seen: overview.Overview, version: int) -> frozenset[int]:
    """Hostnames whose row changed after ``version``, or shortly before it, and those that are switching."""
    recent = {row.pk for row in seen.rows if (row.version or 0) > version - OVERLAP_MS}
    return frozenset(recent | set(seen.switching))


def rows_html(seen: overview.Overview, wanted: frozenset[int], actions: bool) -> str:
    """The rows of these hostnames, put together once for all viewers who need the same."""
    if not wanted:
        return ""

    def make() -> str:
        return "\n".join(
            overview.row_html(
                row,
                note=seen.switching.get(row.pk),
                stale=row.pk in seen.stale,
                actions=actions,
                remark=seen.remarks.get(row.pk, ""),
            )
            for row in seen.rows
            if row.pk in wanted
        )

    return _joined.get((seen.key, wanted, actions), make)


def changes(shown: Shown, generation: int, operation_ids: set[str] | None, viewer: Viewer, version: int) -> list[bytes]:
    """Events for one viewer: what changed since ``shown``. What is read and rendered is shared within a generation."""
    seen = _snapshots.get(generation, overview.read_overview)
    old = shown.seen
    wanted = (
        changed_since(seen, version)
        if old is None
        else _diffs.get((old.key, seen.key), lambda: overview.changed_rows(old, seen))
    )
    shown.seen = seen
    events = []
    if html := rows_html(seen, wanted, viewer.actions):
        events.append(event("rows", html, seen.version))
    summary = _json(dict(seen.counts))
    if summary != shown.summary:
        shown.summary = summary
        events.append(event("summary", summary))
    if (operation_ids is None or operation_ids) and (marks := _marks(operation_ids)):
        events.append(event("operation", _json(marks)))
    return events + _ages(shown, generation)


def _marks(ids: set[str] | None = None) -> dict[str, str]:
    """The marks of operations, moves and drills."""
    return operation_marks(ids) | move_marks(ids) | drill_marks(ids)


def _ages(shown: Shown, generation: int) -> list[bytes]:
    events = []
    fresh, banner = _frames.get(generation, lambda: (_json(overview.fresh_json()), str(banners_html())))
    if fresh != shown.fresh:
        shown.fresh = fresh
        events.append(event("fresh", fresh))
    if banner != shown.banner:
        shown.banner = banner
        events.append(event("banner", banner))
    return events


def _version(request: HttpRequest) -> int:
    text = request.headers.get("Last-Event-ID") or request.GET.get("v", "0")
    return int(text) if text.isdecimal() and len(text) < 19 else 0


def _still_signed_in(request: HttpRequest, actions: bool) -> bool:
    """Whether the session still stands for the same person with the same right to act."""
    engine = import_module(settings.SESSION_ENGINE)
    again = HttpRequest()
    again.session = engine.SessionStore(request.session.session_key)
    user = get_user(again)
    return user.is_authenticated and user.is_active and may(user, Capability.FAILOVER) == actions


async def stream(request: HttpRequest) -> HttpResponseBase:
    """Everything that changes, for as long as the page is open."""
    user = await request.auser()
    if request.method != "GET":
        return HttpResponse(status=405, headers={"Allow": "GET"})
    actions = may(user, Capability.FAILOVER)
    # This request's own thread read the session; its database connection would stay open as long as the page.
    await sync_to_async(connections.close_all)()
    response = StreamingHttpResponse(_events(request, actions, _version(request)), content_type="text/event-stream")
    response.headers["Cache-Control"] = "no-store, no-transform"
    response.headers["X-Accel-Buffering"] = "no"
    return response


async def _events(request: HttpRequest, actions: bool, version: int) -> AsyncIterator[bytes]:
    viewer = hub.attach(actions=actions)
    shown = Shown()
    try:
        yield b"retry: 3000\n\n"
        generation = hub.generation
        for part in await hub.run(lambda: changes(shown, generation, None, viewer, version)):
            yield part
        async for part in _follow(request, viewer, shown):
            yield part
    finally:
        hub.detach(viewer)


async def _follow(request: HttpRequest, viewer: Viewer, shown: Shown) -> AsyncIterator[bytes]:
    clock = asyncio.get_running_loop().time
    heartbeat_at, session_at = clock() + HEARTBEAT_S, clock() + SESSION_CHECK_S
    while True:
        try:
            await asyncio.wait_for(viewer.woken.wait(), timeout=max(0.05, heartbeat_at - clock()))
        except TimeoutError:
            pass
        news = partial(changes, shown, hub.generation, viewer.take(), viewer, 0)
        for part in await hub.run(news):
            yield part
        if clock() >= heartbeat_at:
            heartbeat_at = clock() + HEARTBEAT_S
            yield event("heartbeat", f"{time.time():.3f}")
        if clock() >= session_at:
            session_at = clock() + SESSION_CHECK_S
            if not await hub.run(partial(_still_signed_in, request, viewer.actions)):
                yield event("signed-out", "")
                return


@require_safe
def poll(request: HttpRequest) -> HttpResponse:
    """The same for browsers behind a proxy that holds streams back: 204 when nothing is new since ``?v=``."""
    version, seen_sweep = _version(request), request.GET.get("f", "")
    seen = overview.read_overview()
    fresh = overview.fresh_json()
    sweep = str(fresh["sweep"])
    active = _marks()
    if seen.version == version and sweep == seen_sweep and not active:
        return HttpResponse(status=204, headers={"Cache-Control": "no-store"})
    ids = changed_since(seen, version)
    answer = {
        "v": seen.version, "f": sweep, "rows": rows_html(seen, ids, may(request.user, Capability.FAILOVER)),
        "summary": dict(seen.counts), "fresh": fresh, "operation": active, "banner": str(banners_html()),
    }  # fmt: skip
    return JsonResponse(answer, headers={"Cache-Control": "no-store"})
