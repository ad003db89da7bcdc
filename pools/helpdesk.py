"""The same state in the words of people who are not administrators: for the helpdesk, and for a wall screen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.safestring import SafeString

from pools.health import Health, Situation
from pools.kept import Kept
from pools.overview import MAINTENANCE, OperationNote, Overview, Row

_ORDER = {"down": 0, "switching": 1, "unknown": 2, "degraded": 3, "maintenance": 4, "up": 5}


class Words(NamedTuple):
    """How a service is, and what to tell callers."""

    said: str
    tell: str


_RESTART = "If one caller has trouble, ask them to close the program and start it again; then log a ticket."
_WORDS: Mapping[str, Words] = {
    Situation.WORKING: Words("working", f"It works. {_RESTART}"),
    Situation.ON_STANDBY: Words(
        "working, on the standby server",
        "It works. Whoever still sees an empty screen should close the program and start it again.",
    ),
    Situation.NO_DATA: Words(
        "not working, screens open but stay empty",
        "We know about it. Screens open but stay empty, and calls are not shown. Restarting does not help.",
    ),
    Situation.SOME_UCCS_DOWN: Words(
        "working for some queues, not for others",
        "We know about it. Some queues show no data; the others work.",
    ),
    Situation.SCREENS_DEAD: Words(
        "calls come in, but screens do not open",
        "We know about it. Calls can be answered on the phone; wallboards and attendant screens do not open.",
    ),
    Situation.SERVER_DOWN: Words(
        "not working",
        "We know about it. Screens do not open and show no calls. Restarting does not help.",
    ),
    Situation.DNS_SPLIT: Words(
        "working for some, not for others",
        "We know about it. It differs from place to place. Closing the program and starting it again may help.",
    ),
    Situation.DNS_FOREIGN: Words(
        "not certain, its address leads somewhere unexpected",
        "We are looking at it. Please give me your location and the time; I will log a ticket.",
    ),
    Situation.DNS_MISSING: Words(
        "not working, its address is gone", "We know about it. Programs cannot find the service. Please wait."
    ),
    Situation.DNS_SILENT: Words(
        "probably working, but we cannot see its address",
        "Most people will notice nothing. If you cannot open it, I will log a ticket.",
    ),
    Situation.BOTH_ACTIVE: Words(
        "working, but some may miss calls on their screen",
        "If calls are missing on your screen, close the program and start it again; then I will log a ticket.",
    ),
    Situation.BEHIND_GREEN: Words(
        "calls come in, but screens do not open",
        "We know about it. Calls can be answered on the phone; wallboards and attendant screens do not open.",
    ),
    Situation.CHECK_UCC_GONE: Words(
        "not working",
        "We know about it. Screens do not open and show no calls. Restarting does not help.",
    ),
    Situation.BALANCER_DISAGREES: Words(
        "working, but we are looking at it",
        "If your screen stays empty, close the program and start it again; then I will log a ticket.",
    ),
    Situation.THROUGH_NAME: Words(
        "not working",
        "We know about it. Programs do not reach the service. Restarting does not help.",
    ),
    Situation.STANDBY_NOT_READY: Words("working", f"It works. {_RESTART}"),
    Situation.CERTIFICATE: Words(
        "working", "It works. If you see a security warning, do not click it away; I will log a ticket."
    ),
    Situation.UNKNOWN: Words(
        "not known at this moment",
        "We cannot see at this moment whether it works. Please tell me what you see; I will log a ticket.",
    ),
}
_MOVING = Words(
    "being moved to another server at this moment",
    "We are moving it now. In a few minutes, close the program and start it again if its screen is empty.",
)
_OTHER_DATACENTRE = Words("working, in the other datacentre", _WORDS[Situation.ON_STANDBY].tell)
# What has not reached callers yet where another real server still serves them.
_WORKS_WHILE_DEGRADED = frozenset({Situation.CHECK_UCC_GONE, Situation.BEHIND_GREEN})
# What administrators have to mend, and callers do not notice.
_WORKS_FOR_CALLERS = frozenset({Situation.STANDBY_NOT_READY, Situation.CERTIFICATE})


@dataclass(frozen=True, slots=True)
class HelpdeskLine:
    """One service in helpdesk's words."""

    row: Row
    state: str
    words: Words
    who: str
    since: datetime | None

    @property
    def ticket(self) -> str:
        """The text that goes into the ticket."""
        row, words = self.row, self.words
        return f"Service: {row.service_name} ({row.fqdn})\nState: {words.said}\nTold the caller: {words.tell}"


def helpdesk_lines(overview: Overview, notes: Mapping[int, OperationNote]) -> list[HelpdeskLine]:
    """One line for each service, those with trouble first."""
    lines = [_line(row, overview, notes.get(row.pk)) for row in overview.rows]
    return sorted(lines, key=lambda line: (_ORDER[line.state], line.row.service_name))


_lists: Kept[SafeString] = Kept(limit=16)


def forget_kept() -> None:
    """Forget everything that this process keeps (for tests)."""
    _lists.forget()


def list_html(overview: Overview, notes: Mapping[int, OperationNote], *, query: str) -> SafeString:
    """The helpdesk's list, kept for as long as nothing in it changes, for each time zone."""

    def make() -> SafeString:
        lines = helpdesk_lines(overview, notes)
        if query:
            lines = [line for line in lines if query.lower() in f"{line.row.service_name} {line.row.fqdn}".lower()]
        context = {"lines": lines, "q": query, "all_well": all(line.state == "up" for line in lines)}
        return render_to_string("pools/helpdesk_list.html", context)

    key = (overview.key, frozenset(notes.values()), query, timezone.get_current_timezone_name())
    return _lists.get(key, make)


def _line(row: Row, overview: Overview, note: OperationNote | None) -> HelpdeskLine:
    if note is not None and note.active:
        return HelpdeskLine(row, "switching", _MOVING, f"{note.by} is moving it now", note.since)
    who = f"{note.by} moved it last" if note else ""
    if row.pk in overview.stale:
        return HelpdeskLine(row, "unknown", _WORDS[Situation.UNKNOWN], who, None)
    situation = row.situation or Situation.UNKNOWN
    state = row.state
    if state == Health.DEGRADED and situation in _WORKS_FOR_CALLERS:
        state = Health.UP.value
    words = _words(row, situation)
    if state == MAINTENANCE:
        tell = f"This is planned maintenance. {words.tell.removeprefix('We know about it. ')}"
        words = Words(f"{words.said}, in planned maintenance", tell)
    since = row.active_since if situation == Situation.ON_STANDBY and row.active_since else row.since
    return HelpdeskLine(row, state, words, who, since)


def _words(row: Row, situation: str) -> Words:
    if situation == Situation.ON_STANDBY and row.balanced:
        return _OTHER_DATACENTRE
    if situation in _WORKS_WHILE_DEGRADED and row.state == Health.DEGRADED:
        return _WORDS[Situation.WORKING]
    return _WORDS.get(situation, _WORDS[Situation.UNKNOWN])


@dataclass(frozen=True, slots=True)
class WallLine:
    """One problem on a wall screen."""

    row: Row
    state: str
    sentence: str


def wall_lines(overview: Overview) -> list[WallLine]:
    """Every row that is not well, worst first."""
    lines = [_wall_line(row, overview) for row in overview.rows if overview.section(row) == "attention"]
    return sorted(lines, key=lambda line: _ORDER[line.state])


def _wall_line(row: Row, overview: Overview) -> WallLine:
    note = overview.switching.get(row.pk)
    if note:
        return WallLine(row, "switching", f"{note.by} is {note.verb} to {note.to}.")
    if row.pk in overview.stale:
        return WallLine(
            row, "unknown", "Not known: the last results are too old." if row.health else "Not checked yet."
        )
    return WallLine(row, row.state, row.phrase or "Not checked yet.")
