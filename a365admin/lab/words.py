"""The demo's page in words: what each button does, and what each state means. PURE."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from a365admin.lab import estate
from a365admin.lab.faults import FORGET, DnsFault, ResolverFault, ServerFault, UccAction


@dataclass(frozen=True, slots=True)
class Words:
    """A fault: the button that makes it, the button that ends it, and the sentence while it lasts."""

    break_it: str
    mend_it: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Button:
    """A button of the page, and what it sends. `on` is also whether it breaks something."""

    label: str
    target: str
    fault: str
    on: bool


@dataclass(frozen=True, slots=True)
class Edit:
    """A button that changes a dedicated hostname's record by hand, and what it sends. No target: delete it."""

    label: str
    hostname: str
    target: str
    ttl_s: int = estate.RECORD_TTL_S


@dataclass(frozen=True, slots=True)
class Card:
    """One server: its name, where it is, its health ("up", "degraded", "down"), sentences about it, its buttons."""

    name: str
    where: str
    health: str
    word: str
    sentences: tuple[str, ...]
    buttons: tuple[Button, ...]
    command: str = ""
    answers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """The servers of one dedicated hostname. `record`: what DNS says of it, or ""."""

    title: str
    lead: str
    cards: tuple[Card, ...]
    record: str
    edits: tuple[Edit, ...]


SERVER_WORDS: Mapping[str, Words] = {
    ServerFault.UCC_DOWN: Words(
        "Stop the UCC service (web stays up)",
        "Start the UCC service again",
        "The UCC service is dead. The web services still answer: clients get no data.",
    ),
    ServerFault.WEB_DOWN: Words(
        "Stop the web services (UCC stays up)",
        "Start the web services again",
        "The web services are dead. The UCC service runs: calls flow, screens are dead.",
    ),
    ServerFault.DEAD: Words("Kill the server", "Start the server again", "Dead: every port refuses."),
    ServerFault.SILENT: Words(
        "Make the server silent", "Let the server answer again", "Silent: packets are dropped, connections time out."
    ),
    ServerFault.SLOW: Words(
        "Make the web services slow", "Make the web services fast again", "Slow: web pages come after 1.5 s."
    ),
    ServerFault.WRONG_CERTIFICATE: Words(
        "Give it a wrong certificate",
        "Give it its right certificate again",
        "Wrong certificate: it does not name the dedicated hostname.",
    ),
}
DNS_WORDS: Mapping[str, Words] = {
    DnsFault.REFUSING: Words("Refuse changes", "Accept changes again", "Refusing: every change is answered REFUSED."),
    DnsFault.REPLY_LOST: Words(
        "Lose the reply to a change",
        "Deliver replies again",
        "Losing replies: a change is made, but its answer never arrives.",
    ),
    DnsFault.VANISHING: Words(
        "Fall silent in the middle of a change",
        "Do not fall silent",
        "About to fall silent: it makes the next change, and from then on it answers nothing.",
    ),
    DnsFault.STUCK: Words(
        "Make it stuck on old data", "Let it follow again", "Stuck: it keeps the old answers, and does not follow."
    ),
    DnsFault.SILENT: Words(
        "Make the DNS server silent",
        "Let the DNS server answer again",
        "Silent: it answers nothing.",
    ),
    DnsFault.DOWN: Words("Kill the DNS server", "Start the DNS server again", "Down: its port refuses."),
}
LONG_TTL_S = 3600
RESOLVER_WORDS: Mapping[str, Words] = {
    ResolverFault.STRETCHING: Words(
        "Make it stretch TTLs",
        "Let it heed TTLs again",
        "Stretching: it keeps answers for a minute longer than it may.",
    ),
    ResolverFault.SILENT: Words("Make it silent", "Let it answer again", "Silent: it answers nothing."),
    ResolverFault.DOWN: Words("Kill it", "Start it again", "Down: its port refuses."),
}
STRANGER = "elsewhere"  # no server of ours; its name is not even in DNS
NO_UCC = "The UCC service is not running, as is normal on a cold standby. Start it before or after failing over to it."
# Faults after which nothing, or not the half that clients need, works.
FATAL = frozenset({ServerFault.UCC_DOWN, ServerFault.WEB_DOWN, ServerFault.DEAD, ServerFault.SILENT})


def groups(state: Mapping[str, Any]) -> list[Group]:
    """In: the state that the control answers. Out: the A365 servers' cards, by dedicated hostname."""
    servers = {server["name"]: server for server in state["servers"]}
    answers: Mapping[str, str] = next((server["answers"] for server in state["dns"] if server["is_writer"]), {})
    return [
        Group(
            title=estate.fqdn(plan.name, state["domain"]),
            lead=f"{plan.service_name}, {plan.pool}: {' or '.join(plan.targets)}",
            cards=tuple(server_card(servers[name]) for name in plan.targets if name in servers),
            record=answers.get(estate.fqdn(plan.name, state["domain"]), ""),
            edits=edits(plan, state["domain"], answers.get(estate.fqdn(plan.name, state["domain"]), "")),
        )
        for plan in estate.HOSTNAMES
    ]


def edits(plan: estate.HostnamePlan, domain: str, record: str) -> tuple[Edit, ...]:
    """The changes by hand that would change something: to another server of the pair, to a stranger, or to nothing.

    The TTL of one hour is for the server that the record names now, or else for the first.
    """
    choices = [(name, estate.fqdn(name, domain)) for name in plan.targets[:2]]
    choices.append(("a stranger", estate.fqdn(STRANGER, domain)))
    hostname = estate.fqdn(plan.name, domain)
    found = [
        Edit(f"Point it at {name} by hand", hostname, target)
        for name, target in choices
        if record != f"CNAME {target}."
    ]
    if record:
        now = next((target for _, target in choices if record == f"CNAME {target}."), choices[0][1])
        found.append(Edit("Give it a TTL of one hour", hostname, now, LONG_TTL_S))
        found.append(Edit("Delete it", hostname, ""))
    return tuple(found)


def server_card(server: Mapping[str, Any]) -> Card:
    """In: one server of the control's state. Out: its card."""
    faults: list[str] = server["faults"]
    sentences = [SERVER_WORDS[fault].sentence for fault in faults]
    cold = not server["ucc_running"]
    if cold:
        sentences.append(NO_UCC)
    ports = ", ".join(str(port) for port in server["ucc_ports"])
    health, word = _server_health(faults, cold=cold)
    return Card(
        name=server["name"],
        where=f"{server['address']} · UCC {ports} · web {server['web_port']}",
        health=health,
        word=word,
        sentences=tuple(sentences),
        buttons=tuple(_server_buttons(server)),
    )


def dns_card(server: Mapping[str, Any]) -> Card:
    """In: one DNS server of the control's state. Out: its card."""
    faults: list[str] = server["faults"]
    role = "takes changes" if server["is_writer"] else "follows the first"
    health, word = ("down", "Down") if faults else ("up", "Up")
    if faults == [DnsFault.VANISHING]:  # so far it works
        health, word = "degraded", "Degraded"
    return Card(
        name=server["name"],
        where=f"{server['address']} port {server['port']} · {role} · serial {server['serial']}",
        health=health,
        word=word,
        sentences=tuple(DNS_WORDS[fault].sentence for fault in faults),
        buttons=tuple(_buttons(server["name"], server["possible_faults"], faults, DNS_WORDS)),
        command=f"dig @{server['address']} -p {server['port']} +noall +answer",
        answers=tuple(server["answers"].items()),
    )


def resolver_card(resolver: Mapping[str, Any]) -> Card:
    """In: one resolver of the control's state. Out: its card."""
    faults: list[str] = resolver["faults"]
    health, word = ("down", "Down") if faults else ("up", "Up")
    if faults == [ResolverFault.STRETCHING]:
        health, word = "degraded", "Degraded"
    return Card(
        name=resolver["name"],
        where=f"{resolver['site']} · {resolver['address']} port {resolver['port']}",
        health=health,
        word=word,
        sentences=tuple(RESOLVER_WORDS[fault].sentence for fault in faults),
        buttons=(
            Button("Clear its cache", resolver["name"], FORGET, on=True),
            *_buttons(resolver["name"], resolver["possible_faults"], faults, RESOLVER_WORDS),
        ),
        command=f"dig @{resolver['address']} -p {resolver['port']} +noall +answer",
        answers=tuple(resolver["answers"].items()),
    )


def _server_health(faults: Iterable[str], *, cold: bool) -> tuple[str, str]:
    present = set(faults)
    if present & FATAL:
        return "down", "Down"
    if present:
        return "degraded", "Degraded"
    return ("maintenance", "Standby (not ready)") if cold else ("up", "Up")


def _server_buttons(server: Mapping[str, Any]) -> list[Button]:
    name: str = server["name"]
    possible = list(server["possible_faults"])
    first: list[Button] = []
    if not server["ucc_running"]:
        first = [Button("Start the UCC service", name, UccAction.START, on=True)]
    elif not estate.runs_ucc_at_start(name) and ServerFault.UCC_DOWN not in server["faults"]:
        first = [Button("Stop the UCC service, as on a cold standby", name, UccAction.STOP, on=True)]
    if first:
        possible.remove(ServerFault.UCC_DOWN)  # one button for the UCC service is enough
    return first + _buttons(name, possible, server["faults"], SERVER_WORDS)


def _buttons(target: str, possible: Iterable[str], faults: Iterable[str], words: Mapping[str, Words]) -> list[Button]:
    present = set(faults)
    return [
        Button(words[fault].mend_it, target, fault, on=False)
        if fault in present
        else Button(words[fault].break_it, target, fault, on=True)
        for fault in possible
    ]
