"""One ASGI application for both kinds of traffic.

``/live/`` (server-sent events) is served by Django's own ASGI handler, so that a viewer costs a coroutine and not a
thread. Everything else is served by Django's WSGI handler in a pool of threads: Django's synchronous middleware under
ASGI hops between threads for each layer, which made pages several times slower when we measured it.
"""

from __future__ import annotations

import gc
import os
from typing import Any, cast

from a2wsgi import WSGIMiddleware
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "a365admin.settings")

_live = get_asgi_application()

from a365admin.wsgi import application as _wsgi  # noqa: E402  (Django must be set up first)

# What is loaded by now stays: the garbage collector need not look through it again in the middle of a click.
gc.collect()
gc.freeze()

_pages = WSGIMiddleware(cast("Any", _wsgi), workers=16)

LIVE_PREFIX = "/live/"


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Send ``/live/`` to the asynchronous handler and all other HTTP traffic to the threads."""
    if scope["type"] == "http" and scope["path"].startswith(LIVE_PREFIX):
        await _live(scope, receive, send)
    elif scope["type"] == "http":
        await _pages(scope, receive, send)
