"""Pure: a plan is data. What DNS says now, what it shall say, and a digest of what somebody was shown."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from dnsops.lifecycle import OperationKind


@dataclass(frozen=True, slots=True)
class RRset:
    """A resource record set as it was seen: type, TTL in seconds, sorted values (absolute names in lower case).

    One without values says that the name is not there at all: ``RRset.absent()``.
    """

    rtype: str
    ttl_s: int
    values: tuple[str, ...]

    @classmethod
    def absent(cls, rtype: str) -> RRset:
        """That there is no such name; ``rtype`` is the type that the record would have."""
        return cls(rtype, 0, ())

    @property
    def is_absent(self) -> bool:
        """Whether this says that the name is not there."""
        return not self.values

    def same_data(self, other: RRset | None) -> bool:
        """Whether type and values agree; TTLs are not compared (RFC 2136 section 3.2.3 does not either)."""
        if other is None:
            return self.is_absent
        return (self.rtype, self.values) == (other.rtype, other.values)

    def as_dict(self) -> dict[str, Any]:
        """The form in which it is stored as JSON."""
        return {"rtype": self.rtype, "ttl_s": self.ttl_s, "values": list(self.values)}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> RRset:
        """The inverse of ``as_dict``."""
        return cls(stored["rtype"], int(stored["ttl_s"]), tuple(stored["values"]))

    def __str__(self) -> str:
        """For sentences: without the closing dots, which would read as the sentence's end."""
        if self.is_absent:
            return "no record"
        return f"{self.rtype} {', '.join(value.rstrip('.') for value in self.values)}"


@dataclass(frozen=True, slots=True)
class Change:
    """One compare-and-swap: on ``name``, exactly ``expected`` becomes ``new``.

    Where ``expected`` is absent, the name must not exist at all: then, and only then, the record is created.
    """

    zone: str
    name: str
    expected: RRset
    new: RRset


@dataclass(frozen=True, slots=True)
class Plan:
    """What an operation will do, and to whom. ``digest`` (SHA-256 over the canonical content) binds a click to it.

    The target is a server (``to_server_id``) or a virtual service (``to_virtual_service_id``); the other one is 0.
    """

    kind: str
    hostname: str
    hostname_id: int
    from_server: str
    to_server: str
    to_server_id: int
    writer: str
    change: Change
    digest: str
    to_virtual_service_id: int = 0

    def as_dict(self) -> dict[str, Any]:
        """The form in which it is stored as JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Plan:
        """The inverse of ``as_dict``."""
        change = stored["change"]
        return cls(
            **{key: value for key, value in stored.items() if key != "change"},
            change=Change(
                zone=change["zone"],
                name=change["name"],
                expected=RRset.from_dict(change["expected"]),
                new=RRset.from_dict(change["new"]),
            ),
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """What one authoritative server said about a name. ``rrset`` is None where it has none, or said nothing.

    ``state``: answered, silent, error. ``error`` is a phrase for where it did not answer.
    """

    server: str
    state: str
    rrset: RRset | None = None
    rcode: str = ""
    is_writer: bool = False
    error: str = ""

    @property
    def answered(self) -> bool:
        """Whether an authoritative answer came (also one that says that there is no such record)."""
        return self.state == "answered"

    @property
    def text(self) -> str:
        """The answer in a few words."""
        if not self.answered:
            return self.error or self.state
        return str(self.rrset) if self.rrset else f"no record ({self.rcode})"

    def as_dict(self) -> dict[str, Any]:
        """The form in which it is kept as evidence."""
        return {
            "server": self.server,
            "state": self.state,
            "rrset": self.rrset.as_dict() if self.rrset else None,
            "rcode": self.rcode,
            "error": self.error,
            "text": self.text,
        }


@dataclass(frozen=True, slots=True)
class Aim:
    """Which target is meant: a server or a virtual service, by its database id; 0 and 0: none in particular."""

    server_id: int = 0
    virtual_service_id: int = 0

    def __bool__(self) -> bool:
        return bool(self.server_id or self.virtual_service_id)


ANY = Aim()


@dataclass(frozen=True, slots=True)
class Target:
    """A server, or a virtual service (then ``server_id`` is 0), that the hostname may point at. 1 is the primary."""

    server_id: int
    name: str
    fqdn: str
    address: str
    order: int
    virtual_service_id: int = 0
    in_maintenance: bool = False

    def is_meant(self, aim: Aim) -> bool:
        """Whether ``aim`` names this target."""
        return (self.server_id, self.virtual_service_id) == (aim.server_id, aim.virtual_service_id)

    def value(self, record_type: str) -> str:
        """What a record of this type says when it points here."""
        return f"{self.fqdn}." if record_type == "CNAME" else self.address


@dataclass(frozen=True, slots=True)
class PlanFacts:
    """What a plan is made from. ``zone`` and ``writer`` are empty where none is configured; ``targets`` in order."""

    hostname: str
    hostname_id: int
    record_type: str
    ttl_s: int
    zone: str
    writer: str
    targets: tuple[Target, ...]
    answers: tuple[Answer, ...]


class PlanError(Exception):
    """A plan cannot be made; the message says why and what to do."""


def zone_of(name: str, zones: Iterable[str]) -> str:
    """Return the longest of ``zones`` that ``name`` is in, or "" (names without the closing dot)."""
    fitting = [zone for zone in zones if name == zone or name.endswith(f".{zone}")]
    return max(fitting, key=len, default="")


def active_target(facts: PlanFacts) -> Target:
    """Return the target that DNS points at, by the writer's answer. Raises PlanError."""
    rrset = _writers_rrset(facts)
    if rrset.rtype != facts.record_type:
        raise PlanError(
            f"{facts.hostname} is declared as {facts.record_type}, but DNS has a {rrset.rtype} record. A failover "
            "never changes the type: correct the hostname's record type here, or the record in DNS."
        )
    if len(rrset.values) != 1:
        raise PlanError(
            f"{facts.hostname} has {len(rrset.values)} values in DNS ({', '.join(rrset.values)}). A failover "
            "replaces exactly one: remove the ones that do not belong there from DNS."
        )
    for target in facts.targets:
        if target.value(facts.record_type).lower() == rrset.values[0]:
            return target
    raise PlanError(
        f"DNS points {facts.hostname} at {rrset.values[0]}, which is none of its targets. Somebody changed it "
        "elsewhere: put it right, or add that to the targets."
    )


def build_failover_plan(facts: PlanFacts, to_server_id: int | None = None, *, to: Aim = ANY) -> Plan:
    """Plan away from where DNS points now: to the given standby, or to the best that is not in maintenance.

    Raises PlanError.
    """
    to = Aim(to_server_id) if to_server_id else to
    active = active_target(facts)
    standbys = [target for target in facts.targets if target.order != 1]
    if not standbys:
        raise PlanError(f"{facts.hostname} has no standby: a failover needs a second target. Add one to the estate.")
    if not to:
        others = [target for target in standbys if target is not active]
        chosen = next((target for target in others if not target.in_maintenance), others[0] if others else None)
        if chosen is None:
            raise PlanError(
                f"{facts.hostname} is already on {active.name}, its only standby. To go to the primary, fail back."
            )
    else:
        chosen = _target(facts, to)
        if chosen.order == 1 and chosen is not active:
            raise PlanError(f"{chosen.name} is the primary of {facts.hostname}. To go there, fail back.")
    return _plan(OperationKind.FAILOVER, facts, _writers_rrset(facts), active, chosen)


def build_failback_plan(facts: PlanFacts) -> Plan:
    """Plan to the primary, afresh against live DNS; never the inverse of an earlier operation. Raises PlanError."""
    active = active_target(facts)
    primary = next((target for target in facts.targets if target.order == 1), None)
    if primary is None:
        raise PlanError(f"{facts.hostname} has no primary (a target of order 1). Add one to the estate.")
    return _plan(OperationKind.FAILBACK, facts, _writers_rrset(facts), active, primary)


def build_put_right_plan(facts: PlanFacts, *, to: Aim = ANY, recorded: RRset | None) -> Plan:
    """Plan from whatever DNS says back to the given target, or to the one that our records name, or to the primary.

    ``recorded``: the answer that our records expect. A record that has vanished is created, where nothing at all is at
    its name; the record's type is never changed. Raises PlanError.
    """
    found = _writers_rrset(facts, missing=True)
    if found.rtype != facts.record_type:
        raise PlanError(
            f"DNS has a {found.rtype} record for {facts.hostname}, which is declared as {facts.record_type}. Putting "
            "right never changes the type: correct the record in DNS by hand, or the type that is declared here."
        )
    if not facts.targets:
        raise PlanError(f"{facts.hostname} has no target. Add one to the estate.")
    if to:
        chosen = _target(facts, to)
    else:
        chosen = target_at(facts.targets, facts.record_type, recorded) or facts.targets[0]
    now = target_at(facts.targets, facts.record_type, found)
    return _plan(OperationKind.PUT_RIGHT, facts, found, now, chosen)


def target_at(targets: Iterable[Target], record_type: str, rrset: RRset | None) -> Target | None:
    """The target that a record with exactly one value of the declared type points at, if it is one of ours."""
    if rrset is None or rrset.rtype != record_type or len(rrset.values) != 1:
        return None
    return next((target for target in targets if target.value(record_type).lower() == rrset.values[0]), None)


def digest_of(content: Any) -> str:
    """SHA-256 (hex) over the canonical JSON of ``content``: sorted keys, no spaces, UTF-8."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _writers_rrset(facts: PlanFacts, *, missing: bool = False) -> RRset:
    """What the writer says. ``missing``: a name that is not there is an answer too, and no mistake."""
    if not facts.zone:
        raise PlanError(f"No DNS zone here contains {facts.hostname}. Add its zone and name servers to the estate.")
    if not facts.writer:
        raise PlanError(f"Zone {facts.zone} has no writer. Say which of its name servers takes changes.")
    said = next((answer for answer in facts.answers if answer.server == facts.writer), None)
    if said is None or not said.answered:
        raise PlanError(_writer_silent(facts, said))
    if said.rrset is not None:
        return said.rrset
    if not missing:
        raise PlanError(
            f"{facts.writer} has no record for {facts.hostname} ({said.rcode}). Was it deleted? Put it right first: a "
            "failover only replaces a record that exists."
        )
    if said.rcode != "NXDOMAIN":
        raise PlanError(
            f"{facts.writer} has no {facts.record_type} record for {facts.hostname}, but something else is at or below "
            "that name. It is created only where nothing is: look at the name in DNS, and mend it by hand."
        )
    return RRset.absent(facts.record_type)


def nameless(rrset: RRset) -> str:
    """How an answer that is no target of ours is called."""
    return ", ".join(value.rstrip(".") for value in rrset.values) or "no record"


def _writer_silent(facts: PlanFacts, said: Answer | None) -> str:
    others = [answer for answer in facts.answers if answer.answered and answer.server != facts.writer]
    sentence = (
        f"The writer {facts.writer} gives no answer ({said.text if said else 'not asked'}), so nothing can be changed."
    )
    if len({answer.text for answer in others}) > 1:
        return f"{sentence} The other servers disagree: {', '.join(f'{a.server}: {a.text}' for a in others)}."
    if others:
        return (
            f"{sentence} {others[0].server} says {others[0].text}. Mend {facts.writer}, or make another server the "
            "writer."
        )
    return f"{sentence} No other server answers either: check the network between this machine and the DNS servers."


def _target(facts: PlanFacts, to: Aim) -> Target:
    for target in facts.targets:
        if target.is_meant(to):
            return target
    raise PlanError(f"What was chosen is not a target of {facts.hostname} any more. Look again.")


def _plan(kind: OperationKind, facts: PlanFacts, expected: RRset, active: Target | None, chosen: Target) -> Plan:
    if chosen is active:
        raise PlanError(f"{facts.hostname} already points at {chosen.name}. There is nothing to do.")
    new = RRset(facts.record_type, facts.ttl_s, (chosen.value(facts.record_type).lower(),))
    plan = Plan(
        kind=kind.value,
        hostname=facts.hostname,
        hostname_id=facts.hostname_id,
        from_server=active.name if active else nameless(expected),
        to_server=chosen.name,
        to_server_id=chosen.server_id,
        to_virtual_service_id=chosen.virtual_service_id,
        writer=facts.writer,
        change=Change(zone=facts.zone, name=facts.hostname, expected=expected, new=new),
        digest="",
    )
    return replace(plan, digest=digest_of(plan.as_dict()))
