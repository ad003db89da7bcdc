"""The one message of an operation: the row before it, the sending, the reading back."""

from __future__ import annotations

import time
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from dnsops import asking, wiring
from dnsops.checkpoints import checkpoint
from dnsops.ending import Ending, evidence_of
from dnsops.lifecycle import Seen, StepKind, StepState
from dnsops.models import DnsChange
from dnsops.plan import Answer
from dnsops.providers.base import Outcome, OutcomeKind

MAX_ATTEMPTS = 3
ANSWER_ROOM_S = 1.0


class Writing(Ending):
    """What an execution does to change DNS, and to know that it is changed."""

    def record_change(self) -> None:
        """The row comes before the message: whoever finds it knows that something may have been sent."""
        if self.claim.step(StepKind.WRITE).state == StepState.WAITING:
            self.claim.set_step(StepKind.WRITE, StepState.RUNNING, f"Sending the change to {self.writer_name}.")
        change = self.plan.change
        row = DnsChange.objects.create(
            operation=self.operation,
            attempt=len(self.claim.changes) + 1,
            writer=str(self.writer),
            zone=change.zone,
            name=change.name,
            before=change.expected.as_dict(),
            after=change.new.as_dict(),
        )
        self.claim.changes.append(row)

    def write(self) -> bool:
        """Send one message. The row for it is there already. True: and the writer was seen to have the new answer."""
        assert self.writer is not None
        assert self.zone is not None
        checkpoint("change_recorded")
        row = self.claim.changes[-1]
        provider = wiring.provider_for(self.zone, self.writer)
        deadline = min(time.monotonic() + self.conf.write_timeout_s, self.claim.lease_ends - ANSWER_ROOM_S)
        if provider is None:
            outcome = Outcome(OutcomeKind.CONFIG, "", f"{wiring.why_no_provider(self.zone)} Nothing was changed.")
        else:
            outcome = provider.change(self.plan.change, deadline=deadline)
        checkpoint("answer_received")
        row.answered_at, row.outcome, row.rcode = timezone.now(), outcome.kind.value, outcome.rcode
        row.sentence = outcome.sentence
        seen_at = self._seen_at_once() if outcome.kind is OutcomeKind.APPLIED else None
        evidence = {**outcome.evidence, "rcode": outcome.rcode, "attempt": row.attempt}
        with transaction.atomic():
            self.claim.renew(**({"written_at": seen_at} if seen_at else {}))
            row.save(update_fields=["answered_at", "outcome", "rcode", "sentence"])
            wiring.note_accepted(self.zone, outcome)
            done = outcome.kind is OutcomeKind.APPLIED
            self.claim.set_step(
                StepKind.WRITE, StepState.DONE if done else StepState.RUNNING, outcome.sentence, evidence
            )
            if seen_at:
                self.read_back_done()
            else:
                asking_now = f"Asking {self.writer_name} what it says now."
                self.claim.set_step(StepKind.READ_BACK, StepState.RUNNING, asking_now)
        checkpoint("write_recorded")
        self.announce()
        return seen_at is not None

    def _seen_at_once(self) -> datetime | None:
        """Read back before the answer is recorded: when the writer gave the new answer; None where it did not yet.

        Killed in between, the row of the message is still open, and whoever takes over reads DNS first.
        """
        assert self.writer is not None
        self.at_writer = asking.ask(self.writer, self.plan.hostname, timeout_s=self.conf.ask_timeout_s)
        seen_at = timezone.now() if self.seen() is Seen.NEW else None
        checkpoint("read_at_once")
        return seen_at

    def read_back(self) -> bool:
        """Ask the writer what it says now. True: it says the new answer, or write again."""
        row = self.claim.changes[-1]
        doubt = row.outcome in {OutcomeKind.APPLIED, OutcomeKind.UNKNOWN}
        self.read_until_clear(patience_s=self.conf.read_back_timeout_s if doubt else 0.0)
        checkpoint("read_back")
        seen = self.seen()
        again = seen is Seen.OLD and row.outcome == OutcomeKind.UNKNOWN and row.attempt < MAX_ATTEMPTS
        with transaction.atomic():
            self.claim.renew(**({"written_at": timezone.now()} if seen is Seen.NEW else {}))
            if seen is Seen.NEW:
                self.settle_change()
                self.claim.set_step(StepKind.WRITE, StepState.DONE, row.sentence)
                self.read_back_done()
            elif again:
                # Safe: the prerequisite lets at most one of the messages through.
                self.record_change()
            else:
                self._read_back_failed(row)
        checkpoint("read_back_recorded")
        self.announce()
        return seen is Seen.NEW or again

    def read_until_clear(self, *, patience_s: float) -> None:
        """Ask the writer until it says the new answer or patience ends; at least once."""
        assert self.writer is not None
        deadline, pause_s = time.monotonic() + patience_s, 0.02
        while True:
            self.at_writer = asking.ask(self.writer, self.plan.hostname, timeout_s=self.conf.ask_timeout_s)
            if self.seen() is Seen.NEW or time.monotonic() >= deadline:
                return
            time.sleep(pause_s)
            pause_s = min(pause_s * 1.6, 0.5)

    def settle_change(self) -> None:
        """The new answer is there: say so in the row of the message, whatever its answer was."""
        row = self.claim.changes[-1]
        if row.outcome == OutcomeKind.APPLIED:
            return
        if row.outcome in {"", OutcomeKind.UNKNOWN}:
            row.outcome = OutcomeKind.APPLIED.value
            row.sentence = f"No answer that can be trusted came; reading shows that {self.writer_name} made the change."
        else:
            row.outcome = OutcomeKind.ALREADY.value
            row.sentence = f"{self.writer_name} says {self.plan.change.new} already. {row.sentence}"
        row.answered_at = row.answered_at or timezone.now()
        row.save(update_fields=["outcome", "sentence", "answered_at"])

    def read_back_done(self) -> None:
        """To the next step, in the same transaction."""
        assert self.at_writer is not None
        sentence = f"{self.writer_name} says {self.plan.change.new}."
        self.claim.set_step(StepKind.READ_BACK, StepState.DONE, sentence, evidence_of([self.at_writer]))
        self.claim.set_step(StepKind.VERIFY, StepState.RUNNING, f"Asking all {len(self.endpoints)} DNS servers.")

    def _read_back_failed(self, row: DnsChange) -> None:
        assert self.at_writer is not None
        self.refusal = row.sentence
        if self.claim.step(StepKind.WRITE).state == StepState.RUNNING:
            state = StepState.WARNING if row.outcome == OutcomeKind.UNKNOWN else StepState.FAILED
            self.claim.set_step(StepKind.WRITE, state, row.sentence)
        self.claim.set_step(
            StepKind.READ_BACK,
            StepState.WARNING if row.outcome in {OutcomeKind.UNKNOWN, OutcomeKind.APPLIED} else StepState.DONE,
            _said(self.at_writer),
            evidence_of([self.at_writer]),
        )


def _said(answer: Answer) -> str:
    if answer.answered:
        return f"{answer.server} says {answer.text}."
    return f"{answer.server} could not be asked ({answer.text})."
