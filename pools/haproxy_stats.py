"""Pure: HAProxy's statistics as CSV (management guide, section 9.1) -> which real server gets the clients.

The text comes from another machine and may be hostile: it is bounded, and nothing in it is more than text.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

TEXT_LIMIT = 1024 * 1024
LINES_LIMIT = 5000
NAMED = 5
SERVER_TYPE = "2"
_NEEDED = ("pxname", "svname", "status")

csv.field_size_limit(64 * 1024)


class NotStatisticsError(ValueError):
    """The text is not what was asked for; the message is for the user."""


@dataclass(frozen=True, slots=True)
class Line:
    """One server of one backend. ``changed_s``: seconds since its last change of state, None where it does not say."""

    backend: str
    server: str
    status: str
    backup: bool
    changed_s: float | None
    address: str

    @property
    def up(self) -> bool:
        """Whether new clients may be sent to it: also while its checks have begun to fail (UP 1/3), or are off."""
        return self.status.startswith("UP") or self.status == "no check"


@dataclass(frozen=True, slots=True)
class Usage:
    """Whom the load balancer uses: names of real servers as they are known here; for how long, in seconds.

    ``said``: for each real server that it knows, its state in words.
    """

    in_use: tuple[str, ...] = ()
    used_for_s: float | None = None
    said: Mapping[str, str] = field(default_factory=dict)


def parse(text: str) -> list[Line]:
    """Return the servers in ``text``. Raises NotStatisticsError."""
    lines = text.splitlines()
    head = next((index for index, line in enumerate(lines[:20]) if line.startswith("# pxname,svname,")), None)
    if head is None:
        found = next((line for line in lines if line.strip()), "nothing")
        raise NotStatisticsError(f"no statistics: found “{found[:60]}”, expected “# pxname,svname,…”")
    if len(lines) - head > LINES_LIMIT:
        raise NotStatisticsError(f"more than {LINES_LIMIT} lines of statistics")
    lines[head] = lines[head].removeprefix("# ")
    try:
        rows = list(csv.DictReader(lines[head:]))
    except csv.Error as error:
        raise NotStatisticsError(f"the statistics cannot be read: {error}") from None
    return [_line(row) for row in rows if all(row.get(name) for name in _NEEDED) and row.get("type") == SERVER_TYPE]


def _line(row: Mapping[str, str | None]) -> Line:
    seconds = (row.get("lastchg") or "").strip()
    return Line(
        backend=row["pxname"] or "",
        server=row["svname"] or "",
        status=(row["status"] or "").strip(),
        backup=(row.get("bck") or "0").strip() not in {"", "0"},
        changed_s=float(seconds) if seconds.isascii() and seconds.isdigit() and len(seconds) < 12 else None,
        address=(row.get("addr") or "").strip(),
    )


def usage(lines: Sequence[Line], *, backend: str, real_servers: Sequence[tuple[str, str, str]]) -> Usage:
    """Return whom the load balancer uses of ``real_servers`` (name, FQDN, address of each, the active one first).

    ``backend``: only that one; "" for the one that knows most of them. Of the servers that are up all that are not
    backups are used; where there is none, the first backup. Raises NotStatisticsError.
    """
    known = _known(lines, backend, real_servers)
    up = [(name, line) for name, line in known if line.up]
    used = [(name, line) for name, line in up if not line.backup] or up[:1]
    said = {name: _state(line) for name, line in known}
    if not used:
        return Usage((), _lowest(line for _, line in known), said)
    # A backup has been used since the last active server went; an active one since it came up.
    deciding = known if all(line.backup for _, line in used) else used
    return Usage(tuple(name for name, _ in used), _lowest(line for _, line in deciding), said)


def _known(lines: Sequence[Line], backend: str, real_servers: Sequence[tuple[str, str, str]]) -> list[tuple[str, Line]]:
    by_backend: dict[str, list[tuple[str, Line]]] = {}
    for line in lines:
        name = _name_of(line, real_servers)
        if name and (not backend or line.backend.lower() == backend.lower()):
            by_backend.setdefault(line.backend, []).append((name, line))
    if not by_backend:
        there = sorted({line.backend for line in lines})
        named = ", ".join(f"“{name[:40]}”" for name in there[:NAMED]) or "none"
        what = f"no backend “{backend[:40]}” with these real servers" if backend else "none of these real servers"
        raise NotStatisticsError(f"its statistics know {what}; backends there: {named}")
    return max(by_backend.values(), key=len)


def _name_of(line: Line, real_servers: Sequence[tuple[str, str, str]]) -> str:
    address = line.address.rpartition(":")[0].strip("[]")
    for name, fqdn, own_address in real_servers:
        if line.server.lower() in {name.lower(), fqdn.lower()}:
            return name
        if address and address == own_address:
            return name
    return ""


def _state(line: Line) -> str:
    state = line.status.lower() if line.status.isascii() and line.status.isprintable() else "not known"
    return f"the load balancer says: {state[:40]}{', backup' if line.backup else ''}"


def _lowest(lines: Iterable[Line]) -> float | None:
    seconds = [line.changed_s for line in lines if line.changed_s is not None]
    return min(seconds, default=None)
