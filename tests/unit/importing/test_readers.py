"""What PowerShell writes is understood, in every form in which it writes it."""

from __future__ import annotations

import pytest
import yaml

from pools.importing.document import (
    FRONT_END_POOL,
    HOSTNAME,
    KINDS,
    SERVER,
    TRUSTED_APPLICATION,
    TRUSTED_APPLICATION_POOL,
    Document,
)
from pools.importing.reading import SourceFile, read_files
from pools.importing.yaml_format import write_yaml
from tests.unit.importing import samples

FORMS = ["json", "wrapped", "csv", "csv-semicolon", "clixml"]


def essence(document: Document) -> dict[str, dict[tuple[str, ...], dict[str, object]]]:
    return {
        kind.slug: {
            key: {name: value.value for name, value in entry.values.items()} for key, entry in document.of(kind).items()
        }
        for kind in KINDS.values()
    }


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_four_exports_says_the_same_estate(form: str) -> None:
    reading = read_files(samples.files(form))
    assert reading.problems == ()
    document = reading.document
    assert {"fepool1.corp.example", "fepool2.corp.example"} <= {key[0] for key in document.of(FRONT_END_POOL)}
    first = document.of(FRONT_END_POOL)["fepool1.corp.example",]
    assert (first.text("site"), first.text("paired_with")) == ("Amsterdam", "fepool2.corp.example")
    pool = document.of(TRUSTED_APPLICATION_POOL)["a365pool2.corp.example",]
    assert pool.text("front_end_pool") == "fepool2.corp.example"
    server = document.of(SERVER)["srv3.corp.example",]
    assert [server.text(name) for name in ("name", "address", "trusted_application_pool")] == [
        "SRV3",
        "10.1.0.3",
        "a365pool2.corp.example",
    ]
    application = document.of(TRUSTED_APPLICATION)["a365pool1.corp.example", "urn:application:servicedesk"]
    assert (application.values["port"].value, application.values["ucc"].value) == (6002, "servicedesk")
    assert application.values["ucc"].derived


@pytest.mark.parametrize("form", ["json", "clixml"])
def test_pools_that_are_no_registrars_are_no_front_end_pools(form: str) -> None:
    pools = read_files(samples.files(form)[:1]).document.of(FRONT_END_POOL)
    assert ("sql1.corp.example",) not in pools


@pytest.mark.parametrize("form", FORMS)
def test_a_problem_names_file_line_and_field(form: str) -> None:
    wrong = [{**samples.APPLICATIONS[0]}, {**samples.APPLICATIONS[1], "Port": "sixthousand"}]
    data = {
        "json": samples.as_json(wrong),
        "wrapped": samples.as_json(wrong, wrapped=True),
        "csv": samples.as_csv(wrong, type_name="X.Y"),
        "csv-semicolon": samples.as_csv(wrong, separator=";"),
        "clixml": samples.as_clixml(wrong, "X.Y"),
    }[form]
    (problem,) = read_files([SourceFile("a", data)]).problems
    assert (problem.at.file, problem.at.field) == ("a", "Port")
    encoding = "utf-16" if form == "clixml" else "utf-8-sig"
    assert "sixthousand" in data.decode(encoding).splitlines()[problem.at.line - 1]
    assert problem.sentence == "found “sixthousand”; expected a number from 1 to 65535."


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le with a mark", "utf-16-be with a mark"]
)
def test_every_unicode_encoding_of_powershell_is_read(encoding: str) -> None:
    text = samples.HOSTNAMES
    if encoding.endswith("with a mark"):
        data = ("\ufeff" + text).encode(encoding.split(maxsplit=1)[0])
    else:
        data = text.encode(encoding)
    reading = read_files([SourceFile("h.yaml", data)])
    assert reading.problems == ()
    assert reading.document.of(HOSTNAME)["a365web2.corp.example",].text("service_name") == "Überweisungen Utrecht"


def test_a_single_object_of_convertto_json_needs_no_list() -> None:
    reading = read_files([SourceFile("a.json", samples.as_json(samples.COMPUTERS[:1]))])
    assert list(reading.document.of(SERVER)) == [("srv1.corp.example",)]


def test_properties_are_recognised_whatever_their_capitals_and_order() -> None:
    data = b"port,TRUSTEDAPPLICATIONPOOLFQDN,applicationid\n6001,P.Corp.Example.,desk\n"
    reading = read_files([SourceFile("a.csv", data)])
    assert list(reading.document.of(TRUSTED_APPLICATION)) == [("p.corp.example", "urn:application:desk")]


def test_the_dependent_services_tell_the_next_hop_where_the_registrar_is_empty() -> None:
    pool = {**samples.APPLICATION_POOLS[0], "Registrar": None, "DependentServiceList": ["Registrar:fe9.corp.example"]}
    reading = read_files([SourceFile("a.json", samples.as_json([pool]))])
    (entry,) = reading.document.of(TRUSTED_APPLICATION_POOL).values()
    assert entry.text("front_end_pool") == "fe9.corp.example"


def test_a_list_inside_clixml_may_be_referred_to_again() -> None:
    data = b"""<Objs xmlns="http://schemas.microsoft.com/powershell/2004/04"><Obj RefId="0"><Props>
    <S N="PoolFqdn">p1.corp.example</S>
    <Obj N="DependentServiceList" RefId="1"><LST><S>Registrar:fe1.corp.example</S></LST></Obj>
    </Props></Obj><Obj RefId="2"><Props><S N="PoolFqdn">p_x0032_.corp.example</S>
    <Ref N="DependentServiceList" RefId="1"/>
    </Props></Obj></Objs>"""
    pools = read_files([SourceFile("a.xml", data)]).document.of(TRUSTED_APPLICATION_POOL)
    assert {key[0]: entry.text("front_end_pool") for key, entry in pools.items()} == {
        "p1.corp.example": "fe1.corp.example",
        "p2.corp.example": "fe1.corp.example",
    }


def test_an_ipv4_address_is_preferred_and_several_are_understood() -> None:
    computer = {**samples.COMPUTERS[0], "Address": "fd00::1 10.1.0.1"}
    (entry,) = read_files([SourceFile("a.csv", samples.as_csv([computer]))]).document.of(SERVER).values()
    assert entry.text("address") == "10.1.0.1"


def test_what_two_files_say_is_put_together_and_a_contradiction_names_both() -> None:
    one = SourceFile("one.yaml", b"servers:\n  - fqdn: srv1.corp.example\n    address: 10.1.0.1\n")
    two = SourceFile("two.yaml", b"servers:\n  - fqdn: SRV1.corp.example.\n    name: Front\n")
    (entry,) = read_files([one, two]).document.of(SERVER).values()
    assert (entry.text("address"), entry.text("name")) == ("10.1.0.1", "Front")
    three = SourceFile("three.yaml", b"servers:\n  - fqdn: srv1.corp.example\n    address: 10.1.0.9\n")
    (problem,) = read_files([one, three]).problems
    assert str(problem) == (
        "three.yaml, line 3, address: found “10.1.0.9” for server srv1.corp.example, but one.yaml, line 3, address "
        "says “10.1.0.1”; expected the same in both places."
    )


def test_a_stated_name_beats_a_concluded_one_in_either_order() -> None:
    stated = SourceFile("n.yaml", b"servers:\n  - fqdn: srv1.corp.example\n    name: Front\n")
    computers = SourceFile("c.csv", samples.as_csv(samples.COMPUTERS[:1]))
    for files in ([stated, computers], [computers, stated]):
        (entry,) = read_files(files).document.of(SERVER).values()
        assert entry.text("name") == "Front"


def test_an_import_can_be_restricted_to_named_pools() -> None:
    document = read_files([*samples.files("json"), samples.hostnames()], pools=["A365POOL1.corp.example"]).document
    assert {key[0] for key in document.of(TRUSTED_APPLICATION)} == {"a365pool1.corp.example"}
    assert set(document.of(SERVER)) == {("srv1.corp.example",), ("srv2.corp.example",)}
    assert set(document.of(HOSTNAME)) == {("a365web1.corp.example",)}


def test_our_yaml_is_read_back_as_it_was_written() -> None:
    document = read_files([*samples.files("json"), samples.hostnames()]).document
    again = read_files([SourceFile("estate.yaml", write_yaml(document).encode())])
    assert again.problems == ()
    assert essence(again.document) == essence(document)


@pytest.mark.parametrize(
    "name",
    ["yes", "NO", "null", "~", "12", "0x10", "a: b", "# x", "- x", "'", '"', "é\u2028x", "  x", "1e5", "!a", "&a"],
)
def test_any_name_survives_our_yaml(name: str) -> None:
    text = yaml.safe_dump({"uccs": [{"name": name, "description": name}]}, allow_unicode=True)
    (entry,) = read_files([SourceFile("a.yaml", text.encode())]).document.things["ucc"].values()
    assert entry.text("description") == name.strip()
