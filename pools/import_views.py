"""The pages Import (upload, look at the difference, confirm) and Export."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from a365admin.accounts.decorators import require
from a365admin.accounts.formstyle import StyledForm
from a365admin.accounts.permissions import Capability
from pools.importing import carried
from pools.importing.apply import ImportResult, apply_import, dry_run
from pools.importing.difference import Action
from pools.importing.document import KINDS
from pools.importing.export import FILE_NAME, export_estate
from pools.importing.reading import MAX_FILES, SourceFile, read_files
from pools.importing.text import MAX_BYTES

_CSV = "Export-Csv {} -NoTypeInformation -Encoding UTF8"
COMMANDS = (  # docs/import.md has them too
    (
        "Front-end pools, their sites and pairs",
        "Get-CsPool | Select-Object Identity, Fqdn, @{n='Site';e={\"$($_.Site)\"}}, "
        "@{n='Services';e={$_.Services -join ' '}}, @{n='BackupPoolFqdn';e={\"$($_.BackupPoolFqdn)\"}} | "
        + _CSV.format("pools.csv"),
    ),
    (
        "Trusted application pools",
        "Get-CsTrustedApplicationPool | Select-Object Identity, PoolFqdn, @{n='Registrar';e={\"$($_.Registrar)\"}} | "
        + _CSV.format("apppools.csv"),
    ),
    (
        "Servers, with their addresses",
        "Get-CsTrustedApplicationComputer | Select-Object Identity, Fqdn, Pool, "
        "@{n='Address';e={(Resolve-DnsName $_.Identity -Type A).IPAddress -join ' '}} | " + _CSV.format("servers.csv"),
    ),
    ("UCCs and their ports", "Get-CsTrustedApplication | " + _CSV.format("applications.csv")),
)
MAX_ROWS = 1500  # of one kind on the page; the audit log holds them all
PASTED = "pasted text"
TOO_OLD = "This difference was shown more than an hour ago, or to somebody else. Choose the files again."
CHANGED = "The estate has changed since the difference was shown, so nothing was imported. This is the difference now."
TOO_LARGE = (
    "These files are too large to be confirmed on a page. Run on the server instead: manage.py import_estate FILE …"
)


class _ManyFiles(forms.ClearableFileInput):
    allow_multiple_selected = True


class _ManyFilesField(forms.FileField):
    """Cleans to a list of uploads; an empty file is the reader's to tell."""

    widget = _ManyFiles

    def clean(self, data: Any, initial: Any = None) -> Any:
        """Clean each upload."""
        several = data if isinstance(data, list | tuple) else [data] if data else []
        return [super(_ManyFilesField, self).clean(upload) for upload in several]


class ImportForm(StyledForm, forms.Form):
    """Files or pasted text, and which pools."""

    chosen = _ManyFilesField(
        label="Files",
        required=False,
        allow_empty_file=True,
        widget=_ManyFiles(attrs={"accept": ".csv,.json,.xml,.clixml,.yaml,.yml,.txt", "multiple": True}),
        help_text=f"CSV, JSON or CliXml of PowerShell, or YAML of ours. At most {MAX_BYTES // 1_000_000} MB together.",
    )
    pasted = forms.CharField(
        label="or paste one",
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false", "autocomplete": "off"}),
    )
    pools = forms.CharField(
        label="Only these trusted application pools",
        required=False,
        max_length=5000,
        widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false", "autocomplete": "off"}),
        help_text="Full names, one on each line. Empty: all that the files hold, other products' pools included.",
    )

    def clean(self) -> dict[str, Any]:
        """Require something to read, of a bearable size before it is read into memory."""
        cleaned = super().clean() or self.cleaned_data
        uploads = cleaned.get("chosen", [])
        if "chosen" not in self.errors and not uploads and not cleaned.get("pasted", "").strip():
            self.add_error("chosen", "Choose at least one file, or paste the content of one below.")
        if len(uploads) > MAX_FILES:
            self.add_error("chosen", f"These are {len(uploads)} files; choose at most {MAX_FILES}.")
        total = sum(upload.size or 0 for upload in uploads)
        if total > MAX_BYTES:
            sentence = (
                f"These are {total / 1e6:.1f} MB; at most {MAX_BYTES // 1_000_000} MB can be read. Export less at once."
            )
            self.add_error("chosen", sentence)
        return cleaned

    def sources(self) -> list[SourceFile]:
        """Return what was given, as files."""
        found = [SourceFile((upload.name or "file")[:120], upload.read()) for upload in self.cleaned_data["chosen"]]
        pasted = self.cleaned_data["pasted"]
        if pasted.strip():
            found.append(SourceFile(PASTED, pasted.encode("utf-8", "replace")))
        return found

    def pool_names(self) -> list[str]:
        """Return the pools that the import is restricted to."""
        return [name for name in re.split(r"[\s,;]+", self.cleaned_data["pools"]) if name]


@require(Capability.EDIT_ESTATE)
@require_http_methods(["GET", "POST"])
def import_page(request: HttpRequest) -> HttpResponse:
    """Ask for files; POST shows the difference, changing nothing."""
    if request.method != "POST":
        return render(request, "pools/importing/import.html", {"form": ImportForm(), "commands": COMMANDS})
    form = ImportForm(request.POST, request.FILES)
    if not form.is_valid():
        return render(request, "pools/importing/import.html", {"form": form, "commands": COMMANDS}, status=422)
    files, pools = form.sources(), form.pool_names()
    return _difference_page(request, files, pools, dry_run(read_files(files, pools=pools)))


@require(Capability.EDIT_ESTATE)
@require_http_methods(["POST"])
def confirm(request: HttpRequest) -> HttpResponse:
    """Apply exactly the difference that was shown, or show the new one."""
    given = carried.unpack(request.POST.get("carried", ""), user_id=request.user.pk or 0)
    if given is None:
        messages.warning(request, TOO_OLD)
        return redirect("pools:estate-import")
    reading = read_files(given.files, pools=given.pools)
    result = apply_import(reading, sources=[file.name for file in given.files], digest=given.digest)
    if result.applied:
        difference = result.difference
        messages.success(
            request, f"Imported: {difference.count(Action.ADD)} added, {difference.count(Action.CHANGE)} changed."
        )
        return redirect("pools:estate")
    if result.stale:
        messages.warning(request, CHANGED)
        result = dry_run(reading)
    return _difference_page(request, given.files, given.pools, result, status=409)


@require(Capability.EDIT_ESTATE)
@require_safe
def export_page(request: HttpRequest) -> HttpResponse:
    """The whole estate as a file."""
    response = HttpResponse(export_estate(to="a browser"), content_type="application/yaml; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{FILE_NAME}"'
    response["Cache-Control"] = "no-store"
    return response


def _difference_page(
    request: HttpRequest, files: Sequence[SourceFile], pools: Sequence[str], result: ImportResult, status: int = 200
) -> HttpResponse:
    difference = result.difference
    packed = None
    if result.ready:
        packed = carried.pack(files=files, pools=pools, digest=difference.digest, user_id=request.user.pk or 0)
    context = {
        "result": result,
        "added": difference.count(Action.ADD),
        "changed": difference.count(Action.CHANGE),
        "unchanged": _by_kind(difference.unchanged),
        "unchanged_count": sum(map(len, difference.unchanged.values())),
        "kept": _by_kind(difference.kept),
        "kept_count": sum(map(len, difference.kept.values())),
        "sections": _sections(result),
        "files": files,
        "pools": pools,
        "carried": packed,
        "too_large": TOO_LARGE if result.ready and packed is None else "",
    }
    return render(request, "pools/importing/difference.html", context, status=422 if result.problems else status)


def _sections(result: ImportResult) -> list[dict[str, Any]]:
    """The changes by kind, in the order in which they are written."""
    sections = []
    for kind in KINDS.values():
        changes = [change for change in result.difference.changes if change.kind is kind]
        if changes:
            sections.append(
                {
                    "kind": kind,
                    "changes": changes[:MAX_ROWS],
                    "count": len(changes),
                    "more": max(len(changes) - MAX_ROWS, 0),
                }
            )
    return sections


def _by_kind(names: Any) -> list[tuple[str, Sequence[str]]]:
    return [(kind.plural, names[slug]) for slug, kind in KINDS.items() if names.get(slug)]
