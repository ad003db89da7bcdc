"""Look for drift: read what the standing checks found, make sure by asking, and open or close ``Drift`` rows.

Changes nothing in DNS. What is decided, is decided in ``drift.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import OuterRef, Q, Subquery
from django.utils import timezone

from a365admin.audit import services as audit
from a365admin.prepared import Prepared
from dnsops import verify, wiring
from dnsops.conf import conf
from dnsops.drift import Drifted, DriftFacts, DriftKind, Resolution, Verdict, judge
from dnsops.lifecycle import ACTIVE, OperationKind, OperationState
from dnsops.models import AnswerSource, Drift, ExpectedAnswer, FailoverOperation
from dnsops.plan import Answer, RRset
from dnsops.standing import Standing, standing
from pools import live
from pools.models import CheckState, DedicatedHostname

LATELY_S = 10.0
ASKED_AT_ONCE = 16
ASKED_IN_ONE_RUN = 64


@dataclass(slots=True)
class Case:
    """One hostname that is looked at, with everything that is known of it here."""

    hostname: DedicatedHostname
    expected: ExpectedAnswer | None
    said: list[Answer]
    standing: list[Standing]
    latest: FailoverOperation | None
    busy: bool
    open: Drift | None

    def facts(self, said: list[Answer] | None = None) -> DriftFacts:
        """What ``drift.judge`` decides from."""
        kept = self.expected
        unknown = self.latest is not None and self.latest.state == OperationState.UNKNOWN
        return DriftFacts(
            expected=RRset.from_dict(kept.rrset) if kept else None,
            said=self.said if said is None else said,
            earlier=[RRset.from_dict(old) for old in kept.previous] if kept else [],
            possible=_new_of(self.latest) if unknown and self.latest else None,
            operation_active=self.busy,
        )


def look(*, everything: bool = False) -> set[int]:
    """Look at the hostnames about which something changed lately, or at all. Returns those whose drift changed."""
    ids = None if everything else _candidates()
    if ids is not None and not ids:
        return set()
    cases = _cases(ids)
    changed = {case.hostname.pk for case in cases if _settle(case)}
    for case in cases:
        _remember(case)
    if changed:
        live.bump_and_publish(hostname_ids=changed)
    return changed


def _candidates() -> set[int]:
    """Hostnames of which DNS, or an operation, has told something new; and those with an open drift, or without a past.

    Four small queries, however large the estate.
    """
    lately = timezone.now() - timedelta(seconds=LATELY_S)
    found: set[Any] = {*_with_news(lately), *_with_drift(), *_operated_on(lately), *_without_past()}
    found.discard(None)
    return found


# Asked each second, whether or not anything has changed.
_with_news = Prepared(
    lambda lately: CheckState.objects.filter(kind="dns", checked_at__gte=lately).values_list("hostname_id", flat=True),
    datetime,
)
_with_drift = Prepared(lambda: Drift.objects.filter(closed_at=None).values_list("hostname_id", flat=True))
_operated_on = Prepared(
    lambda lately: FailoverOperation.objects.filter(Q(written_at__gte=lately) | Q(ended_at__gte=lately)).values_list(
        "hostname_id", flat=True
    ),
    datetime,
)
_without_past = Prepared(lambda: DedicatedHostname.objects.filter(expected_answer=None).values_list("pk", flat=True))


def _cases(ids: Iterable[int] | None) -> list[Case]:
    """The cases, with what operations wrote since; those that look strange are asked anew."""
    cases = _read(ids)
    for case in cases:
        _follow_operations(case)
    _ask_again([case for case in cases if _is_strange(case)])
    return cases


def _read(ids: Iterable[int] | None) -> list[Case]:
    hostnames = DedicatedHostname.objects.select_related("expected_answer__operation")
    if ids is not None:
        hostnames = hostnames.filter(pk__in=list(ids))
    known = {hostname.pk: hostname for hostname in hostnames}
    said = standing(known)
    operations = _latest_operations(known)
    drifts = {drift.hostname_id: drift for drift in Drift.objects.filter(hostname__in=known, closed_at=None)}
    return [
        Case(
            hostname=hostname,
            expected=_kept(hostname),
            said=[one.answer for one in said.get(pk, [])],
            standing=said.get(pk, []),
            latest=operations.get(pk),
            busy=pk in operations and operations[pk].state in {s.value for s in ACTIVE},
            open=drifts.get(pk),
        )
        for pk, hostname in known.items()
    ]


def _kept(hostname: DedicatedHostname) -> ExpectedAnswer | None:
    kept: ExpectedAnswer | None = getattr(hostname, "expected_answer", None)
    return kept if kept is not None and kept.fqdn == hostname.fqdn else None  # renamed: begins anew


def _latest_operations(ids: Iterable[int]) -> dict[int, FailoverOperation]:
    """The latest operation of each hostname that wrote, may have written, or is at work; the others stay unread."""
    states = [*(s.value for s in ACTIVE), OperationState.UNKNOWN.value]
    wrote = FailoverOperation.objects.filter(
        Q(written_at__isnull=False) | Q(state__in=states), hostname=OuterRef("pk")
    ).order_by("-created_at")
    latest = DedicatedHostname.objects.filter(pk__in=list(ids)).values(latest=Subquery(wrote.values("pk")[:1]))
    return {operation.hostname_id: operation for operation in FailoverOperation.objects.filter(pk__in=latest)}


def _new_of(operation: FailoverOperation) -> RRset:
    return RRset.from_dict(operation.plan["change"]["new"])


def _follow_operations(case: Case) -> None:
    """What an operation wrote is what is expected from then on."""
    operation = case.latest
    if operation is None or operation.written_at is None:
        return
    if case.expected is None or operation.written_at > case.expected.since:
        case.expected = expect(
            case.hostname,
            _new_of(operation),
            AnswerSource.OPERATION,
            since=operation.written_at,
            previous=[operation.plan["change"]["expected"]],
            operation=operation,
        )


def expect(
    hostname: DedicatedHostname,
    rrset: RRset,
    source: AnswerSource,
    *,
    since: datetime,
    previous: list[dict[str, Any]] | None = None,
    operation: FailoverOperation | None = None,
    by_name: str = "",
) -> ExpectedAnswer:
    """Record what DNS should say of a hostname from ``since`` on, and why."""
    kept, _ = ExpectedAnswer.objects.update_or_create(
        hostname=hostname,
        defaults={
            "fqdn": hostname.fqdn,
            "rrset": rrset.as_dict(),
            "previous": previous or [],
            "source": source.value,
            "operation": operation,
            "by_name": operation.requested_by_name if operation else by_name,
            "since": since,
        },
    )
    return kept


def _is_strange(case: Case) -> bool:
    """Whether the standing checks' answers call for a look of our own: a drift is never opened on hearsay."""
    drifted = judge(case.facts())
    if drifted.verdict is not Verdict.DRIFTED or drifted.found is None:
        return False
    return case.open is None or not RRset.from_dict(case.open.found).same_data(drifted.found)


def _ask_again(cases: list[Case]) -> None:
    """Replace what the checks said by what every server says now. What is over the limit waits for the next run."""
    for case in cases[ASKED_IN_ONE_RUN:]:
        case.said = []
    cases = cases[:ASKED_IN_ONE_RUN]
    if not cases:
        return
    endpoints = [wiring.endpoints_of(wiring.zone_for(case.hostname.fqdn)) for case in cases]
    timeout_s = conf().ask_timeout_s
    with ThreadPoolExecutor(ASKED_AT_ONCE, thread_name_prefix="drift") as pool:
        answers = pool.map(
            lambda case, asked: verify.ask_all(asked, case.hostname.fqdn, timeout_s=timeout_s), cases, endpoints
        )
        for case, said in zip(cases, answers, strict=True):
            case.said = said


def _remember(case: Case) -> None:
    """Since when each server says what it says: a row of a standing check is written for other reasons too."""
    kept = case.expected
    if kept is None:
        return
    now = timezone.now()
    seen = {str(one.name_server_id): [one.answer.text, (one.since or now).isoformat()] for one in case.standing}
    for key, before in kept.seen.items():
        if key in seen and seen[key][0] == before[0]:
            seen[key] = before
    if seen != kept.seen:
        ExpectedAnswer.objects.filter(pk=kept.pk).update(seen=seen)


def _settle(case: Case) -> bool:
    """Write what follows from a case. Returns whether its drift changed."""
    drifted = judge(case.facts())
    match drifted.verdict:
        case Verdict.FIRST if drifted.found is not None:
            case.expected = expect(case.hostname, drifted.found, AnswerSource.ENTERED, since=timezone.now())
        case Verdict.OURS if drifted.found is not None and case.latest is not None:
            case.expected = expect(
                case.hostname,
                drifted.found,
                AnswerSource.OPERATION,
                since=timezone.now(),
                previous=[case.latest.plan["change"]["expected"]],
                operation=case.latest,
            )
            return _close(case, timezone.now())
        case Verdict.AS_EXPECTED:
            return _close(case, timezone.now())
        case Verdict.DRIFTED:
            return _open(case, drifted)
        case _:
            pass
    return False


def _close(case: Case, now: datetime) -> bool:
    if case.open is None:
        return False
    operation, resolution = case.latest, Resolution.BY_ITSELF
    if operation is not None and operation.written_at and operation.written_at >= case.open.opened_at:
        put_right = operation.kind == OperationKind.PUT_RIGHT
        resolution = Resolution.PUT_RIGHT if put_right else Resolution.OPERATION
    else:
        operation = None
    return end_drift(
        case.open, resolution, now, operation=operation, by_name=operation.requested_by_name if operation else ""
    )


def end_drift(
    drift: Drift,
    resolution: Resolution,
    now: datetime,
    *,
    operation: FailoverOperation | None = None,
    by_name: str = "",
    by_id: int | None = None,
    reason: str = "",
) -> bool:
    """Close a drift, once, with its audit entry. False where it has been closed meanwhile."""
    with transaction.atomic():
        mine = Drift.objects.filter(pk=drift.pk, closed_at=None).update(
            closed_at=now,
            resolution=resolution.value,
            closed_by_name=by_name,
            closed_by_id=by_id or (operation.requested_by_id if operation else None),
            operation=operation,
        )
        if mine:
            audit.record(
                action=f"drift.{resolution.value}",
                object=drift.hostname,
                reason=reason or RESOLUTION_WORDS[resolution],
                before={"expected": str(RRset.from_dict(drift.expected)), "found": str(RRset.from_dict(drift.found))},
                after={"operation": str(operation.pk) if operation else "", "by": by_name},
            )
    return bool(mine)


RESOLUTION_WORDS: Mapping[Resolution, str] = {
    Resolution.ADOPTED: "Adopted: our records follow what DNS says.",
    Resolution.PUT_RIGHT: "Put right by an operation.",
    Resolution.OPERATION: "An operation has moved the hostname since.",
    Resolution.BY_ITSELF: "DNS says again what is expected; no operation of ours did that.",
    Resolution.CHANGED_AGAIN: "DNS says something else again.",
}


def _open(case: Case, drifted: Drifted) -> bool:
    """Open a drift, once; one that is open and says something else is closed before."""
    assert drifted.found is not None
    assert drifted.kind is not None
    assert case.expected is not None
    now = timezone.now()
    if case.open is not None:
        if RRset.from_dict(case.open.found).same_data(drifted.found):
            return _keep(case.open, drifted)
        end_drift(case.open, Resolution.CHANGED_AGAIN, now)
    try:
        with transaction.atomic():
            active = FailoverOperation.objects.filter(
                hostname=case.hostname, state__in=[state.value for state in ACTIVE]
            )
            if active.exists():  # began after we had looked: it looks for itself
                return False
            Drift.objects.create(
                hostname=case.hostname,
                kind=drifted.kind.value,
                servers=", ".join(drifted.servers)[:500],
                expected=case.expected.rrset,
                found=drifted.found.as_dict(),
                last_change=last_change(case.expected),
                opened_at=now,
            )
            audit.record(
                action="drift.found",
                object=case.hostname,
                reason=f"{', '.join(drifted.servers)} says {drifted.found}; no operation of ours wrote that.",
                before={"answer": str(RRset.from_dict(case.expected.rrset)), "since": last_change(case.expected)},
                after={"answer": str(drifted.found), "kind": drifted.kind.value},
            )
    except IntegrityError:
        return False  # another worker was faster
    return True


def _keep(drift: Drift, drifted: Drifted) -> bool:
    """The same as before; who says so may have changed, as when a change replicates to the writer."""
    assert drifted.kind is not None
    servers = ", ".join(drifted.servers)[:500]
    if (drift.kind, drift.servers) == (drifted.kind.value, servers):
        return False
    return bool(Drift.objects.filter(pk=drift.pk, closed_at=None).update(kind=drifted.kind.value, servers=servers))


def last_change(kept: ExpectedAnswer) -> str:
    """Who last changed the answer here, and when, in words."""
    at = f"{kept.since:%d %b %Y %H:%M:%S} UTC"
    if kept.source == AnswerSource.OPERATION and kept.operation is not None:
        return f"{kept.by_name or 'somebody'}, by the {_noun(kept.operation)} to {kept.operation.to_text}, {at}"
    if kept.source == AnswerSource.ADOPTED:
        return f"{kept.by_name or 'somebody'}, who adopted it, {at}"
    if kept.source == AnswerSource.OPERATION:
        return f"{kept.by_name or 'somebody'}, by an operation, {at}"
    return f"nobody: it was so when the hostname was first looked at, {at}"


def _noun(operation: FailoverOperation) -> str:
    return "putting right" if operation.kind == OperationKind.PUT_RIGHT else str(operation.kind)


def is_serious(kind: str) -> bool:
    """Whether clients are, or may be, misled at this moment."""
    return kind != DriftKind.ONE_SERVER
