"""A difference -> rows, in bulk. Everything that the models demand is asked of them, in memory where that is enough."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Q

from pools.importing.difference import Action, Change, Difference
from pools.importing.document import (
    FRONT_END_POOL,
    HOSTNAME,
    KINDS,
    SERVER,
    TRUSTED_APPLICATION,
    Kind,
    Scalar,
    Type,
    fold,
    key_type,
)
from pools.importing.snapshot import MODELS, Snapshot
from pools.models import FailoverTarget, FrontEndPool, TrustedApplication

BATCH = 200
_LATER = {"paired_with", "targets"}  # written when everything that they refer to is there


class Writer:
    """Builds the rows of a difference, validates and writes them. Use it inside one transaction."""

    def __init__(self, difference: Difference, snapshot: Snapshot) -> None:
        self._difference = difference
        self._rows: dict[tuple[str, str], Any] = {
            (slug, key[0]): row for slug, rows in snapshot.rows.items() for key, row in rows.items() if len(key) == 1
        }
        self._built: list[tuple[Change, Any]] = []
        self._old_ports: dict[int, tuple[int, int]] = {}
        for change in difference.changes:
            row = (
                MODELS[change.kind.slug]()
                if change.action is Action.ADD
                else snapshot.rows[change.kind.slug][change.key]
            )
            self._fill(change, row)
            self._built.append((change, row))
            if len(change.key) == 1:
                self._rows[change.kind.slug, change.key[0]] = row

    def _fill(self, change: Change, row: Any) -> None:
        for changed in change.fields:
            if changed.name == "port" and row.pk:
                self._old_ports[row.pk] = (row.trusted_application_pool_id, row.port)
            if changed.name not in _LATER:
                setattr(row, changed.name, self._python(change.kind, changed.name, changed.after))

    def _python(self, kind: Kind, name: str, value: Scalar) -> Any:
        """Return a value as the model's field holds it: a reference as its row."""
        one = kind.field(name)
        if one.type is Type.REFERENCE and value is not None:
            return self._rows.get((one.refers_to, str(fold(key_type(one), value))))  # none: a problem, told already
        return value

    def invalid(self) -> Iterator[tuple[Change, ValidationError]]:
        """Yield what the models' own fields say against the rows. What rows decide together is in ``difference.py``."""
        for change, row in self._built:
            stated = {changed.name for changed in change.fields}
            skipped = {one.name for one in change.kind.fields if one.type is Type.REFERENCE}
            if change.action is Action.ADD:
                skipped |= {one.name for one in change.kind.fields} - stated  # missing: told already
            try:
                row.clean_fields(exclude=skipped)
                row.clean()
            except ValidationError as error:
                yield change, error

    def write(self) -> None:
        """Write everything, what is referred to first."""
        for kind in KINDS.values():
            mine = [(change, row) for change, row in self._built if change.kind is kind]
            self._create(kind, [row for change, row in mine if change.action is Action.ADD])
            self._update(kind, [pair for pair in mine if pair[0].action is Action.CHANGE])
            if kind is FRONT_END_POOL:
                self._pair(mine)
            if kind is HOSTNAME:
                self._aim(mine)

    def _create(self, kind: Kind, rows: list[Any]) -> None:
        if rows:
            for row in rows:  # a row that was referred to before it was saved: its number is known only now
                for one in kind.fields:
                    if one.type is Type.REFERENCE and one.name not in _LATER:
                        setattr(row, one.name, getattr(row, one.name))
            MODELS[kind.slug]._meta.default_manager.bulk_create(rows, batch_size=BATCH)  # type: ignore[union-attr]

    def _update(self, kind: Kind, pairs: list[tuple[Change, Any]]) -> None:
        names = {changed.name for change, _ in pairs for changed in change.fields} - _LATER
        rows = [row for change, row in pairs if any(changed.name not in _LATER for changed in change.fields)]
        if not rows:
            return
        for row in rows:
            for name in names & {one.name for one in kind.fields if one.type is Type.REFERENCE}:
                setattr(row, name, getattr(row, name))
        if kind is TRUSTED_APPLICATION:
            self._park(rows)
        MODELS[kind.slug]._meta.default_manager.bulk_update(rows, sorted(names), batch_size=BATCH)  # type: ignore[union-attr]

    def _park(self, rows: list[Any]) -> None:
        """Where UCCs of a pool exchange ports, move them out of each other's way first."""
        moving = [row for row in rows if row.pk in self._old_ports]
        old = set(self._old_ports.values())
        if not any((row.trusted_application_pool_id, row.port) in old for row in moving):
            return
        wanted = {row.pk: row.port for row in moving}
        taken = {port for _, port in old} | set(wanted.values())
        taken |= set(TrustedApplication.objects.values_list("port", flat=True))
        free = (port for port in range(65535, 0, -1) if port not in taken)
        for row in moving:
            row.port = next(free)
        TrustedApplication.objects.bulk_update(moving, ["port"], batch_size=BATCH)
        for row in moving:
            row.port = wanted[row.pk]

    def _pair(self, pairs: list[tuple[Change, Any]]) -> None:
        rows = []
        for change, row in pairs:
            for changed in change.fields:
                if changed.name == "paired_with":
                    row.paired_with = self._python(FRONT_END_POOL, "paired_with", changed.after)
                    rows.append(row)
        if rows:
            FrontEndPool.objects.filter(pk__in=[row.pk for row in rows]).update(paired_with=None)
            FrontEndPool.objects.bulk_update(rows, ["paired_with"], batch_size=BATCH)

    def _aim(self, pairs: list[tuple[Change, Any]]) -> None:
        """Write the hostnames' targets in their order."""
        aimed = [(row, one.after) for change, row in pairs for one in change.fields if one.name == "targets"]
        FailoverTarget.objects.filter(hostname__in=[row.pk for row, _ in aimed]).delete()
        FailoverTarget.objects.bulk_create(
            (
                FailoverTarget(hostname=row, server=self._rows[SERVER.slug, fqdn], order=order)
                for row, fqdns in aimed
                if isinstance(fqdns, tuple)
                for order, fqdn in enumerate(fqdns, start=1)
            ),
            batch_size=BATCH,
        )

    def invalid_targets(self) -> Iterator[tuple[Change, ValidationError]]:
        """Yield what speaks against the targets that this import concerns, each with the change that is to blame."""
        concerned = {HOSTNAME: {}, SERVER: {}, FRONT_END_POOL: {}}  # type: dict[Kind, dict[int, Change]]
        for change, row in self._built:
            if change.kind in concerned:
                concerned[change.kind][row.pk] = change
        hostnames, servers, pools = (concerned[kind] for kind in (HOSTNAME, SERVER, FRONT_END_POOL))
        if not (hostnames or servers or pools):
            return
        near, far = (
            "hostname__trusted_application_pool__front_end_pool",
            "server__trusted_application_pool__front_end_pool",
        )
        targets = FailoverTarget.objects.filter(
            Q(hostname__in=list(hostnames)) | Q(server__in=list(servers)) | Q(**{f"{near}__in": list(pools)})
        ).select_related(near, far)
        for target in targets.order_by("hostname_id", "order"):
            try:
                target.clean()
            except ValidationError as error:
                pool = target.hostname.trusted_application_pool.front_end_pool_id
                blamed = hostnames.get(target.hostname_id) or servers.get(target.server_id or 0) or pools.get(pool)
                if blamed:
                    yield blamed, error
