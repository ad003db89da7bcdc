"""Our own YAML: what an export is, and what an import understands back. Pure.

One mapping: ``a365admin: 1`` (the format's version) and a list for each kind of thing. Plain YAML only: no anchors, no
tags. A field that is left out is left as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from pools.importing.document import (
    KINDS,
    Collector,
    Document,
    Entry,
    Field,
    Kind,
    Position,
    Scalar,
    Type,
    Value,
    shown,
)
from pools.importing.skype import as_number
from pools.importing.text import MAX_DEPTH, MAX_RECORDS, MAX_VALUE, UnreadableError

VERSION = 1
MARK = "a365admin"
MAX_NODES = 400_000
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

_FLAGS = {"true": True, "yes": True, "false": False, "no": False}
_NULLS = {"", "~", "null", "none"}
_HEADER = """\
# An estate of a365admin. Import it on the page Estate > Import, or with: manage.py import_estate FILE
# A field that is left out stays as it is; things that are not in the file are kept.
"""


class _Dumper(_DUMPER):  # type: ignore[misc]
    """Quotes also what our own reader, which knows more words for nothing than YAML does, would take for nothing."""


def _text(dumper: Any, text: str) -> Any:
    quoted = "'" if text.lower() in _NULLS else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=quoted)


_Dumper.add_representer(str, _text)


@dataclass(slots=True)
class _Node:
    """A scalar (text), a list (items) or a mapping (pairs), with its line."""

    line: int
    text: str | None = None
    plain: bool = True
    items: list[_Node] | None = None
    pairs: dict[str, _Node] | None = None
    waiting: _Node | None = field(default=None)  # a mapping's key, while its value is awaited

    @property
    def found(self) -> str:
        if self.text is not None:
            return shown(self.text)
        return "a list" if self.items is not None else "a mapping"


def read_yaml(name: str, text: str, into: Collector) -> None:
    """Add what a file of ours says. Raises UnreadableError where it is no YAML, or no file of ours."""
    root = _tree(name, text)
    if root is None or root.pairs is None:
        found = root.found if root else "nothing"
        raise UnreadableError(Position(name, 1), f"found {found}; expected sections such as “servers:”.")
    _check_version(name, root.pairs)
    sections = {kind.section: kind for kind in KINDS.values()}
    count = 0
    for section, node in root.pairs.items():
        kind = sections.get(section)
        if section == MARK:
            continue
        if kind is None:
            into.problem(
                Position(name, node.line), f"found the section {shown(section)}; expected {', '.join(sections)}."
            )
        elif node.items is None:
            if not _is_null(node):
                into.problem(
                    Position(name, node.line, section), f"found {node.found}; expected a list of {kind.plural}."
                )
        else:
            count += len(node.items)
            if count > MAX_RECORDS:
                raise UnreadableError(
                    Position(name, node.line), f"found more than {MAX_RECORDS:,} things; expected fewer."
                )
            for item in node.items:
                _take(name, kind, item, into)


def _check_version(name: str, pairs: dict[str, _Node]) -> None:
    stated = pairs.get(MARK)
    if stated is not None and stated.text != str(VERSION):
        raise UnreadableError(
            Position(name, stated.line, MARK),
            f"found version {stated.found}; expected {VERSION}, the only one known here.",
        )


def _take(name: str, kind: Kind, item: _Node, into: Collector) -> None:
    """Add one thing, or say what is wrong with it."""
    at = Position(name, item.line)
    if item.pairs is None:
        into.problem(at, f"found {item.found}; expected a {kind.word} with “{kind.key[0]}: …”.")
        return
    values: dict[str, Value] = {}
    known = {one.name: one for one in kind.fields}
    for key, node in item.pairs.items():
        where = Position(name, node.line, key)
        if key not in known:
            into.problem(where, f"found the field {shown(key)} of a {kind.word}; expected {', '.join(known)}.")
            continue
        try:
            values[key] = Value(_value(known[key], node), where)
        except ValueError as error:
            into.problem(where, f"found {node.found}; expected {error}.")
    for part in kind.key:
        if part not in values and part not in item.pairs:
            into.problem(at, f"found a {kind.word} without {part}; expected “{part}: …”.")
        elif part in values and not values[part].value:
            into.problem(values[part].at, f"found nothing; expected the {kind.word}'s {kind.field(part).label}.")
            del values[part]
    if all(part in values for part in kind.key):
        into.add(kind, values, at)


def _value(one: Field, node: _Node) -> Scalar:
    """Return a field's value. Raises ValueError saying what was expected."""
    if one.type is Type.REFERENCES:
        if node.items is None or any(item.text is None for item in node.items):
            raise ValueError("a list of servers, such as [srv1.example.com, srv2.example.com]")
        return tuple((item.text or "").strip() for item in node.items)
    if node.text is None:
        raise ValueError("one value")
    if one.type is Type.FLAG:
        flag = _FLAGS.get(node.text.lower())
        if flag is None:
            raise ValueError("true or false")
        return flag
    if one.type is Type.NUMBER and one.default is None and not one.required and _is_null(node):
        return None
    if one.type is Type.NUMBER:
        number = as_number(node.text)
        if number is None:
            raise ValueError("a whole number")
        return number
    if _is_null(node):
        return one.default if not one.required else ""
    return node.text.strip()


def _is_null(node: _Node) -> bool:
    return node.plain and node.text is not None and node.text.lower() in _NULLS


def _tree(name: str, text: str) -> _Node | None:
    """Build the tree from the parser's events, within bounds, without recursion."""
    try:
        return _built(name, text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise UnreadableError(
            Position(name, mark.line + 1 if mark else 0),
            f"found what is no YAML ({str(error.problem)[:120]}). Look at the indentation and at the quotes there.",
        ) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, max(error.position, 0)) + 1 if isinstance(error.position, int) else 0
        raise UnreadableError(
            Position(name, line), "found a character that YAML does not allow; expected text."
        ) from error
    except (yaml.YAMLError, UnicodeError) as error:
        raise UnreadableError(Position(name), f"found what is no YAML ({str(error)[:120]}).") from error


def _built(name: str, text: str) -> _Node | None:
    stack: list[_Node] = []
    root: _Node | None = None
    count = documents = 0
    for event in yaml.parse(text, Loader=_LOADER):
        mark: Any = event.start_mark
        line = mark.line + 1
        count += 1
        documents += isinstance(event, yaml.DocumentStartEvent)
        _refuse(Position(name, line), event, documents)
        _bound(Position(name, line), count, len(stack))
        if isinstance(event, yaml.CollectionEndEvent):
            stack.pop()
            continue
        if not isinstance(event, yaml.NodeEvent):
            continue
        node = _node(name, event, line)
        if stack:
            _hang(name, stack[-1], node)
        else:
            root = node
        if node.text is None:
            stack.append(node)
    return root


def _bound(at: Position, count: int, depth: int) -> None:
    """Raise UnreadableError for more than an estate has."""
    if count > MAX_NODES:
        raise UnreadableError(at, f"found more than {MAX_NODES:,} values; expected an estate of fewer.")
    if depth > MAX_DEPTH:
        raise UnreadableError(at, f"found more than {MAX_DEPTH} levels inside each other; expected fewer.")


def _refuse(at: Position, event: Any, documents: int) -> None:
    """Raise UnreadableError for what our files never hold."""
    found = ""
    if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
        found = "an anchor or alias (& or *)"
    elif isinstance(event, yaml.NodeEvent) and getattr(event, "tag", None) not in {None, "!"}:
        found = f"a tag ({shown(event.tag)})"  # type: ignore[attr-defined]
    elif documents > 1:
        found = "a second document (---)"
    if found:
        raise UnreadableError(at, f"found {found}; expected plain lists of things.")


def _node(name: str, event: Any, line: int) -> _Node:
    if isinstance(event, yaml.SequenceStartEvent):
        return _Node(line, items=[])
    if isinstance(event, yaml.MappingStartEvent):
        return _Node(line, pairs={})
    if len(event.value) > MAX_VALUE:
        raise UnreadableError(
            Position(name, line), f"found {len(event.value):,} characters; expected at most {MAX_VALUE:,}."
        )
    if "\0" in event.value or any("\ud800" <= char <= "\udfff" for char in event.value):
        raise UnreadableError(Position(name, line), "found half a character or a NUL; expected text.")
    return _Node(line, text=event.value, plain=not event.style)


def _hang(name: str, parent: _Node, node: _Node) -> None:
    """Hang a node under its list or mapping."""
    if parent.items is not None:
        parent.items.append(node)
    elif parent.pairs is not None and parent.waiting is None:
        if node.text is None:
            raise UnreadableError(Position(name, node.line), f"found {node.found} as a name; expected a word.")
        if node.text in parent.pairs:
            raise UnreadableError(
                Position(name, node.line, node.text[:80]), "found this a second time here; expected it once."
            )
        parent.waiting = node
    elif parent.pairs is not None and parent.waiting is not None:
        parent.pairs[parent.waiting.text or ""] = node
        parent.waiting = None


def write_yaml(document: Document) -> str:
    """Return a document as our YAML, sorted as it is given; ``read_yaml`` gives it back."""
    data = {kind.section: [_fields(entry) for entry in document.of(kind).values()] for kind in KINDS.values()}
    parts = [_HEADER, f"{MARK}: {VERSION}\n"]
    for section, things in data.items():
        if things:
            parts.append("\n" + _dump({section: things}))
    return "".join(parts)


def _fields(entry: Entry) -> dict[str, Any]:
    return dict(_stated(entry))


def _stated(entry: Entry) -> Iterator[tuple[str, Any]]:
    for one in entry.kind.fields:
        found = entry.values.get(one.name)
        if found is not None and not (one.quiet and found.value in {None, one.default}):
            yield one.name, list(found.value) if isinstance(found.value, tuple) else found.value


def _dump(data: dict[str, Any]) -> str:
    return str(
        yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000, default_flow_style=False)
    )
