"""What the audit log's page and its export show: a filter that lives in the URL."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import Q, QuerySet

from a365admin.audit.models import AuditEntry, Outcome


class _Moment(forms.DateTimeInput):
    input_type = "datetime-local"

    def __init__(self) -> None:
        super().__init__(format="%Y-%m-%dT%H:%M", attrs={"class": "form-control"})


def _text(label: str, example: str, **attrs: str) -> forms.CharField:
    widget = forms.TextInput(attrs={"class": "form-control", "placeholder": example, "autocomplete": "off", **attrs})
    return forms.CharField(label=label, required=False, max_length=200, widget=widget)


class LogFilter(forms.Form):
    """The filter's fields; empty ones do not restrict. Times are in the reader's own zone."""

    since = forms.DateTimeField(label="From", required=False, widget=_Moment())
    until = forms.DateTimeField(label="Until", required=False, widget=_Moment())
    actor = _text("Actor", "name")
    action = _text("Action", "failover.", list="actions")
    object = _text("Object", "name of it")
    outcome = forms.ChoiceField(
        label="Outcome",
        required=False,
        choices=[("", "Any"), *Outcome.choices],
        widget=forms.Select(attrs={"class": "form-select"}),
    )
    text = _text("Text", "in any of it")
    request = forms.CharField(required=False, max_length=36, widget=forms.HiddenInput())

    def clean(self) -> dict[str, Any]:
        """Refuse a time range that ends before it starts."""
        cleaned = super().clean() or {}
        since, until = cleaned.get("since"), cleaned.get("until")
        if since and until and until < since:
            self.add_error("until", "“Until” is before “From”.")
        return cleaned

    def entries(self) -> QuerySet[AuditEntry]:
        """The entries that match, newest first; none while the filter has errors."""
        found = AuditEntry.objects.order_by("-pk")
        if not self.is_valid():
            return found.none()
        chosen = self.cleaned_data
        exact = {
            "at__gte": chosen["since"],
            "at__lte": chosen["until"],
            "actor_name__icontains": chosen["actor"],
            "action__istartswith": chosen["action"],
            "object_name__icontains": chosen["object"],
            "outcome": chosen["outcome"],
            "request_id": chosen["request"],
        }
        found = found.filter(**{lookup: value for lookup, value in exact.items() if value})
        if chosen["text"]:
            found = found.filter(_anywhere(chosen["text"]))
        return found

    def described(self) -> dict[str, str]:
        """The filter in words, for the entry that records an export."""
        return {name: str(value) for name, value in self.cleaned_data.items() if value}


def _anywhere(text: str) -> Q:
    places = ("actor_name", "action", "object_type", "object_id", "object_name", "reason", "request_id")
    match = Q(address__startswith=text)
    for place in places:
        match |= Q(**{f"{place}__icontains": text})
    return match
