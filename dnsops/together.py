"""Carry out many operations at once, as far as the last DNS server's new answer; ``executor`` does the rest of each.

One by one: each is its own message, and whatever is not plain sailing is left to ``executor``, which resumes from the
rows. All or nothing: one message for each zone; until it is settled only this module may touch those operations, for
``executor`` would send them singly (``claims.claim()`` refuses them while ``together`` is set and nothing is written).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from django.db import transaction
from django.db.models.functions import Coalesce
from django.utils import timezone

from dnsops import asking_many, countdown, target_health, verify, wiring
from dnsops.batch import BATCH_SIZE, Batch, One
from dnsops.checkpoints import checkpoint
from dnsops.conf import conf
from dnsops.ending import evidence_of
from dnsops.lifecycle import Seen, StepKind, StepState
from dnsops.models import DnsChange, Resolver, Zone
from dnsops.plan import Answer
from dnsops.providers.base import ChangesMany, Endpoint, Outcome, OutcomeKind
from dnsops.safety import Rule
from dnsops.site_gathering import probe_targets
from pools import live

MAX_ATTEMPTS = 3
ANSWER_ROOM_S = 1.0
JUST_ASKED_S = 2.0
SILENT_VERIFY_S = 2.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.02, 1.0
# Whoever gets one of these for one record gets it for all: the rest need not be tried.
SAME_FOR_ALL = frozenset({OutcomeKind.UNREACHABLE, OutcomeKind.AUTH, OutcomeKind.CLOCK})
CHANGE_FIELDS = ["answered_at", "outcome", "rcode", "sentence"]


class Together:
    """One go at a batch. ``all_or_nothing``: one message for each zone. ``planned_at``: when the plans were made.

    ``resume_at``: afterwards, when ``executor`` is to take up each operation (id -> UTC).
    """

    def __init__(self, batch: Batch, *, all_or_nothing: bool, planned_at: datetime) -> None:
        self.batch = batch
        self.all_or_nothing = all_or_nothing
        self.planned_at = planned_at
        self.resume_at: dict[str, datetime] = {}
        self.conf = conf()
        self.zones = {z.name: z for z in Zone.objects.select_related("key").prefetch_related("name_servers")}
        self.endpoints = {name: wiring.endpoints_of(zone) for name, zone in self.zones.items()}
        self.answers: dict[One, list[Answer]] = {}
        self.spoke: set[str] = set()
        self.asks_resolvers = Resolver.objects.exists()

    def go(self) -> None:
        """Check again, write, read back, verify, and let all of them go."""
        checkpoint("claimed")
        to_verify = self._check_again()
        self._let_go([one for one in self.batch.ones if wiring.is_by_hand(self.zones.get(one.plan.change.zone))])
        to_write = self._record_changes([one for one in self.batch.ones if one not in to_verify])
        while to_write:
            checkpoint("change_recorded")
            to_write, done = self._write(to_write)
            to_verify += done
        self._verify([one for one in to_verify if one in self.batch.ones])
        checkpoint("verify_recorded")

    def _servers(self, one: One) -> list[Endpoint]:
        return self.endpoints.get(one.plan.change.zone, [])

    def _writer(self, one: One) -> Endpoint | None:
        return wiring.writer_of(self._servers(one))

    def _by_zone(self, ones: Sequence[One]) -> dict[str, list[One]]:
        groups: dict[str, list[One]] = {}
        for one in ones:
            groups.setdefault(one.plan.change.zone, []).append(one)
        return groups

    def _announce(self, ones: Sequence[One]) -> None:
        live.bump_and_publish(hostname_ids=set(), operations={str(one.operation.pk) for one in ones})

    # -------------------------------------------------------------------------------------------------- check again

    def _check_again(self) -> list[One]:
        """Read DNS before anything else; end or let go what must not be written. Returns what is written already."""
        self._ask_every_server()
        checkpoint("asked_again")
        done = [one for one in self.batch.ones if one.sent and one.seen() is Seen.NEW]
        self._settled(done)
        reasons = self._reasons([one for one in self.batch.ones if one not in done])
        if not self.all_or_nothing:
            self._let_go([one for one in reasons if one.seen() is Seen.NEW])
        for one, reason in reasons.items():
            if one not in self.batch.ones:
                continue
            if not one.ended(StepKind.CHECK_AGAIN):
                state = StepState.FAILED if reason else StepState.DONE
                sentence = reason or f"{one.plan.writer} still says {one.plan.change.expected}, as planned."
                one.set_step(StepKind.CHECK_AGAIN, state, sentence, evidence_of(self.answers[one]))
            if reason:
                self.batch.end(one, refusal=reason)
        return done

    def _ask_every_server(self) -> None:
        """Every server, or, where all were asked for the plan a moment ago, the writers alone, as ``executor`` does."""
        age_s = (timezone.now() - self.planned_at).total_seconds()
        just_asked = 0 <= age_s < JUST_ASKED_S and not any(one.sent for one in self.batch.ones)
        asked = {one: [e for e in self._servers(one) if e.is_writer or not just_asked] for one in self.batch.ones}
        found = self._ask([(endpoint, one.name) for one, endpoints in asked.items() for endpoint in endpoints])
        for one, endpoints in asked.items():
            self.answers[one] = [found[endpoint, one.name] for endpoint in endpoints]
            one.at_writer = next((a for a in self.answers[one] if a.server == one.plan.writer), None)

    def _ask(self, pairs: Sequence[asking_many.Pair]) -> dict[asking_many.Pair, Answer]:
        found = asking_many.ask_patiently(pairs, timeout_s=self.conf.ask_timeout_s)
        self.spoke |= {endpoint.name for (endpoint, _), answer in found.items() if answer.answered}
        return found

    def _reasons(self, ones: Sequence[One]) -> dict[One, str]:
        """Why each must not be written; "" where it may."""
        unhealthy = self._health_problems(ones)
        reasons = {one: self._reason_to_stop(one) or unhealthy.get(one, "") for one in ones}
        if not self.all_or_nothing:
            return reasons
        for group in self._by_zone(ones).values():
            stopped = next((one for one in group if reasons[one] and not one.sent), None)
            if stopped is not None:
                reasons |= {one: reasons[one] or _all_or_nothing(stopped, reasons[stopped]) for one in group}
        return reasons

    def _reason_to_stop(self, one: One) -> str:  # noqa: PLR0911 (a list of reasons reads best as one)
        seen, said = one.seen(), one.at_writer.text if one.at_writer else "not asked"
        if self._writer(one) is None:
            return f"Zone {one.plan.change.zone} or its writer is no longer configured."
        if seen in {Seen.SILENT, Seen.ERROR}:
            return f"The writer {one.plan.writer} gives no answer ({said}), so nothing was sent."
        if seen is Seen.OTHER:
            return f"DNS has changed since the click: {one.plan.writer} says {said}, not {one.plan.change.expected}."
        if seen is Seen.NEW:
            return f"{one.plan.writer} already says {one.plan.change.new}." if self.all_or_nothing else ""
        if len(one.changes) >= MAX_ATTEMPTS:
            return f"The change was sent to {one.plan.writer} {len(one.changes)} times without an answer."
        strangers = [a for a in self.answers[one] if a.answered and one.compare(a) is Seen.OTHER]
        if strangers and Rule.ANSWERS_AGREE.value not in one.operation.overridden:
            return f"The DNS servers disagree: {', '.join(f'{a.server} says {a.text}' for a in strangers)}. Look again."
        return ""

    def _health_problems(self, ones: Sequence[One]) -> dict[One, str]:
        """After a wait: targets that no longer work. A forced operation has been decided already."""
        age_s = (timezone.now() - self.planned_at).total_seconds()
        asked = [one for one in ones if not one.operation.forced and not one.sent and one.operation.to_target]
        if age_s <= self.conf.probe_again_after_s or not asked:
            return {}
        targets = {one.operation.hostname_id: to for one in asked if (to := one.operation.to_target)}
        found = probe_targets(targets, timeout_s=self.conf.probe_timeout_s)
        problems = {one: target_health.problem_of(found[one.operation.hostname_id]) for one in asked}
        return {
            one: f"{one.plan.to_server} no longer works as it did at the click: {problem} Look again."
            for one, problem in problems.items()
            if problem
        }

    # -------------------------------------------------------------------------------------------------------- write

    def _record_changes(self, ones: Sequence[One]) -> list[One]:
        """The rows come before the messages: whoever finds one knows that something may have been sent."""
        if not ones:
            return []
        for one in ones:
            if one.steps[StepKind.WRITE].state == StepState.WAITING:
                one.set_step(StepKind.WRITE, StepState.RUNNING, f"Sending the change to {one.plan.writer}.")
        with transaction.atomic():
            lost = self.batch.write(ones)
            kept = [one for one in ones if one not in lost]
            for one in kept:
                one.changes.append(self._change_row(one))
            DnsChange.objects.bulk_create([one.changes[-1] for one in kept], batch_size=BATCH_SIZE)
        return self._without_cancelled(kept, lost) if self.all_or_nothing and lost else kept

    def _change_row(self, one: One) -> DnsChange:
        change = one.plan.change
        return DnsChange(
            operation=one.operation,
            attempt=len(one.changes) + 1,
            writer=str(self._writer(one)),
            zone=change.zone,
            name=change.name,
            before=change.expected.as_dict(),
            after=change.new.as_dict(),
        )

    def _without_cancelled(self, kept: list[One], lost: Sequence[One]) -> list[One]:
        """All or nothing: where one has been cancelled, or taken by somebody, its zone's others do not go either."""
        for one in kept:
            first = next((other for other in lost if other.plan.change.zone == one.plan.change.zone), None)
            if first is not None:
                row = one.changes[-1]
                row.outcome, row.sentence, row.answered_at = OutcomeKind.CONFIG.value, "Not sent.", timezone.now()
                row.save(update_fields=CHANGE_FIELDS)
                self.batch.end(one, refusal=_all_or_nothing(first, "it was cancelled."))
        return [one for one in kept if one in self.batch.ones]

    def _write(self, ones: Sequence[One]) -> tuple[list[One], list[One]]:
        """Send and read back. Returns those to be sent again, and those whose new answer the writer gives."""
        for group in self._by_zone(ones).values():
            outcomes = self._send_together(group) if self.all_or_nothing else self._send_singly(group)
            checkpoint("answer_received")
            self._record_outcomes(outcomes)
        checkpoint("write_recorded")
        self._announce(ones)
        mine = [one for one in ones if one in self.batch.ones]
        self._read_back(mine)
        checkpoint("read_back")
        return self._judge(mine)

    def _send_together(self, group: Sequence[One]) -> dict[One, Outcome]:
        zone, writer = self.zones[group[0].plan.change.zone], self._writer(group[0])
        assert writer is not None
        provider: object = wiring.provider_for(zone, writer)
        if not isinstance(provider, ChangesMany):
            outcome = Outcome(OutcomeKind.CONFIG, "", f"Zone {zone.name} cannot change many records all or nothing.")
        else:
            outcome = provider.change_many([one.plan.change for one in group], deadline=self._deadline())
        return dict.fromkeys(group, outcome)

    def _send_singly(self, group: Sequence[One]) -> dict[One, Outcome]:
        zone, writer = self.zones[group[0].plan.change.zone], self._writer(group[0])
        assert writer is not None
        provider = wiring.provider_for(zone, writer)
        outcome = Outcome(OutcomeKind.CONFIG, "", f"Zone {zone.name} has no update key. Nothing was changed.")
        found: dict[One, Outcome] = {}
        for one in group:
            if provider is not None and outcome.kind not in SAME_FOR_ALL:
                self.batch.keep()
                if one not in self.batch.ones:
                    continue
                outcome = provider.change(one.plan.change, deadline=self._deadline())
            found[one] = outcome
        return found

    def _deadline(self) -> float:
        return min(time.monotonic() + self.conf.write_timeout_s, self.batch.lease_ends - ANSWER_ROOM_S)

    def _record_outcomes(self, outcomes: Mapping[One, Outcome]) -> None:
        for one, outcome in outcomes.items():
            row = one.changes[-1]
            row.answered_at, row.outcome, row.rcode = timezone.now(), outcome.kind.value, outcome.rcode
            row.sentence = outcome.sentence
            done = outcome.kind is OutcomeKind.APPLIED
            evidence = {**outcome.evidence, "rcode": outcome.rcode, "attempt": row.attempt}
            state = StepState.DONE if done else StepState.RUNNING
            one.set_step(StepKind.WRITE, state, outcome.sentence, evidence)
            one.set_step(StepKind.READ_BACK, StepState.RUNNING, f"Asking {one.plan.writer} what it says now.")
        with transaction.atomic():
            _store_changes(list(outcomes))
            self.batch.write(list(outcomes))

    # ---------------------------------------------------------------------------------------------------- read back

    def _read_back(self, ones: Sequence[One]) -> None:
        """Ask the writers until each says the new answer, or patience ends; at least once."""
        doubtful = {OutcomeKind.APPLIED.value, OutcomeKind.UNKNOWN.value}
        deadline, pause_s = time.monotonic() + self.conf.read_back_timeout_s, FIRST_PAUSE_S
        left = list(ones)
        while left:
            pairs = {one: (writer, one.name) for one in left if (writer := self._writer(one)) is not None}
            found = self._ask(list(pairs.values()))
            for one, pair in pairs.items():
                one.at_writer = found[pair]
            left = [one for one in left if one.seen() is not Seen.NEW and one.changes[-1].outcome in doubtful]
            if time.monotonic() >= deadline:
                return
            if left:
                self.batch.keep()
                time.sleep(pause_s)
                pause_s = min(pause_s * 1.6, LONGEST_PAUSE_S)

    def _judge(self, ones: Sequence[One]) -> tuple[list[One], list[One]]:
        done = [one for one in ones if one.seen() is Seen.NEW]
        self._settled(done)
        rest = [one for one in ones if one not in done and one in self.batch.ones]
        if not self.all_or_nothing:
            self._let_go(rest)
            return [], done
        again: list[One] = []
        for zone, group in self._by_zone(rest).items():
            made = any(one.plan.change.zone == zone for one in done)
            if not made and all(_may_send_again(one) for one in group):
                again += self._record_changes(group)
            else:
                self._end_group(group)
        return again, done

    def _end_group(self, group: Sequence[One]) -> None:
        """All or nothing, and it was nothing, or nobody knows: say which record it was, where that can be seen."""
        others = [
            f"{one.name} says {one.at_writer.text}" for one in group if one.at_writer and one.seen() is Seen.OTHER
        ]
        for one in group:
            row = one.changes[-1]
            which = ""
            if row.outcome == OutcomeKind.CONFLICT:
                which = f" It was: {'; '.join(others)}." if others else " Which one it was cannot be seen any more."
            state = StepState.WARNING if row.outcome in {"", OutcomeKind.UNKNOWN} else StepState.FAILED
            if not one.ended(StepKind.WRITE):
                one.set_step(StepKind.WRITE, state, f"{row.sentence}{which}")
            self.batch.end(one, refusal=f"{row.sentence}{which}")

    def _settled(self, ones: Sequence[One]) -> None:
        """The writers give the new answers: say so in the rows of the messages, whatever their answers were."""
        if not ones:
            return
        for one in ones:
            _settle_change(one)
            assert one.at_writer is not None
            for kind, sentence in (
                (StepKind.CHECK_AGAIN, f"{one.plan.writer} already says {one.plan.change.new}."),
                (StepKind.WRITE, one.changes[-1].sentence),
                (StepKind.READ_BACK, f"{one.plan.writer} says {one.plan.change.new}."),
            ):
                if not one.ended(kind):
                    one.set_step(kind, StepState.DONE, sentence, evidence_of([one.at_writer])
                                 if kind is not StepKind.WRITE else None)  # fmt: skip
            if one.steps[StepKind.VERIFY].state == StepState.WAITING:
                count = len(self._servers(one))
                one.set_step(StepKind.VERIFY, StepState.RUNNING, f"Asking all {count} DNS servers.")
        with transaction.atomic():
            _store_changes(ones)
            self.batch.write(ones, written_at=Coalesce("written_at", timezone.now()))
        checkpoint("read_back_recorded")
        self._announce(ones)

    # ------------------------------------------------------------------------------------------------------- verify

    def _verify(self, ones: Sequence[One]) -> None:
        """Ask every authoritative server for every name until all agree or the time is up; then let them go."""
        lag_s = max((e.expected_lag_s for one in ones for e in self._servers(one)), default=0.0)
        started = time.monotonic()
        deadline = started + min(max(self.conf.verify_min_s, lag_s + 5.0), self.conf.verify_max_s)
        left = [(one, e) for one in ones for e in self._servers(one) if not self._just_read(one, e)]
        pause_s = FIRST_PAUSE_S
        while left:
            pairs = [(endpoint, one.name) for one, endpoint in left]
            found = self._ask(pairs)
            left = [(one, e) for one, e in left if self._note(one, e, found[e, one.name]) is not Seen.NEW]
            now = time.monotonic()
            hopeless = all(endpoint.name not in self.spoke for _, endpoint in left)
            if now >= deadline or (hopeless and now - started >= min(SILENT_VERIFY_S, deadline - started)):
                break
            self.batch.keep()
            time.sleep(min(pause_s, max(deadline - now, 0.0)))
            pause_s = min(pause_s * 1.6, LONGEST_PAUSE_S)
        checkpoint("verified")
        self._record_verified([one for one in ones if one in self.batch.ones])

    def _just_read(self, one: One, endpoint: Endpoint) -> bool:
        """The writer's new answer was read a moment ago: that is its row."""
        if not endpoint.is_writer or one.at_writer is None or one.seen() is not Seen.NEW:
            return False
        return self._note(one, endpoint, one.at_writer) is Seen.NEW

    def _note(self, one: One, endpoint: Endpoint, answer: Answer) -> Seen:
        before = one.rows.get(endpoint.name)
        if before is None or before.answer != answer:
            row = verify.Row(answer, one.compare(answer), datetime.now(UTC), endpoint.expected_lag_s)
            one.rows[endpoint.name] = row
        return one.rows[endpoint.name].state

    def _record_verified(self, ones: Sequence[One]) -> None:
        by_wait: dict[float, list[One]] = {}
        for one in ones:
            rows = [one.rows[endpoint.name] for endpoint in self._servers(one)]
            late = [row.late for row in rows if row.state is not Seen.NEW]
            evidence = {"answers": [row.as_dict() for row in rows]}
            if late:
                one.set_step(StepKind.VERIFY, StepState.WARNING, f"{'; '.join(late)}.", evidence)
                one.set_step(StepKind.WAIT_TTL, StepState.SKIPPED, "Not waited for: not every DNS server follows.")
                by_wait.setdefault(0.0, []).append(one)
                continue
            count = f"All {len(rows)} DNS servers say" if len(rows) > 1 else "The DNS server says"
            one.set_step(StepKind.VERIFY, StepState.DONE, f"{count} {one.plan.change.new}.", evidence)
            # Where resolvers are named, ``executor`` asks them at once, and then waits.
            by_wait.setdefault(0.0 if self.asks_resolvers else self._begin_wait(one), []).append(one)
        for wait_s, group in by_wait.items():
            self._let_go(group, until=timezone.now() + timedelta(seconds=wait_s))
        if ones:
            self._announce(ones)

    def _begin_wait(self, one: One) -> float:
        """Start the countdown of the old TTL, as ``executor`` does; returns its seconds."""
        old_s = one.plan.change.expected.ttl_s
        wait_s = min(float(old_s), self.conf.max_ttl_wait_s)
        evidence = countdown.begin(wait_s=wait_s, old_ttl_s=old_s, now=timezone.now())
        words = countdown.words(wait_s=wait_s, old_ttl_s=old_s)
        one.set_step(StepKind.WAIT_TTL, StepState.RUNNING, words, evidence)
        return wait_s

    def _let_go(self, ones: Sequence[One], *, until: datetime | None = None) -> None:
        at = until or timezone.now()
        self.batch.let_go(ones, until=at)
        self.resume_at |= {str(one.operation.pk): at for one in ones}


def _may_send_again(one: One) -> bool:
    """Safe: the prerequisite lets at most one of the messages through."""
    row = one.changes[-1]
    return one.seen() is Seen.OLD and row.outcome == OutcomeKind.UNKNOWN and row.attempt < MAX_ATTEMPTS


def _settle_change(one: One) -> None:
    row = one.changes[-1]
    if row.outcome == OutcomeKind.APPLIED:
        return
    if row.outcome in {"", OutcomeKind.UNKNOWN}:
        row.outcome = OutcomeKind.APPLIED.value
        row.sentence = f"No answer that can be trusted came; reading shows that {one.plan.writer} made the change."
    else:
        row.outcome = OutcomeKind.ALREADY.value
        row.sentence = f"{one.plan.writer} says {one.plan.change.new} already. {row.sentence}"
    row.answered_at = row.answered_at or timezone.now()


def _store_changes(ones: Sequence[One]) -> None:
    DnsChange.objects.bulk_create(
        [one.changes[-1] for one in ones if one.changes],
        update_conflicts=True,
        unique_fields=["id"],
        update_fields=CHANGE_FIELDS,
        batch_size=BATCH_SIZE,
    )


def _all_or_nothing(first: One, reason: str) -> str:
    return f"All or nothing: nothing was sent, because of {first.name}: {reason}"
