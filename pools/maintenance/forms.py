"""The forms that take something out, and that let it end sooner or later."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.core.exceptions import ObjectDoesNotExist
from django.db import models
from django.utils import timezone

from a365admin.accounts.formstyle import StyledForm
from pools.maintenance.covering import Scope
from pools.maintenance.models import REASON_LIMIT
from pools.models import FrontEndPool, Server, Site, TrustedApplicationPool

DURATIONS = [
    ("60", "1 hour"),
    ("120", "2 hours"),
    ("240", "4 hours"),
    ("480", "8 hours"),
    ("1440", "1 day"),
    ("10080", "1 week"),
    ("", "at the time below"),
]
_MODELS: dict[Scope, type[models.Model]] = {
    Scope.SERVER: Server,
    Scope.TRUSTED_APPLICATION_POOL: TrustedApplicationPool,
    Scope.FRONT_END_POOL: FrontEndPool,
    Scope.SITE: Site,
}


def _moment(**kwargs: Any) -> forms.DateTimeField:
    widget = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")
    return forms.DateTimeField(widget=widget, **kwargs)


def token_of(thing: models.Model) -> str:
    """Return what stands for a thing in a form and in an address: ``server:3``."""
    scope = next(scope for scope, model in _MODELS.items() if isinstance(thing, model))
    return f"{scope.value}:{thing.pk}"


def _choices() -> list[tuple[str, list[tuple[str, str]]]]:
    groups = []
    for scope, model in _MODELS.items():
        things: Any = model._meta.default_manager
        found = [(f"{scope.value}:{thing.pk}", str(thing)) for thing in things.all()]
        if found:
            groups.append((f"{scope.word[:1].upper()}{scope.word[1:]}s", found))
    return groups


class MaintenanceForm(StyledForm, forms.Form):
    """What is taken out, why, from when, and until when."""

    thing = forms.ChoiceField(
        label="What is taken out",
        error_messages={
            "required": "Choose what is taken out.",
            "invalid_choice": "This is not in the estate any more. Choose again.",
        },
    )
    reason = forms.CharField(
        max_length=REASON_LIMIT,
        help_text="Others read it, helpdesk included.",
        error_messages={"required": "Say why; others will read it."},
    )
    starts_at = _moment(label="Starts", required=False, help_text="Empty: now.")
    duration_min = forms.ChoiceField(label="Ends by itself after", choices=DURATIONS, required=False, initial="240")
    ends_at = _moment(label="Or ends at", required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = self.fields["thing"]
        if isinstance(choices, forms.ChoiceField):
            choices.choices = [("", "Choose …"), *_choices()]

    def clean(self) -> dict[str, Any]:
        """Require exactly one end."""
        cleaned = super().clean() or self.cleaned_data
        if cleaned.get("duration_min") and cleaned.get("ends_at"):
            self.add_error("ends_at", "Choose how long it takes, or enter when it ends, not both.")
        elif not cleaned.get("duration_min") and not cleaned.get("ends_at") and "ends_at" not in self.errors:
            self.add_error("ends_at", "Say when it ends: it ends by itself then, and can be moved later.")
        return cleaned

    def chosen(self) -> models.Model | None:
        """Return what is to be taken out; None where it has just been deleted."""
        scope, _, pk = self.cleaned_data["thing"].partition(":")
        manager: Any = _MODELS[Scope(scope)]._meta.default_manager
        try:
            thing: models.Model = manager.get(pk=pk)
        except ObjectDoesNotExist:
            return None
        return thing

    def end(self) -> datetime:
        """When it ends."""
        minutes = self.cleaned_data["duration_min"]
        if not minutes:
            at: datetime = self.cleaned_data["ends_at"]
            return at
        start = self.cleaned_data["starts_at"] or timezone.now()
        ends: datetime = max(start, timezone.now()) + timedelta(minutes=int(minutes))
        return ends


class EndForm(StyledForm, forms.Form):
    """A new end."""

    ends_at = _moment(label="Ends at", error_messages={"required": "Enter when it ends."})
