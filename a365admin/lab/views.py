"""The page "Demo estate: break and mend"."""

from collections.abc import Callable, Mapping
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from a365admin.accounts.decorators import require
from a365admin.accounts.permissions import Capability
from a365admin.audit.services import record
from a365admin.lab import estate, words
from a365admin.lab.client import LabClient
from a365admin.lab.config import load_config
from a365admin.lab.errors import LabError
from pools.models import DedicatedHostname, Server
from pools.services import ask_now

Command = Callable[[LabClient], Mapping[str, Any]]


@require_GET
@require(Capability.BREAK_LAB)
def page(request: HttpRequest) -> HttpResponse:
    """Every server of the demo with its state and its buttons."""
    return _carry_out(request, LabClient.state)


@require_POST
@require(Capability.BREAK_LAB)
def fault(request: HttpRequest) -> HttpResponse:
    """Break or mend one thing: `target`, `fault`, and `on` = "1" or "0"."""
    target, chosen = request.POST.get("target", ""), request.POST.get("fault", "")
    on = request.POST.get("on") == "1"

    def command(client: LabClient) -> Mapping[str, Any]:
        state = client.set_fault(target, chosen, on)
        record(action="lab.fault", object_type="demo server", object_name=target, after={chosen: on})
        _ask_about(target)
        return state

    return _carry_out(request, command)


@require_POST
@require(Capability.BREAK_LAB)
def edit(request: HttpRequest) -> HttpResponse:
    """Change a record by hand, behind our own back: `hostname` becomes an alias of `target`, with a TTL of `ttl_s`."""
    hostname, target = request.POST.get("hostname", ""), request.POST.get("target", "")
    given = request.POST.get("ttl_s", "")
    ttl = {"ttl_s": int(given)} if given.isdecimal() and len(given) < 9 else {}

    def command(client: LabClient) -> Mapping[str, Any]:
        state = client.edit(hostname, target, **ttl)
        record(action="lab.edit", object_type="demo record", object_name=hostname, after={"CNAME": target, **ttl})
        _ask_about_hostnames(hostname)
        return state

    return _carry_out(request, command)


@require_POST
@require(Capability.BREAK_LAB)
def remove(request: HttpRequest) -> HttpResponse:
    """Delete the record of `hostname` by hand, behind our own back."""
    hostname = request.POST.get("hostname", "")

    def command(client: LabClient) -> Mapping[str, Any]:
        state = client.remove(hostname)
        record(action="lab.remove", object_type="demo record", object_name=hostname)
        _ask_about_hostnames(hostname)
        return state

    return _carry_out(request, command)


@require_POST
@require(Capability.BREAK_LAB)
def reset(request: HttpRequest) -> HttpResponse:
    """Mend everything; with `start_over` = "1" records and UCC services too are as at the very first start."""
    start_over = request.POST.get("start_over") == "1"

    def command(client: LabClient) -> Mapping[str, Any]:
        state = client.reset(start_over=start_over)
        record(action="lab.reset", object_type="demo estate", after={"start_over": start_over})
        _ask_about_hostnames()
        return state

    return _carry_out(request, command)


def _ask_about(target: str) -> None:
    """Let what was broken or mended be seen at once, and not when its checks are due."""
    server_id = Server.objects.filter(name=target).values_list("pk", flat=True).first()
    if server_id is not None:
        ask_now(server_id=server_id)
    else:
        _ask_about_hostnames()


def _ask_about_hostnames(*fqdns: str) -> None:
    """The same for dedicated hostnames, with all that they depend on: those that are named, or all of the demo's."""
    wanted = fqdns or [estate.fqdn(plan.name) for plan in estate.HOSTNAMES]
    for hostname_id in DedicatedHostname.objects.filter(fqdn__in=wanted).values_list("pk", flat=True):
        ask_now(hostname_id=hostname_id)


def _carry_out(request: HttpRequest, command: Command) -> HttpResponse:
    """Do it, and answer with the page, or with its changing part where htmx asks for that."""
    if settings.LAB_CONFIG is None:
        raise Http404("There is no demo estate in this installation.")
    context: dict[str, Any] = {"error": ""}
    try:
        state = command(LabClient(load_config(settings.LAB_CONFIG)))
        context |= {"groups": words.groups(state), "dns": [words.dns_card(server) for server in state["dns"]]}
        context["resolvers"] = [words.resolver_card(resolver) for resolver in state["resolvers"]]
    except LabError as error:
        context["error"] = str(error)
    status = 409 if context["error"] and request.method == "POST" else 200
    if request.headers.get("HX-Request"):
        return render(request, "lab/_estate.html", context, status=status)
    if request.method == "POST" and not context["error"]:
        return redirect("lab:page")
    return render(request, "lab/page.html", context, status=status)
