"""Export-Clixml -> records: Objs, Obj with Props and MS, lists, references. No entities, no document types. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NoReturn
from xml.parsers import expat

from pools.importing.document import Position
from pools.importing.records import Cell, Plain, Record, check_count, check_length
from pools.importing.text import MAX_DEPTH, UnreadableError

MAX_ELEMENTS = 1_000_000
_LISTS = {"LST", "IE", "QUE", "STK"}
_INSIDE = {"Props", "MS"}
_ESCAPE = re.compile(r"_x([0-9A-Fa-f]{4})_")


@dataclass(slots=True)
class _Node:
    """An open element. ``cells`` of an object, ``items`` of a list."""

    tag: str
    name: str
    line: int
    ref: str = ""
    text: list[str] = field(default_factory=list)
    cells: dict[str, Cell] = field(default_factory=dict)
    items: list[str] = field(default_factory=list)
    is_list: bool = False
    shown: str = ""
    type_name: str = ""


def read_clixml(name: str, text: str) -> list[Record]:
    """Return the objects. Raises UnreadableError with the line where it is no CliXml, or asks for entities."""
    reader = _Reader(name)
    try:
        reader.parser.Parse(text.encode("utf-8", "surrogatepass"), True)
    except expat.ExpatError as error:
        raise UnreadableError(
            Position(name, error.lineno),
            f"found what is no XML ({expat.ErrorString(error.code)}). Was the file cut off? Export it again.",
        ) from error
    return reader.records


class _Reader:
    """Handlers of expat, with a stack of open elements."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._stack: list[_Node] = []
        self._known: dict[str, Plain] = {}
        self._elements = 0
        self.records: list[Record] = []
        self.parser = expat.ParserCreate("utf-8")  # whatever the declaration says: the text is decoded already
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = self._refuse
        self.parser.EntityDeclHandler = self._refuse
        self.parser.ExternalEntityRefHandler = self._refuse
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters

    def _refuse(self, *_: object) -> NoReturn:
        raise UnreadableError(
            Position(self._name, self.parser.CurrentLineNumber),
            "found a document type or an entity; expected neither: Export-Clixml writes none.",
        )

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        line = self.parser.CurrentLineNumber
        self._elements += 1
        if self._elements > MAX_ELEMENTS or len(self._stack) >= 2 * MAX_DEPTH:
            what = "elements inside each other" if len(self._stack) >= 2 * MAX_DEPTH else "elements"
            raise UnreadableError(
                Position(self._name, line), f"found too many {what}; expected an export of PowerShell."
            )
        if not self._stack and tag != "Objs":
            raise UnreadableError(
                Position(self._name, line), f"found <{tag[:40]}>; expected <Objs>, as Export-Clixml writes it."
            )
        self._stack.append(_Node(tag, _unescaped(attributes.get("N", ""))[:80], line, attributes.get("RefId", "")))

    def _characters(self, text: str) -> None:
        if self._stack:
            self._stack[-1].text.append(text)

    def _end(self, tag: str) -> None:
        node = self._stack.pop()
        parent = self._stack[-1] if self._stack else None
        if parent is None:
            return
        if tag in _INSIDE:
            parent.cells.update(node.cells)
        elif tag in _LISTS:
            parent.items, parent.is_list = node.items, True
        elif tag == "TN":
            parent.type_name = node.items[0] if node.items else ""
        elif tag == "ToString":
            parent.shown = self._text(node)
        elif tag in {"DCT", "En", "TNRef"}:
            return
        elif tag == "Obj" and (parent.tag == "Objs" or (parent.tag in _LISTS and node.cells)):
            self._record(node)
        else:
            self._give(node, parent)

    def _record(self, node: _Node) -> None:
        """Keep an object; a list of objects has given its own already."""
        if not node.cells:
            return
        check_count(self._name, node.line, len(self.records) + 1)
        self.records.append(Record(node.line, node.cells, node.type_name))

    def _give(self, node: _Node, parent: _Node) -> None:
        """Hand a value to the element around it: a property where it has a name, else an item."""
        value: Plain
        if node.tag == "Nil":
            value = None
        elif node.tag == "Ref":
            value = self._known.get(node.ref)
        elif node.tag == "Obj":
            value = tuple(node.items) if node.is_list else node.shown or self._text(node)
            self._known[node.ref] = value
        else:
            value = self._text(node)
        if node.name:
            parent.cells[node.name.lower()] = Cell(node.name, value, node.line)
        elif isinstance(value, tuple):
            parent.items.extend(value[:1000])
        elif value is not None and len(parent.items) < 1000:
            parent.items.append(value)

    def _text(self, node: _Node) -> str:
        return check_length(self._name, node.line, node.name, _unescaped("".join(node.text))).strip()


def _unescaped(text: str) -> str:
    """Undo CliXml's ``_x000A_``; what is no character becomes the replacement character."""
    return _ESCAPE.sub(lambda found: _character(int(found[1], 16)), text) if "_x" in text else text


def _character(code: int) -> str:
    return "�" if code == 0 or 0xD800 <= code <= 0xDFFF else chr(code)
