"""The pages that move a site: choose, look, decide, watch, stop, resume."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from a365admin.accounts.decorators import require
from a365admin.accounts.permissions import Capability, may
from dnsops import move_pages, site_moves
from dnsops.models import SiteMove
from dnsops.plan import PlanError
from dnsops.requesting import RequestRefused
from dnsops.site_gathering import Scope, gather_move
from dnsops.site_plan import AT_ONCE_CHOICES, DEFAULT_AT_ONCE, Direction, SitePlan
from pools.models import FrontEndPool, Site

MOVES_SHOWN = 20


def _wants_part(request: HttpRequest) -> bool:
    return "HX-Request" in request.headers and "HX-History-Restore-Request" not in request.headers


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 10 else 0


def _scope(request: HttpRequest) -> Scope:
    if site := request.GET.get("site", ""):
        return Scope(site=get_object_or_404(Site, pk=_number(site)))
    return Scope(front_end_pool=get_object_or_404(FrontEndPool, pk=_number(request.GET.get("pool", ""))))


def _direction(request: HttpRequest) -> Direction:
    try:
        return Direction(request.GET.get("direction", Direction.AWAY.value))
    except ValueError:
        raise Http404("A move leads away from a site, or back to it.") from None


@require_safe
@require(Capability.VIEW)
def moves(request: HttpRequest) -> HttpResponse:
    """Which sites and front-end pools there are, what points there, and the latest moves."""
    sites, pools = move_pages.places()
    lines = [(move, *move_pages.MOVE_WORDS[move.state]) for move in move_pages.find_moves()[:MOVES_SHOWN]]
    context = {"sites": sites, "pools": pools, "moves": lines, "may": may(request.user, Capability.FAILOVER)}
    return render(request, "dnsops/moves/moves.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@require(Capability.FAILOVER)
def new(request: HttpRequest) -> HttpResponse:
    """GET: what would be moved, where to, and what forbids it. POST: do exactly that."""
    scope, direction = _scope(request), _direction(request)
    refused = None
    if request.method == "POST":
        try:
            return redirect(_request(request, scope, direction))
        except RequestRefused as error:
            refused = error
    plan, problem = _look(scope, direction)
    posted = request.POST
    context = {
        "scope": scope, "direction": direction.value, "back": direction is Direction.BACK, "plan": plan,
        "problem": problem, "refused": refused, "posted": posted, "at_once_choices": AT_ONCE_CHOICES,
        "at_once": _number(posted.get("at_once", "")) or DEFAULT_AT_ONCE, "idempotency_key": uuid.uuid4().hex,
        "ticked": [_number(token.partition(":")[0]) for token in posted.getlist("hostname")] if refused else None,
        "may_force": may(request.user, Capability.FORCE),
    }  # fmt: skip
    return render(request, "dnsops/moves/new.html", context, status=409 if refused else 200)


def _look(scope: Scope, direction: Direction) -> tuple[SitePlan | None, str]:
    try:
        return gather_move(scope, direction), ""
    except PlanError as error:
        return None, str(error)


def _request(request: HttpRequest, scope: Scope, direction: Direction) -> SiteMove:
    form = request.POST
    return site_moves.request_move(
        user=request.user,  # type: ignore[arg-type]  # require() lets only a signed-in User through
        scope=scope,
        direction=direction,
        shown=form.getlist("hostname"),
        at_once=_number(form.get("at_once", "")),
        together=form.get("how") == "together",
        stop_at_failure=form.get("stop_at_failure") == "1",
        reason=form.get("reason", ""),
        ticket=form.get("ticket", ""),
        idempotency_key=form.get("idempotency_key", "")[:64],
        forced=form.get("forced") == "1",
        typed=form.get("typed", ""),
    )


@require_safe
@require(Capability.VIEW)
def move(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """One move, live: how many have moved, and each hostname's operation."""
    page = move_pages.move_page(get_object_or_404(move_pages.find_moves(), pk=pk))
    context = {"page": page, "may_fail_over": may(request.user, Capability.FAILOVER)}
    return render(request, f"dnsops/moves/move.html{'#live-part' if _wants_part(request) else ''}", context)


def _steer(request: HttpRequest, pk: uuid.UUID, act: Callable[..., None], done: str) -> HttpResponse:
    found = get_object_or_404(SiteMove, pk=pk)
    try:
        act(move=found, user=request.user)
    except RequestRefused as refused:
        messages.warning(request, refused.sentence)
    else:
        messages.success(request, done)
    return redirect(found)


@require_POST
@require(Capability.FAILOVER)
def stop(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """No new ones begin."""
    return _steer(request, pk, site_moves.stop_move, "Stopped. What had begun goes on to its end.")


@require_POST
@require(Capability.FAILOVER)
def resume(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Go on with what has not begun, by a fresh plan."""
    return _steer(request, pk, site_moves.resume_move, "Resumed, by a fresh plan.")
