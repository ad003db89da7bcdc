"""Carry out an operation: check again, write, read back, verify, wait, probe. Killed anywhere, it goes on.

Every step reads DNS before it believes anything: a row says what was meant, DNS says what is.
"""

from __future__ import annotations

import logging
import time
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import DatabaseError, transaction
from django.utils import timezone

from a365admin.audit.context import Acting, act_as
from a365admin.giving_way import giving_way, go_first, that_was_it
from dnsops import asking, countdown, resolving, target_health, verify
from dnsops.by_hand import ByHand
from dnsops.checkpoints import CHECKPOINTS, checkpoint
from dnsops.claims import LeaseLostError, claim
from dnsops.ending import evidence_of
from dnsops.lifecycle import Seen, StepKind, StepState
from dnsops.plan import Answer
from dnsops.safety import Rule, TargetCheck
from dnsops.turning import remark, told
from dnsops.writing import MAX_ATTEMPTS

__all__ = ["CHECKPOINTS", "checkpoint", "run", "run_to_end"]

log = logging.getLogger(__name__)

AT_ONCE_S = 0.5
JUST_ASKED_S = 2.0
SHORT_WAIT_S = 1.0


def run(operation_id: UUID | str, *, owner: str) -> datetime | None:
    """Take the operation and carry it on as far as it goes now. Returns when to come back, or None.

    Does nothing where somebody else works on it or it has ended. Never raises for what DNS, network or probes do; a
    lost database is logged, and the operation is taken up again when its lease has ended.
    """
    go_first()
    try:
        with giving_way():
            return _run(operation_id, owner)
    finally:
        that_was_it()


def _run(operation_id: UUID | str, owner: str) -> datetime | None:
    checkpoint("before_claim")
    try:
        execution = _take(operation_id, owner)
    except DatabaseError:
        log.exception("Operation %s could not be taken; it is tried again.", operation_id)
        return None
    if execution is None:
        return None
    checkpoint("claimed")
    operation = execution.operation
    actor = Acting(operation.requested_by_id, operation.requested_by_name, None, operation.request_id)
    with act_as(actor):
        try:
            return execution.go()
        except LeaseLostError:
            log.warning("Operation %s is in other hands now, or was cancelled.", operation_id)
        except DatabaseError:
            log.exception("Operation %s lost its database; it is taken up again.", operation_id)
        except Exception:
            log.exception("Operation %s met a mistake of ours.", operation_id)
            execution.end_after_mistake()
    return None


def _take(operation_id: UUID | str, owner: str) -> Execution | None:
    """Claim it and, where it may go straight on, record the change to come, in one transaction."""
    with transaction.atomic():
        claimed = claim(operation_id, owner=owner)
        if claimed is None:
            return None
        execution = Execution(claimed)
        execution.begin()
    return execution


def run_to_end(operation_id: UUID | str, *, owner: str) -> None:
    """Carry the operation on to its end in this thread, waits included; without a worker and without a broker."""
    while (again_at := run(operation_id, owner=owner)) is not None:
        time.sleep(max((again_at - timezone.now()).total_seconds(), 0.0) + 0.01)


class Execution(ByHand):
    """One worker's go at one operation, step by step."""

    begun = False

    def begin(self) -> None:
        """In the transaction of the claim. A click of this very moment is carried out without a second look.

        Every server was asked and every check made for the click, a fraction of a second ago; the message carries what
        was seen as its condition, so that the writer itself refuses if that is no longer true.
        """
        if self.claim.step(StepKind.CHECK_AGAIN).state != StepState.WAITING:
            return
        age_s = (timezone.now() - self.operation.created_at).total_seconds()
        if self.writer is None or self.by_hand or not 0 <= age_s < AT_ONCE_S or self.claim.fence > 1:
            self.claim.set_step(StepKind.CHECK_AGAIN, StepState.RUNNING)
            return
        sentence = (
            f"Checked at the click, {age_s * 1000:.0f} ms before. {self.writer_name} makes the change only if it "
            f"still says {self.plan.change.expected}."
        )
        self.claim.set_step(StepKind.CHECK_AGAIN, StepState.DONE, sentence)
        self.record_change()
        self.begun = True

    def go(self) -> datetime | None:
        """Do the steps that are still to be done. Returns when to come back, where there is something to wait for."""
        if self.writer is None or self.zone is None:
            self.refusal = f"Zone or writer of {self.operation.hostname_fqdn} is no longer configured."
            self.end()
            return None
        if not self.claim.ended(StepKind.READ_BACK):
            if self.by_hand:
                if (again_at := self._let_change()) is not None:
                    return again_at
            else:
                self._change()
            if self.seen() is not Seen.NEW:
                self.end()
                return None
        that_was_it()  # what is left waits for others anyway
        if not self.claim.ended(StepKind.VERIFY):
            self._verify()
        resolvers = self.claim.steps.get(StepKind.RESOLVERS)
        if resolvers is not None and resolvers.state == StepState.WAITING:
            self._begin_resolvers()
        if not self.claim.ended(StepKind.WAIT_TTL) and (until := self._wait()) is not None:
            return until
        self._end_resolvers()
        self._probe()
        self.end()
        return None

    def _change(self) -> None:
        """Check again, write and read back, until the writer says the new answer or nothing more can be done."""
        answered = self.claim.step(StepKind.READ_BACK).state == StepState.RUNNING
        if self.begun or (self.read_back() if answered else self._check_again()):
            while self.seen() is not Seen.NEW:
                if not (self.write() or self.read_back()):
                    return

    def _let_change(self) -> datetime | None:
        """Check again, show the commands, and look whether a person has made the change. When to look again."""
        shown = self.claim.step(StepKind.WRITE).state != StepState.WAITING
        if not (shown or self._check_again()) or self.seen() is Seen.NEW:
            return None
        return self.look()

    # ---------------------------------------------------------------------------------------------------- check again

    def _check_again(self) -> bool:
        """Read DNS before anything else. False: the operation ends here."""
        answers = self._answers()
        checkpoint("asked_again")
        self.at_writer = next((a for a in answers if a.server == self.writer_name), None)
        if self.claim.changes and self.seen() in {Seen.SILENT, Seen.ERROR}:
            self.read_until_clear(patience_s=self.conf.read_back_timeout_s)
        if self.seen() is Seen.NEW:
            self._found_as_desired(answers)
            return True
        self.refusal = self._reason_to_stop(answers) or (self.why_no_commands() if self.by_hand else "")
        with transaction.atomic():
            self.claim.renew()
            if not self.claim.ended(StepKind.CHECK_AGAIN):
                state = StepState.FAILED if self.refusal else StepState.DONE
                sentence = self.refusal or f"{self.writer_name} still says {self.plan.change.expected}, as planned."
                self.claim.set_step(StepKind.CHECK_AGAIN, state, sentence, evidence_of(answers))
            if not self.refusal:
                if self.by_hand:
                    self.show_commands()
                else:
                    self.record_change()
        checkpoint("check_recorded")
        return not self.refusal

    def _answers(self) -> list[Answer]:
        """What DNS says: every server, or, where all were asked at the click a moment ago, the writer alone.

        A server that has died would otherwise delay the change by a second, in an emergency of which it is a part.
        """
        assert self.writer is not None
        age_s = (timezone.now() - self.operation.created_at).total_seconds()
        asked = [self.writer] if 0 <= age_s < JUST_ASKED_S and not self.claim.changes else self.endpoints
        if len(asked) == 1:
            return [asking.ask(asked[0], self.plan.hostname, timeout_s=self.conf.ask_timeout_s)]
        return verify.ask_all(asked, self.plan.hostname, timeout_s=self.conf.ask_timeout_s)

    def _reason_to_stop(self, answers: list[Answer]) -> str:
        """Why nothing must be written; "" where all is as it was at the click."""
        seen, said = self.seen(), self.at_writer.text if self.at_writer else "nothing"
        if seen in {Seen.SILENT, Seen.ERROR}:
            return f"The writer {self.writer_name} gives no answer ({said}), so nothing was sent."
        if seen is Seen.OTHER:
            return f"DNS has changed since the click: {self.writer_name} says {said}, not {self.plan.change.expected}."
        if len(self.claim.changes) >= MAX_ATTEMPTS:
            return f"The change was sent to {self.writer_name} {len(self.claim.changes)} times without an answer."
        if self.claim.changes:
            return ""  # under way already: finishing it is safer than stopping between two states
        return self._reason_since_the_click(answers)

    def _reason_since_the_click(self, answers: list[Answer]) -> str:
        """What may have become wrong between the click and now, other than at the writer."""
        age_s = (timezone.now() - self.operation.created_at).total_seconds()
        if age_s > self.conf.pending_max_age_s:
            return f"It waited {age_s / 60:.0f} min for a worker, too long to be still what was wanted. Look again."
        strangers = [a for a in answers if a.answered and self.compare(a) is Seen.OTHER]
        if strangers and Rule.ANSWERS_AGREE.value not in self.operation.overridden:
            return f"The DNS servers disagree: {', '.join(f'{a.server} says {a.text}' for a in strangers)}. Look again."
        return "" if 0 <= age_s <= self.conf.probe_again_after_s else self._health_reason()  # below 0: a clock was set

    def _health_reason(self) -> str:
        """After a wait in the queue: whether the target still works. A forced operation has been decided already."""
        if self.operation.forced or self.operation.to_target is None:
            return ""
        checks = target_health.checks_of(self.operation.to_target, self.operation.hostname)
        problem = target_health.problem_of(target_health.probe(checks, timeout_s=self.conf.probe_timeout_s))
        return f"{self.plan.to_server} no longer works as it did at the click: {problem} Look again." if problem else ""

    def _found_as_desired(self, answers: list[Answer]) -> None:
        """DNS says the new answer already: ours from before we were interrupted, or somebody else's."""
        with transaction.atomic():
            self.claim.renew(written_at=self.operation.written_at or timezone.now())
            if not self.claim.ended(StepKind.CHECK_AGAIN):
                sentence = f"{self.writer_name} already says {self.plan.change.new}."
                self.claim.set_step(StepKind.CHECK_AGAIN, StepState.DONE, sentence, evidence_of(answers))
            if self.claim.changes:
                self.settle_change()
                self.claim.set_step(StepKind.WRITE, StepState.DONE, self.claim.changes[-1].sentence)
            else:
                self.claim.set_step(StepKind.WRITE, StepState.SKIPPED, "Nothing had to be written.")
            self.read_back_done()
        self.announce()

    # --------------------------------------------------------------------------------------------------------- verify

    def _verify(self) -> None:
        """Ask every authoritative server until all agree or the time is up."""
        change = self.plan.change
        lags_s = [endpoint.expected_lag_s for endpoint in self.endpoints]
        timeout_s = verify.patience_s(lags_s, least_s=self.conf.verify_min_s, most_s=self.conf.verify_max_s)
        rows: list[verify.Row] = []
        shown: list[str] = []
        for rows in verify.watch(self.endpoints, change.name, new=change.new, old=change.expected, timeout_s=timeout_s):
            if (now_late := [row.late for row in rows if row.state is not Seen.NEW]) and (
                now_late != shown or self.claim.lease_ends - time.monotonic() < self.conf.lease_s / 2
            ):
                shown = now_late
                self._verify_progress(rows)
        self.late, self.not_yet = verify.split_late(rows, changed_at=self.operation.written_at, now=timezone.now())
        self.verified = True
        writers = next((row for row in rows if row.server == self.writer_name), None)
        self.at_writer = writers.answer if writers else self.at_writer
        checkpoint("verified")
        evidence = {"answers": [row.as_dict() for row in rows]}
        with transaction.atomic():
            self.claim.renew()
            if self.late:
                late = f"{'; '.join([*self.late, *self.not_yet])}."
                self.claim.set_step(StepKind.VERIFY, StepState.WARNING, late, evidence)
                self.skip(StepKind.WAIT_TTL, "Not waited for: not every DNS server gives the new answer.")
            elif self.not_yet:
                self.claim.set_step(StepKind.VERIFY, StepState.WARNING, f"{'; '.join(self.not_yet)}.", evidence)
            else:
                self.claim.set_step(StepKind.VERIFY, StepState.DONE, _all_say(len(rows), change.new), evidence)
        checkpoint("verify_recorded")

    def _verify_progress(self, rows: list[verify.Row]) -> None:
        done = sum(row.state is Seen.NEW for row in rows)
        with transaction.atomic():
            self.claim.renew()
            self.claim.set_step(
                StepKind.VERIFY,
                StepState.RUNNING,
                f"{done} of {len(rows)} DNS servers give the new answer.",
                {"answers": [row.as_dict() for row in rows]},
            )
        self.announce()

    # ------------------------------------------------------------------------------------------------------ resolvers

    def _begin_resolvers(self) -> None:
        """Ask each resolver once. From then on the follower asks those that have not turned, as their TTLs run out."""
        found = resolving.resolvers()
        rows = resolving.ask_rows(resolving.first_rows(found, timezone.now()), self.plan) if found else []
        checkpoint("resolvers_asked")
        limit, now = self._resolvers_limit(), timezone.now()
        state = resolving.state_of(rows, now=now, limit=limit, over=False) if rows else StepState.SKIPPED
        with transaction.atomic():
            self.claim.renew()
            sentence, evidence = told(rows, now=now, limit=limit), resolving.evidence_of(rows)
            self.claim.set_step(StepKind.RESOLVERS, state, sentence, evidence)
        self.announce()

    def _end_resolvers(self) -> None:
        """Ask once more those that have not turned. What is late is told, and followed on; it fails nothing."""
        step = resolving.step_of(self.operation)
        if step is None:
            return
        rows = resolving.rows_of(step)
        if step.state == StepState.RUNNING:
            self.claim.renew()
            rows = resolving.ask_rows(rows, self.plan)
            step = resolving.record(step.pk, rows, limit=self._resolvers_limit(), over=True)
        self.claim.steps[StepKind.RESOLVERS] = step
        self.remark = remark(resolving.rows_of(step), now=timezone.now(), limit=self._resolvers_limit())

    def _resolvers_limit(self) -> datetime:
        lags_s = [endpoint.expected_lag_s for endpoint in self.endpoints]
        return resolving.limit_from(self.operation, max(lags_s, default=0.0))

    # ---------------------------------------------------------------------------------------------------------- waits

    def _wait(self) -> datetime | None:
        """Count down the old TTL without holding a worker: its end is stored, the operation let go until then."""
        step = self.claim.step(StepKind.WAIT_TTL)
        old_s = self.plan.change.expected.ttl_s
        if step.state == StepState.WAITING:
            wait_s = min(float(old_s), self.conf.max_ttl_wait_s)
            evidence = countdown.begin(wait_s=wait_s, old_ttl_s=old_s, now=timezone.now())
            sentence = countdown.words(wait_s=wait_s, old_ttl_s=old_s)
            if wait_s > SHORT_WAIT_S:
                return self._park(sentence, evidence)
            with transaction.atomic():
                self.claim.renew()
                self.claim.set_step(StepKind.WAIT_TTL, StepState.RUNNING, sentence, evidence)
            checkpoint("waiting_recorded")
            self.announce()
        left = countdown.left(step.evidence, now=timezone.now())
        if left.sure and left.seconds > SHORT_WAIT_S:
            until = timezone.now() + timedelta(seconds=left.seconds)
            sentence = f"A clock was set meanwhile. Clients may keep the old answer for {left.seconds:.0f} s more."
            return self._park(sentence, {**step.evidence, "until": until.isoformat()})
        clock_set = left.seconds > float(step.evidence.get("waited_s", self.conf.max_ttl_wait_s)) + SHORT_WAIT_S
        if left.seconds > 0:
            time.sleep(min(left.seconds, SHORT_WAIT_S))
        checkpoint("wait_over")
        state, sentence = StepState.DONE, f"The old TTL of {old_s} s has passed."
        if clock_set:
            state, sentence = (
                StepState.WARNING,
                f"A clock was set back meanwhile: perhaps not all of {old_s} s has passed.",
            )
        with transaction.atomic():
            self.claim.renew()
            self.claim.set_step(StepKind.WAIT_TTL, state, sentence)
            self.claim.set_step(StepKind.PROBE, StepState.RUNNING, f"Asking {self.plan.to_server}'s services.")
        self.announce()
        return None

    def _park(self, sentence: str, evidence: dict[str, Any]) -> datetime:
        """Let the operation go until the wait's end."""
        until = datetime.fromisoformat(evidence["until"])
        with transaction.atomic():
            self.claim.renew(lease_until=until, lease_owner="")
            self.claim.set_step(StepKind.WAIT_TTL, StepState.RUNNING, sentence, evidence)
        checkpoint("waiting_recorded")
        self.announce()
        return until

    # ---------------------------------------------------------------------------------------------------------- probe

    def _probe(self) -> None:
        """The service, through the hostname: what DNS says now, and whether the server that it leads to works."""
        assert self.writer is not None
        self.at_writer = asking.ask(self.writer, self.plan.hostname, timeout_s=self.conf.ask_timeout_s)
        if self.claim.ended(StepKind.PROBE):
            return
        found: tuple[TargetCheck, ...] = ()
        if self.operation.to_target is not None:
            checks = target_health.checks_of(self.operation.to_target, self.operation.hostname)
            found = target_health.probe(checks, timeout_s=self.conf.probe_timeout_s)
        self.service_problem = target_health.problem_of(found)
        checkpoint("probed")
        working = f"{', '.join(check.label for check in found) or 'Nothing to ask'}: working."
        sentence = self.service_problem or working
        state = StepState.WARNING if self.service_problem else StepState.DONE
        with transaction.atomic():
            self.claim.renew()
            self.claim.set_step(StepKind.PROBE, state, sentence)


def _all_say(count: int, new: object) -> str:
    return f"The DNS server says {new}." if count == 1 else f"All {count} DNS servers say {new}."
