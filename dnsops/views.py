"""The pages that change DNS: preflight, operation, list; and fragments that pages of the estate include by address."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_htmx.http import HttpResponseClientRedirect

from a365admin.accounts.decorators import require
from a365admin.accounts.permissions import Capability, may
from a365admin.prepared import Prepared
from dnsops import endpoints, pages, services
from dnsops.lifecycle import OperationKind, OperationState
from dnsops.models import FailoverOperation
from dnsops.operation_list import list_operations, operation_lines
from dnsops.timeline import timeline as merged_timeline
from pools.candidates import next_for
from pools.models import DedicatedHostname, Server, VirtualService
from pools.pages import find_hostname

PAGE_SIZE = 50


def _wants_part(request: HttpRequest) -> bool:
    return "HX-Request" in request.headers and "HX-History-Restore-Request" not in request.headers


def _kind(text: str) -> OperationKind:
    try:
        return OperationKind(text or OperationKind.FAILOVER)
    except ValueError:
        raise Http404("This is neither a failover nor a failback.") from None


def _aim(hostname: DedicatedHostname, to: str) -> Server | VirtualService | None:
    """The target that ``to`` names: a server's id, or ``v`` and a virtual service's."""
    if to in {"", "0"}:
        return None
    for target in hostname.targets.all():
        if pages.to_of(target) == to:
            return target.aim
    raise Http404(f"That is not a target of {hostname}.")


@require_http_methods(["GET", "HEAD", "POST"])
@require(Capability.FAILOVER)
def preflight(request: HttpRequest, fqdn: str) -> HttpResponse:
    """GET: what would be done, and whether it is safe. POST: do exactly that."""
    if request.method == "POST":
        return _request(request, fqdn)
    hostname = find_hostname(fqdn)
    kind = _kind(request.GET.get("kind", ""))
    to, why = _aim(hostname, request.GET.get("to", "")), ""
    if to is None and kind is OperationKind.FAILOVER:
        to, why = _next(hostname)
    return _dialog(request, hostname, kind, to, why=why)


def _next(hostname: DedicatedHostname) -> tuple[Server | VirtualService | None, str]:
    """The target that a failover would lead to: the first in the order that works; and why that one."""
    found = next_for(hostname, failover_only=True)
    order = found.target.order if found.target else 0
    return next((t.aim for t in hostname.targets.all() if t.order == order), None), found.reason if order else ""


def _dialog(
    request: HttpRequest,
    hostname: DedicatedHostname,
    kind: OperationKind,
    to_server: Server | VirtualService | None,
    refused: services.RequestRefused | None = None,
    *,
    why: str = "",
) -> HttpResponse:
    """Render the dialog; after a refusal with what was refused, and with fresh facts only when asked to look again."""
    seen = None if refused else services.preflight(hostname=hostname, kind=kind, to_server=to_server)
    plan = seen.plan if seen else None
    context = {
        "hostname": hostname, "kind": kind.value, "verb": pages.KIND_VERB[kind], "seen": seen, "plan": plan,
        "refused": refused, "why": why, "to": to_server, "to_value": pages.to_of_plan(plan),
        "to_name": _target_name(hostname, kind, to_server, plan),
        "affected": pages.affected_by(hostname), "may_force": may(request.user, Capability.FORCE),
        "idempotency_key": uuid.uuid4().hex, "posted": request.POST, "again": _again(request, kind, to_server),
        "kept_reason": request.GET.get("reason", "")[:2000], "kept_ticket": request.GET.get("ticket", "")[:60],
        "others": pages.other_targets(hostname, plan.to_server if plan else "", _active_name(hostname), kind=kind),
    }  # fmt: skip
    template = f"dnsops/preflight.html{'#dialog' if _wants_part(request) else ''}"
    return render(request, template, context, status=409 if refused else 200)


def _again(request: HttpRequest, kind: OperationKind, to_server: Server | VirtualService | None) -> str:
    """The query of “Look again”, which keeps what was typed."""
    typed = {"reason": request.POST.get("reason", "")[:2000], "ticket": request.POST.get("ticket", "")[:60]}
    chosen = {"to": pages.to_text(to_server)} if to_server else {}
    return urlencode({"kind": kind.value, **chosen, **{key: value for key, value in typed.items() if value}})


def _active_name(hostname: DedicatedHostname) -> str:
    status = getattr(hostname, "status", None)
    return status.active.name if status and status.active else ""


def _target_name(
    hostname: DedicatedHostname, kind: OperationKind, to_server: Server | VirtualService | None, plan: Any
) -> str:
    if plan:
        return str(plan.to_server)
    if to_server:
        return to_server.name
    targets = list(hostname.targets.all())
    if kind is not OperationKind.FAILOVER:
        return targets[0].name if targets else "its primary"
    return targets[1].name if len(targets) > 1 else "a standby"


_named = Prepared(lambda fqdn: DedicatedHostname.objects.filter(fqdn=fqdn), str)


def _request(request: HttpRequest, fqdn: str) -> HttpResponse:
    # Only the bare row: what the dialog shows around it is read when a dialog has to be shown again.
    hostname = next(iter(_named(fqdn)), None)
    if hostname is None:
        raise Http404(f"There is no dedicated hostname {fqdn}.")
    kind = _kind(request.POST.get("kind", ""))
    to = request.POST.get("to", "")
    server_id, service_id = pages.ids_of(to)
    try:
        operation = services.request_failover(
            user=request.user,  # type: ignore[arg-type]  # require() lets only a signed-in User through
            hostname=hostname,
            kind=kind,
            to_server_id=server_id,
            to_virtual_service_id=service_id,
            digest=request.POST.get("digest", ""),
            reason=request.POST.get("reason", "").strip(),
            ticket=request.POST.get("ticket", "").strip()[:60],
            idempotency_key=request.POST.get("idempotency_key", "")[:64],
            forced=request.POST.get("forced") == "1",
            typed_hostname=request.POST.get("typed_hostname", "").strip(),
        )
    except services.RequestRefused as refused:
        hostname = find_hostname(fqdn)
        return _dialog(request, hostname, kind, _aim(hostname, to), refused)
    url = operation.get_absolute_url()
    return HttpResponseClientRedirect(url) if _wants_part(request) else redirect(url)


@require_safe
@require(Capability.VIEW)
def operation(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """One operation, live: its steps, its evidence, how it ended."""
    found = get_object_or_404(pages.find_operations(), pk=pk)
    part = _wants_part(request)
    context = {
        "page": pages.operation_page(found),
        "may_fail_over": may(request.user, Capability.FAILOVER),
        "endpoints": None if part else endpoints.checklist_of(found),
    }
    return render(request, f"dnsops/operation.html{'#live-part' if part else ''}", context)


@require_safe
@require(Capability.VIEW)
def operations(request: HttpRequest) -> HttpResponse:
    """All operations, newest first."""
    show, query = request.GET.get("show", ""), request.GET.get("q", "").strip()[:100]
    paged = Paginator(list_operations(show=show, query=query), PAGE_SIZE).get_page(request.GET.get("page"))
    choices = [("", "All"), ("active", "Running")]
    choices += [
        (s.value, pages.STATE_WORDS[s.value][0]) for s in OperationState if s.value not in {"pending", "running"}
    ]
    context = {
        "paged": paged,
        "lines": operation_lines(list(paged), folded=not (show or query)),
        "show": show,
        "q": query,
        "choices": choices,
        "may_fail_over": may(request.user, Capability.FAILOVER),
    }
    return render(request, f"dnsops/operations.html{'#list-part' if _wants_part(request) else ''}", context)


def _carry_out(request: HttpRequest, pk: uuid.UUID, act: Callable[..., object], done: str) -> HttpResponse:
    """Do something to an operation, say how it went, and show the operation."""
    found = get_object_or_404(FailoverOperation, pk=pk)
    try:
        act(operation=found, user=request.user)
    except services.RequestRefused as refused:
        messages.warning(request, refused.sentence)
    else:
        messages.success(request, done)
    return redirect(found)


@require_POST
@require(Capability.FAILOVER)
def cancel(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Cancel an operation that has not written yet."""
    return _carry_out(request, pk, services.cancel_operation, "Cancelled. Nothing was changed in DNS.")


@require_POST
@require(Capability.FAILOVER)
def done_by_hand(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Somebody says that they have made the change by hand: it is looked at now."""
    return _carry_out(request, pk, services.say_done, "Looking now. Only what DNS says counts.")


@require_POST
@require(Capability.FAILOVER)
def endpoints_moved(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Somebody states that the UCCs' endpoints were moved."""
    confirm = partial(endpoints.confirm, note=request.POST.get("note", ""))
    return _carry_out(request, pk, confirm, "It is recorded that the endpoints were moved.")


@require_POST
@require(Capability.FAILOVER)
def verify_again(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Ask every server again, after an end that left something open."""
    return _carry_out(request, pk, services.retry_verification, "Every server was asked again; below is what they say.")


@require_POST
@require(Capability.FAILOVER)
def ask_resolvers(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Ask the resolvers that have not turned again."""
    return _carry_out(request, pk, services.ask_resolvers_again, "They were asked again; below is what they say.")


@require_safe
@require(Capability.VIEW)
def timeline(request: HttpRequest, fqdn: str) -> HttpResponse:
    """Fragment: changes of state and operations, merged."""
    hostname = find_hostname(fqdn)
    return render(request, "dnsops/timeline.html", {"entries": merged_timeline(hostname), "hostname": hostname})
