"""An operation whose change a person makes: it shows the commands, waits, looks, and notices by itself.

No row of a message exists until the writer is seen to give the new answer: until then nothing was sent, and the
operation can be cancelled. It waits parked, without a worker, and is taken up again every two seconds.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from a365admin.accounts.models import User
from dnsops import asking, verify, wiring
from dnsops.checkpoints import checkpoint
from dnsops.conf import conf
from dnsops.lifecycle import Seen, StepKind, StepState
from dnsops.models import DnsChange, FailoverOperation
from dnsops.plan import Plan
from dnsops.providers.base import OutcomeKind
from dnsops.providers.manual import UnsafeTextError, commands_for
from dnsops.writing import Writing

LOOK_AGAIN_S = 2.0


class ByHand(Writing):
    """What an execution does where a person makes the change."""

    @property
    def by_hand(self) -> bool:
        """Whether a person makes the change. Once begun so, it stays so."""
        if self.operation.by_hand:
            return True
        provider = wiring.provider_for(self.zone, self.writer) if self.zone and self.writer else None
        return provider is not None and provider.capabilities.by_hand

    def show_commands(self) -> None:
        """Begin to wait, in the transaction of the check before: the commands, and until when they are waited for."""
        assert self.writer is not None
        until = timezone.now() + timedelta(seconds=self.conf.by_hand_max_s)
        commands = commands_for(self.plan.change, self.writer).as_dict()
        evidence = {"commands": commands, "until": until.isoformat()}
        self.claim.renew(by_hand=True)
        self.claim.set_step(StepKind.WRITE, StepState.RUNNING, self._waiting_sentence(), evidence)

    def why_no_commands(self) -> str:
        """Why there are no commands for this change; "" where there are."""
        assert self.writer is not None
        try:
            commands_for(self.plan.change, self.writer)
        except UnsafeTextError as error:
            return str(error)
        return ""

    def look(self) -> datetime | None:
        """Ask the writer. When to look again; None where the change is seen, or the time is up (then ``refusal``)."""
        assert self.writer is not None
        self.at_writer = asking.ask(self.writer, self.plan.hostname, timeout_s=self.conf.ask_timeout_s)
        checkpoint("looked")
        if self.seen() is Seen.NEW:
            self._done_by_hand()
            return None
        step = self.claim.step(StepKind.WRITE)
        now, until = timezone.now(), datetime.fromisoformat(step.evidence["until"])
        if now >= until:
            waited_min = self.conf.by_hand_max_s / 60
            self.refusal = f"The change was not made by hand within {waited_min:.0f} min."
            return None
        again_at = min(now + timedelta(seconds=LOOK_AGAIN_S), until)
        news = self._waiting_sentence()
        changed = news != step.sentence
        with transaction.atomic():
            self.claim.renew(lease_until=again_at, lease_owner="")
            if changed:
                self.claim.set_step(StepKind.WRITE, StepState.RUNNING, news)
        checkpoint("waiting_for_hand")
        if changed:
            self.announce()
        return again_at

    def _waiting_sentence(self) -> str:
        """What is waited for, and what the writer says meanwhile: true at every moment, also between two commands."""
        name, writer, change = self.plan.hostname, self.writer_name, self.plan.change
        seen, says = self.seen(), self.at_writer.text if self.at_writer else "nothing"
        said = ""
        if self.operation.hand_done_at is not None:
            at = f"{self.operation.hand_done_at:%H:%M:%S} UTC"
            said = f"{self.operation.hand_done_by} said at {at} that it is done, but "
        if seen in {Seen.SILENT, Seen.ERROR}:
            return f"{said}{writer} gives no answer at the moment ({says}). {name} has to say {change.new} there."
        if seen is Seen.OLD:
            return f"{said}{writer} still says {says}. Change it by hand, with the commands below."
        if self.at_writer is not None and self.at_writer.rrset is None:
            return (
                f"{said}{writer} has no record for {name} at the moment: clients that ask now get nothing. Add the new "
                "one at once."
            )
        return (
            f"{said}{writer} says {says}, which is neither the old nor the new answer. Put it right there: {name} has "
            f"to say {change.new}."
        )

    def _done_by_hand(self) -> None:
        """The writer says the new answer: the row, and on to the other servers, in one transaction."""
        assert self.at_writer is not None
        assert self.at_writer.rrset is not None
        change, now = self.plan.change, timezone.now()
        ttl_s = self.at_writer.rrset.ttl_s
        sentence = f"Made by hand: {self.writer_name} says {change.new}."
        wrong_ttl = ttl_s > change.new.ttl_s
        if wrong_ttl:
            sentence += f" Its TTL is {ttl_s} s, not {change.new.ttl_s} s as planned: the next change will take longer."
        fields: dict[str, Any] = {
            "attempt": len(self.claim.changes) + 1,
            "writer": str(self.writer),
            "zone": change.zone,
            "name": change.name,
            "before": change.expected.as_dict(),
            "after": change.new.as_dict(),
            "answered_at": now,
            "outcome": OutcomeKind.APPLIED.value,
            "sentence": sentence,
        }
        with transaction.atomic():
            self.claim.renew(written_at=now)
            self.claim.changes.append(DnsChange.objects.create(operation=self.operation, **fields))
            self.claim.set_step(StepKind.WRITE, StepState.WARNING if wrong_ttl else StepState.DONE, sentence)
            self.read_back_done()
        checkpoint("read_back_recorded")
        self.announce()


def why_not_cancel(operation: FailoverOperation) -> str:
    """Why an operation that waits for somebody's hand cannot be cancelled as “nothing was changed”; "" where it can.

    The writer is asked now: whoever has the commands may have run them.
    """
    plan = Plan.from_dict(operation.plan)
    _, endpoints = wiring.wiring_of(operation)
    writer = wiring.writer_of(endpoints)
    if writer is None:
        return "The writer is no longer configured, so nobody can say whether it was changed."
    answer = asking.ask(writer, plan.hostname, timeout_s=conf().ask_timeout_s)
    seen = verify.compare(answer, new=plan.change.new, old=plan.change.expected)
    if seen is Seen.OLD:
        return ""
    if seen is Seen.NEW:
        return f"It is too late to cancel: {writer.name} says {plan.change.new} already. Let it be verified."
    if not answer.answered:
        return f"{writer.name} gives no answer ({answer.text}), so nobody can say whether it was changed by hand."
    return (
        f"{writer.name} says {answer.text}, which is neither the old nor the new answer. Put it right there first: "
        f"{plan.change.expected} to cancel, or {plan.change.new} to go on."
    )


def cancelled_sentence(user: User) -> str:
    """How a cancelled one ends."""
    return (
        f"Cancelled by {user} before anything was changed by hand. DNS is as it was: do not run the commands any more."
    )
