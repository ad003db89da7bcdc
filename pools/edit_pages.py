"""The pages that add, change and delete one thing of any kind; ``edit_views.py`` here and in dnsops say which kinds."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db import IntegrityError, models
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from pools import changes
from pools.forms import EstateForm
from pools.kinds import Kind, kind_of, use_of

SAME_MOMENT = "Somebody saved the same thing at this very moment. Look at what is there now, then save again."
CHANGED = (
    "Somebody else changed this since you opened the page, so nothing was saved. What you entered is below; "
    "open the page again to see theirs."
)


def add_page(request: HttpRequest, kind: Kind, template: str = "pools/estate/edit.html") -> HttpResponse:
    """Add one; ``?field=value`` fills the form in beforehand."""
    if request.method == "POST":
        form, saved = _save(request, kind, None)
        if saved is not None:
            return _done(request, kind, saved, f"{_sentence_case(kind.word)} {saved} is added.")
        return render(request, template, _context(kind, form, None), status=422)
    form = kind.form(initial={name: value for name, value in request.GET.items() if name in kind.form.base_fields})
    return render(request, template, _context(kind, form, None))


def edit_page(request: HttpRequest, kind: Kind, pk: int, template: str = "pools/estate/edit.html") -> HttpResponse:
    """Show one for editing, or save what was entered."""
    instance = get_object_or_404(kind.all(), pk=pk)
    if request.method == "POST":
        form, saved = _save(request, kind, pk)
        if saved is not None:
            return _done(request, kind, saved, f"{_sentence_case(kind.word)} {saved} is saved.")
        return render(request, template, _context(kind, form, instance), status=422)
    return render(request, template, _context(kind, kind.form(instance=instance), instance))


def delete_page(request: HttpRequest, kind: Kind, pk: int) -> HttpResponse:
    """Say what uses it, or ask whether to delete it; POST deletes."""
    instance = get_object_or_404(kind.all(), pk=pk)
    name = str(instance)
    if request.method == "POST":
        before = kind.form.described(instance)
        try:
            changes.delete(instance=instance, word=kind.word, before=before, more_uses=kind.more_uses)
        except changes.InUseError as error:
            return render(request, "pools/estate/delete.html", _uses(kind, instance, error.uses), status=409)
        messages.success(request, f"{_sentence_case(kind.word)} {name} is deleted.")
        return redirect(kind.home_url)
    uses = list(dict.fromkeys(changes.uses_of(instance) + kind.more_uses(instance)))
    return render(request, "pools/estate/delete.html", _uses(kind, instance, uses))


def _save(request: HttpRequest, kind: Kind, pk: int | None) -> tuple[EstateForm, models.Model | None]:
    """Validate and write in one transaction that holds the estate's lock; return the form and what was saved."""
    form: EstateForm | None = None
    try:
        with changes.estate_lock():
            instance = get_object_or_404(kind.all().select_for_update(), pk=pk) if pk else None
            before = kind.form.described(instance) if instance else {}
            form = kind.form(request.POST, instance=instance)
            if before and request.POST.get("seen") != changes.digest(before):
                raise changes.StaleEditError
            if not form.is_valid():
                return form, None
            return form, changes.save_changes(
                word=kind.word, before=before, write=form.write, describe=kind.form.described
            )
    except changes.StaleEditError:
        return _with_error(form, kind, request, CHANGED), None
    except IntegrityError:
        return _with_error(form, kind, request, SAME_MOMENT), None
    except ValidationError as error:
        return _with_error(form, kind, request, error.messages), None


def _with_error(form: EstateForm | None, kind: Kind, request: HttpRequest, error: Any) -> EstateForm:
    bound = form if form is not None else kind.form(request.POST)
    bound.is_valid()
    bound.add_error(None, error)
    return bound


def _done(request: HttpRequest, kind: Kind, saved: models.Model, sentence: str) -> HttpResponse:
    messages.success(request, sentence)
    if "another" in request.POST:
        kept = {name: request.POST[name] for name in _relations(kind) if request.POST.get(name)}
        query = "&".join(f"{name}={value}" for name, value in kept.items() if value.isdigit())
        return redirect(f"{kind.add_url}?{query}" if query else kind.add_url)
    return redirect(kind.home_url)


def _relations(kind: Kind) -> list[str]:
    return [name for name, field in kind.form.base_fields.items() if isinstance(field, forms.ModelChoiceField)]


def _context(kind: Kind, form: EstateForm, instance: models.Model | None) -> dict[str, Any]:
    return {
        "kind": kind,
        "form": form,
        "object": instance,
        "delete_url": kind.delete_url(instance.pk) if instance else "",
        "missing": _missing(form),
        "audit_object": str(instance) if instance else "",
    }


def _missing(form: EstateForm) -> list[Kind]:
    """The kinds of which one is needed first, and there is none."""
    needed = [f for f in form.fields.values() if isinstance(f, forms.ModelChoiceField) and f.required]
    empty = [field.queryset.model for field in needed if field.queryset is not None and not field.queryset.exists()]
    return [kind for kind in map(kind_of, empty) if kind]


def _uses(kind: Kind, instance: models.Model, uses: list[models.Model]) -> dict[str, Any]:
    return {
        "kind": kind,
        "object": instance,
        "uses": [use_of(use) for use in uses[:20]],
        "more": max(len(uses) - 20, 0),
        "way_out": kind.way_out(instance) if uses else "",
        "goes_along": kind.goes_along(instance),
        "edit_url": kind.edit_url(instance.pk),
    }


def _sentence_case(word: str) -> str:
    return word[:1].upper() + word[1:]
