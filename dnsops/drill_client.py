"""A client of a hostname, for the length of a drill: resolves it, keeps the answer for its TTL, asks the service."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from dnsops import asking, target_health
from dnsops.plan import Answer
from dnsops.providers.base import Endpoint
from pools.health import CheckKind
from pools.models import DedicatedHostname
from pools.specs import Check

RESOLVE_TIMEOUT_S = 0.5
PROBE_TIMEOUT_S = 1.5


@dataclass(slots=True)
class Client:
    """``targets``: what a record may say -> the checks that a client there depends on."""

    hostname: str
    servers: Sequence[Endpoint]
    targets: dict[str, list[Check]]
    kept: Answer | None = None
    kept_until: float = 0.0
    turn: itertools.count[int] = field(default_factory=itertools.count)

    def probe(self) -> str:
        """Ask once, as a client would: "" where it gets service, otherwise what is in the way."""
        answer = self._resolve()
        if answer is None or answer.rrset is None:
            return f"{self.hostname} does not resolve"
        checks = self.targets.get(answer.rrset.values[0]) if len(answer.rrset.values) == 1 else None
        if checks is None:
            return f"it leads to {answer.text}, which is none of its targets"
        return target_health.problem_of(target_health.probe(checks, timeout_s=PROBE_TIMEOUT_S))

    def _resolve(self) -> Answer | None:
        """The kept answer, while its TTL lasts; then whichever server answers first in turn."""
        if self.kept is not None and time.monotonic() < self.kept_until:
            return self.kept
        self.kept = None
        first = next(self.turn)
        for number in range(len(self.servers)):
            server = self.servers[(first + number) % len(self.servers)]
            answer = asking.ask(server, self.hostname, timeout_s=RESOLVE_TIMEOUT_S)
            if answer.answered and answer.rrset is not None:
                self.kept, self.kept_until = answer, time.monotonic() + answer.rrset.ttl_s
                return answer
        return None


def client_of(hostname: DedicatedHostname, servers: Sequence[Endpoint]) -> Client:
    """A client of this hostname, with everything that it may be led to."""
    targets: dict[str, list[Check]] = {}
    for target in hostname.targets.with_aims().order_by("order"):
        value = f"{target.fqdn}." if hostname.record_type == "CNAME" else target.address
        checks = target_health.checks_of(target.aim, hostname)
        targets[value.lower()] = [check for check in checks if check.kind is not CheckKind.CERT]
    return Client(hostname.fqdn, servers, targets)
