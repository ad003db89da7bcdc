"""Pure: what is going on behind a virtual service, by what we see ourselves and by what its load balancer says.

The load balancer checks one UCC's TCP port on each real server and nothing else. So it does not see dead web services
behind an open port, and it takes every real server out when that one UCC is removed; we see both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pools.facts import PROBERS_OWN, CheckFact, ServerFacts, ServerVerdict, VirtualServiceFacts
from pools.health import Health, Situation


def serving(service: VirtualServiceFacts) -> ServerFacts | None:
    """The real server that clients end up on.

    By the load balancer's own statistics where they are read; else the first whose health check's port answers, which
    is what the load balancer sees.
    """
    if service.balancer_is_read:
        return next((server for server in service.real_servers if server.name in service.in_use), None)
    return next((server for server in service.real_servers if service.check_on(server).answers), None)


def roll_up_virtual_service(service: VirtualServiceFacts, verdicts: Mapping[int, ServerVerdict]) -> ServerVerdict:
    """Return what clients meet through this virtual service. ``verdicts``: of its real servers, by their ids."""
    server = serving(service)
    for judge in (_check_ucc_gone, _vip_dead, _dead_behind_green, _web_dead, _not_known):
        if verdict := judge(service, server):
            return verdict
    verdict = verdicts[server.server_id] if server is not None else None
    if disagreement := _disagrees(service, server, verdict):
        return disagreement
    if server is not None and verdict is not None and verdict.health not in {Health.UP, Health.UNKNOWN}:
        phrase = f"{server.name} behind {service.name}: {verdict.phrase}"
        return ServerVerdict(verdict.health, verdict.situation, phrase)
    return _small_faults(service, server) or _well(service, server)


def _check_ucc_gone(service: VirtualServiceFacts, server: ServerFacts | None) -> ServerVerdict | None:
    if not seems_removed(service):
        return None
    served = service.vip.answers and service.web.answers
    phrase = (
        f"the port of {service.check_name} ({service.check_port}), which the load balancer of {service.name} checks, "
        f"is closed on {names(service.real_servers)} while other UCCs answer: this UCC seems to have been removed; the "
        f"load balancer {'will take' if served else 'takes'} {_all(service)} out"
    )
    return ServerVerdict(Health.DEGRADED if served else Health.DOWN, Situation.CHECK_UCC_GONE, phrase)


def seems_removed(service: VirtualServiceFacts) -> bool:
    """Whether the health check's port is closed on every real server while another UCC's port is open on one."""
    real = service.real_servers
    closed = bool(real) and all(service.check_on(server).bad for server in real)
    return closed and any(
        ucc.check.answers for server in real for ucc in server.uccs if ucc.ucc_id != service.check_ucc_id
    )


def _vip_dead(service: VirtualServiceFacts, server: ServerFacts | None) -> ServerVerdict | None:
    """Nothing comes through the VIP. HAProxy still accepts connections then, and closes them; others refuse them."""
    closed = all(service.check_on(one).bad for one in service.real_servers)
    if not service.vip.bad and not (service.web.bad and closed):
        return None
    fit = [one for one in service.real_servers if service.check_on(one).answers]
    if fit:
        why = f"{names(fit)} would be fit: the load balancer itself seems to be down, or has taken {_them(fit)} out"
    elif closed:
        why = f"UCC port {service.check_port} is closed on {names(service.real_servers)}: no real server is left"
    else:
        why = "whether a real server is fit is not known"
    said = _short(service.vip if service.vip.bad else service.web)
    phrase = f"VIP of {service.name} ({service.address}:{service.port}): {said}; {why}"
    return ServerVerdict(Health.DOWN, Situation.SERVER_DOWN, phrase)


def _dead_behind_green(service: VirtualServiceFacts, server: ServerFacts | None) -> ServerVerdict | None:
    """Clients are sent to a server whose health check is green and whose web services are dead."""
    if server is None or not (server.web.bad and service.check_on(server).answers):
        return None
    through = service.web.answers and not service.balancer_is_read
    phrase = (
        f"web services of {server.name} are dead behind a green health check "
        f"({_short(server.web)}): the load balancer of {service.name} checks only "
        f"UCC port {service.check_port}, and does not see it"
    )
    return ServerVerdict(Health.DEGRADED if through else Health.DOWN, Situation.BEHIND_GREEN, phrase)


def _web_dead(service: VirtualServiceFacts, server: ServerFacts | None) -> ServerVerdict | None:
    if not service.web.bad or (server is not None and server.web.bad):
        return None
    fine = f"; {server.name} itself answers" if server is not None and server.web.answers else ""
    phrase = f"web services through {service.name}: {service.web.sentence}{fine}"
    return ServerVerdict(Health.DOWN, Situation.SCREENS_DEAD, phrase)


def _not_known(service: VirtualServiceFacts, server: ServerFacts | None) -> ServerVerdict | None:
    unknown = [fact for fact in (service.vip, service.web) if fact.health is Health.UNKNOWN]
    if not unknown:
        return None
    said = next((fact.sentence for fact in unknown if fact.cause in PROBERS_OWN), "")
    return ServerVerdict(Health.UNKNOWN, Situation.UNKNOWN, said or f"{service.name} is not checked yet")


def _disagrees(
    service: VirtualServiceFacts, server: ServerFacts | None, verdict: ServerVerdict | None
) -> ServerVerdict | None:
    """The load balancer uses a server whose port we find closed, or says that it uses none."""
    if not service.balancer_is_read:
        return None
    if server is None and service.in_use:
        phrase = f"uses {names(service.in_use)}, which is none of its real servers here"
    elif server is None:
        phrase = "says that no real server is up, but the web services answer through it"
    elif service.check_on(server).bad:
        found = _short(service.check_on(server))
        phrase = f"uses {server.name}, whose UCC port {service.check_port} we find {found}"
    else:
        return None
    health = Health.DOWN if verdict is not None and verdict.health is Health.DOWN else Health.DEGRADED
    return ServerVerdict(health, Situation.BALANCER_DISAGREES, f"the load balancer of {service.name} {phrase}")


def _small_faults(service: VirtualServiceFacts, server: ServerFacts | None) -> ServerVerdict | None:
    if service.cert.health is Health.DEGRADED:
        phrase = f"certificate through {service.name}: {service.cert.sentence}"
        return ServerVerdict(Health.DEGRADED, Situation.CERTIFICATE, phrase)
    degraded = next((fact for fact in (service.web, service.vip) if fact.health is Health.DEGRADED), None)
    if degraded:
        return ServerVerdict(Health.DEGRADED, Situation.WORKING, f"{service.name}: {degraded.sentence}")
    for other in service.real_servers:
        why = _why_not_ready(other)
        if other is not server and why and not other.in_maintenance:
            phrase = f"real server {other.name} could not take over: {why}"
            if server is not None and other is service.real_servers[0]:
                phrase = f"the load balancer of {service.name} uses {server.name} instead of {other.name}: {why}"
            return ServerVerdict(Health.DEGRADED, Situation.STANDBY_NOT_READY, phrase)
    return None


def _why_not_ready(server: ServerFacts) -> str:
    """A fault that is nobody's intention: a UCC service that does not run on a standby is (cold standby)."""
    if server.web.bad:
        return f"its web services: {server.web.sentence}"
    if server.cert.health is Health.DEGRADED:
        return f"its certificate: {server.cert.sentence}"
    bad = sorted(ucc.port for ucc in server.uccs if ucc.check.bad)
    if bad and (server.standby_runs_ucc or len(bad) < len(server.uccs)):
        return f"UCC {', '.join(map(str, bad[:4]))} {'do' if len(bad) > 1 else 'does'} not answer on {server.name}"
    return ""


def _well(service: VirtualServiceFacts, server: ServerFacts | None) -> ServerVerdict:
    phrase = ""
    if server is not None and server is not service.real_servers[0]:
        phrase = f"the load balancer of {service.name} uses {server.name}; nothing has to be done"
    return ServerVerdict(Health.UP, Situation.WORKING, phrase)


def standby_reasons(service: VirtualServiceFacts, verdict: ServerVerdict) -> tuple[str, bool]:
    """Why a virtual service is not ready to be failed over to ("" where it is), and whether that is a fault.

    None of the real servers running the UCC service is a cold standby, which is somebody's intention.
    """
    if service.in_maintenance:
        return "all its real servers are in maintenance", False
    cold = bool(service.real_servers) and all(
        server.uccs and all(ucc.check.bad for ucc in server.uccs) and not server.standby_runs_ucc
        for server in service.real_servers
    )
    if cold and not any(server.web.bad for server in service.real_servers):
        return "UCC service not running on any of its real servers (cold standby: start it first)", False
    if verdict.health is Health.UP:
        return "", False
    if verdict.situation is Situation.STANDBY_NOT_READY:
        return "", False  # it works on the other real server; its own page says what is wrong
    return verdict.phrase, verdict.health is not Health.UNKNOWN


class Move(NamedTuple):
    """A load balancer's own failover. ``took_s``: seconds from our finding the old server's port closed.

    None where that is not known. It is 0 where the load balancer was quicker than our own checks.
    """

    took_s: float | None
    sentence: str


def judge_move(
    service: VirtualServiceFacts, old: ServerFacts, new: ServerFacts, *, begun: float, closed: float | None
) -> Move:
    """Say how a load balancer went from ``old`` to ``new``.

    ``begun``: when it began to use ``new``; ``closed``: since when our own check has found the health check's port of
    ``old`` closed, None where it has not. Epoch seconds.
    """
    order = [server.name for server in service.real_servers]
    if order.index(new.name) < order.index(old.name):
        return Move(None, f"{new.name} answers again, so the load balancer went back to it by itself.")
    if not service.balancer_is_read:
        said = f"the health check's port answers on {new.name} and no longer on {old.name}"
        return Move(None, f"By what can be seen from here: {said}. Its statistics are not read, so it is not timed.")
    if closed is None:
        why = f"Our own check had not found port {service.check_port} of {old.name} closed by then"
        return Move(None, f"{why}: the load balancer was quicker, or was told to.")
    took_s = round(begun - closed, 1)
    if took_s <= 0:
        return Move(
            0.0, f"It was quicker than our own check, which found port {service.check_port} of {old.name} closed."
        )
    return Move(took_s, f"It took {took_s:g} s from our finding port {service.check_port} of {old.name} closed.")


def names(servers: Sequence[ServerFacts | str]) -> str:
    """“SRV1 and SRV2”."""
    said = [server if isinstance(server, str) else server.name for server in servers]
    return said[0] if len(said) == 1 else f"{', '.join(said[:-1])} and {said[-1]}" if said else "no server"


def _short(fact: CheckFact) -> str:
    """The first words of what a check said."""
    return fact.sentence.partition(":")[0]


def _all(service: VirtualServiceFacts) -> str:
    count = len(service.real_servers)
    return {1: "it", 2: "both servers"}.get(count, f"all {count} servers")


def _them(servers: Sequence[ServerFacts]) -> str:
    return "it" if len(servers) == 1 else "them"
