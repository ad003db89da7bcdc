"""An estate as files state it: things with their fields, each value with the place where it was found. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

Scalar = str | int | bool | tuple[str, ...] | None


class Type(StrEnum):
    """What a field holds."""

    TEXT = "text"
    NAME = "name"  # text; capitals make no difference
    FQDN = "full name"
    NUMBER = "whole number"
    FLAG = "true or false"
    REFERENCE = "reference"
    REFERENCES = "list of references"
    ADDRESS = "address"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a kind of thing. ``default`` holds where nothing is stated of a new thing; ``required`` has none."""

    name: str
    label: str
    type: Type = Type.TEXT
    refers_to: str = ""  # slug of a kind
    required: bool = False
    default: Scalar = ""
    quiet: bool = False  # not written by an export where it holds its default
    or_to: str = ""  # slug of another kind that it may refer to as well


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of thing, in the estate's words. ``key``: the fields by which a file's thing is recognised again."""

    slug: str
    section: str  # in our own YAML
    word: str
    plural: str
    key: tuple[str, ...]
    fields: tuple[Field, ...]
    unique: tuple[tuple[str, ...], ...] = ()  # no two things may agree in all fields of such a group

    def field(self, name: str) -> Field:
        """Return the field of that name. Raises KeyError."""
        for one in self.fields:
            if one.name == name:
                return one
        raise KeyError(name)


_CHECKS = (
    Field("check_ucc_interval_s", "UCC ports: asked every … seconds", Type.NUMBER, default=None, quiet=True),
    Field("check_ucc_timeout_s", "UCC ports: no answer after … seconds", Type.NUMBER, default=None, quiet=True),
    Field("check_web_interval_s", "web services: asked every … seconds", Type.NUMBER, default=None, quiet=True),
    Field("check_web_timeout_s", "web services: no answer after … seconds", Type.NUMBER, default=None, quiet=True),
    Field("check_fall", "down after … bad results in a row", Type.NUMBER, default=None, quiet=True),
    Field("check_rise", "up again after … good results in a row", Type.NUMBER, default=None, quiet=True),
    Field("check_expected_text", "text that the web services’ page must hold", quiet=True),
)
SITE = Kind(
    "site",
    "sites",
    "site",
    "sites",
    ("name",),
    (
        Field("name", "name", Type.NAME, required=True),
        Field("standby_runs_ucc", "standbys run the UCC service too", Type.FLAG, default=False),
    ),
)
FRONT_END_POOL = Kind(
    "front-end-pool",
    "front_end_pools",
    "front-end pool",
    "front-end pools",
    ("fqdn",),
    (
        Field("fqdn", "FQDN", Type.FQDN, required=True),
        Field("site", "site", Type.REFERENCE, "site", required=True),
        Field("paired_with", "paired with", Type.REFERENCE, "front-end-pool", default=None),
    ),
)
TRUSTED_APPLICATION_POOL = Kind(
    "trusted-application-pool",
    "trusted_application_pools",
    "trusted application pool",
    "trusted application pools",
    ("fqdn",),
    (
        Field("fqdn", "FQDN", Type.FQDN, required=True),
        Field("front_end_pool", "front-end pool (next hop)", Type.REFERENCE, "front-end-pool", required=True),
        Field("standby_runs_ucc", "the standby runs the UCC service too", Type.FLAG, default=False),
        Field("watch_connections", "hold a watch connection to each UCC port", Type.FLAG, default=False),
        *_CHECKS,
        Field("check_path", "path to ask of its servers", quiet=True),
    ),
)
SERVER = Kind(
    "server",
    "servers",
    "server",
    "servers",
    ("fqdn",),
    (
        Field("fqdn", "FQDN", Type.FQDN, required=True),
        Field("name", "name", Type.NAME, required=True),
        Field("address", "IP address", Type.ADDRESS, required=True),
        Field("trusted_application_pool", "trusted application pool", Type.REFERENCE, "trusted-application-pool", True),
        Field("web_port", "HTTPS port", Type.NUMBER, default=443),
        Field("web_path", "path to ask", default="/"),
        *_CHECKS,
    ),
    unique=(("name",), ("web_port", "address")),
)
UCC = Kind(
    "ucc",
    "uccs",
    "UCC",
    "UCCs",
    ("name",),
    (
        Field("name", "name", Type.NAME, required=True),
        Field("description", "what callers know it as"),
        Field("home_pool", "home pool", Type.REFERENCE, "trusted-application-pool", default=None),
        Field("sip_uri", "endpoint (SIP URI)"),
    ),
)
TRUSTED_APPLICATION = Kind(
    "trusted-application",
    "trusted_applications",
    "trusted application",
    "trusted applications",
    ("trusted_application_pool", "application_id"),
    (
        Field("trusted_application_pool", "trusted application pool", Type.REFERENCE, "trusted-application-pool", True),
        Field("application_id", "application id", required=True),
        Field("ucc", "UCC", Type.REFERENCE, "ucc", required=True),
        Field("port", "TCP port", Type.NUMBER, required=True),
    ),
    unique=(("trusted_application_pool", "port"), ("trusted_application_pool", "ucc")),
)
VIRTUAL_SERVICE = Kind(
    "virtual-service",
    "virtual_services",
    "virtual service",
    "virtual services",
    ("name",),
    (
        Field("name", "name", Type.NAME, required=True),
        Field("fqdn", "FQDN", Type.FQDN),
        Field("address", "virtual IP address (VIP)", Type.ADDRESS, required=True),
        Field("port", "port", Type.NUMBER, default=443),
        Field("site", "site", Type.REFERENCE, "site", required=True),
        Field("kind", "load balancer", default="haproxy"),
        Field("real_servers", "real servers, the active one first", Type.REFERENCES, "server", required=True),
        Field("health_check", "UCC whose port is checked", Type.REFERENCE, "ucc", required=True),
        Field("statistics_source", "where statistics can be read"),
        Field("statistics_backend", "backend in the statistics"),
    ),
    unique=(("port", "address"),),
)
HOSTNAME = Kind(
    "dedicated-hostname",
    "dedicated_hostnames",
    "dedicated hostname",
    "dedicated hostnames",
    ("fqdn",),
    (
        Field("fqdn", "FQDN", Type.FQDN, required=True),
        Field("service_name", "service name", required=True),
        Field("trusted_application_pool", "trusted application pool", Type.REFERENCE, "trusted-application-pool", True),
        Field("record_type", "record type", default="CNAME"),
        Field("ttl_s", "TTL (s)", Type.NUMBER, default=60),
        Field("shares_primary", "may share its primary", Type.FLAG, default=False),
        Field("attendant_path", "path of the Attendant service"),
        Field("dashboard_path", "path of the Dashboard service"),
        # A server by its full or short name, or a virtual service by its name.
        Field("targets", "targets, best first", Type.REFERENCES, "server", required=True, or_to="virtual-service"),
    ),
)
# In the order in which they may be written: what is referred to comes first.
KINDS: Mapping[str, Kind] = {
    kind.slug: kind
    for kind in (
        SITE,
        FRONT_END_POOL,
        TRUSTED_APPLICATION_POOL,
        SERVER,
        UCC,
        TRUSTED_APPLICATION,
        VIRTUAL_SERVICE,
        HOSTNAME,
    )
}


@dataclass(frozen=True, slots=True)
class Position:
    """Where something was found. ``line`` counts from 1; 0: nowhere in particular. ``field`` as the file calls it."""

    file: str = ""
    line: int = 0
    field: str = ""

    def __str__(self) -> str:
        parts = [self.file, f"line {self.line}" if self.line else "", self.field]
        return ", ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Problem:
    """Why something cannot be imported: where, and a sentence that says what was found and what was expected."""

    at: Position
    sentence: str

    def __str__(self) -> str:
        return f"{self.at}: {self.sentence}" if str(self.at) else self.sentence


@dataclass(frozen=True, slots=True)
class Value:
    """A value with its place. ``derived``: concluded, not stated; it fills in what is new and changes nothing else."""

    value: Scalar
    at: Position
    derived: bool = False


Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing. A field that is not in ``values`` was not stated. ``optional``: counts where something needs it."""

    kind: Kind
    key: Key
    values: Mapping[str, Value]
    at: Position
    optional: bool = False

    @property
    def name(self) -> str:
        """What people call it."""
        if self.kind is TRUSTED_APPLICATION:
            return f"{self.text('application_id')} in {self.text('trusted_application_pool')}"
        return self.text("name") or self.text(self.kind.key[0])

    def text(self, name: str) -> str:
        """Return a field as text; "" where it is not stated."""
        found = self.values.get(name)
        return "" if found is None or found.value is None else str(found.value)

    def where(self, name: str) -> Position:
        """Return the place of a field, or the thing's own where it is not stated."""
        found = self.values.get(name)
        return found.at if found else Position(self.at.file, self.at.line, name)


@dataclass(frozen=True, slots=True)
class Document:
    """What files say of an estate: kind's slug -> key -> thing."""

    things: Mapping[str, Mapping[Key, Entry]] = field(default_factory=dict)

    def of(self, kind: Kind) -> Mapping[Key, Entry]:
        """Return the things of a kind, by their key."""
        return self.things.get(kind.slug, {})

    def __len__(self) -> int:
        return sum(len(entries) for entries in self.things.values())


def fold(type_: Type, value: Scalar) -> Scalar:
    """Return ``value`` so that equal values compare equal: capitals of names and full names make no difference."""
    if isinstance(value, str) and type_ is Type.ADDRESS:
        return _address(value.strip())
    if isinstance(value, str) and type_ is not Type.TEXT:
        return value.strip().rstrip(".").lower() if type_ is Type.FQDN else value.strip().lower()
    if isinstance(value, tuple):
        return tuple(one.strip().rstrip(".").lower() for one in value)
    return value


def _address(text: str) -> str:
    """Return an address as it is always written; what is none, as it is: its field's own check will say so."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return text


def key_of(kind: Kind, values: Mapping[str, Value]) -> Key:
    """Return the key of a thing with these values. Raises KeyError where a field of the key is missing."""
    return tuple(str(fold(key_type(kind.field(name)), values[name].value)) for name in kind.key)


def key_type(one: Field) -> Type:
    """Return how a field's value is folded: a reference as the key of what it refers to."""
    if one.type is Type.REFERENCE:
        target = KINDS[one.refers_to]
        return target.field(target.key[0]).type
    return one.type


@dataclass(slots=True)
class Collector:
    """Collects things and problems while files are read, and merges what several places say of the same thing."""

    max_problems: int = 200
    things: dict[str, dict[Key, Entry]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def problem(self, at: Position, sentence: str) -> None:
        """Note a problem; beyond ``max_problems`` they are only counted by the last one."""
        if len(self.problems) < self.max_problems:
            self.problems.append(Problem(at, sentence))
        elif len(self.problems) == self.max_problems:
            self.problems.append(Problem(Position(), "There are more problems. Put these right first."))

    def add(self, kind: Kind, values: Mapping[str, Value], at: Position, *, optional: bool = False) -> None:
        """Add a thing whose key is stated; what is known of it already is completed, contradictions are problems."""
        key = key_of(kind, values)
        known = self.things.setdefault(kind.slug, {}).get(key)
        if known is None:
            self.things[kind.slug][key] = Entry(kind, key, dict(values), at, optional)
            return
        merged = dict(known.values)
        for name, value in values.items():
            other = merged.get(name)
            if other is None or (other.derived and not value.derived):
                merged[name] = value
            elif not value.derived and _folded(kind, name, other) != _folded(kind, name, value):
                self.problem(
                    value.at,
                    f"found {shown(value.value)} for {kind.word} {known.name}, but {other.at} says "
                    f"{shown(other.value)}; expected the same in both places.",
                )
        self.things[kind.slug][key] = Entry(kind, key, merged, known.at, known.optional and optional)

    def document(self) -> Document:
        """Return what was collected."""
        return Document(self.things)


def _folded(kind: Kind, name: str, value: Value) -> Scalar:
    return fold(key_type(kind.field(name)), value.value)


def shown(value: Scalar) -> str:
    """Return a value as a sentence quotes it, cut to a readable length."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", then ".join(_quoted(one) for one in value) or "none"
    return str(value) if isinstance(value, int) else _quoted(value)


def _quoted(text: str) -> str:
    text = "".join(c if c.isprintable() else "�" for c in text)
    return f"“{text if len(text) <= 80 else text[:79] + '…'}”" if text else "nothing"


def only_pools(document: Document, fqdns: Iterable[str]) -> Document:
    """Return the part of a document that concerns these trusted application pools; all of it where none is named.

    Sites, UCCs and front-end pools stay: they count only where something refers to them, or they are stated.
    """
    wanted = {str(fold(Type.FQDN, fqdn)) for fqdn in fqdns}
    if not wanted:
        return document
    things = dict(document.things)
    for kind, name in (
        (TRUSTED_APPLICATION_POOL, "fqdn"),
        (SERVER, "trusted_application_pool"),
        (TRUSTED_APPLICATION, "trusted_application_pool"),
        (HOSTNAME, "trusted_application_pool"),
    ):
        things[kind.slug] = {
            key: entry
            for key, entry in document.of(kind).items()
            if fold(Type.FQDN, entry.text(name)) in wanted or name not in entry.values
        }
    things[VIRTUAL_SERVICE.slug] = _with_servers(document.of(VIRTUAL_SERVICE), things[SERVER.slug])
    return Document(things)


def _with_servers(services: Mapping[Key, Entry], servers: Mapping[Key, Entry]) -> dict[Key, Entry]:
    """Those of which a real server is among ``servers``."""
    known = {name.lower() for entry in servers.values() for name in (entry.text("fqdn"), entry.text("name")) if name}
    kept = {}
    for key, entry in services.items():
        stated = entry.values.get("real_servers")
        names = stated.value if stated and isinstance(stated.value, tuple) else ()
        if any(str(fold(Type.FQDN, name)) in known for name in names):
            kept[key] = entry
    return kept
