"""“Can we fail over now?” as a hostname's page shows it: what was found, and how old that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.utils import timezone

from dnsops.conf import conf
from dnsops.models import Readiness
from dnsops.pages import KIND_NOUN, KIND_VERB
from dnsops.readiness import TITLES, Question, Ready
from pools.models import DedicatedHostname

STALE_AFTER_INTERVALS = 2.5
WORDS = {Ready.OK: "Fine", Ready.WARN: "Warning", Ready.BAD: "Forbids it", Ready.UNKNOWN: "Not known"}
ICONS = {
    Ready.OK: "circle-check-filled",
    Ready.WARN: "alert-triangle-filled",
    Ready.BAD: "square-x-filled",
    Ready.UNKNOWN: "help-octagon-filled",
}


@dataclass(frozen=True, slots=True)
class ReadyLine:
    """One question, its answer, and how it is marked."""

    title: str
    level: str
    word: str
    icon: str
    sentence: str


@dataclass(frozen=True, slots=True)
class ReadinessPage:
    """What was found last. ``stale``: too old to be believed, so nothing is shown as good."""

    found: Readiness | None
    headline: str
    verb: str
    noun: str
    answer: str
    stale: bool
    lines: Sequence[ReadyLine]
    interval_s: float


def readiness_page(hostname: DedicatedHostname) -> ReadinessPage:
    """Read the row, and put it into words. One query."""
    found = Readiness.objects.filter(hostname=hostname).first()
    interval_s = conf().readiness_interval_s
    if found is None:
        return ReadinessPage(None, "Not looked at yet.", "", "", "unknown", False, (), interval_s)
    stale = timezone.now() - found.checked_at > timedelta(seconds=STALE_AFTER_INTERVALS * interval_s)
    lines = [_line(Question(question), Ready(level), sentence) for question, level, sentence in found.lines]
    answer = "unknown" if stale else found.level
    verb, noun = KIND_VERB[found.kind], KIND_NOUN[found.kind]
    return ReadinessPage(found, _headline(answer), verb, noun, answer, stale, lines, interval_s)


def _headline(answer: str) -> str:
    return {
        Ready.OK.value: "Yes.",
        Ready.WARN.value: "Yes, with a warning.",
        Ready.BAD.value: "No.",
        Ready.UNKNOWN.value: "Not known.",
    }[answer]


def _line(question: Question, level: Ready, sentence: str) -> ReadyLine:
    return ReadyLine(TITLES[question], level.value, WORDS[level], ICONS[level], sentence)
