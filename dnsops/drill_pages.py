"""What the pages about drills show: a report, and how long ago each hostname was rehearsed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db.models import Max, Q, QuerySet
from django.utils import timezone

from dnsops.conf import conf
from dnsops.drill_models import RUNNING, Drill, DrillState
from dnsops.drilling import outage_sentence
from dnsops.outages import Outages, age_in_days
from dnsops.pages import OperationPage, duration, find_operations, operation_page
from pools.models import DedicatedHostname

_RUNNING = sorted(state.value for state in RUNNING)
DRILL_WORDS = {
    DrillState.THERE.value: ("Failing over", "switching"),
    DrillState.STAYING.value: ("On the standby", "switching"),
    DrillState.BACK.value: ("Failing back", "switching"),
    DrillState.SUCCEEDED.value: ("Succeeded", "up"),
    DrillState.FAILED.value: ("Failed", "down"),
}


@dataclass(frozen=True, slots=True)
class DrillPage:
    """Everything that a drill's report shows."""

    drill: Drill
    word: str
    status: str
    running: bool
    ways: Sequence[tuple[str, OperationPage]]
    seen: Outages
    mark: str

    @property
    def sentence(self) -> str:
        """What is going on, or how it ended."""
        if self.drill.result:
            return self.drill.result
        return {
            DrillState.THERE.value: "The failover runs; a client probes through the hostname meanwhile.",
            DrillState.STAYING.value: "Clients are on the standby. It is failed back by itself.",
            DrillState.BACK.value: "The failback runs.",
        }.get(self.drill.state, "")

    @property
    def measured(self) -> str:
        """What the client saw so far."""
        return outage_sentence(self.seen)

    @property
    def longest(self) -> str:
        """The longest outage."""
        return f"{self.seen.longest_s:.1f} s" if self.seen.failed else "none"

    @property
    def longest_at(self) -> datetime | None:
        """When it began (UTC)."""
        return datetime.fromtimestamp(self.seen.longest_at, tz=UTC) if self.seen.failed else None

    @property
    def took(self) -> str:
        """How long the drill took."""
        ended = self.drill.ended_at
        return duration((ended - self.drill.created_at).total_seconds()) if ended else ""


def find_drills() -> QuerySet[Drill]:
    """Drills, newest first."""
    return Drill.objects.select_related("hostname", "there", "back").order_by("-created_at")


def drill_page(drill: Drill) -> DrillPage:
    """Gather a drill's report in a fixed number of queries."""
    ids = [pk for pk in (drill.there_id, drill.back_id) if pk is not None]
    operations = {operation.pk: operation for operation in find_operations().filter(pk__in=ids)}
    word, status = DRILL_WORDS[drill.state]
    ways = [("There", operations[drill.there_id])]
    if drill.back_id is not None:
        ways.append(("Back", operations[drill.back_id]))
    return DrillPage(
        drill=drill,
        word=word,
        status=status,
        running=drill.state in _RUNNING,
        ways=[(name, operation_page(operation)) for name, operation in ways],
        seen=Outages.from_dict(drill.seen),
        mark=drill_mark(drill),
    )


def drill_mark(drill: Drill) -> str:
    """A short text that changes whenever something that the page shows has changed."""
    parts = [drill.state, drill.result, str(drill.back_id), repr(sorted(drill.seen.items()))]
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:12]


def drill_marks(ids: Iterable[str] | None = None) -> dict[str, str]:
    """Marks by id: of those of ``ids`` that are drills, or of all that run or ended in the last two minutes."""
    drills = Drill.objects.all()
    if ids is not None:
        drills = drills.filter(pk__in=list(ids))
    else:
        recent = timezone.now() - timedelta(minutes=2)
        drills = drills.filter(Q(state__in=_RUNNING) | Q(ended_at__gte=recent))
    return {str(drill.pk): drill_mark(drill) for drill in drills[:20]}


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """When a hostname was last rehearsed, in words."""

    fqdn: str
    status: str
    sentence: str
    last: Drill | None = None


def rehearsed(hostname: DedicatedHostname) -> Rehearsed:
    """When this hostname was last rehearsed; only a drill that succeeded counts."""
    last = Drill.objects.filter(hostname=hostname, state=DrillState.SUCCEEDED.value).first()
    age_s = (timezone.now() - last.ended_at).total_seconds() if last and last.ended_at else None
    return Rehearsed(hostname.fqdn, *age_in_days(age_s, limit_days=conf().drill_days), last)


def overdue() -> list[Rehearsed]:
    """The hostnames that have not been rehearsed for too long, or never, in one query."""
    done = Q(drills__state=DrillState.SUCCEEDED.value)
    rows = DedicatedHostname.objects.annotate(last=Max("drills__ended_at", filter=done)).values_list("fqdn", "last")
    now, limit_days = timezone.now(), conf().drill_days
    found = [
        Rehearsed(fqdn, *age_in_days((now - last).total_seconds() if last else None, limit_days=limit_days))
        for fqdn, last in rows
    ]
    return [line for line in found if line.status != "up"]
