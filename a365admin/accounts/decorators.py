"""Who may see a view: ``@require(Capability.FAILOVER)``."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from a365admin.accounts.models import Role
from a365admin.accounts.permissions import ROLE_CAPABILITIES, Capability, may
from a365admin.audit.models import Outcome
from a365admin.audit.services import record_apart

View = TypeVar("View", bound=Callable[..., Any])


def require(capability: Capability) -> Callable[[View], View]:
    """Let a view, sync or async, be used only by who has ``capability``; others get ``forbidden()``.

    Somebody who has not signed in never comes here: LoginRequiredMiddleware sends them to the sign-in page.
    """

    def decorate(view: View) -> View:
        if iscoroutinefunction(view):

            @wraps(view)
            async def asynchronous(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
                if not may(await request.auser(), capability):
                    return await sync_to_async(forbidden)(request, capability)
                answer: HttpResponse = await view(request, *args, **kwargs)
                return answer

            return asynchronous  # type: ignore[return-value]

        @wraps(view)
        def synchronous(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if not may(request.user, capability):
                return forbidden(request, capability)
            answer: HttpResponse = view(request, *args, **kwargs)
            return answer

        return synchronous  # type: ignore[return-value]

    return decorate


def roles_with(capability: Capability) -> list[str]:
    """The names of the roles that may do it."""
    return [role.label for role in Role if capability in ROLE_CAPABILITIES[role]]


def forbidden(request: HttpRequest, capability: Capability) -> HttpResponse:
    """Say who may do this, and record the attempt ("access.denied")."""
    record_apart(
        action="access.denied",
        outcome=Outcome.DENIED,
        object_type="page",
        object_name=f"{request.method} {request.path}",
        reason=f"Needs the right to {capability.value}.",
    )
    context = {"capability": capability.value, "roles": roles_with(capability), "user": request.user}
    return render(request, "accounts/forbidden.html", context, status=403)


def audit_guard(view: View) -> View:
    """What the audit log's pages are wrapped in (``settings.AUDIT_GUARD``), since audit may not import accounts."""
    return require(Capability.VIEW_AUDIT)(view)
