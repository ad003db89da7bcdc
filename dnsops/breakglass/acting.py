"""A change without a database: journal, one message, read back, every authoritative server, the service; journal."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from dnsops import asking, verify
from dnsops.breakglass.bundle import Bundle
from dnsops.breakglass.journal import Journal, JournalError, Line
from dnsops.breakglass.looking import Look, endpoints_of, planned_target, probe, provider_of
from dnsops.checkpoints import checkpoint
from dnsops.lifecycle import End, EndFacts, Seen, Write, end_state
from dnsops.plan import Answer, Plan
from dnsops.providers.base import Endpoint, Outcome, OutcomeKind
from dnsops.target_checks import problem_of

MAX_ATTEMPTS = 3
WRITES = {
    OutcomeKind.APPLIED: Write.ACKNOWLEDGED,
    OutcomeKind.UNKNOWN: Write.UNANSWERED,
    OutcomeKind.CONFLICT: Write.CONFLICT,
}

Say = Callable[[str], object]


@dataclass(slots=True)
class Attempt:
    """One failover or failback, from the first line in the journal to the last. ``say`` tells whoever watches."""

    run: str
    bundle: Bundle
    seen: Look
    plan: Plan
    journal: Journal
    say: Say
    writes: list[Write] = field(default_factory=list)
    at_writer: Answer | None = None
    refusal: str = ""

    def carry_out(self, *, by: str, reason: str, ticket: str, forced: list[str]) -> End:
        """Do it, and say how it ended. Raises JournalError before the message where nothing can be written down."""
        self._note(
            "began",
            by=by,
            reason=reason,
            ticket=ticket,
            forced=forced,
            plan=self.plan.as_dict(),
            digest=self.seen.digest,
            findings=[finding.as_dict() for finding in self.seen.findings],
            bundle_written_at=self.bundle.written_at,
        )
        endpoints = endpoints_of(self.bundle, self.seen.hostname)
        writer = next(endpoint for endpoint in endpoints if endpoint.is_writer)
        while self._send(writer) and len(self.writes) < MAX_ATTEMPTS:
            pass
        rows = self._verify(endpoints) if self._seen() is Seen.NEW else []
        problem = self._probe() if rows and all(row.state is Seen.NEW for row in rows) else ""
        end = end_state(
            EndFacts(
                to_server=self.plan.to_server,
                writer=writer.name,
                writes=tuple(self.writes),
                at_writer=self._seen(),
                writer_text=self.at_writer.text if self.at_writer else "",
                verified=bool(rows),
                late=tuple(row.late for row in rows if row.state is not Seen.NEW),
                service_problem=problem,
                refusal=self.refusal,
            )
        )
        checkpoint("before_end")
        evidence = [row.as_dict() for row in rows]
        self._note("ended", state=end.state.value, sentence=end.sentence, answers=evidence, service_problem=problem)
        return end

    def _send(self, writer: Endpoint) -> bool:
        """Send one message and read back. True: send it again (safe: the prerequisite lets at most one through)."""
        zone = self.bundle.zone_for(self.plan.hostname)
        assert zone is not None
        self._note("sending", attempt=len(self.writes) + 1, writer=str(writer), change=self.plan.as_dict()["change"])
        checkpoint("change_recorded")
        deadline = time.monotonic() + self.bundle.policy["write_timeout_s"]
        outcome = provider_of(zone).change(self.plan.change, deadline=deadline)
        checkpoint("answer_received")
        self.writes.append(WRITES.get(outcome.kind, Write.REFUSED))
        self._note_answer(outcome)
        self.say(outcome.sentence)
        doubt = outcome.kind in {OutcomeKind.APPLIED, OutcomeKind.UNKNOWN}
        self._read_until_clear(writer, patience_s=self.bundle.policy["read_back_timeout_s"] if doubt else 0.0)
        if self._seen() is not Seen.NEW:
            self.refusal = outcome.sentence
        return outcome.kind is OutcomeKind.UNKNOWN and self._seen() is Seen.OLD

    def _note_answer(self, outcome: Outcome) -> None:
        self._note(
            "answered",
            attempt=len(self.writes),
            outcome=outcome.kind.value,
            rcode=outcome.rcode,
            sentence=outcome.sentence,
            evidence=dict(outcome.evidence),
        )

    def _read_until_clear(self, writer: Endpoint, *, patience_s: float) -> None:
        deadline, pause_s = time.monotonic() + patience_s, 0.02
        while True:
            self.at_writer = asking.ask(writer, self.plan.hostname, timeout_s=self.bundle.policy["ask_timeout_s"])
            if self._seen() is Seen.NEW or time.monotonic() >= deadline:
                self.say(f"{writer.name} says {self.at_writer.text}.")
                return
            time.sleep(pause_s)
            pause_s = min(pause_s * 1.6, 0.5)

    def _seen(self) -> Seen:
        change = self.plan.change
        return verify.compare(self.at_writer, new=change.new, old=change.expected) if self.at_writer else Seen.SILENT

    def _verify(self, endpoints: list[Endpoint]) -> list[verify.Row]:
        """Every authoritative server, until all agree or the time is up."""
        policy, change = self.bundle.policy, self.plan.change
        lag_s = max((endpoint.expected_lag_s for endpoint in endpoints), default=0.0)
        timeout_s = min(max(policy["verify_min_s"], lag_s + 5.0), policy["verify_max_s"])
        rows: list[verify.Row] = []
        told = ""
        for rows in verify.watch(endpoints, change.name, new=change.new, old=change.expected, timeout_s=timeout_s):
            done = sum(row.state is Seen.NEW for row in rows)
            if (text := f"{done} of {len(rows)} DNS servers give the new answer.") != told:
                self.say(text)
                told = text
        checkpoint("verified")
        self.at_writer = next((row.answer for row in rows if row.answer.is_writer), self.at_writer)
        return rows

    def _probe(self) -> str:
        """The service on the server that the hostname leads to now: what is wrong with it, or ""."""
        checks = self.bundle.checks_of(planned_target(self.seen.hostname, self.plan), self.seen.hostname)
        found = probe(checks, timeout_s=self.bundle.policy["probe_timeout_s"], ca_file=self.bundle.ca_file)
        return problem_of(found)

    def _note(self, event: str, **content: Any) -> None:
        """Write it down. Before a message that is a condition; after one, nothing must stop the reading back."""
        try:
            self.journal.append(Line(self.run, event, datetime.now(UTC).isoformat(), content))
        except JournalError as error:
            if event in {"began", "sending"}:
                raise
            self.say(f"{error} Write down by hand: {event} {content.get('sentence', '')}")
