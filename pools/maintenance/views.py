"""The page Maintenance: what is out now, what is planned, and who said so."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from a365admin.accounts.decorators import require
from a365admin.accounts.permissions import Capability, may
from pools import services
from pools.maintenance.forms import EndForm, MaintenanceForm
from pools.maintenance.models import Maintenance
from pools.maintenance.pages import maintenance_page
from pools.maintenance.writes import OverError


def _page(request: HttpRequest, form: MaintenanceForm, status: int = 200) -> HttpResponse:
    context = {"page": maintenance_page(), "form": form, "may_edit": may(request.user, Capability.EDIT_ESTATE)}
    fragment = "HX-Request" in request.headers and "HX-History-Restore-Request" not in request.headers
    part = "#list-part" if fragment else ""
    return render(request, f"pools/maintenance.html{part}", context, status=status)


@require_safe
@require(Capability.VIEW)
def page(request: HttpRequest) -> HttpResponse:
    """What is in maintenance now, what will be, what was; ``?of=server:3`` chooses beforehand."""
    return _page(request, MaintenanceForm(initial={"thing": request.GET.get("of", "")}))


@require_POST
@require(Capability.EDIT_ESTATE)
def begin(request: HttpRequest) -> HttpResponse:
    """Take something out, now or later."""
    form = MaintenanceForm(request.POST)
    if not form.is_valid():
        return _page(request, form, status=422)
    thing = form.chosen()
    if thing is None:
        form.add_error("thing", "This was deleted at this very moment. Choose again.")
        return _page(request, form, status=422)
    try:
        row = services.begin_maintenance(
            thing=thing, reason=form.cleaned_data["reason"], starts_at=form.cleaned_data["starts_at"],
            ends_at=form.end(),
        )  # fmt: skip
    except ValidationError as error:
        form.add_error(None, error)
        return _page(request, form, status=422)
    said = f"{_sentence_case(row)} is in maintenance." if row.began else f"The maintenance of {row} is planned."
    messages.success(request, said)
    return redirect("pools:maintenance")


@require_POST
@require(Capability.EDIT_ESTATE)
def move(request: HttpRequest, pk: int) -> HttpResponse:
    """Let it end sooner or later."""
    row = get_object_or_404(Maintenance.objects.with_things(), pk=pk)
    form = EndForm(request.POST)
    try:
        if form.is_valid():
            services.move_end(maintenance_id=pk, ends_at=form.cleaned_data["ends_at"])
            messages.success(request, f"The end of the maintenance of {row} is moved.")
        else:
            messages.error(request, f"Not moved: {form.errors.get_json_data()['ends_at'][0]['message']}")
    except ValidationError as error:
        messages.error(request, f"Not moved: {' '.join(error.messages)}")
    except OverError as error:
        messages.info(request, str(error))
    return redirect("pools:maintenance")


@require_POST
@require(Capability.EDIT_ESTATE)
def end(request: HttpRequest, pk: int) -> HttpResponse:
    """End it now, or call it off."""
    get_object_or_404(Maintenance, pk=pk)
    try:
        row = services.end_maintenance(maintenance_id=pk, reason=request.POST.get("reason", ""))
    except OverError as error:
        messages.info(request, str(error))
    else:
        still = row.server.covering.sentence if row.server else ""
        rest = f" It stays in maintenance all the same ({still})." if still else ""
        messages.success(request, f"The maintenance of {row} is {'called off' if not row.began else 'ended'}.{rest}")
    return redirect("pools:maintenance")


def _sentence_case(row: Maintenance) -> str:
    text = str(row)
    return text[:1].upper() + text[1:]
