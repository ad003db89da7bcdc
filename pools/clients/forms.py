"""The forms of the inventory: one installation, and a table of many."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms

from a365admin.accounts.formstyle import StyledForm
from pools.clients.models import ClientInstallation
from pools.clients.values import ASKS_URLS, ClientKind
from pools.forms import EstateForm
from pools.importing.text import MAX_BYTES


class InstallationForm(EstateForm):
    """One installed client."""

    unrecorded: ClassVar[set[str]] = {"id", "changed_at", "created_at"}

    class Meta:
        model = ClientInstallation
        fields: ClassVar = ["kind", "place", "host", "ucc_name", "note"]

    def clean_host(self) -> str:
        """Refuse several hosts where only one can be entered."""
        host = " ".join(str(self.cleaned_data["host"]).split())
        kind = self.cleaned_data.get("kind", "")
        if kind and ClientKind(kind) not in ASKS_URLS and " " in host:
            raise forms.ValidationError(f"{ClientKind(kind).word} has one host, without spaces.")
        return host


class TableForm(StyledForm, forms.Form):
    """A file or pasted text."""

    chosen = forms.FileField(
        label="CSV file", required=False, allow_empty_file=True, widget=forms.FileInput(attrs={"accept": ".csv,.txt"})
    )
    pasted = forms.CharField(
        label="or paste lines",
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 8, "spellcheck": "false", "autocomplete": "off"}),
        help_text="From a spreadsheet or a text file: client, place, host, ucc, note.",
    )
    whole = forms.BooleanField(
        label="These lines are the whole inventory",
        required=False,
        help_text="Clients that are not among them are removed. You see which before anything is done.",
    )

    def clean(self) -> dict[str, Any]:
        """Require exactly one table, of a bearable size."""
        cleaned = super().clean() or self.cleaned_data
        upload, pasted = cleaned.get("chosen"), cleaned.get("pasted", "").strip()
        if "chosen" in self.errors:
            return cleaned
        if upload and pasted:
            self.add_error("pasted", "Choose a file, or paste lines, not both.")
        elif not upload and not pasted:
            self.add_error("chosen", "Choose a file, or paste lines below.")
        elif upload and (upload.size or 0) > MAX_BYTES:
            self.add_error("chosen", f"This is {upload.size / 1e6:.1f} MB; at most {MAX_BYTES // 1_000_000} MB.")
        return cleaned

    def source(self) -> tuple[str, bytes]:
        """Return name and content."""
        upload = self.cleaned_data["chosen"]
        if upload:
            return (upload.name or "file")[:120], upload.read()
        return "pasted lines", self.cleaned_data["pasted"].encode("utf-8", "replace")
