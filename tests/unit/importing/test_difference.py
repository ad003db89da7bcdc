"""What an import would do, decided without a database."""

from __future__ import annotations

from pools.importing.difference import Action, Difference, compare
from pools.importing.document import FRONT_END_POOL, KINDS, Document, Entry, Position, Value
from pools.importing.reading import SourceFile, read_files
from tests.unit.importing import samples

BASE = b"""
sites: [{name: Amsterdam}]
front_end_pools:
  - {fqdn: fe1.x.nl, site: Amsterdam}
  - {fqdn: fe2.x.nl, site: Amsterdam}
  - {fqdn: fe3.x.nl, site: Amsterdam}
trusted_application_pools: [{fqdn: p1.x.nl, front_end_pool: fe1.x.nl}]
servers:
  - {fqdn: s1.x.nl, name: S1, address: 10.0.0.1, trusted_application_pool: p1.x.nl}
  - {fqdn: s2.x.nl, name: S2, address: 10.0.0.2, trusted_application_pool: p1.x.nl}
uccs: [{name: Reception}, {name: Desk}]
trusted_applications:
  - {trusted_application_pool: p1.x.nl, application_id: "urn:application:r", ucc: Reception, port: 6001}
"""


def document(*texts: bytes) -> Document:
    reading = read_files([SourceFile(f"{n}.yaml", text) for n, text in enumerate(texts)])
    assert reading.problems == ()
    return reading.document


def present() -> Document:
    """What is there: every field of every thing is known, as in a snapshot."""
    return settled(document(BASE))


def settled(wanted: Document) -> Document:
    difference = compare(wanted, Document())
    assert difference.problems == ()
    things: dict[str, dict[tuple[str, ...], Entry]] = {slug: {} for slug in KINDS}
    for change in difference.changes:
        values = {one.name: Value(one.after, Position()) for one in change.fields}
        values.update(
            {"paired_with": Value(None, Position())}
            if change.kind is FRONT_END_POOL and "paired_with" not in values
            else {}
        )
        things[change.kind.slug][change.key] = Entry(change.kind, change.key, values, Position())
    return Document(things)


def told(text: bytes) -> Difference:
    return compare(document(text), present())


def sentences(text: bytes) -> list[str]:
    return [str(problem) for problem in told(text).problems]


def test_the_same_estate_makes_no_difference() -> None:
    difference = compare(document(BASE), present())
    assert (difference.changes, difference.problems) == ((), ())
    assert sum(map(len, difference.unchanged.values())) == 10


def test_a_field_is_changed_and_all_others_stay() -> None:
    (change,) = told(b"servers: [{fqdn: S1.X.NL, web_port: 8443}]").changes
    assert change.sentence == "changed server S1: HTTPS port 443 → 8443"


def test_what_is_not_in_the_file_is_kept_and_listed() -> None:
    difference = told(b"servers: [{fqdn: s1.x.nl, web_port: 8443}]")
    assert difference.kept["server"] == ("S2",)
    assert difference.kept["ucc"] == ("Reception", "Desk")


def test_a_default_is_filled_in_for_what_is_new_only() -> None:
    (change,) = told(
        b"servers: [{fqdn: s3.x.nl, name: S3, address: 10.0.0.3, trusted_application_pool: p1.x.nl}]"
    ).changes
    assert {one.name: one.after for one in change.fields}["web_port"] == 443
    assert change.action is Action.ADD


def test_what_is_missing_of_something_new_is_told_with_the_way_out() -> None:
    (sentence,) = sentences(b"servers: [{fqdn: s3.x.nl, name: S3, trusted_application_pool: p1.x.nl}]")
    assert sentence == (
        "0.yaml, line 1, address: found nothing for the new server S3; expected its IP address. "
        "Add a column Address to the export (the documentation has the command), or a YAML file."
    )


def test_a_reference_to_nothing_is_told() -> None:
    assert sentences(b"front_end_pools: [{fqdn: fe9.x.nl, site: Nowhere}]") == [
        "0.yaml, line 1, site: found “Nowhere”; expected a site that is in the files or here already."
    ]


def test_a_port_that_is_taken_is_told_with_who_has_it() -> None:
    text = (
        b'trusted_applications:\n- {trusted_application_pool: p1.x.nl, application_id: "urn:d", ucc: Desk, port: 6001}'
    )
    (sentence,) = sentences(text)
    assert sentence == (
        "0.yaml, line 2, port: found TCP port 6001 for urn:d in p1.x.nl, but urn:application:r has it; "
        "expected one of its own within its pool."
    )


def test_two_newcomers_that_want_one_port_are_told_both_places() -> None:
    text = b"""trusted_applications:
- {trusted_application_pool: p1.x.nl, application_id: a, ucc: Desk, port: 7000}
- {trusted_application_pool: p1.x.nl, application_id: "urn:application:r", port: 7000}"""
    (sentence,) = sentences(text)
    assert "line 3" in sentence
    assert "line 2" in sentence


def test_ports_may_be_exchanged() -> None:
    text = b"""trusted_applications:
- {trusted_application_pool: p1.x.nl, application_id: a, ucc: Desk, port: 6001}
- {trusted_application_pool: p1.x.nl, application_id: "urn:application:r", port: 6002}"""
    assert sentences(text) == []


def test_addresses_and_names_of_servers_are_unique_whatever_their_capitals() -> None:
    text = b"servers: [{fqdn: s3.x.nl, name: s1, address: 10.0.0.1, trusted_application_pool: p1.x.nl}]"
    assert [problem.at.field for problem in told(text).problems] == ["name", "address"]


def test_a_trusted_application_pool_is_never_repointed() -> None:
    (sentence,) = sentences(b"trusted_application_pools: [{fqdn: p1.x.nl, front_end_pool: fe2.x.nl}]")
    assert "cannot be repointed" in sentence


def test_pairing_is_mutual_and_shows_who_loses_a_partner() -> None:
    paired = settled(document(BASE, b"front_end_pools: [{fqdn: fe1.x.nl, paired_with: fe2.x.nl}]"))
    pairs = {key[0]: entry.text("paired_with") for key, entry in paired.of(FRONT_END_POOL).items()}
    assert pairs == {"fe1.x.nl": "fe2.x.nl", "fe2.x.nl": "fe1.x.nl", "fe3.x.nl": ""}
    difference = compare(document(b"front_end_pools: [{fqdn: fe3.x.nl, paired_with: fe1.x.nl}]"), paired)
    assert sorted(change.sentence for change in difference.changes) == [
        "changed front-end pool fe1.x.nl: paired with fe2.x.nl → fe3.x.nl",
        "changed front-end pool fe2.x.nl: paired with fe1.x.nl → none",
        "changed front-end pool fe3.x.nl: paired with none → fe1.x.nl",
    ]
    again = compare(document(b"front_end_pools: [{fqdn: fe1.x.nl, paired_with: null}]"), paired)
    assert len(again.changes) == 2


def test_contradicting_pairings_are_told() -> None:
    text = b"front_end_pools: [{fqdn: fe1.x.nl, paired_with: fe2.x.nl}, {fqdn: fe2.x.nl, paired_with: fe3.x.nl}]"
    assert "Pairing is mutual" in sentences(text)[0]
    assert "itself" in sentences(b"front_end_pools: [{fqdn: fe1.x.nl, paired_with: fe1.x.nl}]")[0]
    text = b"front_end_pools: [{fqdn: fe1.x.nl, paired_with: fe3.x.nl}, {fqdn: fe2.x.nl, paired_with: fe3.x.nl}]"
    assert "second front-end pool" in sentences(text)[0]


def test_targets_may_be_named_by_short_name_and_each_once() -> None:
    base = b"dedicated_hostnames:\n- {fqdn: w.x.nl, service_name: W, trusted_application_pool: p1.x.nl, targets: %s}"
    (change,) = told(base % b"[s2, s1.x.nl]").changes
    assert change.fields[-1].after == ("s2.x.nl", "s1.x.nl")
    assert "found “s1.x.nl” twice" in sentences(base % b"[s1, s1.x.nl]")[0]
    assert "found “s9”; expected a server" in sentences(base % b"[s1, s9]")[0]
    assert "found nothing for the new dedicated hostname" in sentences(base % b"[]")[0]


def test_a_concluded_name_changes_nothing_that_is_here() -> None:
    exported = SourceFile("a.csv", b"ApplicationId,TrustedApplicationPoolFqdn,Port\nurn:application:r,p1.x.nl,6001\n")
    difference = compare(read_files([exported]).document, present())
    assert difference.changes == ()


def test_an_application_of_the_same_id_in_another_pool_is_the_same_ucc() -> None:
    exported = SourceFile("a.csv", b"ApplicationId,TrustedApplicationPoolFqdn,Port\nurn:application:r,p2.x.nl,6001\n")
    pool = SourceFile("p.yaml", b"trusted_application_pools: [{fqdn: p2.x.nl, front_end_pool: fe2.x.nl}]")
    difference = compare(read_files([exported, pool]).document, present())
    assert [change.kind.slug for change in difference.changes] == ["trusted-application-pool", "trusted-application"]
    assert {one.name: one.after for one in difference.changes[1].fields}["ucc"] == "Reception"


def test_front_end_pools_that_nothing_needs_are_left_out() -> None:
    difference = compare(read_files(samples.files("json")).document, Document())
    assert difference.problems == ()
    assert difference.left_out == ("lonely.corp.example",)
    assert "Groningen" not in [change.name for change in difference.changes]


def test_the_digest_changes_with_what_is_to_be_changed_and_with_what_is_replaced() -> None:
    wanted = document(b"servers: [{fqdn: s1.x.nl, web_port: 8443}]")
    before = compare(wanted, present()).digest
    assert before == compare(wanted, present()).digest
    assert before != told(b"servers: [{fqdn: s1.x.nl, web_port: 8444}]").digest
    other = settled(document(BASE.replace(b"name: S1,", b"name: S1, web_port: 9443,")))
    assert before != compare(wanted, other).digest
