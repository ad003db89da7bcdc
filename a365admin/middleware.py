"""Every request: a strict content security policy, and who is asking, from where."""

from __future__ import annotations

import ipaddress
import uuid
import zoneinfo
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone
from django.utils.decorators import sync_and_async_middleware

from a365admin.audit.context import Acting, act_as

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; manifest-src 'self'"
)

Handler = Callable[[HttpRequest], Any]


@sync_and_async_middleware
def content_security_policy(get_response: Handler) -> Handler:
    """Send a policy that allows nothing inline and nothing from another host."""

    def _add(response: HttpResponseBase) -> HttpResponseBase:
        response.headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        response.headers.setdefault("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
        return response

    if iscoroutinefunction(get_response):

        async def asynchronous(request: HttpRequest) -> HttpResponseBase:
            return _add(await get_response(request))

        return asynchronous

    def synchronous(request: HttpRequest) -> HttpResponseBase:
        return _add(get_response(request))

    return synchronous


def client_address(request: HttpRequest) -> str | None:
    """Return the client's address; of X-Forwarded-For only what our own proxies appended is believed."""
    address = request.META.get("REMOTE_ADDR", "")
    if settings.TRUSTED_PROXIES:
        hops = [hop.strip() for hop in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if hop.strip()]
        if len(hops) >= settings.TRUSTED_PROXIES:
            address = hops[-settings.TRUSTED_PROXIES]
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return None


def _acting_of(request: HttpRequest, user: Any) -> Acting:
    signed_in = user.is_authenticated
    return Acting(
        actor_id=user.pk if signed_in else None,
        actor_name=user.get_username() if signed_in else "nobody (not signed in)",
        address=client_address(request),
        request_id=str(uuid.uuid4()),
    )


def _zone_of(user: Any) -> zoneinfo.ZoneInfo:
    name = getattr(user, "time_zone", "") or settings.DEFAULT_USER_TIME_ZONE
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        return zoneinfo.ZoneInfo("UTC")


@sync_and_async_middleware
def request_context(get_response: Handler) -> Handler:
    """Name the actor for the audit log, and show times in the user's own zone."""
    if iscoroutinefunction(get_response):

        async def asynchronous(request: HttpRequest) -> HttpResponseBase:
            user = await request.auser()
            with act_as(_acting_of(request, user)), timezone.override(_zone_of(user)):
                awaitable: Awaitable[HttpResponseBase] = get_response(request)
                return await awaitable

        return asynchronous

    def synchronous(request: HttpRequest) -> HttpResponseBase:
        with act_as(_acting_of(request, request.user)), timezone.override(_zone_of(request.user)):
            response: HttpResponseBase = get_response(request)
            return response

    return synchronous
