"""What the overview shows: rows, counts, sections. Read in a fixed number of queries, rendered once for each version.

Three memories make it cheap: freshness is read at most once a second; the rows are read again only when their
fingerprint in the database has changed; a row is rendered again only when something in it has changed. The fingerprint
comes from the database and not from the live version, so that a row whose transaction ended late is never missed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from django.conf import settings
from django.db.models import Count, Exists, Max, OuterRef, Sum
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.module_loading import import_string
from django.utils.safestring import SafeString, mark_safe

from pools import live
from pools.health import STALE_AFTER_INTERVALS, Health
from pools.history import reading as history
from pools.kept import Kept, Recent
from pools.models import DedicatedHostname, FailoverTarget, HostnameStatus

FILTERS = ("down", "degraded", "switching", "standby", "unknown", "maintenance", "up")
_ORDER = {"down": 0, "switching": 1, "unknown": 2, "degraded": 3, "maintenance": 4, "up": 5}

MAINTENANCE = "maintenance"


@dataclass(frozen=True, slots=True)
class OperationNote:
    """What dnsops tells about a hostname's latest operation. ``since``: its click, or its end where it has ended."""

    hostname_id: int
    url: str
    active: bool
    verb: str
    to: str
    by: str
    since: datetime
    sentence: str = ""


class Row(NamedTuple):
    """One hostname as the overview shows it: exactly the columns of ``_COLUMNS``, and so its own cache key."""

    pk: int
    fqdn: str
    service_name: str
    pool: str
    front_end_pool_id: int
    front_end_pool: str
    health: str | None
    situation: str | None
    phrase: str | None
    active_name: str | None
    active_text: str | None
    standby_name: str | None
    standby_ready: bool | None
    standby_phrase: str | None
    on_primary: bool | None
    since: datetime | None
    active_since: datetime | None
    latency_ms: float | None
    version: int | None
    planned: bool | None
    maintenance: str | None
    has_standby: bool
    balanced: bool = False

    @property
    def state(self) -> str:
        """Its health as a word of the code; "maintenance" where all that is wrong is planned; unknown without one."""
        return MAINTENANCE if self.planned else self.health or Health.UNKNOWN.value


_COLUMNS = (
    "pk",
    "fqdn",
    "service_name",
    "trusted_application_pool__fqdn",
    "trusted_application_pool__front_end_pool_id",
    "trusted_application_pool__front_end_pool__fqdn",
    "status__health",
    "status__situation",
    "status__phrase",
    "active_name",
    "status__active_text",
    "standby_name",
    "status__standby_ready",
    "status__standby_phrase",
    "status__on_primary",
    "status__since",
    "status__active_since",
    "status__latency_ms",
    "status__version",
    "status__planned",
    "status__maintenance",
    "has_standby",
    "balanced",
)


@dataclass(frozen=True, slots=True)
class Ages:
    """How old what we know is. ``oldest``: epoch seconds of a hostname's oldest result; ``limit_s``: then stale."""

    oldest: Mapping[int, float]
    limit_s: Mapping[int, float]
    last_sweep: float | None
    known: bool

    def is_stale(self, hostname_id: int, now: float) -> bool:
        """Whether the hostname's results are too old to be believed, or not there at all."""
        seen = self.oldest.get(hostname_id)
        return seen is None or now - seen > self.limit_s.get(hostname_id, 0.0)


@dataclass(frozen=True, slots=True)
class Overview:
    """All rows, who is switching, what is stale; ``key`` changes when any of it does."""

    rows: Sequence[Row]
    switching: Mapping[int, OperationNote]
    stale: frozenset[int]
    version: int
    key: tuple[Any, ...]
    counts: Mapping[str, int]
    remarks: Mapping[int, str]

    def facets(self, row: Row) -> frozenset[str]:
        """The filters that show this row."""
        facets = {"unknown" if row.pk in self.stale else row.state}
        if row.pk in self.switching:
            facets.add("switching")
        if row.on_primary is False and row.active_name:
            facets.add("standby")
        if row.maintenance:
            facets.add(MAINTENANCE)
        return frozenset(facets)

    def section(self, row: Row) -> str:
        """Where the row stands: among the problems, on the standby, or under its front-end pool."""
        if row.pk in self.stale:
            return "attention"
        return base_section(row, self.switching.get(row.pk))


def base_section(row: Row, note: OperationNote | None) -> str:
    """The section of a row that is not stale."""
    if row.state == MAINTENANCE and note is None:
        return MAINTENANCE
    if row.state != Health.UP or note is not None:
        return "attention"
    return f"pool-{row.front_end_pool_id}" if row.on_primary else "standby"


def sort_key(row: Row, note: OperationNote | None) -> str:
    """Worst first, then by name; the browser sorts by it too when a row moves."""
    return f"{_ORDER['switching'] if note else _ORDER.get(row.state, 2)}{row.fqdn}"


def read_rows(hostname_ids: Iterable[int] | None = None) -> list[Row]:
    """Read rows in one query, all of them or only some."""
    query = DedicatedHostname.objects.annotate(
        has_standby=Exists(FailoverTarget.objects.filter(hostname=OuterRef("pk"), order__gt=1)),
        balanced=Exists(FailoverTarget.objects.filter(hostname=OuterRef("pk"), virtual_service__isnull=False)),
        active_name=Coalesce("status__active_server__name", "status__active_virtual_service__name"),
        standby_name=Coalesce("status__standby_server__name", "status__standby_virtual_service__name"),
    )
    if hostname_ids is not None:
        query = query.filter(pk__in=list(hostname_ids))
    return [Row(*values) for values in query.order_by("fqdn").values_list(*_COLUMNS)]


def _read_ages() -> Ages:
    fresh = live.freshness()
    limits = {pk: interval_s * STALE_AFTER_INTERVALS for pk, interval_s in fresh.interval_s.items()}
    return Ages(fresh.oldest, limits, fresh.last_sweep, fresh.known)


ages = Recent(_read_ages, keep_s=0.3)
"""Freshness, read at most once a second for each process."""


def _read_remarks() -> dict[int, str]:
    read: Callable[[], dict[int, str]] = import_string(settings.REMARKS_SOURCE)
    return read()


remarks = Recent(_read_remarks, keep_s=1.0)
"""What is to be added to a hostname's line, by dnsops; read at most once a second for each process."""


def operation_notes() -> dict[int, OperationNote]:
    """Latest operations by hostname: the active ones and those that ended not long ago. One query of dnsops."""
    read: Callable[[], dict[int, OperationNote]] = import_string(settings.OPERATIONS_SOURCE)
    return read()


_states: Kept[tuple[Sequence[Row], int]] = Kept(limit=2)
_overviews: Kept[Overview] = Kept(limit=4)
_parts: Kept[SafeString] = Kept(limit=64)
_rendered: Kept[SafeString] = Kept(limit=20_000)


def forget_kept() -> None:
    """Forget everything that this process keeps (for tests)."""
    for memory in (_states, _overviews, _parts, _rendered):
        memory.forget()
    ages.forget()
    remarks.forget()
    history.forget_kept()


def _fingerprint() -> tuple[Any, ...]:
    seen = HostnameStatus.objects.aggregate(top=Max("version"), total=Sum("version"), count=Count("pk"))
    return (seen["top"], seen["total"], seen["count"], DedicatedHostname.objects.count())


def read_overview() -> Overview:
    """Return what the overview shows now; three small queries, and the rows only when something changed."""
    fingerprint = _fingerprint()
    rows, version = _states.get(fingerprint, lambda: (read_rows(), fingerprint[0] or 0))
    switching = {pk: note for pk, note in operation_notes().items() if note.active}
    now, age = time.time(), ages.get()
    stale = frozenset(row.pk for row in rows if age.is_stale(row.pk, now))
    said = remarks.get()
    key = (
        fingerprint, stale, tuple(sorted((pk, note.url) for pk, note in switching.items())), tuple(sorted(said.items()))
    )  # fmt: skip
    return _overviews.get(key, lambda: _overview(rows, switching, stale, version, key, said=said))


def overview_for(request: HttpRequest) -> Overview:
    """The overview, read once for each request: the page and its frame show the same."""
    seen: Overview | None = getattr(request, "_overview", None)
    if seen is None:
        seen = read_overview()
        request._overview = seen  # type: ignore[attr-defined]  # noqa: SLF001
    return seen


def _overview(
    rows: Sequence[Row],
    switching: Mapping[int, OperationNote],
    stale: frozenset[int],
    version: int,
    key: tuple[Any, ...],
    *,
    said: Mapping[int, str],
) -> Overview:
    counts = dict.fromkeys(("all", *FILTERS), 0)
    draft = Overview(rows, switching, stale, version, key, counts, said)
    counts["all"] = len(rows)
    for row in rows:
        for facet in draft.facets(row):
            counts[facet] += 1
    return draft


def changed_rows(old: Overview, new: Overview) -> frozenset[int]:
    """Hostnames whose row, or whose operation, is not the same in both."""
    if old.key == new.key:
        return frozenset()
    before = {row.pk: row for row in old.rows}
    changed = {row.pk for row in new.rows if before.get(row.pk) != row}
    changed |= {pk for pk in {*old.remarks, *new.remarks} if old.remarks.get(pk) != new.remarks.get(pk)}
    return frozenset(
        changed | {pk for pk in {*old.switching, *new.switching} if old.switching.get(pk) != new.switching.get(pk)}
    )


_BAR = "<!--bar-->"
"""Where a row's history bar goes: it changes at other times than the row."""


def row_html(row: Row, *, note: OperationNote | None, stale: bool, actions: bool, remark: str = "") -> SafeString:
    """Render one row, or take it from those already rendered. The same for every reader: its times are UTC."""
    html = _rendered.get((row, note, actions, remark), lambda: _render_row(row, note, actions, remark))
    html = mark_safe(html.replace(_BAR, history.all_bars().get(row.pk) or history.empty_bar(), 1))  # noqa: S308
    return mark_safe(html.replace('class="hrow', 'class="hrow is-stale', 1)) if stale else html  # noqa: S308


def _render_row(row: Row, note: OperationNote | None, actions: bool, remark: str) -> SafeString:
    context = {
        "r": row,
        "remark": remark,
        "note": note,
        "actions": actions,
        "section": base_section(row, note),
        "sort": sort_key(row, note),
        "state": "switching" if note else row.state,
    }
    with timezone.override(UTC):
        return render_to_string("pools/row.html", context)


@dataclass(frozen=True, slots=True)
class Section:
    """Rows under one heading. ``fold``: shown as one line until somebody opens it."""

    key: str
    title: str
    lead: str
    fold: bool
    open: bool
    rows: Sequence[SafeString]


def wanted(overview: Overview, *, show: str, query: str) -> list[Row]:
    """The rows that a filter and a search let through."""
    rows: Iterable[Row] = overview.rows
    if show in FILTERS:
        rows = (row for row in rows if show in overview.facets(row))
    if words := query.lower().split():
        rows = (row for row in rows if all(word in _text(row) for word in words))
    return list(rows)


def _text(row: Row) -> str:
    parts = (row.fqdn, row.service_name, row.pool, row.front_end_pool, row.active_name, row.standby_name, row.phrase,
             row.maintenance)  # fmt: skip
    return " ".join(part for part in parts if part).lower()


def list_html(overview: Overview, *, show: str, query: str, actions: bool) -> SafeString:
    """The list below the summary, kept for as long as nothing in it changes."""

    def make() -> SafeString:
        rows = wanted(overview, show=show, query=query)
        sections = _sections(overview, rows, filtered=bool(show or query), actions=actions)
        return render_to_string(
            "pools/overview_list.html",
            {
                "sections": sections,
                "show": show,
                "q": query,
                "empty": not overview.rows,
                "found": len(rows),
                "actions": actions,
            },
        )

    return _parts.get(("list", overview.key, history.latest_slot.get(), show, query, actions), make)


def _sections(overview: Overview, rows: Sequence[Row], *, filtered: bool, actions: bool) -> list[Section]:
    def rendered(row: Row) -> SafeString:
        note = overview.switching.get(row.pk)
        remark = overview.remarks.get(row.pk, "")
        return row_html(row, note=note, stale=row.pk in overview.stale, actions=actions, remark=remark)

    ranked = sorted(rows, key=lambda row: (sort_key(row, overview.switching.get(row.pk)), row.fqdn))
    if filtered:
        return [Section("found", "", "", False, True, [rendered(row) for row in ranked])]
    groups: dict[str, list[SafeString]] = {"attention": [], "standby": [], MAINTENANCE: []}
    titles: dict[str, str] = {}
    for row in ranked:
        groups.setdefault(overview.section(row), []).append(rendered(row))
        titles[f"pool-{row.front_end_pool_id}"] = row.front_end_pool
    sections = [
        Section("attention", "Needs attention", "", False, True, groups["attention"]),
        Section("standby", "Working, on a standby server", "Fail back when the primary is well again.", False, True,
                groups["standby"]),
        Section(MAINTENANCE, "In maintenance", "Planned: no alarm.", False, True, groups[MAINTENANCE]),
    ]  # fmt: skip
    few = len(rows) <= 24
    for key, title in sorted(titles.items(), key=lambda item: item[1]):
        sections.append(Section(key, title, "", True, few, groups.get(key, [])))
    return sections


def clock() -> float:
    """The server's clock, epoch seconds."""
    return time.time()


def fresh_json(*, only: Collection[int] | None = None) -> dict[str, Any]:
    """What the browser needs to say how old each row is: hostname id -> [epoch of its oldest result, stale after s]."""
    age = ages.get()
    ids = {
        str(pk): [round(at, 1), round(age.limit_s.get(pk, 0.0), 1)]
        for pk, at in age.oldest.items()
        if only is None or pk in only
    }
    return {"now": clock(), "known": age.known, "sweep": age.last_sweep, "ids": ids}
