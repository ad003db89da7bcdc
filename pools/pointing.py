"""Pure: where DNS sends clients, by what each authoritative server says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pools.facts import PROBERS_OWN, DnsFact, Finding, HostnameFacts, TargetFacts
from pools.health import Health, Situation


@dataclass(frozen=True, slots=True)
class Pointing:
    """Where DNS sends clients.

    ``active``: the target, None where it is none of ours. ``finding``: what is wrong with DNS. ``known``: whether it
    says anything at all. ``candidates``: every target that some server names; more than one where they disagree.
    """

    active: TargetFacts | None
    text: str
    finding: Finding | None = None
    known: bool = True
    candidates: tuple[TargetFacts, ...] = ()


def where_dns_points(facts: HostnameFacts) -> Pointing:
    """Return where the authoritative servers' answers send clients, and what is wrong with them."""
    if not facts.dns:
        return _nowhere(Situation.UNKNOWN, "no name server is entered for this name: add its zone and name servers")
    answers: dict[tuple[str, ...], list[str]] = {}
    for dns in facts.dns:
        if dns.check.answers and dns.values:
            answers.setdefault(dns.values, []).append(dns.name_server)
        elif dns.says_nothing_is_there:
            answers.setdefault((), []).append(dns.name_server)
    if not answers:
        return _no_answer(facts.dns)
    if len(answers) > 1:
        return _split(facts, answers)
    values, says = next(iter(answers.items()))
    if not values:
        phrase = f"{_names(says)}: there is no such name in DNS; clients find nothing"
        return Pointing(None, "no record", Finding(Health.DOWN, Situation.DNS_MISSING, phrase))
    target = _target_of(facts.targets, values)
    if target is None:
        phrase = f"DNS points at {_values(values)}, which is none of this name's servers: what clients get is not known"
        return Pointing(None, _values(values), Finding(Health.DEGRADED, Situation.DNS_FOREIGN, phrase))
    silent = [dns for dns in facts.dns if dns.check.bad]
    finding = None
    if silent:
        phrase = (
            f"name server {_names([dns.name_server for dns in silent])} does not answer: {silent[0].check.sentence}"
        )
        finding = Finding(Health.DEGRADED, Situation.DNS_SILENT, phrase)
    return Pointing(target, _values(values), finding, candidates=(target,))


def _nowhere(situation: Situation, phrase: str) -> Pointing:
    return Pointing(None, "", Finding(Health.UNKNOWN, situation, phrase), known=False)


def _no_answer(dns: Sequence[DnsFact]) -> Pointing:
    failing = [fact for fact in dns if fact.check.bad]
    if not failing:
        said = next((fact.check.sentence for fact in dns if fact.check.cause in PROBERS_OWN), "")
        return _nowhere(Situation.UNKNOWN, said or "DNS is not checked yet")
    silent = _names([fact.name_server for fact in failing])
    phrase = f"no name server answers ({silent}): where clients are sent is not known"
    return _nowhere(Situation.DNS_SILENT, phrase)


def _split(facts: HostnameFacts, answers: dict[tuple[str, ...], list[str]]) -> Pointing:
    parts = []
    named: list[TargetFacts] = []
    for values, says in answers.items():
        target = _target_of(facts.targets, values)
        if target is not None:
            named.append(target)
        what = target.name if target else (_values(values) if values else "that there is no such name")
        parts.append(f"{_names(says)} {'says' if len(says) == 1 else 'say'} {what}")
    text = "; ".join(parts)
    phrase = f"name servers disagree: {text}. Clients may be split"
    finding = Finding(Health.DEGRADED, Situation.DNS_SPLIT, phrase)
    return Pointing(_target_of(facts.targets, next(iter(answers))), text, finding, candidates=tuple(named))


def _target_of(targets: Iterable[TargetFacts], values: tuple[str, ...]) -> TargetFacts | None:
    """The target that a record with exactly one value points at, by name or by address."""
    if len(values) != 1:
        return None
    value = values[0].rstrip(".").lower()
    return next((target for target in targets if value in {target.fqdn.rstrip(".").lower(), target.address}), None)


def _values(values: Sequence[str]) -> str:
    return ", ".join(value.rstrip(".") for value in values)


def _names(names: Sequence[str]) -> str:
    return ", ".join(names)
