"""Editing the estate: its overview, and one page for each thing in it."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods, require_safe

from a365admin.accounts.decorators import require
from a365admin.accounts.permissions import Capability
from pools import edit_pages, forms, service_forms
from pools.estate_tree import read_tree
from pools.kinds import Kind, register
from pools.virtual_services import relying_on, way_out

KINDS = register(
    [
        Kind("site", "site", forms.SiteForm, "building", "A datacentre. Front-end pools stand in it."),
        Kind(
            "front-end-pool",
            "front-end pool",
            forms.FrontEndPoolForm,
            "sitemap",
            "A Skype for Business front-end pool. Two may be paired, for disaster recovery.",
        ),
        Kind(
            "trusted-application-pool",
            "trusted application pool",
            forms.TrustedApplicationPoolForm,
            "server-2",
            "Where A365 servers live. Its next hop is exactly one front-end pool and cannot be repointed.",
        ),
        Kind(
            "server",
            "server",
            forms.ServerForm,
            "server",
            "A Windows server with the UCC service and the web services. Its checks follow from what is entered here.",
        ),
        Kind("ucc", "UCC", forms.UccForm, "headset", "A Unified Contact Center: a queue, handled by agents."),
        Kind(
            "trusted-application",
            "trusted application",
            forms.TrustedApplicationForm,
            "plug",
            "A UCC in one trusted application pool, with the TCP port that it has there.",
            more_uses=lambda application: list(relying_on(application)),
            way_out=lambda application: way_out(application, relying_on(application)),
        ),
        Kind(
            "virtual-service",
            "virtual service",
            service_forms.VirtualServiceForm,
            "topology-star-3",
            "A virtual IP on a load balancer, the servers behind it, and the UCC port that it checks on them.",
            goes_along=lambda _: ["its list of real servers and what is known of its health"],
        ),
        Kind(
            "dedicated-hostname",
            "dedicated hostname",
            forms.HostnameForm,
            "world",
            "The name that clients use in place of a server's own, and the servers that it may point at.",
            goes_along=lambda _: ["its targets and its history of health"],
        ),
    ]
)


def _kind(slug: str) -> Kind:
    try:
        return KINDS[slug]
    except KeyError:
        raise Http404(f"There is no kind of thing called {slug}.") from None


@require(Capability.EDIT_ESTATE)
@require_safe
def estate(request: HttpRequest) -> HttpResponse:
    """The whole estate as a tree; an empty one says what to enter first."""
    return render(request, "pools/estate/estate.html", {"tree": read_tree(KINDS), "kinds": KINDS})


@require(Capability.EDIT_ESTATE)
@require_http_methods(["GET", "POST"])
def add(request: HttpRequest, slug: str) -> HttpResponse:
    """Add one thing."""
    return edit_pages.add_page(request, _kind(slug))


@require(Capability.EDIT_ESTATE)
@require_http_methods(["GET", "POST"])
def edit(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Change one thing."""
    return edit_pages.edit_page(request, _kind(slug), pk)


@require(Capability.EDIT_ESTATE)
@require_http_methods(["GET", "POST"])
def delete(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Delete one thing, or say what uses it."""
    return edit_pages.delete_page(request, _kind(slug), pk)
