"""What the standing checks last found in DNS, read from their current-state rows."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from dnsops.models import NameServer
from dnsops.plan import Answer, RRset
from pools.health import CheckKind, Health
from pools.models import CheckState
from pools.probing.result import Cause


class Standing(NamedTuple):
    """One server's last answer about one hostname, since when it gives it, and which server that is."""

    answer: Answer
    since: datetime | None
    name_server_id: int
    health: str


def standing(hostname_ids: Iterable[int]) -> dict[int, list[Standing]]:
    """Every authoritative server's last answer by hostname, the writer's first; who was never asked is left out.

    Two queries.
    """
    servers = {server.pk: server for server in NameServer.objects.all()}
    rows = CheckState.objects.filter(kind=CheckKind.DNS.value, hostname_id__in=list(hostname_ids)).values_list(
        "hostname_id", "key", "health", "cause", "sentence", "evidence", "checked_at"
    )
    found: dict[int, list[Standing]] = {}
    for hostname_id, key, health, cause, sentence, evidence, at in rows:
        server = servers.get(_name_server_id(key))
        if server is None or not cause or hostname_id is None:
            continue
        answer = _answer(server, health, cause, sentence, evidence or {})
        found.setdefault(hostname_id, []).append(Standing(answer, at, server.pk, health))
    for said in found.values():
        said.sort(key=lambda one: (not one.answer.is_writer, one.answer.server))
    return found


def _name_server_id(key: str) -> int:
    _, _, rest = key.partition(":")
    number = rest.partition(":")[0]
    return int(number) if number.isdecimal() else 0


def _answer(server: NameServer, health: str, cause: str, sentence: str, evidence: dict[str, Any]) -> Answer:
    values = tuple(str(value) for value in evidence.get("values") or ())
    rcode = str(evidence.get("rcode") or "")
    if values and health != Health.DOWN:
        rrset = RRset(str(evidence.get("rtype") or ""), int(evidence.get("ttl") or 0), tuple(sorted(values)))
        return Answer(server.name, "answered", rrset, rcode=rcode, is_writer=server.is_writer)
    if (
        cause in {Cause.WRONG_ANSWER, Cause.NAME_NOT_FOUND}
        and health == Health.DOWN
        and rcode in {"NXDOMAIN", "NOERROR"}
    ):
        return Answer(server.name, "answered", None, rcode=rcode, is_writer=server.is_writer)
    state = "silent" if cause == Cause.TIMEOUT else "error"
    return Answer(server.name, state, is_writer=server.is_writer, error=sentence or "no answer")
