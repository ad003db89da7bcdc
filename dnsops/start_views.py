"""“What does your estate look like?”: choose a topology, answer what it needs, see what will be created, create it."""

from __future__ import annotations

from collections.abc import Sequence

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from a365admin.accounts.decorators import require
from a365admin.accounts.permissions import Capability
from dnsops import start
from dnsops.start_forms import StartForm
from dnsops.start_plan import TOPOLOGIES, Topology


@require_safe
@require(Capability.EDIT_ESTATE)
def choose(request: HttpRequest) -> HttpResponse:
    """The three topologies, each with its drawing."""
    return render(request, "dnsops/start/choose.html", {"topologies": TOPOLOGIES})


def _topology(slug: str) -> Topology:
    found = next((topology for topology in TOPOLOGIES if topology.slug == slug), None)
    if found is None:
        raise Http404(f"There is no topology called {slug}.")
    return found


@require_http_methods(["GET", "HEAD", "POST"])
@require(Capability.EDIT_ESTATE)
def enter(request: HttpRequest, slug: str) -> HttpResponse:
    """The questions; then what will be created; then it is created."""
    topology = _topology(slug)
    if request.method != "POST":
        return _form(request, StartForm(topology))
    form = StartForm(topology, request.POST)
    if not form.is_valid():
        return _form(request, form, status=422)
    if "change" in request.POST:
        return _form(request, form)
    return _create(request, form) if "create" in request.POST else _outlook(request, form)


def _outlook(request: HttpRequest, form: StartForm) -> HttpResponse:
    outlook = start.look(form.topology, form.cleaned_data)
    if outlook.problems:
        return _form(request, form, outlook.problems, status=422)
    context = {"topology": form.topology, "form": form, "outlook": outlook}
    return render(request, "dnsops/start/outlook.html", context)


def _create(request: HttpRequest, form: StartForm) -> HttpResponse:
    problems = start.create(form.topology, form.cleaned_data, digest=request.POST.get("digest", ""))
    return _form(request, form, problems, status=409) if problems else _done(request, form)


def _form(request: HttpRequest, form: StartForm, problems: Sequence[str] = (), status: int = 200) -> HttpResponse:
    context = {"topology": form.topology, "form": form, "problems": problems}
    return render(request, "dnsops/start/enter.html", context, status=status)


def _done(request: HttpRequest, form: StartForm) -> HttpResponse:
    messages.success(request, "The estate is entered. Its health appears by itself within seconds.")
    if not form.cleaned_data.get("zone"):
        messages.info(request, "Enter the DNS zone next: without it, nobody knows where the hostname points.")
        return redirect("dnsops:dns-list")
    if form.cleaned_data["balanced"] == "yes":
        messages.info(request, "Enter a virtual service for each load balancer, then make it the hostname’s target.")
        return redirect("pools:estate-add", "virtual-service")
    return redirect("pools:overview")
