"""What files say, beside what is there -> the changes to make, and what contradicts itself. Pure.

Nothing is ever deleted: what is not in the files is kept, and listed. What was only concluded (``Value.derived``)
fills in new things and changes no existing one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pools.importing.document import (
    FRONT_END_POOL,
    HOSTNAME,
    KINDS,
    SERVER,
    SITE,
    TRUSTED_APPLICATION,
    TRUSTED_APPLICATION_POOL,
    UCC,
    VIRTUAL_SERVICE,
    Document,
    Entry,
    Field,
    Key,
    Kind,
    Position,
    Problem,
    Scalar,
    Type,
    Value,
    fold,
    key_type,
    shown,
)
from pools.importing.pairing import settle

MAX_PROBLEMS = 200
_WAYS_OUT = {
    ("server", "address"): " Add a column Address to the export (the documentation has the command), or a YAML file.",
    ("front-end-pool", "site"): " Import the output of Get-CsPool as well, or state it in a YAML file.",
    ("trusted-application-pool", "front_end_pool"): " Import the output of Get-CsTrustedApplicationPool as well.",
    ("server", "trusted_application_pool"): " Import the output of Get-CsTrustedApplicationComputer as well.",
}
_NAMED = {SITE.slug, UCC.slug}  # have nothing but a name: made where a new thing's derived value needs them


class Action(StrEnum):
    """What happens to a thing."""

    ADD = "add"
    CHANGE = "change"


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field, before and after; ``before`` is None for a new thing."""

    name: str
    label: str
    before: Scalar
    after: Scalar
    at: Position

    @property
    def before_text(self) -> str:
        """As people read it."""
        return plain(self.before)

    @property
    def after_text(self) -> str:
        """As people read it."""
        return plain(self.after)


@dataclass(frozen=True, slots=True)
class Change:
    """A thing to add or to change."""

    action: Action
    kind: Kind
    key: Key
    name: str
    fields: tuple[FieldChange, ...]
    at: Position

    def where(self, name: str) -> Position:
        """Return the place of a field, or the thing's own."""
        return next((one.at for one in self.fields if one.name == name), self.at)

    @property
    def telling(self) -> tuple[FieldChange, ...]:
        """The fields worth telling: of a new thing those that hold something which its name does not say."""
        if self.action is Action.CHANGE:
            return self.fields
        said = {None, "", False, self.name} | set(self.key if len(self.key) > 1 else ())
        return tuple(one for one in self.fields if one.after not in said)

    @property
    def sentence(self) -> str:
        """The change in one line, as the audit log has it."""
        if self.action is Action.ADD:
            told = ", ".join(f"{one.label} {one.after_text}" for one in self.telling)
            return f"added {self.kind.word} {self.name}{': ' if told else ''}{told}"
        told = ", ".join(f"{one.label} {one.before_text} → {one.after_text}" for one in self.fields)
        return f"changed {self.kind.word} {self.name}: {told}"


def plain(value: Scalar) -> str:
    """Return a value as people read it in a table."""
    if value is None or value == "":
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", then ".join(value) if isinstance(value, tuple) else str(value)


@dataclass(frozen=True, slots=True)
class Difference:
    """What an import would do. With ``problems`` it does nothing."""

    changes: tuple[Change, ...]
    problems: tuple[Problem, ...]
    unchanged: Mapping[str, tuple[str, ...]]  # kind's slug -> names
    kept: Mapping[str, tuple[str, ...]]
    left_out: tuple[str, ...]

    @property
    def digest(self) -> str:
        """A fingerprint of the changes, with what each replaces: the same only while both sides are the same."""
        told = [
            [change.action, change.kind.slug, change.key, [[one.name, one.before, one.after] for one in change.fields]]
            for change in self.changes
        ]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()

    def count(self, action: Action) -> int:
        """How many things are added, or changed."""
        return sum(change.action is action for change in self.changes)


def compare(document: Document, present: Document) -> Difference:
    """Return what has to change in ``present`` so that it says all that ``document`` states."""
    return _Comparison(document, present).result()


@dataclass(slots=True)
class _Comparison:
    """Collects while the kinds are walked in the order in which they refer to each other."""

    document: Document
    present: Document
    final: dict[str, dict[Key, dict[str, Scalar]]] = field(default_factory=dict)
    changes: dict[tuple[str, Key], Change] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    unchanged: dict[str, list[str]] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    uccs_by_application: dict[str, str] = field(default_factory=dict)
    aims_by_name: dict[str, dict[str, str]] = field(default_factory=dict)

    def result(self) -> Difference:
        for kind in KINDS.values():
            self.final[kind.slug] = {
                key: {name: value.value for name, value in entry.values.items()}
                for key, entry in self.present.of(kind).items()
            }
        for values in self.final[TRUSTED_APPLICATION.slug].values():
            self.uccs_by_application.setdefault(str(values["application_id"]).lower(), str(values["ucc"]))
        needed = self._needed_front_end_pools()
        for kind in KINDS.values():
            if kind in {VIRTUAL_SERVICE, HOSTNAME}:
                self._index_aims()
            for key, entry in self.document.of(kind).items():
                if entry.optional and key not in needed:
                    self.left_out.append(entry.name)
                elif key in self.present.of(kind):
                    self._change(entry, self.present.of(kind)[key])
                else:
                    self._add(entry)
            if kind is FRONT_END_POOL:
                self._pair(needed)
        self._check_references()
        self._check_unique()
        return self._told()

    def _told(self) -> Difference:
        order = list(KINDS)
        changes = sorted(self.changes.values(), key=lambda change: order.index(change.kind.slug))
        kept = {
            kind.slug: tuple(
                entry.name
                for key, entry in self.present.of(kind).items()
                if key not in self.document.of(kind) and (kind.slug, key) not in self.changes
            )
            for kind in KINDS.values()
        }
        return Difference(
            tuple(changes),
            tuple(self.problems[:MAX_PROBLEMS]),
            {slug: tuple(names) for slug, names in self.unchanged.items()},
            {slug: names for slug, names in kept.items() if names},
            tuple(self.left_out),
        )

    def _problem(self, at: Position, sentence: str) -> None:
        self.problems.append(Problem(at, sentence))

    def _needed_front_end_pools(self) -> set[Key]:
        """Those that are here, that a trusted application pool names, or that one of these is paired with."""
        pools = self.document.of(FRONT_END_POOL)
        needed: set[Key] = set(self.present.of(FRONT_END_POOL))
        needed |= {
            (_folded_fqdn(e.text("front_end_pool")),) for e in self.document.of(TRUSTED_APPLICATION_POOL).values()
        }
        needed |= {key for key, entry in pools.items() if not entry.optional}
        partners: set[Key] = {(_folded_fqdn(pools[key].text("paired_with")),) for key in needed if key in pools}
        partners |= {key for key, e in pools.items() if (_folded_fqdn(e.text("paired_with")),) in needed}
        return needed | partners

    def _index_aims(self) -> None:
        """What servers and virtual services may be called in a list, besides by their key."""
        for kind, other_name in ((SERVER, "name"), (VIRTUAL_SERVICE, "fqdn")):
            known = self.aims_by_name.setdefault(kind.slug, {})
            for key, values in self.final[kind.slug].items():
                known.setdefault(str(values.get(other_name) or "").lower(), key[0])

    # ------------------------------------------------------------------------------------------------ one thing
    def _add(self, entry: Entry) -> None:
        """Add a thing: what is stated, else what is concluded, else the default."""
        fields, values = [], {}
        for one in entry.kind.fields:
            stated = entry.values.get(one.name)
            if stated is None or (one.required and stated.value in (None, "", ())):
                if one.required:
                    way_out = _WAYS_OUT.get((entry.kind.slug, one.name), "")
                    self._problem(
                        entry.where(one.name),
                        f"found nothing for the new {entry.kind.word} {entry.name}; expected its {one.label}.{way_out}",
                    )
                    continue
                stated = Value(one.default, entry.at)
            value = self._final_value(one, stated, entry)
            values[one.name] = value
            if entry.kind is not FRONT_END_POOL or one.name != "paired_with":
                fields.append(FieldChange(one.name, one.label, None, value, stated.at))
        if entry.kind is FRONT_END_POOL:
            values["paired_with"] = None
        self.final[entry.kind.slug][entry.key] = values
        self._keep_change(Change(Action.ADD, entry.kind, entry.key, entry.name, tuple(fields), entry.at))

    def _change(self, entry: Entry, known: Entry) -> None:
        """Change an existing thing where something else is stated."""
        values = self.final[entry.kind.slug][entry.key]
        fields = []
        for one in entry.kind.fields:
            stated = entry.values.get(one.name)
            if stated is None or stated.derived or (entry.kind is FRONT_END_POOL and one.name == "paired_with"):
                continue
            before = values[one.name]
            after = self._final_value(one, stated, entry)
            if _same(one, before, after):
                continue
            if one.required and after in (None, "", ()):
                self._problem(stated.at, f"found nothing; expected the {one.label} of {entry.kind.word} {known.name}.")
                continue
            if entry.kind is TRUSTED_APPLICATION_POOL and one.name == "front_end_pool":
                self._problem(
                    stated.at,
                    f"found {shown(after)} for {known.name}; expected {shown(before)}: a trusted application pool "
                    "cannot be repointed. Create a new pool, move its servers.",
                )
                continue
            values[one.name] = after
            fields.append(FieldChange(one.name, one.label, before, after, stated.at))
        if fields:
            self._keep_change(Change(Action.CHANGE, entry.kind, entry.key, known.name, tuple(fields), entry.at))
        else:
            self.unchanged.setdefault(entry.kind.slug, []).append(known.name)

    def _keep_change(self, change: Change) -> None:
        self.changes[change.kind.slug, change.key] = change

    def _final_value(self, one: Field, stated: Value, entry: Entry) -> Scalar:
        """Return a stated value as it will be written: names folded, references to what they refer to."""
        value = stated.value
        if one.type is Type.REFERENCES and isinstance(value, tuple):
            return tuple(self._key_in_list(one, str(fold(Type.FQDN, name))) for name in value)
        if one.type is Type.REFERENCE and isinstance(value, str):
            return self._reference(one, stated, entry)
        return fold(one.type, value) if one.type in {Type.FQDN, Type.ADDRESS} else value

    def _key_in_list(self, one: Field, name: str) -> str:
        """The key of what a list refers to; the name itself where nothing is called so."""
        for slug in filter(None, (one.refers_to, one.or_to)):
            if (name,) in self.final[slug]:
                return name
            if found := self.aims_by_name.get(slug, {}).get(name):
                return found
        return name

    def _reference(self, one: Field, stated: Value, entry: Entry) -> Scalar:
        target = KINDS[one.refers_to]
        name = str(stated.value)
        if stated.derived and target is UCC:
            name = self.uccs_by_application.setdefault(entry.text("application_id").lower(), name)
        key = (str(fold(key_type(one), name)),)
        known = self.final[target.slug].get(key)
        if known is not None:
            return known[target.key[0]]
        if stated.derived and target.slug in _NAMED:
            self._add(Entry(target, key, {target.key[0]: Value(name, stated.at)}, stated.at))
            return name
        return key[0] if key_type(one) is Type.FQDN else name

    # ------------------------------------------------------------------------------------------- things together
    def _pair(self, needed: set[Key]) -> None:
        """Settle who is paired with whom; a pool that loses its partner changes too."""
        pools = self.final[FRONT_END_POOL.slug]
        before = {key[0]: _folded_fqdn(str(values.get("paired_with") or "")) for key, values in pools.items()}
        stated = {
            key[0]: (_folded_fqdn(entry.text("paired_with")), entry.values["paired_with"].at)
            for key, entry in self.document.of(FRONT_END_POOL).items()
            if "paired_with" in entry.values and (not entry.optional or key in needed)
        }
        after, problems = settle(before, stated)
        self.problems += problems
        one = FRONT_END_POOL.field("paired_with")
        for name, (partner, at) in after.items():
            old, new = before.get(name) or None, partner or None
            if old == new or (name,) not in pools:
                continue
            pools[name,]["paired_with"] = new
            known = self.changes.get((FRONT_END_POOL.slug, (name,)))
            fields = (*(known.fields if known else ()), FieldChange(one.name, one.label, old, new, at))
            action = known.action if known else Action.CHANGE
            self._keep_change(Change(action, FRONT_END_POOL, (name,), name, fields, known.at if known else at))
            names = self.unchanged.get(FRONT_END_POOL.slug, [])
            if name in names:
                names.remove(name)

    def _check_references(self) -> None:
        """Everything that a new or changed thing refers to must be there, or come with it."""
        for change in self.changes.values():
            for changed in change.fields:
                one = change.kind.field(changed.name)
                for name in self._dangling(one, changed.after):
                    target = KINDS[one.refers_to]
                    either = f" or {KINDS[one.or_to].word}" if one.or_to else ""
                    self._problem(
                        changed.at,
                        f"found {shown(name)}; expected a {target.word}{either} that is in the files or here already.",
                    )
                if one.type is Type.REFERENCES and isinstance(changed.after, tuple):
                    for name in sorted({name for name in changed.after if changed.after.count(name) > 1}):
                        self._problem(changed.at, f"found {shown(name)} twice; expected each one once.")

    def _dangling(self, one: Field, value: Scalar) -> Iterator[str]:
        if one.type is Type.REFERENCE and isinstance(value, str) and value:
            names: tuple[str, ...] = (value,)
        else:
            names = value if one.type is Type.REFERENCES and isinstance(value, tuple) else ()
        for name in names:
            key = (str(fold(key_type(one), name)),)
            if key not in self.final[one.refers_to] and key not in self.final.get(one.or_to, {}):
                yield name

    def _check_unique(self) -> None:
        """No two things of a kind may agree in what tells them apart; the newcomer is to blame."""
        for kind in KINDS.values():
            for group in kind.unique:
                owners: dict[tuple[Scalar, ...], Key] = {}
                ordered = sorted(self.final[kind.slug], key=lambda key, k=kind: (k.slug, key) in self.changes)  # type: ignore[misc]
                for key in ordered:
                    values = self.final[kind.slug][key]
                    if any(name not in values for name in group):
                        continue
                    told = tuple(fold(key_type(kind.field(name)), values[name]) for name in group)
                    owner = owners.setdefault(told, key)
                    if owner != key:
                        self._clash(kind, group, key, owner)

    def _clash(self, kind: Kind, group: tuple[str, ...], key: Key, owner: Key) -> None:
        change = self.changes.get((kind.slug, key))
        if change is None:
            return
        other = self.changes.get((kind.slug, owner))
        last = next((name for name in reversed(group) if any(one.name == name for one in change.fields)), group[-1])
        value = self.final[kind.slug][key][last]
        where = f" ({other.at})" if other and str(other.at) else ""
        self._problem(
            change.where(last),
            f"found {kind.field(last).label} {shown(value)} for {change.name}, "
            f"but {_name_of(kind, owner)}{where} has it; expected one of its own"
            + (" within its pool." if group[0] == "trusted_application_pool" else "."),
        )


def _name_of(kind: Kind, key: Key) -> str:
    return key[1] if kind is TRUSTED_APPLICATION else key[0]


def _same(one: Field, before: Scalar, after: Scalar) -> bool:
    if one.type is Type.NAME or one.type is Type.TEXT:
        return (before or "") == (after or "") if isinstance(before, str | None) else before == after
    type_ = key_type(one)
    return fold(type_, before) == fold(type_, after)


def _folded_fqdn(text: str) -> str:
    return str(fold(Type.FQDN, text))
