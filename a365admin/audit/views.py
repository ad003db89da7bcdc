"""The audit log's pages. Who may read it: ``settings.AUDIT_GUARD``, put around every view in ``urls.py``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, StreamingHttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from a365admin.audit import exports
from a365admin.audit.filters import LogFilter
from a365admin.audit.models import AuditEntry, ChainHead, Outcome
from a365admin.audit.services import HEAD_PK, record, verify_chain

PAGE_SIZE = 50
KINDS = {
    "csv": ("text/csv; charset=utf-8", "csv", exports.as_csv),
    "jsonl": ("application/x-ndjson", "jsonl", exports.as_json_lines),
}


@require_GET
def log(request: HttpRequest) -> HttpResponse:
    """The log, newest first, filtered; paged by the entries' numbers (``?older=N``, ``?newer=N``)."""
    form = LogFilter(request.GET)
    entries = form.entries()
    page, newer, older = _page(request, entries)
    context = {
        "form": form,
        "page": page,
        "newer_url": _url(request, newer=page[0].pk) if newer else "",
        "older_url": _url(request, older=page[-1].pk) if older else "",
        "newest_url": _url(request) if newer else "",
        "csv_url": _url(request, kind="csv"),
        "jsonl_url": _url(request, kind="jsonl"),
        "filtered": form.is_valid() and bool(form.described()),
        "actions": sorted(set(AuditEntry.objects.order_by("-pk").values_list("action", flat=True)[:2000])),
    }
    return render(request, "audit/log.html", context)


def _page(request: HttpRequest, entries: Any) -> tuple[list[AuditEntry], bool, bool]:
    """Return one page and whether there are newer and older entries than its own."""
    older, newer = _number(request, "older"), _number(request, "newer")
    if newer is not None:
        page = list(entries.filter(pk__gt=newer).order_by("pk")[:PAGE_SIZE])[::-1]
    elif older is not None:
        page = list(entries.filter(pk__lt=older)[:PAGE_SIZE])
    else:
        page = list(entries[:PAGE_SIZE])
    if not page:
        return [], False, False
    return page, entries.filter(pk__gt=page[0].pk).exists(), entries.filter(pk__lt=page[-1].pk).exists()


def _number(request: HttpRequest, name: str) -> int | None:
    text = request.GET.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _url(request: HttpRequest, **more: object) -> str:
    query = request.GET.copy()
    for name in ("older", "newer", "kind"):
        query.pop(name, None)
    for name in [name for name, value in query.items() if not value]:
        query.pop(name)
    for name, value in more.items():
        query[name] = str(value)
    return f"?{query.urlencode()}"


@dataclass(frozen=True, slots=True)
class Difference:
    """One field of an entry, before and after."""

    name: str
    before: Any
    after: Any
    word: str


def differences(entry: AuditEntry) -> list[Difference]:
    """The entry's fields, changed ones first, in the order in which they were recorded."""
    missing = object()
    found = []
    for name in dict.fromkeys([*entry.after, *entry.before]):
        before, after = entry.before.get(name, missing), entry.after.get(name, missing)
        word = "added" if before is missing else "removed" if after is missing else "changed"
        word = "same" if before == after else word
        found.append(Difference(name, None if before is missing else before, None if after is missing else after, word))
    return sorted(found, key=lambda difference: difference.word == "same")


@require_GET
def entry(request: HttpRequest, pk: int) -> HttpResponse:
    """One entry: before and after, field by field, and what else happened in the same request."""
    found = get_object_or_404(AuditEntry, pk=pk)
    related = AuditEntry.objects.exclude(pk=pk).filter(request_id=found.request_id).exclude(request_id="")
    context = {"entry": found, "differences": differences(found), "related": related[:100]}
    return render(request, "audit/entry.html", context)


@require_GET
def export(request: HttpRequest) -> StreamingHttpResponse | HttpResponse:
    """Stream the filtered log as a file (``?kind=csv|jsonl``); the export is an entry itself."""
    form = LogFilter(request.GET)
    kind = KINDS.get(request.GET.get("kind", "csv"))
    if kind is None or not form.is_valid():
        return HttpResponseBadRequest("This filter cannot be read. Go back to the audit log and set it again.")
    content_type, suffix, writer = kind
    own = record(
        action="audit.exported",
        object_type="audit log",
        object_name=f"as {suffix.upper()}",
        after={"filter": form.described() or "none: the whole log", "format": suffix},
    )
    response = StreamingHttpResponse(writer(form.entries().filter(pk__lt=own.pk)), content_type=content_type)
    name = f"a365admin-audit-{timezone.localtime():%Y%m%d-%H%M%S}.{suffix}"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Cache-Control"] = "no-store"
    return response


@require_http_methods(["GET", "POST"])
def verify(request: HttpRequest) -> HttpResponse:
    """Explain the chain (GET), or verify all of it now (POST)."""
    report = verify_chain() if request.method == "POST" else None
    if report is not None:
        record(
            action="audit.verified",
            outcome=Outcome.OK if report.ok else Outcome.FAILED,
            object_type="audit log",
            object_name="chain",
            after={"result": report.sentence, "entries": report.count, "last hash": report.last_hash},
        )
    context = {
        "report": report,
        "head": ChainHead.objects.filter(pk=HEAD_PK).first(),
        "last": AuditEntry.objects.filter(action="audit.verified").order_by("-pk").first(),
    }
    return render(request, "audit/verify.html", context)
