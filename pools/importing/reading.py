"""Files -> one document: what format each is, and what they say together. Pure: never raises for what a file holds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pools.importing.clixml_format import read_clixml
from pools.importing.csv_format import read_csv
from pools.importing.document import Collector, Document, Position, Problem, only_pools
from pools.importing.json_format import read_json
from pools.importing.skype import take_records
from pools.importing.text import MAX_BYTES, UnreadableError, decode
from pools.importing.yaml_format import read_yaml

MAX_FILES = 20
_SCREEN = re.compile(r"^\s*(Identity|Fqdn|PoolFqdn)\s+:\s", re.IGNORECASE | re.MULTILINE)
_TABLE = re.compile(r"^-{4,}(\s+-{4,})*\s*$", re.MULTILINE)
_SECTION = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*\s*:", re.MULTILINE)
_COLUMNS = {"identity", "fqdn", "poolfqdn", "applicationid", "trustedapplicationpoolfqdn", "pool", "registrar"}


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file as it came in."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Reading:
    """What the files say, and everything that is wrong with them."""

    document: Document
    problems: tuple[Problem, ...]


def read_files(files: Sequence[SourceFile], *, pools: Sequence[str] = ()) -> Reading:
    """Read files of any of the formats into one document; ``pools`` restricts it to these trusted application pools."""
    into = Collector()
    if not files:
        into.problem(Position(), "found no file; expected at least one.")
    if len(files) > MAX_FILES:
        into.problem(Position(), f"found {len(files)} files; expected at most {MAX_FILES}.")
    total = sum(len(file.data) for file in files)
    if total > MAX_BYTES:
        into.problem(Position(), f"found {total / 1e6:.1f} MB; expected at most {MAX_BYTES / 1e6:.0f} MB together.")
    if not into.problems:
        for file in files:
            try:
                _read(file, into)
            except UnreadableError as error:
                into.problem(error.at, error.sentence)
    document = only_pools(into.document(), pools)
    if not into.problems and not len(document):
        sentence = "found nothing to import; expected pools, servers, UCCs or hostnames."
        into.problem(Position(files[0].name if len(files) == 1 else ""), sentence)
    return Reading(document, tuple(into.problems))


def _read(file: SourceFile, into: Collector) -> None:
    text = decode(file.name, file.data)
    kind = _format_of(file.name, text)
    if kind == "csv":
        take_records(file.name, read_csv(file.name, text, into), into)
    elif kind == "json":
        take_records(file.name, read_json(file.name, text), into)
    elif kind == "clixml":
        take_records(file.name, read_clixml(file.name, text), into)
    else:
        read_yaml(file.name, text, into)


def _format_of(name: str, text: str) -> str:
    """Tell the format by the content. Raises UnreadableError for none of ours."""
    start = text.lstrip()[:20_000]
    if not start:
        raise UnreadableError(Position(name), "found an empty file; expected an export.")
    if start[0] == "<":
        return "clixml"
    if start[0] in "{[":
        return "json"
    first = start.split("\n", 1)[0].strip()
    columns = {column.strip(' "').lower() for column in re.split(r"[,;\t]", first)}
    if first.upper().startswith("#TYPE") or first.lower().startswith("sep=") or columns & _COLUMNS:
        return "csv"
    if _SCREEN.search(start) or _TABLE.search(start):
        raise UnreadableError(
            Position(name, 1), "found what PowerShell shows on the screen; expected the output of Export-Csv, "
            "ConvertTo-Json or Export-Clixml, or a file of our own."
        )  # fmt: skip
    if name.lower().endswith(".csv") and not _SECTION.search(start):
        return "csv"
    if name.lower().endswith((".yaml", ".yml")) or _SECTION.search(start):
        return "yaml"
    raise UnreadableError(
        Position(name, 1), "found none of the formats; expected CSV, JSON or CliXml of PowerShell, or YAML of our own."
    )
