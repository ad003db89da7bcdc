"""Records of Skype for Business's cmdlets -> things of an estate. Pure.

Understood: Get-CsPool, Get-CsTrustedApplicationPool, Get-CsTrustedApplication, Get-CsTrustedApplicationComputer; which
of them wrote a record shows in its properties. What these cmdlets do not know (UCC names, addresses, hostnames)
is concluded where it can be (``Value.derived``), or comes from our own YAML.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from pools.importing.document import (
    FRONT_END_POOL,
    SERVER,
    TRUSTED_APPLICATION,
    TRUSTED_APPLICATION_POOL,
    Collector,
    Position,
    Value,
    shown,
)
from pools.importing.records import Cell, Record
from pools.importing.text import UnreadableError

# Export-Csv writes a list as the name of its type: the values are lost.
_LOST = re.compile(r"^(System|Microsoft)\.[\w.]+(`\d+)?(\[.*\]|\{\})?$")
_EXPECTED = (
    "the properties of Get-CsPool (Fqdn, Site), Get-CsTrustedApplicationPool (PoolFqdn, Registrar), "
    "Get-CsTrustedApplication (ApplicationId, TrustedApplicationPoolFqdn, Port) or "
    "Get-CsTrustedApplicationComputer (Fqdn, Pool)"
)
_ADDRESSES = ("address", "ipaddress", "ipv4address", "ipaddresses")
_PREFIX = "urn:application:"


def take_records(file: str, records: list[Record], into: Collector) -> None:
    """Add what the records say. Raises UnreadableError where they are none of the cmdlets' objects."""
    for record in records:
        row = _Row(file, record, into)
        take = _taker(row)
        if take is None:
            found = ", ".join(cell.name for cell in list(record.cells.values())[:8]) or "no property at all"
            raise UnreadableError(Position(file, record.line), f"found {shown(found)}; expected {_EXPECTED}.")
        take(row)


@dataclass(frozen=True, slots=True)
class _Row:
    """One record, read property by property; what is missing or wrong becomes a problem."""

    file: str
    record: Record
    into: Collector

    @property
    def at(self) -> Position:
        return Position(self.file, self.record.line)

    def has(self, *names: str) -> bool:
        return all(name in self.record.cells for name in names)

    def cell(self, *names: str) -> Cell | None:
        """Return the first of these properties that holds something."""
        for name in names:
            found = self.record.cells.get(name)
            if found is not None and self.items(name):
                return found
        return None

    def items(self, name: str) -> tuple[str, ...]:
        """Return a property's texts; a list that Export-Csv lost is empty."""
        cell = self.record.cells.get(name)
        if cell is None or cell.value is None:
            return ()
        several = cell.value if isinstance(cell.value, tuple) else re.split(r"[;,\s|]+", cell.value)
        if len(several) == 1 and _LOST.match(several[0]):
            return ()
        return tuple(one.strip(" {}") for one in several if one.strip(" {}"))

    def where(self, cell: Cell) -> Position:
        return Position(self.file, cell.line, cell.name)

    def text(self, *names: str) -> Value | None:
        """Return the first of these properties that holds something, as one text."""
        cell = self.cell(*names)
        if cell is None:
            return None
        text = cell.value if isinstance(cell.value, str) else " ".join(cell.value or ())
        return Value(_bare(text.strip()), self.where(cell))

    def needed(self, expected: str, *names: str) -> Value | None:
        """Return ``text()``; where there is none, a problem says what was expected."""
        found = self.text(*names)
        if found is None:
            given = next((self.record.cells[name] for name in names if self.has(name)), None)
            at = self.where(given) if given else Position(self.file, self.record.line, names[0])
            lost = given is not None and isinstance(given.value, str) and _LOST.match(given.value)
            what = (
                f"{shown(given.value)}, which is the name of a list and not its content"
                if lost and given
                else "nothing"
            )
            self.into.problem(at, f"found {what}; expected {expected}.")
        return found


def _bare(text: str) -> str:
    """Return a service id without its role: ``Registrar:fepool1.corp.example`` -> ``fepool1.corp.example``."""
    role, separator, name = text.partition(":")
    return name.strip() if separator and role.isalpha() and not text.lower().startswith("urn:") else text


def _taker(row: _Row) -> Callable[[_Row], None] | None:
    """Return what takes this cmdlet's objects; None for none of them."""
    if row.has("applicationid") and (row.has("trustedapplicationpoolfqdn") or row.has("identity")):
        return _take_application
    if row.has("poolfqdn") or (row.has("registrar") and row.has("identity")):
        return _take_pool
    if row.has("pool") and (row.has("fqdn") or row.has("identity")):
        return _take_computer
    if row.has("fqdn") or (row.has("identity") and (row.has("services") or row.has("computers"))):
        return _take_front_end_pool
    return None


def _take_front_end_pool(row: _Row) -> None:
    """Get-CsPool: only registrars are front-end pools, and only those count that something needs."""
    services = row.items("services")
    if services and not any(service.lower().startswith("registrar:") for service in services):
        return
    fqdn = row.needed("the pool's full name", "fqdn", "identity")
    if fqdn is None:
        return
    values = {"fqdn": fqdn}
    site = row.text("site", "siteid")
    if site:
        values["site"] = Value(site.value, site.at, derived=True)
    backup = row.text("backuppoolfqdn", "backupregistrar")
    if backup:  # empty says nothing: older versions do not know the property
        values["paired_with"] = backup
    row.into.add(FRONT_END_POOL, values, row.at, optional=True)


def _take_pool(row: _Row) -> None:
    """Get-CsTrustedApplicationPool: its registrar is its next hop."""
    fqdn = row.needed("the pool's full name", "poolfqdn", "identity")
    if fqdn is None:
        return
    values = {"fqdn": fqdn}
    registrar = row.text("registrar") or _dependent_registrar(row)
    if registrar is None:
        row.needed("the front-end pool that is its next hop, such as Registrar:fepool1.example.com", "registrar")
    else:
        values["front_end_pool"] = registrar
    row.into.add(TRUSTED_APPLICATION_POOL, values, row.at)


def _dependent_registrar(row: _Row) -> Value | None:
    for service in row.items("dependentservicelist"):
        if service.lower().startswith("registrar:"):
            return Value(_bare(service), row.where(row.record.cells["dependentservicelist"]))
    return None


def _take_application(row: _Row) -> None:
    """Get-CsTrustedApplication: one UCC's port in one pool."""
    pool = row.text("trustedapplicationpoolfqdn") or _part_of_identity(row, 0)
    identity = row.text("applicationid") or _part_of_identity(row, 1)
    if pool is None:
        row.needed("the trusted application pool's full name", "trustedapplicationpoolfqdn")
    if identity is None:
        row.needed("an id such as urn:application:reception", "applicationid")
    if pool is None or identity is None:
        return
    full = str(identity.value) if str(identity.value).lower().startswith("urn:") else f"{_PREFIX}{identity.value}"
    values = {
        "trusted_application_pool": pool,
        "application_id": Value(full, identity.at),
        "ucc": _ucc_name(row, full, identity.at),
    }
    port = _port(row)
    if port:
        values["port"] = port
    row.into.add(TRUSTED_APPLICATION, values, row.at)


def _part_of_identity(row: _Row, part: int) -> Value | None:
    whole = row.text("identity")
    parts = str(whole.value).split("/", 1) if whole else []
    return Value(parts[part], whole.at) if whole and len(parts) == 2 and parts[part] else None


def _ucc_name(row: _Row, application_id: str, at: Position) -> Value:
    """Conclude what the UCC is called: by its legacy name, else by the end of the application id."""
    legacy = row.text("legacyapplicationname")
    if legacy and ":" not in str(legacy.value):
        return Value(legacy.value, legacy.at, derived=True)
    return Value(application_id.rsplit(":", 1)[-1], at, derived=True)


def _port(row: _Row) -> Value | None:
    found = row.needed("a number from 1 to 65535", "port")
    if found is None:
        return None
    number = as_number(str(found.value))
    if number is None or not 1 <= number <= 65535:
        row.into.problem(found.at, f"found {shown(found.value)}; expected a number from 1 to 65535.")
        return None
    return Value(number, found.at)


def _take_computer(row: _Row) -> None:
    """Get-CsTrustedApplicationComputer: one server; ``Address`` is a column that the documented command adds."""
    fqdn = row.needed("the computer's full name", "fqdn", "identity")
    pool = row.needed("the trusted application pool's full name", "pool")
    if fqdn is None or pool is None:
        return
    short = str(fqdn.value).split(".", 1)[0].upper()
    values = {"fqdn": fqdn, "trusted_application_pool": pool, "name": Value(short, fqdn.at, derived=True)}
    for name in _ADDRESSES:
        addresses = row.items(name)
        if addresses:
            best = next((address for address in addresses if ":" not in address), addresses[0])
            values["address"] = Value(best, row.where(row.record.cells[name]))
            break
    row.into.add(SERVER, values, row.at)


def as_number(text: str) -> int | None:
    """Return a whole number of at most ten digits; None for anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else None
