"""Pure: drift. What DNS says, against what an operation of ours wrote or what was there at the beginning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from dnsops.plan import Answer, RRset, Target, target_at


class Verdict(StrEnum):
    """What an evaluation comes to."""

    AS_EXPECTED = "as_expected"
    FIRST = "first"  # nothing is recorded yet: what DNS says becomes what is expected
    OURS = "ours"  # what an operation that ended without knowing its result may have written
    DRIFTED = "drifted"
    BUSY = "busy"  # an operation is at work: it looks for itself
    NOT_KNOWN = "not_known"  # nobody who answers can decide it


class DriftKind(StrEnum):
    """In which way DNS says something else."""

    MOVED = "moved"  # it points at something else
    VANISHED = "vanished"  # there is no record any more
    RETYPED = "retyped"  # it is a record of another type
    SEVERAL = "several"  # it has more than one value
    ONE_SERVER = "one_server"  # the writer says what is expected; another authoritative server says something else


class Resolution(StrEnum):
    """How a drift came to its end."""

    ADOPTED = "adopted"
    PUT_RIGHT = "put_right"
    OPERATION = "operation"  # a failover or failback moved the hostname
    BY_ITSELF = "by_itself"  # DNS says again what is expected, and no operation of ours did that
    CHANGED_AGAIN = "changed_again"  # it says something else again: another drift took its place


@dataclass(frozen=True, slots=True)
class DriftFacts:
    """What is needed to decide. ``said``: every authoritative server's answer.

    ``expected``: what our records say, None where nothing is recorded yet. ``earlier``: answers that a server which
    lags may still give. ``possible``: what an operation whose result is not known may have written.
    """

    expected: RRset | None
    said: Sequence[Answer]
    earlier: Sequence[RRset] = ()
    possible: RRset | None = None
    operation_active: bool = False


@dataclass(frozen=True, slots=True)
class Drifted:
    """The outcome. ``found``: what DNS says (absent where there is no record); ``servers``: who says so."""

    verdict: Verdict
    kind: DriftKind | None = None
    found: RRset | None = None
    servers: tuple[str, ...] = ()


def judge(facts: DriftFacts) -> Drifted:
    """Say whether DNS says something that no operation wrote. The writer decides; it is what changes are made on.

    Where the writer gives no answer, the others decide if all that answer say the same. A server that says what was
    there before is late, which is not drift. TTLs are not compared: a TTL other than the policy's is a warning of its
    own (``ttl_warning``).
    """
    if facts.operation_active:
        return Drifted(Verdict.BUSY)
    rtype = facts.expected.rtype if facts.expected else "CNAME"
    said = [(answer, answer.rrset or RRset.absent(rtype)) for answer in facts.said if answer.answered]
    writers = next((rrset for answer, rrset in said if answer.is_writer), None)
    decisive = writers if writers is not None else _common([rrset for _, rrset in said])
    if decisive is None:
        return Drifted(Verdict.NOT_KNOWN)
    servers = tuple(answer.server for answer, rrset in said if rrset.same_data(decisive))
    if facts.expected is None:
        found = None if decisive.is_absent or writers is None else decisive
        return Drifted(Verdict.FIRST if found else Verdict.NOT_KNOWN, found=found)
    if facts.expected.same_data(decisive):
        return _others(facts, said)
    drifted = Drifted(Verdict.DRIFTED, _kind(facts.expected, decisive), decisive, servers)
    if facts.possible is not None and facts.possible.same_data(decisive):
        drifted = Drifted(Verdict.OURS, found=decisive)
    elif writers is None and any(old.same_data(decisive) for old in facts.earlier):
        drifted = Drifted(Verdict.NOT_KNOWN)  # they may only be late
    return drifted


def _common(rrsets: Sequence[RRset]) -> RRset | None:
    """The one that all are, or None."""
    return rrsets[0] if rrsets and all(rrset.same_data(rrsets[0]) for rrset in rrsets) else None


def _others(facts: DriftFacts, said: Sequence[tuple[Answer, RRset]]) -> Drifted:
    """The writer says what is expected: does another server say what was never written?"""
    assert facts.expected is not None
    known = [facts.expected, *facts.earlier, *([facts.possible] if facts.possible else [])]
    strange = [(answer, rrset) for answer, rrset in said if not any(old.same_data(rrset) for old in known)]
    if not strange:
        return Drifted(Verdict.AS_EXPECTED)
    found = strange[0][1]
    servers = tuple(answer.server for answer, rrset in strange if rrset.same_data(found))
    return Drifted(Verdict.DRIFTED, DriftKind.ONE_SERVER, found, servers)


def _kind(expected: RRset, found: RRset) -> DriftKind:
    if found.is_absent:
        return DriftKind.VANISHED
    if found.rtype != expected.rtype:
        return DriftKind.RETYPED
    return DriftKind.MOVED if len(found.values) == 1 else DriftKind.SEVERAL


@dataclass(frozen=True, slots=True)
class Remedy:
    """What can be done. ``adopt``: the target that our records would then name; ``put_right``: where an operation would
    lead. Where one of them is None, ``why_not_…`` says why, and what to do in its place.
    """

    adopt: Target | None
    put_right: Target | None
    why_not_adopt: str = ""
    why_not_put_right: str = ""


def remedy_for(
    kind: DriftKind, found: RRset, *, expected: RRset, targets: Sequence[Target], record_type: str
) -> Remedy:
    """Say which ways out of a drift there are."""
    adopt = None if kind is DriftKind.ONE_SERVER else target_at(targets, record_type, found)
    put_right = target_at(targets, record_type, expected) or (targets[0] if targets else None)
    why_not_put_right = _why_not_put_right(kind, targets, found, record_type)
    if why_not_put_right or put_right is adopt:
        put_right = None
    return Remedy(
        adopt, put_right, "" if adopt else _why_not_adopt(kind, found, record_type), "" if put_right else
        why_not_put_right or "It points at a target already: if that is meant, adopt it.",
    )  # fmt: skip


def _why_not_put_right(kind: DriftKind, targets: Sequence[Target], found: RRset, record_type: str) -> str:
    if kind is DriftKind.ONE_SERVER:
        return (
            "The writer says what is expected, so there is nothing to write. It ends by itself when replication has "
            "caught up; if it does not, mend the record on the server that differs."
        )
    if not targets:
        return "The hostname has no target. Add one to the estate first."
    if not found.is_absent and found.rtype != record_type:
        return (
            f"A change of ours never changes a record's type. Put the {record_type} record back in DNS by hand, or "
            "declare the hostname's record type anew in the estate."
        )
    return ""


def _why_not_adopt(kind: DriftKind, found: RRset, record_type: str) -> str:
    if kind is DriftKind.ONE_SERVER:
        return "Only one server says so, and it is not the writer: there is nothing to adopt yet."
    if kind is DriftKind.VANISHED:
        return "There is no record to adopt. If the hostname is no longer wanted, delete it from the estate."
    if found.rtype != record_type:
        return f"It is a {found.rtype} record now, and the hostname is declared as {record_type}."
    if kind is DriftKind.SEVERAL:
        return "It has more than one value, and a hostname of ours points at one server at a time."
    values = ", ".join(value.rstrip(".") for value in found.values)
    return f"{values} is none of the hostname's targets. Add it to them first, if it belongs there."


def ttl_warning(said: Sequence[Answer], *, policy_ttl_s: int) -> str:
    """What to say where a TTL is not the policy's; "" where all are. By the writer where it answers."""
    answered = [answer for answer in said if answer.answered and answer.rrset is not None]
    deciding = [answer for answer in answered if answer.is_writer] or answered
    wrong = [answer for answer in deciding if answer.rrset is not None and answer.rrset.ttl_s != policy_ttl_s]
    if not wrong or wrong[0].rrset is None:
        return ""
    ttl_s = wrong[0].rrset.ttl_s
    effect = "so clients stay behind for longer after a change" if ttl_s > policy_ttl_s else "shorter than it need be"
    return (
        f"The record's TTL is {ttl_s} s and the policy says {policy_ttl_s} s: {effect}. The next change sets it; "
        "before an emergency, set it in DNS by hand, or change the policy."
    )
