"""The pages Clients: what to enter in each, and what is installed where."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from a365admin.accounts.decorators import require
from a365admin.accounts.permissions import Capability, may
from a365admin.audit.services import record
from pools import edit_pages
from pools.clients import reads
from pools.clients.carrying import CarriedTable, pack, unpack
from pools.clients.difference import compare
from pools.clients.exports import inventory_csv, values_csv
from pools.clients.forms import InstallationForm, TableForm
from pools.clients.judging import Fault
from pools.clients.reading import COLUMNS, read_table
from pools.clients.values import UccPlace, grouped_values, hostnames_of_ucc
from pools.clients.writes import StaleImportError, import_clients
from pools.kinds import Kind, register

KIND = register(
    [
        Kind(
            "installation",
            "client",
            InstallationForm,
            "device-desktop",
            "A client that is installed somewhere, with what is entered in it now.",
            namespace="pools:clients",
        )
    ]
)["installation"]
SHOWN = 500
FAULT_WORDS = {
    Fault.SERVER_NAME: "a server’s own name",
    Fault.SERVER_ADDRESS: "a server’s address",
    Fault.BALANCER: "the load balancer itself",
    Fault.OTHER_POOL: "another pool’s hostname",
    Fault.UNKNOWN_HOST: "an unknown name",
    Fault.WRONG_FORM: "no host, or no URL",
    Fault.WRONG_PATH: "a wrong path",
    Fault.NOT_HTTPS: "no HTTPS",
    Fault.UCC_UNKNOWN: "an unknown UCC",
    Fault.UCC_SPELLING: "a UCC’s name misspelt",
    Fault.UCC_MISSING: "no UCC name",
    Fault.NO_HOSTNAME: "a UCC without a hostname",
}
TOO_OLD = "This difference was shown more than an hour ago, or to somebody else. Choose the lines again."
CHANGED = "The inventory has changed since the difference was shown, so nothing was imported. This is it now."
TOO_LARGE = "These lines are too many to be confirmed on a page. Import them in several parts."


def _values_context(hostnames: list[Any], uccs: list[UccPlace], query: str = "") -> dict[str, Any]:
    cards = []
    for hostname in hostnames:
        own = [ucc for ucc in uccs if hostname in hostnames_of_ucc(ucc, hostnames)]
        seen = [ucc for ucc in own if query.lower() in ucc.name.lower()] or (
            own if query.lower() in f"{hostname.fqdn} {hostname.service_name}".lower() else []
        )
        if seen or not query:
            cards.append({"hostname": hostname, "uccs": seen, "groups": grouped_values(hostname)})
    placed = {ucc.id for card in cards for ucc in card["uccs"]}
    lost = [ucc for ucc in uccs if ucc.id not in placed and not hostnames_of_ucc(ucc, hostnames)]
    return {"cards": cards, "lost": [] if query else lost, "q": query}


@require_safe
@require(Capability.VIEW)
def values(request: HttpRequest) -> HttpResponse:
    """What to enter in each client, for every hostname and its UCCs."""
    query = request.GET.get("q", "").strip()[:100]
    return render(
        request, "pools/clients/values.html", _values_context(reads.read_hostnames(), reads.read_uccs(), query)
    )


@require_safe
@require(Capability.VIEW)
def of_hostname(request: HttpRequest, fqdn: str) -> HttpResponse:
    """What to enter in the clients of one hostname."""
    everything = reads.read_hostnames()
    chosen = [hostname for hostname in everything if hostname.fqdn == fqdn.lower()]
    if not chosen:
        raise Http404(f"There is no dedicated hostname “{fqdn}” in this estate.")
    uccs = [ucc for ucc in reads.read_uccs() if chosen[0] in hostnames_of_ucc(ucc, everything)]
    return render(request, "pools/clients/values.html", {**_values_context(chosen, uccs), "one": chosen[0]})


@require_safe
@require(Capability.VIEW)
def of_ucc(request: HttpRequest, pk: int) -> HttpResponse:
    """What to enter in the clients of one UCC, its name included."""
    ucc = next((ucc for ucc in reads.read_uccs() if ucc.id == pk), None)
    if ucc is None:
        raise Http404("There is no such UCC in this estate.")
    hostnames = hostnames_of_ucc(ucc, reads.read_hostnames())
    cards = [{"hostname": hostname, "groups": grouped_values(hostname, ucc.name)} for hostname in hostnames]
    return render(request, "pools/clients/ucc.html", {"ucc": ucc, "cards": cards})


@require_safe
@require(Capability.VIEW)
def values_file(request: HttpRequest) -> HttpResponse:
    """The values as CSV; ``?hostname=`` or ``?ucc=`` restricts them."""
    hostnames, uccs = reads.read_hostnames(), reads.read_uccs()
    if wanted := request.GET.get("ucc", ""):
        uccs = [ucc for ucc in uccs if str(ucc.id) == wanted]
    text = values_csv(hostnames, uccs)
    if fqdn := request.GET.get("hostname", ""):
        chosen = [hostname for hostname in hostnames if hostname.fqdn == fqdn]
        text = values_csv(chosen, [ucc for ucc in uccs if set(chosen) & set(hostnames_of_ucc(ucc, hostnames))])
    return _file(text, "a365admin-client-values.csv", "client values")


@require_safe
@require(Capability.VIEW)
def summary(request: HttpRequest, fqdn: str) -> HttpResponse:
    """What the inventory says about one hostname's clients, as a fragment of its page."""
    own = reads.of_hostname(fqdn.lower(), reads.read_inventory())
    wrong = [one for one in own if not one.verdict.ok]
    return render(request, "pools/clients/summary.html", {"fqdn": fqdn, "all": own, "wrong": wrong})


@require_safe
@require(Capability.VIEW)
def inventory(request: HttpRequest) -> HttpResponse:
    """What is installed where, what is wrong first; ``?show=wrong``, ``?fault=``, ``?hostname=`` and ``?q=`` filter."""
    everything = reads.read_inventory()
    show, fault, fqdn = (request.GET.get(name, "") for name in ("show", "fault", "hostname"))
    query = request.GET.get("q", "").strip()[:100]
    found = [
        one
        for one in everything
        if (show != "wrong" or not one.verdict.ok)
        and (not fault or (one.first is not None and one.first.fault == fault))
        and (not fqdn or fqdn in one.verdict.hostnames)
        and query.lower() in f"{one.row} {one.row.host} {one.row.ucc_name} {one.row.note}".lower()
    ]
    counts = reads.fault_counts(everything)
    context = {
        "found": found[:SHOWN], "more": max(len(found) - SHOWN, 0), "count": len(found), "all": len(everything),
        "wrong": sum(counts.values()), "show": show, "fault": fault, "hostname": fqdn, "q": query,
        "faults": [(one.value, FAULT_WORDS[one], counts[one.value]) for one in Fault if one.value in counts],
        "kind": KIND, "may_edit": may(request.user, Capability.EDIT_ESTATE),
    }  # fmt: skip
    return render(request, "pools/clients/inventory.html", context)


@require_safe
@require(Capability.VIEW)
def inventory_file(request: HttpRequest) -> HttpResponse:
    """The whole inventory as CSV, which can be imported again."""
    return _file(inventory_csv(reads.read_inventory()), "a365admin-clients.csv", "inventory of clients")


def _file(text: str, name: str, what: str) -> HttpResponse:
    record(action="clients.exported", object_type=what, object_name=name)
    response = HttpResponse(text, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Cache-Control"] = "no-store"
    return response


@require(Capability.EDIT_ESTATE)
@require_http_methods(["GET", "POST"])
def add(request: HttpRequest, slug: str) -> HttpResponse:
    """Add one installation."""
    return edit_pages.add_page(request, KIND)


@require(Capability.EDIT_ESTATE)
@require_http_methods(["GET", "POST"])
def edit(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Change one installation."""
    return edit_pages.edit_page(request, KIND, pk)


@require(Capability.EDIT_ESTATE)
@require_http_methods(["GET", "POST"])
def delete(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Delete one installation."""
    return edit_pages.delete_page(request, KIND, pk)


@require(Capability.EDIT_ESTATE)
@require_http_methods(["GET", "POST"])
def import_page(request: HttpRequest) -> HttpResponse:
    """Ask for lines; POST shows the difference, changing nothing."""
    form = TableForm(request.POST or None, request.FILES or None)
    if request.method != "POST" or not form.is_valid():
        status = 422 if request.method == "POST" else 200
        context = {"form": form, "columns": ", ".join(COLUMNS)}
        return render(request, "pools/clients/import.html", context, status=status)
    name, data = form.source()
    return _difference_page(request, name, data, whole=form.cleaned_data["whole"])


@require_POST
@require(Capability.EDIT_ESTATE)
def confirm(request: HttpRequest) -> HttpResponse:
    """Apply exactly the difference that was shown, or show the new one."""
    given = unpack(request.POST.get("carried", ""), user_id=request.user.pk or 0)
    if given is None:
        messages.warning(request, TOO_OLD)
        return redirect("pools:clients-import")
    rows = read_table(given.name, given.data).rows
    try:
        done = import_clients(rows=rows, whole=given.whole, digest=given.digest, source=given.name)
    except StaleImportError:
        messages.warning(request, CHANGED)
        return _difference_page(request, given.name, given.data, whole=given.whole, status=409)
    messages.success(
        request, f"Imported: {len(done.added)} added, {len(done.changed)} changed, {len(done.removed)} removed."
    )
    return redirect("pools:clients-list")


def _difference_page(request: HttpRequest, name: str, data: bytes, *, whole: bool, status: int = 200) -> HttpResponse:
    table = read_table(name, data)
    difference = compare(table.rows, reads.known_rows(), whole=whole)
    packed = None
    ready = difference.any and not table.problems
    if ready:
        packed = pack(CarriedTable(name, data, whole, difference.digest), user_id=request.user.pk or 0)
    context = {
        "name": name, "table": table, "difference": difference, "ready": ready, "carried": packed,
        "too_large": TOO_LARGE if ready and packed is None else "", "limit": f":{SHOWN}",
    }  # fmt: skip
    return render(request, "pools/clients/difference.html", context, status=422 if table.problems else status)
