"""Out and in again: whatever the estate is, its export makes the same estate, and nothing of it is forgotten."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings, strategies as st

from pools import models
from pools.importing.apply import ImportResult, apply_import, dry_run
from pools.importing.document import KINDS
from pools.importing.export import export_estate
from pools.importing.reading import SourceFile, read_files
from pools.importing.snapshot import MODELS, read_snapshot

pytestmark = pytest.mark.django_db

# Columns that an import does not carry, each for a reason: add to this list only with one.
NOT_CARRIED: dict[str, set[str]] = {}


def test_every_column_of_the_estate_is_imported_and_exported() -> None:
    for slug, model in MODELS.items():
        columns = {field.name for field in model._meta.concrete_fields} - {"id"}
        carried = {field.name for field in KINDS[slug].fields}
        assert columns - carried - NOT_CARRIED.get(slug, set()) == set(), f"{slug}: tell pools/importing of these"


# Words that some reader of YAML takes for nothing, for a flag or for a number.
ODD = st.sampled_from(["None", "null", "~", "yes", "No", "1e3", "0x10", "2026-11-25", "- a", "'", "=1+1", "#"])
WORDS = ODD | st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=12)
PATHS = st.sampled_from(["", "/Attendant", "/a/b"])


@st.composite
def estates(draw: st.DrawFn) -> dict[str, Any]:
    """The rows of an estate, as small as it can be and as odd as its models allow."""
    sites = draw(st.lists(WORDS, min_size=1, max_size=3, unique_by=str.casefold))
    fronts = draw(st.integers(1, 3))
    pools = draw(st.lists(st.integers(0, fronts - 1), min_size=1, max_size=3))
    uccs = draw(st.lists(WORDS, max_size=4, unique_by=str.casefold))
    return {
        "sites": [(name, draw(st.booleans())) for name in sites],
        "fronts": [draw(st.integers(0, len(sites) - 1)) for _ in range(fronts)],
        "paired": fronts > 1 and draw(st.booleans()),
        "pools": [(front, draw(st.booleans())) for front in pools],
        "uccs": [(name, draw(WORDS), draw(st.none() | st.integers(0, len(pools) - 1))) for name in uccs],
        "applications": draw(st.sets(st.tuples(st.integers(0, len(pools) - 1), st.integers(0, max(len(uccs), 1) - 1)))),
        "servers": draw(st.integers(1, 2)),
        "hostname": draw(st.booleans()),
        "service": draw(WORDS),
        "paths": (draw(PATHS), draw(PATHS)),
        "ttl_s": draw(st.integers(1, 3600)),
    }


def build(estate: dict[str, Any]) -> None:
    sites = [models.Site.objects.create(name=name, standby_runs_ucc=both) for name, both in estate["sites"]]
    fronts = [
        models.FrontEndPool.objects.create(fqdn=f"fe{n}.x.example", site=sites[site])
        for n, site in enumerate(estate["fronts"])
    ]
    if estate["paired"]:
        for one, other in ((fronts[0], fronts[1]), (fronts[1], fronts[0])):
            one.paired_with = other
            one.save()
    pools = [
        models.TrustedApplicationPool.objects.create(
            fqdn=f"pool{n}.x.example", front_end_pool=fronts[front], standby_runs_ucc=both
        )
        for n, (front, both) in enumerate(estate["pools"])
    ]
    uccs = [
        models.Ucc.objects.create(name=name, description=said, home_pool=None if home is None else pools[home])
        for name, said, home in estate["uccs"]
    ]
    for number, (pool, ucc) in enumerate(sorted(estate["applications"])):
        if ucc < len(uccs):
            models.TrustedApplication.objects.create(
                ucc=uccs[ucc], trusted_application_pool=pools[pool], application_id=f"urn:a-{number}",
                port=6001 + number,
            )  # fmt: skip
    _build_servers(estate, pools)


def _build_servers(estate: dict[str, Any], pools: list[models.TrustedApplicationPool]) -> None:
    for place, pool in enumerate(pools):
        servers = [
            models.Server.objects.create(
                name=f"S{place}{n}", fqdn=f"s{place}{n}.x.example", address=f"10.0.{place}.{n}",
                trusted_application_pool=pool, web_port=443 + n, web_path="/Attendant",
            )
            for n in range(estate["servers"])
        ]  # fmt: skip
        if estate["hostname"]:
            hostname = models.DedicatedHostname.objects.create(
                fqdn=f"web{place}.x.example", service_name=estate["service"], trusted_application_pool=pool,
                ttl_s=estate["ttl_s"], attendant_path=estate["paths"][0], dashboard_path=estate["paths"][1],
            )  # fmt: skip
            for order, server in enumerate(servers, start=1):
                models.FailoverTarget.objects.create(hostname=hostname, server=server, order=order)


def empty() -> None:
    models.FailoverTarget.objects.all().delete()
    models.FrontEndPool.objects.update(paired_with=None)
    for slug in reversed(MODELS):
        MODELS[slug]._meta.default_manager.all().delete()  # type: ignore[union-attr]


def take_in(exported: str) -> ImportResult:
    reading = read_files([SourceFile("estate.yaml", exported.encode())])
    shown = dry_run(reading)
    assert shown.problems == ()
    return apply_import(reading, sources=["estate.yaml"], digest=shown.difference.digest)


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(estates())
def test_an_export_imported_into_an_empty_installation_gives_the_same_estate(estate: dict[str, Any]) -> None:
    with transaction.atomic():
        build(estate)
        before, exported = read_snapshot().document.things, export_estate(to="test")
        reading = read_files([SourceFile("estate.yaml", exported.encode())])
        assert (reading.problems, dry_run(reading).difference.changes) == ((), ())
        empty()
        assert take_in(exported).applied
        assert read_snapshot().document.things == before
        assert export_estate(to="test") == exported
        assert dry_run(reading).difference.changes == ()
        transaction.set_rollback(True)
