"""What is broken at present, kept in VAR/lab/state.json: a restart neither mends nor breaks. PURE."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from a365admin.lab.faults import DnsFault, ResolverFault, ServerFault


@dataclass(frozen=True, slots=True)
class ServerState:
    """An A365 server's faults, and whether its UCC service was started."""

    ucc_running: bool
    faults: frozenset[ServerFault] = frozenset()


@dataclass(frozen=True, slots=True)
class KeptState:
    """The state of everything, by name. What is not in it is as in an untouched demo."""

    servers: Mapping[str, ServerState] = field(default_factory=dict)
    dns: Mapping[str, frozenset[DnsFault]] = field(default_factory=dict)
    resolvers: Mapping[str, frozenset[ResolverFault]] = field(default_factory=dict)


def to_json(state: KeptState) -> str:
    """In: a state. Out: what `from_json` reads."""
    document = {
        "servers": {
            name: {"ucc_running": kept.ucc_running, "faults": sorted(kept.faults)}
            for name, kept in state.servers.items()
        },
        "dns": {name: sorted(faults) for name, faults in state.dns.items()},
        "resolvers": {name: sorted(faults) for name, faults in state.resolvers.items()},
    }
    return json.dumps(document, indent=1) + "\n"


def from_json(text: str) -> KeptState:
    """In: what `to_json` wrote. Raises ValueError, KeyError, TypeError or AttributeError for anything else."""
    document: dict[str, Any] = json.loads(text)
    return KeptState(
        {
            name: ServerState(bool(kept["ucc_running"]), frozenset(ServerFault(fault) for fault in kept["faults"]))
            for name, kept in document["servers"].items()
        },
        {name: frozenset(DnsFault(fault) for fault in faults) for name, faults in document["dns"].items()},
        {
            name: frozenset(ResolverFault(fault) for fault in faults)
            for name, faults in document.get("resolvers", {}).items()
        },
    )
