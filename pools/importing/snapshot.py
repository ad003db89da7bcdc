"""The estate as the database has it, as a document: what an import compares with, and what an export writes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db import models
from django.db.models import Prefetch

from pools import models as estate
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
    Key,
    Kind,
    Position,
    Scalar,
    Value,
    key_of,
)

MODELS: dict[str, type[models.Model]] = {
    SITE.slug: estate.Site,
    FRONT_END_POOL.slug: estate.FrontEndPool,
    TRUSTED_APPLICATION_POOL.slug: estate.TrustedApplicationPool,
    SERVER.slug: estate.Server,
    UCC.slug: estate.Ucc,
    TRUSTED_APPLICATION.slug: estate.TrustedApplication,
    VIRTUAL_SERVICE.slug: estate.VirtualService,
    HOSTNAME.slug: estate.DedicatedHostname,
}
HERE = Position("what is here")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The document, and the row behind each of its things."""

    document: Document
    rows: dict[str, dict[Key, Any]]


def read_snapshot() -> Snapshot:
    """Read the estate in a constant number of queries."""
    things: dict[str, dict[Key, Entry]] = {}
    rows: dict[str, dict[Key, Any]] = {}
    for kind in KINDS.values():
        things[kind.slug], rows[kind.slug] = {}, {}
        for row in _rows(kind):
            values = {one.name: Value(_value(row, one.name), HERE) for one in kind.fields}
            key = key_of(kind, values)
            things[kind.slug][key] = Entry(kind, key, values, HERE)
            rows[kind.slug][key] = row
    return Snapshot(Document(things), rows)


def _rows(kind: Kind) -> Iterator[Any]:
    related = {
        FRONT_END_POOL.slug: ["site", "paired_with"],
        TRUSTED_APPLICATION_POOL.slug: ["front_end_pool"],
        SERVER.slug: ["trusted_application_pool"],
        TRUSTED_APPLICATION.slug: ["trusted_application_pool", "ucc"],
        UCC.slug: ["home_pool"],
        HOSTNAME.slug: ["trusted_application_pool"],
        VIRTUAL_SERVICE.slug: ["site", "health_check__ucc"],
    }
    order = ["trusted_application_pool__fqdn", "port"] if kind is TRUSTED_APPLICATION else [kind.key[0]]
    rows: models.QuerySet[Any] = MODELS[kind.slug]._meta.default_manager.order_by(*order)  # type: ignore[union-attr]
    if kind.slug in related:
        rows = rows.select_related(*related[kind.slug])
    if kind is HOSTNAME:
        targets = estate.FailoverTarget.objects.select_related("server", "virtual_service").order_by("order")
        rows = rows.prefetch_related(Prefetch("targets", targets))
    if kind is VIRTUAL_SERVICE:
        real_servers = estate.RealServer.objects.select_related("server").order_by("order")
        rows = rows.prefetch_related(Prefetch("real_servers", real_servers))
    return iter(rows)


def _value(row: Any, name: str) -> Scalar:
    if name == "targets":
        return tuple(t.server.fqdn if t.server else t.name for t in row.targets.all())
    if name == "real_servers":
        return tuple(real.server.fqdn for real in row.real_servers.all())
    if name == "health_check":
        return str(row.health_check.ucc)
    value = getattr(row, name)
    if isinstance(value, models.Model):
        return str(value)  # a reference: its name, as people know it
    result: Scalar = str(value) if isinstance(value, str) else value
    return result
