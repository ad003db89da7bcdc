"""Whatever is in a file: a clear sentence with its line, and nothing else happens."""

from __future__ import annotations

import time

import pytest
from hypothesis import HealthCheck, example, given, settings, strategies as st

from pools.importing import text
from pools.importing.difference import compare
from pools.importing.document import Document
from pools.importing.reading import SourceFile, read_files
from tests.unit.importing import samples

HEAD = b'"ApplicationId","TrustedApplicationPoolFqdn","Port"\n'
BOMB = b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>
<Objs><Obj><Props><S N="PoolFqdn">&b;</S></Props></Obj></Objs>"""
ALIASES = b"sites: &a [{name: x}]\nuccs: *a\n"


@pytest.mark.parametrize(
    ("name", "data", "line", "told"),
    [
        ("a.csv", b"", 0, "found an empty file"),
        ("a.csv", b" \r\n\r\n", 0, "found an empty file"),
        ("a.csv", HEAD + b'"a","p.x.nl"\n', 2, "found 2 values; expected 3"),
        ("a.csv", HEAD + b'"a","p.x.nl","6001\n', 2, "quotes"),
        ("a.csv", HEAD + b'"a","p.x.nl","70000"\n', 2, "found “70000”; expected a number from 1 to 65535"),
        ("a.csv", HEAD + b'"a","p.x.nl",""\n', 2, "found nothing; expected a number from 1 to 65535"),
        ("a.csv", HEAD + b'"a","","6001"\n', 2, "found nothing; expected the trusted application pool"),
        ("a.csv", b"Identity,identity\na,b\n", 1, "found this column twice"),
        ("a.csv", b"Colour,Size\nred,2\n", 2, "found “Colour, Size”; expected the properties of Get-CsPool"),
        ("a.csv", HEAD + b'"caf\xe9","p.x.nl","6001"\n', 2, "the byte 0xE9, which is no UTF-8"),
        ("a.csv", HEAD + b'"a\x00b","p.x.nl","6001"\n', 2, "a NUL character"),
        ("a.csv", HEAD.decode().encode("utf-16-le"), 1, "UTF-16 without a byte-order mark"),
        ("a.csv", b"\xff\xfe\x00\xd8\x00\xd8", 0, "byte-order mark"),
        ("a.txt", b"Identity : x\nFqdn : y\n", 1, "what PowerShell shows on the screen"),
        ("a.txt", b"Name  Port\n----  ----\nx 1\n", 1, "what PowerShell shows on the screen"),
        ("a.bin", b"GIF89a", 1, "found none of the formats"),
        ("a.json", b"[", 1, "no JSON"),
        ("a.json", b'{"Fqdn": "a"', 1, "no JSON"),
        ("a.json", b'[\n{"Fqdn": "a.b"},\n 7]', 3, "expected an object"),
        ("a.json", b'{"Fqdn": "a", "FQDN": "b"}', 1, "found this property twice"),
        ("a.json", b'{"Fqdn": "\\ud800"}', 1, "half a character"),
        ("a.json", b'{"Fqdn": NaN}', 0, "NaN is no number"),
        ("a.json", b'{"Fqdn": ' + b"9" * 5000 + b"}", 0, "a number that cannot be read"),
        ("a.json", b'{"Fqdn": ' + b"[" * 200_000, 0, "levels inside each other"),
        ("a.json", b'[{"Fqdn": "' + b"x" * 5000 + b'"}]', 1, "expected at most 4,000"),
        ("a.xml", BOMB, 1, "found a document type or an entity"),
        ("a.xml", b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><Objs/>', 1, "found a document type or an entity"),
        ("a.xml", b"<Objs>&x;</Objs>", 1, "no XML"),
        ("a.xml", b"<Objs>\n<Obj>", 2, "no XML"),
        ("a.xml", b"<html></html>", 1, "found <html>; expected <Objs>"),
        ("a.xml", b"<Objs>" + b"<Obj>" * 5000, 1, "found too many elements inside each other"),
        ("a.yaml", ALIASES, 1, "an anchor or alias"),
        ("a.yaml", b"sites: !!python/object/apply:os.system [x]\n", 1, "found a tag"),
        ("a.yaml", b"sites:\n  - name: x\n - name: y\n", 3, "no YAML"),
        ("a.yaml", b"sites:\n- name: x\n  name: y\n", 3, "a second time here"),
        ("a.yaml", b"a: 1\n---\nb: 2\n", 2, "a second document"),
        ("a.yaml", b"x: " + b"[" * 900 + b"]" * 900, 1, "levels inside each other"),
        ("a.yaml", b"a365admin: 99\n", 1, "found version “99”; expected 1"),
        ("a.yaml", b"colours:\n  - red\n", 2, "found the section “colours”"),
        ("a.yaml", b"sites: Amsterdam\n", 1, "found “Amsterdam”; expected a list of sites"),
        ("a.yaml", b"sites:\n  - Amsterdam\n", 2, "found “Amsterdam”; expected a site with “name: …”"),
        ("a.yaml", b"servers:\n  - name: SRV1\n", 2, "found a server without fqdn"),
        ("a.yaml", b"servers:\n  - fqdn: a.b\n    colour: red\n", 3, "found the field “colour”"),
        ("a.yaml", b"servers:\n  - fqdn: a.b\n    web_port: x\n", 3, "found “x”; expected a whole number"),
        ("a.yaml", b"servers:\n  - fqdn: a.b\n    name: [x]\n", 3, "found a list; expected one value"),
        ("a.yaml", b"servers:\n  - fqdn: a.b\n    name: a\x01b\n", 3, "a character that YAML does not allow"),
        (
            "a.yaml",
            b"trusted_application_pools:\n  - fqdn: a.b\n    standby_runs_ucc: 3\n",
            3,
            "found “3”; expected true or false",
        ),
        ("a.yaml", b"dedicated_hostnames:\n  - fqdn: a.b\n    targets: SRV1\n", 3, "expected a list of servers"),
        ("a.yaml", b"sites: []\n", 0, "found nothing to import"),
    ],
)
def test_wrong_input_is_told_with_its_line(name: str, data: bytes, line: int, told: str) -> None:
    problem = read_files([SourceFile(name, data)]).problems[0]
    assert told in problem.sentence
    assert problem.at.file == name
    if line:
        assert problem.at.line == line


def test_a_list_that_export_csv_lost_is_told_as_such() -> None:
    pool = {**samples.APPLICATION_POOLS[0], "Registrar": ["x"]}
    (problem,) = read_files([SourceFile("a.csv", samples.as_csv([pool]))]).problems
    assert "which is the name of a list and not its content" in problem.sentence
    assert problem.at.field == "Registrar"


def test_line_numbers_count_lines_within_quotes() -> None:
    data = HEAD + b'"a\nb","p.x.nl","6001"\n"c","p.x.nl","zero"\n'
    problem = read_files([SourceFile("a.csv", data)]).problems[0]
    assert problem.at.line == 4


def test_a_file_beyond_the_bound_is_refused() -> None:
    (problem,) = read_files([SourceFile("a.csv", b"x" * (text.MAX_BYTES + 1))]).problems
    assert "expected at most 10 MB" in problem.sentence


def test_a_hundred_megabytes_of_nothing_are_refused_without_being_looked_at() -> None:
    (problem,) = read_files([SourceFile("a.csv", bytes(100_000_000))]).problems
    assert "found 100.0 MB; expected at most 10 MB" in problem.sentence


def test_too_many_files_are_refused() -> None:
    (problem,) = read_files([SourceFile(f"{n}.csv", HEAD) for n in range(21)]).problems
    assert "found 21 files" in problem.sentence


def test_no_file_is_told() -> None:
    (problem,) = read_files([]).problems
    assert "found no file" in problem.sentence


def test_problems_are_bounded() -> None:
    rows = b"".join(b'"a%d","p.x.nl","x"\n' % n for n in range(5000))
    problems = read_files([SourceFile("a.csv", HEAD + rows)]).problems
    assert len(problems) == 201
    assert "more problems" in problems[-1].sentence


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.csv", HEAD + b'"a","p.x.nl","6001"\n' * 400_000),
        ("a.csv", b'"' * 9_900_000),
        ("a.csv", b"Identity" + b"," * 9_900_000),
        ("a.json", b'[{"Fqdn":"' + b'\\"' * 4_900_000),
        ("a.json", b'[{"Fqdn":' + b"[" * 9_900_000),
        ("a.json", b"[" + b'{"Fqdn":"a.b"},' * 600_000),
        ("a.json", b"[" * 9_900_000),
        ("a.xml", b"<Objs>" + b"<Obj>" * 1_900_000),
        ("a.xml", b"<Objs>" + b"<S>x</S>" * 1_200_000 + b"</Objs>"),
        ("a.xml", b"<Objs " + b"a" * 9_000_000),
        ("a.yaml", b"sites:\n" + b"- name: x\n" * 900_000),
        ("a.yaml", b"a: " + b"[" * 9_900_000),
        ("a.yaml", b"a: " + b"{a: " * 2_400_000),
        ("a.yaml", b"? " * 4_900_000),
        ("a.yaml", b"a: '" + b"x" * 9_900_000),
        ("a.yaml", b"a: |\n" + b" x\n" * 3_000_000),
    ],
)
def test_a_hostile_file_is_refused_within_seconds(name: str, data: bytes) -> None:
    started = time.process_time()  # of this process: a busy machine makes no difference
    assert read_files([SourceFile(name, data)]).problems
    assert time.process_time() - started < 15


VALID = [
    *(file.data for form in ("json", "csv", "clixml") for file in samples.files(form)),
    samples.HOSTNAMES.encode(),
]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A valid file with a few bytes changed, cut or repeated."""
    data = bytearray(draw(st.sampled_from(VALID)))
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.integers(0, max(len(data) - 1, 0)))
        how = draw(st.integers(0, 3))
        if how == 0:
            data[place : place + 1] = bytes([draw(st.integers(0, 255))])
        elif how == 1:
            del data[place : place + draw(st.integers(1, 40))]
        elif how == 2:
            data[place:place] = draw(
                st.sampled_from([b"\x00", b"&a", b"<", b'"', b"{", b"[", b"\n", b"\xff", b"- ", b": "])
            )
        else:
            data += data[place : place + 60]
    return bytes(data)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    data=st.one_of(st.binary(max_size=400), mutated()),
    name=st.sampled_from(["a", "a.csv", "a.json", "a.xml", "a.yaml"]),
)
@example(data=b'sites:\n- {name: "a\\0"}', name="a.yaml")
@example(data=b'sites:\n- name: "\\ud800"', name="a.yaml")
@example(data=b"\xef\xbb\xbf", name="a.csv")
def test_no_bytes_whatever_raise_anything(data: bytes, name: str) -> None:
    reading = read_files([SourceFile(name, data)])
    difference = compare(reading.document, Document())
    for problem in (*reading.problems, *difference.problems):
        str(problem).encode()
    for change in difference.changes:
        change.sentence.encode()
    assert difference.digest
