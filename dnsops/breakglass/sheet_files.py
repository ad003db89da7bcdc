"""The offline sheets as HTML files that need nothing else: no server, no network, no other file."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.template.loader import render_to_string

from dnsops.breakglass.bundle import Bundle, BundleError
from dnsops.breakglass.sheet import Sheet, sheet_of


def write_sheets(bundle: Bundle, folder: Path) -> list[Path]:
    """Write one file for each hostname, and ``all.html``; return them. Raises BundleError."""
    style = (settings.ROOT / "static" / "css" / "sheet.css").read_text(encoding="utf-8")
    sheets = [sheet_of(bundle, hostname) for hostname in bundle.hostnames]
    pages = {f"{sheet.hostname.fqdn}.html": [sheet] for sheet in sheets} | {"all.html": sheets}
    try:
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        return [_write(folder / name, some, style) for name, some in pages.items()]
    except OSError as error:
        raise BundleError(f"The sheets cannot be written to {folder} ({error.strerror}).") from error


def _write(path: Path, sheets: list[Sheet], style: str) -> Path:
    page = render_to_string("dnsops/sheet_file.html", {"sheets": sheets, "style": style})
    path.write_text(page, encoding="utf-8")
    return path
