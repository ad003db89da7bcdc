"""Changing DNS by hand, for shops that forbid dynamic updates: the exact commands, for a person to carry out.

Nothing is ever sent from here. What a person did is judged by reading DNS, as strictly as with every other provider.
The commands themselves compare first: they stop where the record is not what was planned.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass

from dnsops.asking import ask
from dnsops.plan import Answer, Change, RRset
from dnsops.providers import sentences
from dnsops.providers.base import Capabilities, Endpoint, Outcome, OutcomeKind, ProviderKind, Setup

# Letters, digits, hyphen, underscore, dot, and the colon of an address: nothing that a shell or parser reads as more.
_PLAIN = re.compile(r"[A-Za-z0-9_.:-]{1,255}")
# PowerShell takes any of these for a single quote (about_Quoting_Rules); doubled, each stands for itself.
_SINGLE_QUOTES = "'\u2018\u2019\u201a\u201b"
_COMMANDS = {
    "CNAME": ("CName", "HostNameAlias", "$_.RecordData.HostNameAlias"),
    "A": ("A", "IPv4Address", "$_.RecordData.IPv4Address.IPAddressToString"),
}


class UnsafeTextError(ValueError):
    """A name or value that has no place in a command; the message says which."""


@dataclass(frozen=True, slots=True)
class Commands:
    """What a person pastes: into PowerShell with the module DnsServer, or into ``nsupdate``."""

    powershell: str
    nsupdate: str

    def as_dict(self) -> dict[str, str]:
        """The form in which it is kept as evidence."""
        return {"powershell": self.powershell, "nsupdate": self.nsupdate}


class Manual:
    """Tells a person what to do, and looks whether it was done."""

    def __init__(self, writer: Endpoint, endpoints: Sequence[Endpoint] = ()) -> None:
        self._writer = writer
        self._endpoints = tuple(endpoints) or (writer,)

    @property
    def capabilities(self) -> Capabilities:
        """A person makes the change."""
        return Capabilities(compare_and_swap=False, by_hand=True)

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Every authoritative server, the writer first."""
        return self._endpoints

    @property
    def writer(self) -> Endpoint:
        """The one server on which the change is made."""
        return self._writer

    def read(self, endpoint: Endpoint, name: str, *, deadline: float) -> Answer:
        """What ``endpoint`` says about ``name``; not recursive."""
        return ask(endpoint, name, timeout_s=max(deadline - time.monotonic(), 0.001))

    def check_writable(self, change: Change, *, deadline: float) -> Outcome:
        """READY when the writer answers and there are commands; who may change the record is not known here."""
        answer = self.read(self._writer, change.name, deadline=deadline)
        if not answer.answered:
            return self._unreachable(change, answer)
        try:
            commands_for(change, self._writer)
        except UnsafeTextError as error:
            return Outcome(OutcomeKind.CONFIG, "", f"{error} Nothing was changed.")
        said = f"{self._writer.name} answers; a person makes the change there, with commands that are shown."
        return Outcome(OutcomeKind.READY, answer.rcode, f"{said} Nothing was changed.")

    def change(self, change: Change, *, deadline: float) -> Outcome:
        """BY_HAND with the commands as evidence where the record is as expected; else ALREADY or CONFLICT."""
        answer = self.read(self._writer, change.name, deadline=deadline)
        if not answer.answered:
            return self._unreachable(change, answer)
        if change.new.same_data(answer.rrset):
            return self._outcome(OutcomeKind.ALREADY, answer, change)
        if not change.expected.same_data(answer.rrset):
            return self._outcome(OutcomeKind.CONFLICT, answer, change)
        try:
            commands = commands_for(change, self._writer)
        except UnsafeTextError as error:
            return Outcome(OutcomeKind.CONFIG, "", f"{error} Nothing was changed.")
        sentence = sentences.sentence(OutcomeKind.BY_HAND, "", server=self._writer.name, change=change, signer="")
        evidence = {"server": str(self._writer), "commands": commands.as_dict()}
        return Outcome(OutcomeKind.BY_HAND, answer.rcode, sentence, evidence=evidence)

    def _outcome(self, kind: OutcomeKind, answer: Answer, change: Change) -> Outcome:
        sentence = sentences.sentence(kind, answer.rcode, server=self._writer.name, change=change, signer="")
        return Outcome(kind, answer.rcode, sentence, evidence={"server": str(self._writer), "says": answer.text})

    def _unreachable(self, change: Change, answer: Answer) -> Outcome:
        """It was asked and gave no answer that counts."""
        return Outcome(
            OutcomeKind.UNREACHABLE,
            answer.rcode,
            f"{self._writer.name} could not be asked about {change.name} ({answer.text}), so nothing was begun and "
            "nothing was changed. Check the server, the zone's name, and UDP port 53 on the way to it.",
            authenticated=False,
            evidence={"server": str(self._writer)},
        )


def commands_for(change: Change, writer: Endpoint) -> Commands:
    """The commands that make this change on ``writer``. Raises UnsafeTextError."""
    for text in (change.zone, change.name, *change.expected.values, *change.new.values, writer.host_name or "-"):
        if not _PLAIN.fullmatch(text):
            raise UnsafeTextError(f"“{text}” has no place in a command. Only letters, digits, hyphens and dots have.")
    for rrset in (change.expected, change.new):
        if rrset.rtype not in _COMMANDS:
            raise UnsafeTextError(f"There are no commands for records of the type {rrset.rtype}.")
    return Commands(_powershell(change, writer), _nsupdate(change, writer))


def quoted(text: str) -> str:
    """A PowerShell string that is exactly ``text``, whatever is in it: nothing is expanded within single quotes."""
    for quote in _SINGLE_QUOTES:
        text = text.replace(quote, quote * 2)
    return f"'{text}'"


def _powershell(change: Change, writer: Endpoint) -> str:
    """One script block: a console runs pasted lines one by one, and would go on after the line that says stop."""
    command, _, said = _COMMANDS[change.expected.rtype]
    where = f"ComputerName = {quoted(writer.host_name or writer.address)}; ZoneName = {quoted(change.zone)}"
    name = quoted(_relative(change.name, change.zone))
    get = f"Get-DnsServerResourceRecord @at -Name {name} -RRType {command} -Node"
    planned = quoted(" ".join(sorted(change.expected.values)))
    stop = quoted(f"{change.name} is not what was planned. Nothing was changed: look again in a365admin.")
    lines = ["& {", "  $ErrorActionPreference = 'Stop'", f"  $at = @{{ {where} }}"]
    if change.expected.is_absent:
        lines += [f"  $old = @({get} -ErrorAction SilentlyContinue)", f"  if ($old.Count) {{ throw {stop} }}"]
        lines += [f"  {line}" for line in _adding(change.new, name)]
    else:
        lines += [
            f"  $old = @({get})",
            f"  $says = ($old | ForEach-Object {{ {said} }} | Sort-Object) -join ' '",
            f"  if ($says -ne {planned}) {{ throw {stop} }}",
            "  $old | ForEach-Object { Remove-DnsServerResourceRecord @at -InputObject $_ -Force }",
            "  try {",
            *(f"    {line}" for line in _adding(change.new, name)),
            "  } catch {  # put the old record back, then say what went wrong",
            *(f"    {line}" for line in _adding(change.expected, name)),
            "    throw",
            "  }",
        ]
    new_command = _COMMANDS[change.new.rtype][0]
    return "\n".join([*lines, f"  Get-DnsServerResourceRecord @at -Name {name} -RRType {new_command} -Node", "}", ""])


def _adding(rrset: RRset, name: str) -> list[str]:
    command, parameter, _ = _COMMANDS[rrset.rtype]
    ttl = f"([TimeSpan]::FromSeconds({rrset.ttl_s:d}))"
    return [
        f"Add-DnsServerResourceRecord{command} @at -Name {name} -{parameter} {quoted(value)} -TimeToLive {ttl}"
        for value in rrset.values
    ]


def _nsupdate(change: Change, writer: Endpoint) -> str:
    """The same message that the other providers send: prerequisites, delete, add (RFC 2136)."""
    name = f"{change.name}."
    lines = [f"server {writer.address} {writer.port:d}", f"zone {change.zone}."]
    if change.expected.is_absent:
        lines.append(f"prereq nxdomain {name}")
    else:
        rtype = change.expected.rtype
        lines += [f"prereq yxrrset {name} {rtype} {value}" for value in change.expected.values]
        lines += [] if rtype == "CNAME" else [f"prereq nxrrset {name} CNAME"]
        lines.append(f"update delete {name} {rtype}")
    lines += [f"update add {name} {change.new.ttl_s:d} {change.new.rtype} {value}" for value in change.new.values]
    return "\n".join([*lines, "send", "answer", ""])


def _relative(name: str, zone: str) -> str:
    """As the DnsServer module wants it: without the zone; "@" for the zone's own name."""
    return "@" if name == zone else name.removesuffix(f".{zone}")


def _build(setup: Setup) -> Manual:
    return Manual(setup.endpoints[0], setup.endpoints)


KIND = ProviderKind("manual", "By hand (PowerShell or nsupdate)", "", _build)
