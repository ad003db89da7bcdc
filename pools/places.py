"""Pure: what is going on on a server, in a pair of servers, in a pool, in a site, in whole sentences. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pools.facts import ServerFacts, UccFact
from pools.health import Health, Situation
from pools.rollup import PORTS_NAMED, roll_up_server

NAMED = 2
REFUSED = "refused"
_RANK = {Health.DOWN: 0, Health.UNKNOWN: 1, Health.DEGRADED: 2, Health.UP: 3}
_WORDS = {Health.DOWN: "down", Health.UNKNOWN: "not known", Health.DEGRADED: "degraded"}


class Part(NamedTuple):
    """A hostname as it counts for its pool and site."""

    name: str
    health: Health
    phrase: str


class Verdict(NamedTuple):
    """What is going on in a place, in whole sentences."""

    health: Health
    sentence: str


def together(*verdicts: Verdict) -> Verdict:
    """Return the worst health, with every sentence; the worst one's first."""
    ranked = sorted(verdicts, key=lambda verdict: _RANK[verdict.health])
    return Verdict(ranked[0].health, " ".join(verdict.sentence for verdict in ranked if verdict.sentence))


def roll_up_hostnames(parts: Sequence[Part]) -> Verdict:
    """Return how a pool's or a site's hostnames are: down where all are, unknown rather than up where one is."""
    if not parts:
        return Verdict(Health.UNKNOWN, "No dedicated hostname belongs to it, so no client depends on it.")
    bad = sorted((part for part in parts if part.health is not Health.UP), key=lambda part: _RANK[part.health])
    if not bad:
        return Verdict(Health.UP, f"All {len(parts)} hostnames work." if len(parts) > 1 else f"{parts[0].name} works.")
    counts = {health: sum(part.health is health for part in bad) for health in _WORDS}
    said = ", ".join(f"{count} {_WORDS[health]}" for health, count in counts.items() if count)
    named = "; ".join(f"{part.name}: {part.phrase}" if part.phrase else part.name for part in bad[:NAMED])
    more = f"; and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
    of = f"Of {len(parts)} hostnames {said}. " if len(parts) > 1 else ""
    return Verdict(_health_of(counts, len(parts)), f"{of}{_sentence(named + more)}")


def _health_of(counts: dict[Health, int], parts: int) -> Health:
    if counts[Health.DOWN] == parts:
        return Health.DOWN
    return Health.DEGRADED if counts[Health.DOWN] or counts[Health.DEGRADED] else Health.UNKNOWN


def roll_up_one(server: ServerFacts, *, active: bool | None) -> Verdict:
    """Return what is going on on one server. ``active``: whether clients are on it; None where that is not known.

    Only of a server that no client is on may the UCC service be off, and only a refusal says that it is.
    """
    found = roll_up_server(server)
    off = all(ucc.check.cause == REFUSED for ucc in server.uccs)
    if found.situation is Situation.NO_DATA and off and active is False and not server.standby_runs_ucc:
        return Verdict(Health.UP, "It stands by: the UCC service is not started, web services answer.")
    if found.health is Health.UP:
        return Verdict(Health.UP, "UCCs and web services answer." if server.uccs else "Web services answer.")
    if found.health is Health.UNKNOWN:
        unknown = (fact for fact in (*(ucc.check for ucc in server.uccs), server.web) if fact.health is Health.UNKNOWN)
        why = next((fact.sentence for fact in unknown if fact.sentence), found.phrase)
        return Verdict(Health.UNKNOWN, f"Whether it works is not known: {_sentence(why)}")
    sentence = _sentence(found.phrase[:1].upper() + found.phrase[1:])
    return Verdict(found.health, f"No client is on it now. {sentence}" if active is False else sentence)


def roll_up_pair(servers: Sequence[ServerFacts]) -> Verdict:
    """Return which servers of a trusted application pool run its UCCs, and whether that is as it should be."""
    if not servers:
        return Verdict(Health.UNKNOWN, "It has no server.")
    uccs = {ucc.ucc_id: ucc for server in servers for ucc in server.uccs}
    if not uccs:
        return Verdict(Health.UNKNOWN, "It has no trusted application, so no UCC can be checked.")
    running = {pk: [s.name for s in servers if _answers(s, pk)] for pk in uccs}
    unknown = [pk for pk in uccs if not running[pk] and any(_is_unknown(s, pk) for s in servers)]
    nowhere = [uccs[pk] for pk in uccs if not running[pk] and pk not in unknown]
    if len(nowhere) == len(uccs):
        return Verdict(Health.DOWN, _none_runs(servers))
    if nowhere:
        return Verdict(
            Health.DEGRADED, f"{_uccs(nowhere)} on no server; {len(uccs) - len(nowhere)} of {len(uccs)} UCCs run."
        )
    if unknown:
        return Verdict(Health.UNKNOWN, f"Whether {_uccs([uccs[pk] for pk in unknown])} is not known.")
    return _all_run(servers, running)


def _none_runs(servers: Sequence[ServerFacts]) -> str:
    who = f"{servers[0].name} does not run" if len(servers) == 1 else "No server runs"
    web = "; web still answers: clients get no data" if any(server.web.answers for server in servers) else ""
    return f"{who} the UCC service{web}."


def _all_run(servers: Sequence[ServerFacts], running: dict[int, list[str]]) -> Verdict:
    on = sorted({name for names in running.values() for name in names})
    twice = [name for name in on if any(name in names and len(names) > 1 for names in running.values())]
    dead = [server.name for server in servers if server.name in on and server.web.bad]
    if dead and len(dead) == len(on):
        return Verdict(Health.DEGRADED, f"The UCC service runs on {_and(on)}, web does not: calls flow, screens dead.")
    if twice and not all(server.standby_runs_ucc for server in servers if server.name in twice):
        return Verdict(Health.DEGRADED, f"{_and(twice)} both run the UCC service: only one of them should.")
    if twice:
        return Verdict(Health.UP, f"The UCC service runs on {_and(on)}, as it is meant to here.")
    idle = [server.name for server in servers if server.name not in on]
    standby = f"; {_and(idle)} stand{'s' if len(idle) == 1 else ''} by" if idle else ""
    return Verdict(Health.UP, f"The UCC service runs on {_and(on)}{standby}.")


def _of(server: ServerFacts, ucc_id: int) -> UccFact | None:
    return next((ucc for ucc in server.uccs if ucc.ucc_id == ucc_id), None)


def _answers(server: ServerFacts, ucc_id: int) -> bool:
    ucc = _of(server, ucc_id)
    return ucc is not None and ucc.check.answers


def _is_unknown(server: ServerFacts, ucc_id: int) -> bool:
    ucc = _of(server, ucc_id)
    return ucc is not None and ucc.check.health is Health.UNKNOWN


def _uccs(uccs: Sequence[UccFact]) -> str:
    ports = [str(ucc.port) for ucc in sorted(uccs, key=lambda ucc: ucc.port)]
    more = f" and {len(ports) - PORTS_NAMED} more" if len(ports) > PORTS_NAMED else ""
    return f"UCC {', '.join(ports[:PORTS_NAMED])}{more} run{'s' if len(ports) == 1 else ''}"


def _and(names: Iterable[str]) -> str:
    names = list(names)
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
