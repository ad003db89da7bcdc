"""Pure: from the states of checks to what is going on with a server and with a dedicated hostname, in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pools.balancing import roll_up_virtual_service, standby_reasons
from pools.facts import (
    PROBERS_OWN,
    CheckFact,
    Finding,
    HostnameFacts,
    ServerFacts,
    ServerVerdict,
    TargetFacts,
    UccFact,
    VirtualServiceFacts,
)
from pools.health import Health, Situation
from pools.pointing import Pointing, where_dns_points

PORTS_NAMED = 4
PHRASE_LIMIT = 300


@dataclass(frozen=True, slots=True)
class HostnameVerdict:
    """What the overview shows of a hostname.

    ``planned``: all that is wrong is on servers in maintenance, so it is no alarm. ``maintenance``: which are in it.
    """

    health: Health
    situation: Situation
    phrase: str
    active_server_id: int | None = None
    active_text: str = ""
    standby_server_id: int | None = None
    standby_ready: bool = False
    standby_phrase: str = ""
    on_primary: bool = True
    latency_ms: float | None = None
    active_virtual_service_id: int | None = None
    standby_virtual_service_id: int | None = None
    planned: bool = False
    maintenance: str = ""


# ------------------------------------------------------------------------------------------------------------- servers

AGAIN = "answers again, but not for long enough yet"
_SHORT = {
    "refused": "refused",
    "timeout": "timed out",
    "reset": "cut off",
    "no_route": "not reachable",
    "name_not_found": "not found by name",
    "": "not checked yet",
    "ok": AGAIN,
}


def roll_up_target(target: TargetFacts) -> ServerVerdict:
    """Return what clients would meet were DNS to point at this target."""
    if isinstance(target, VirtualServiceFacts):
        return roll_up_virtual_service(target, {s.server_id: roll_up_server(s) for s in target.real_servers})
    return roll_up_server(target)


def roll_up_server(server: ServerFacts) -> ServerVerdict:
    """Return what clients would meet on this server."""
    bad = [ucc for ucc in server.uccs if ucc.check.bad]
    if server.web.bad:
        return _web_is_dead(server, bad)
    return _uccs_are_dead(server, bad) if bad else _nothing_is_dead(server)


def _uccs_are_dead(server: ServerFacts, bad: Sequence[UccFact]) -> ServerVerdict:
    if len(bad) < len(server.uccs):
        working = sum(ucc.check.answers for ucc in server.uccs)
        unknown = len(server.uccs) - len(bad) - working
        rest = f"{working} of {len(server.uccs)} UCCs answer" + (f", {unknown} not known" if unknown else "")
        return ServerVerdict(Health.DEGRADED, Situation.SOME_UCCS_DOWN, f"{uccs_phrase(bad)}; {rest}")
    if server.web.answers:
        phrase = f"{uccs_phrase(bad)}; web still answers: clients get no data"
        return ServerVerdict(Health.DOWN, Situation.NO_DATA, phrase)
    return ServerVerdict(Health.DOWN, Situation.SERVER_DOWN, f"{uccs_phrase(bad)}; web not known")


def _nothing_is_dead(server: ServerFacts) -> ServerVerdict:
    facts = [*(ucc.check for ucc in server.uccs), server.web]
    unknown = [fact for fact in facts if fact.health is Health.UNKNOWN]
    if unknown:
        said = next((fact.sentence for fact in unknown if fact.cause in PROBERS_OWN), "")
        return ServerVerdict(Health.UNKNOWN, Situation.UNKNOWN, said or f"{server.name} is not checked yet")
    if server.cert.health is Health.DEGRADED:
        phrase = f"certificate of {server.name}: {server.cert.sentence}"
        return ServerVerdict(Health.DEGRADED, Situation.CERTIFICATE, phrase)
    degraded = next((fact for fact in facts if fact.health is Health.DEGRADED), None)
    if degraded:
        return ServerVerdict(Health.DEGRADED, Situation.WORKING, f"{server.name}: {degraded.sentence}")
    return ServerVerdict(Health.UP, Situation.WORKING)


def _web_is_dead(server: ServerFacts, bad: Sequence[UccFact]) -> ServerVerdict:
    web = web_phrase(server.web)
    if server.uccs and len(bad) == len(server.uccs):
        return ServerVerdict(
            Health.DOWN, Situation.SERVER_DOWN, f"{server.name} does not work: {uccs_phrase(bad)}, {web}"
        )
    if not server.uccs:
        return ServerVerdict(Health.DOWN, Situation.SERVER_DOWN, f"{server.name} does not work: {web}")
    if bad:
        return ServerVerdict(Health.DOWN, Situation.SCREENS_DEAD, f"{web}, {uccs_phrase(bad)}: screens dead")
    if all(ucc.check.answers for ucc in server.uccs):
        return ServerVerdict(Health.DOWN, Situation.SCREENS_DEAD, f"{web}; UCC answers: calls flow, screens dead")
    return ServerVerdict(Health.DOWN, Situation.SCREENS_DEAD, f"{web}: screens dead; UCC not known")


def uccs_phrase(uccs: Sequence[UccFact]) -> str:
    """Return "UCC 6001, 6002 refused; 6003 timed out" for failing UCCs."""
    groups: dict[str, list[int]] = {}
    for ucc in uccs:
        groups.setdefault(_SHORT.get(ucc.check.cause, "failed"), []).append(ucc.port)
    return "UCC " + "; ".join(f"{_ports(sorted(ports))} {word}" for word, ports in groups.items())


def _ports(ports: Sequence[int]) -> str:
    named = ", ".join(str(port) for port in ports[:PORTS_NAMED])
    return named if len(ports) <= PORTS_NAMED else f"{named} and {len(ports) - PORTS_NAMED} more"


def web_phrase(web: CheckFact) -> str:
    """Return "web refused", or "web: " and what it said."""
    return f"web {_SHORT[web.cause]}" if web.cause in _SHORT else f"web: {web.sentence}"


# ------------------------------------------------------------------------------------------------------------- standby


@dataclass(frozen=True, slots=True)
class _Standby:
    """The server that would be failed over to. ``fault``: not ready for a reason that is nobody's intention."""

    server: TargetFacts | None
    ready: bool = False
    phrase: str = ""
    fault: bool = False


def _standby_of(facts: HostnameFacts, pointing: Pointing) -> _Standby:
    others = [target for target in facts.targets if target is not pointing.active]
    if not others or not pointing.known:
        return _Standby(None, phrase="" if others else "there is no other server to fail over to")
    server = next((other for other in others if not other.in_maintenance), others[0])
    if isinstance(server, VirtualServiceFacts):
        verdict = roll_up_target(server)
        phrase, fault = standby_reasons(server, verdict)
        return _Standby(server, ready=not phrase, phrase=phrase, fault=fault)
    reasons: list[str] = []
    fault = False
    if server.in_maintenance:
        reasons.append("in maintenance")
    bad = [ucc for ucc in server.uccs if ucc.check.bad]
    if bad and len(bad) == len(server.uccs) and not server.standby_runs_ucc and not server.web.bad:
        reasons.append("UCC service not running (cold standby: start it first)")
    elif bad:
        reasons.append(uccs_phrase(bad))
        fault = True
    if server.web.bad:
        reasons.append(web_phrase(server.web))
        fault = True
    if server.cert.health is Health.DEGRADED:
        reasons.append(f"certificate: {server.cert.sentence}")
        fault = True
    reasons += lacking_uccs(facts, server)
    if not reasons:
        unknown = [fact for fact in (server.web, server.cert, *(u.check for u in server.uccs)) if not fact.answers]
        if unknown:
            return _Standby(server, phrase=next((f.sentence for f in unknown if f.sentence), "not checked yet"))
        return _Standby(server, ready=True)
    return _Standby(server, phrase="; ".join(reasons), fault=fault and not server.in_maintenance)


def lacking_uccs(facts: HostnameFacts, server: ServerFacts) -> list[str]:
    """Say which of the primary's UCCs cannot run on this server, as they are not trusted applications of its pool."""
    has = {ucc.ucc_id for ucc in server.uccs}
    lacking = [ucc.name for ucc in facts.targets[0].uccs if ucc.ucc_id not in has]
    return [f"its pool has no trusted application for {', '.join(lacking[:PORTS_NAMED])}"] if lacking else []


def _both_active(facts: HostnameFacts) -> Finding | None:
    servers = list({server.server_id: server for target in facts.targets for server in target.servers}.values())
    for index, one in enumerate(servers):
        running = {ucc.ucc_id for ucc in one.uccs if ucc.check.answers}
        for other in servers[index + 1 :]:
            if one.standby_runs_ucc and other.standby_runs_ucc:
                continue
            both = [ucc for ucc in other.uccs if ucc.ucc_id in running and ucc.check.answers]
            if both:
                ports = _ports(sorted(ucc.port for ucc in both))
                phrase = f"{one.name} and {other.name} both run the UCC service ({ports}): only one of them should"
                planned = one.in_maintenance or other.in_maintenance
                return Finding(Health.DEGRADED, Situation.BOTH_ACTIVE, phrase, planned)
    return None


# ------------------------------------------------------------------------------------------------------------ hostname

_RANK = {Health.DOWN: 0, Health.UNKNOWN: 1, Health.DEGRADED: 2, Health.UP: 3}


def roll_up_hostname(facts: HostnameFacts) -> HostnameVerdict:
    """Return what is going on with a hostname: the worst finding names the situation, the next one is told too."""
    pointing = where_dns_points(facts)
    standby = _standby_of(facts, pointing)
    on_primary = pointing.active is None or pointing.active is facts.targets[0]
    findings = sorted(_findings(facts, pointing, standby), key=lambda finding: _RANK[finding.health])
    if not findings:
        findings = [_all_well(pointing, standby, on_primary)]
        if on_primary and pointing.active is not None and (said := roll_up_target(pointing.active).phrase):
            findings = [Finding(Health.UP, Situation.WORKING, said)]
    phrase = "; also ".join(finding.phrase for finding in findings[:2] if finding.phrase)
    return HostnameVerdict(
        health=findings[0].health,
        situation=findings[0].situation,
        phrase=phrase[:PHRASE_LIMIT],
        active_server_id=pointing.active.server_id if pointing.active else None,
        active_virtual_service_id=pointing.active.virtual_service_id if pointing.active else None,
        active_text=pointing.text[:255],
        standby_server_id=standby.server.server_id if standby.server else None,
        standby_virtual_service_id=standby.server.virtual_service_id if standby.server else None,
        standby_ready=standby.ready,
        standby_phrase=standby.phrase[:PHRASE_LIMIT],
        on_primary=on_primary,
        latency_ms=pointing.active.web.latency_ms if pointing.active else None,
        planned=all(finding.planned for finding in findings),
        maintenance="; ".join(_in_maintenance(facts))[:PHRASE_LIMIT],
    )


def _in_maintenance(facts: HostnameFacts) -> list[str]:
    servers = {server.server_id: server for target in facts.targets for server in target.servers}
    return [
        f"{server.name} is in maintenance" + (f" ({server.maintenance})" if server.maintenance else "")
        for server in servers.values()
        if server.in_maintenance
    ]


def _findings(facts: HostnameFacts, pointing: Pointing, standby: _Standby) -> list[Finding]:
    """Everything that is not as it should be; of two that are equally bad the earlier one goes first."""
    findings: list[Finding] = []
    if pointing.active is None and pointing.finding:
        findings.append(pointing.finding)
    verdicts = [(target, roll_up_target(target)) for target in pointing.candidates]
    split = len(verdicts) > 1
    for server, verdict in verdicts:
        if verdict.health is Health.UP:
            continue
        # Of a split hostname some clients are still served: it is down only if no named server works.
        softer = split and any(other.health is not Health.DOWN for _, other in verdicts)
        health = Health.DEGRADED if softer and verdict.health is Health.DOWN else verdict.health
        phrase = f"{server.name}: {verdict.phrase}" if split else verdict.phrase
        planned = server.in_maintenance and health is not Health.UNKNOWN
        findings.append(Finding(health, verdict.situation, phrase, planned))
    if split and pointing.finding and pointing.active:
        findings.insert(0, pointing.finding)
    if facts.service.bad and not split and not any(finding.health is Health.DOWN for finding in findings):
        again = facts.service.cause == "ok"
        phrase = (
            f"through its name it {AGAIN}" if again else f"through its name it does not work: {facts.service.sentence}"
        )
        findings.append(Finding(Health.DOWN, Situation.THROUGH_NAME, phrase))
    both = _both_active(facts)
    if both:
        findings.append(both)
    if pointing.active is not None and not split and pointing.finding:
        findings.append(pointing.finding)
    if standby.fault and standby.server is not None:
        phrase = f"standby {standby.server.name} is not ready: {standby.phrase}"
        findings.append(Finding(Health.DEGRADED, Situation.STANDBY_NOT_READY, phrase))
    return findings


def _all_well(pointing: Pointing, standby: _Standby, on_primary: bool) -> Finding:
    if on_primary or pointing.active is None:
        return Finding(Health.UP, Situation.WORKING, "")
    back = f"; {standby.server.name} is ready to fail back to" if standby.server and standby.ready else ""
    what = "the standby server" if pointing.active.server_id is not None else "the other datacentre,"
    return Finding(Health.UP, Situation.ON_STANDBY, f"on {what} {pointing.active.name}{back}")
