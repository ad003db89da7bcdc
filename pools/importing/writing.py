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
    UCC,
    VIRTUAL_SERVICE,
    Kind,
    Scalar,
    Type,
    fold,
    key_type,
)
from pools.importing.snapshot import MODELS, Snapshot
from pools.models import FailoverTarget, FrontEndPool, RealServer, TrustedApplication, VirtualService
from pools.ordered_choices import target_of
from pools.virtual_services import health_check_problem

BATCH = 200
_LATER = {"paired_with", "targets", "real_servers", "health_check"}  # written when what they refer to is there


class Writer:
    """Builds the rows of a difference, validates and writes them. Use it inside one transaction."""

    def __init__(self, difference: Difference, snapshot: Snapshot) -> None:
        self._difference = difference
        self._rows: dict[tuple[str, str], Any] = {
            (slug, key[0]): row for slug, rows in snapshot.rows.items() for key, row in rows.items() if len(key) == 1
        }
        self._built: list[tuple[Change, Any]] = []
        self._old_ports: dict[int, tuple[int, int]] = {}
        self._unresolved: list[tuple[Change, ValidationError]] = []
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
            skipped = {one.name for one in change.kind.fields if one.type in {Type.REFERENCE, Type.REFERENCES}}
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
            if kind is VIRTUAL_SERVICE:
                mine = self._with_health_checks(mine)
            self._create(kind, [row for change, row in mine if change.action is Action.ADD])
            self._update(kind, [pair for pair in mine if pair[0].action is Action.CHANGE])
            if kind is FRONT_END_POOL:
                self._pair(mine)
            if kind is VIRTUAL_SERVICE:
                self._put_behind(mine)
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
                target_of(row, aim, order)
                for row, names in aimed
                if isinstance(names, tuple)
                for order, name in enumerate(names, start=1)
                if (aim := self._rows.get((SERVER.slug, name)) or self._rows[VIRTUAL_SERVICE.slug, name]).pk
            ),
            batch_size=BATCH,
        )

    def _with_health_checks(self, pairs: list[tuple[Change, Any]]) -> list[tuple[Change, Any]]:
        """Resolve each health check's UCC to its trusted application; leave out, and tell, where there is none."""
        found = []
        for change, row in pairs:
            stated = {one.name: one.after for one in change.fields}
            if "health_check" in stated:
                ucc = self._rows[UCC.slug, str(fold(Type.NAME, stated["health_check"]))]
                names = stated.get("real_servers")
                servers = [self._rows[SERVER.slug, name] for name in names] if isinstance(names, tuple) else row.servers
                applications = TrustedApplication.objects.filter(ucc=ucc)
                pool = servers[0].trusted_application_pool if servers else None
                row.health_check = applications.filter(trusted_application_pool=pool).first()
                if row.health_check is None:
                    sentence = f"{ucc} is not a trusted application of {pool}, where the real server {servers[0]} is."
                    self._unresolved.append((change, ValidationError({"health_check": sentence})))
                    continue
            found.append((change, row))
        return found

    def _put_behind(self, pairs: list[tuple[Change, Any]]) -> None:
        """Write the real servers of virtual services in their order, and changed health checks."""
        changed = [row for change, row in pairs if change.action is Action.CHANGE]
        VirtualService.objects.bulk_update(changed, ["health_check"], batch_size=BATCH)
        listed = [(row, one.after) for change, row in pairs for one in change.fields if one.name == "real_servers"]
        RealServer.objects.filter(virtual_service__in=[row.pk for row, _ in listed]).delete()
        RealServer.objects.bulk_create(
            (
                RealServer(virtual_service=row, server=self._rows[SERVER.slug, name], order=order)
                for row, names in listed
                if isinstance(names, tuple)
                for order, name in enumerate(names, start=1)
            ),
            batch_size=BATCH,
        )

    def invalid_targets(self) -> Iterator[tuple[Change, ValidationError]]:
        """Yield what speaks against what this import aims at what, each with the change that is to blame."""
        concerned: dict[Kind, dict[int, Change]] = {
            HOSTNAME: {}, SERVER: {}, FRONT_END_POOL: {}, VIRTUAL_SERVICE: {}
        }  # fmt: skip
        for change, row in self._built:
            if change.kind in concerned and row.pk:
                concerned[change.kind][row.pk] = change
        yield from self._unresolved
        yield from _services_at_odds(concerned[VIRTUAL_SERVICE], concerned[SERVER])
        yield from _targets_at_odds(concerned)


def _services_at_odds(
    services: dict[int, Change], servers: dict[int, Change]
) -> Iterator[tuple[Change, ValidationError]]:
    """Virtual services whose health check cannot be done on each of their real servers."""
    if not (services or servers):
        return
    rows = VirtualService.objects.filter(Q(pk__in=list(services)) | Q(real_servers__server__in=list(servers)))
    for row in rows.distinct().select_related("health_check__ucc", "health_check__trusted_application_pool"):
        if problem := health_check_problem(row.health_check, row.servers):
            blamed = services.get(row.pk) or next(servers[s.pk] for s in row.servers if s.pk in servers)
            field = "health_check" if row.pk in services else "trusted_application_pool"
            yield blamed, ValidationError({field: problem if row.pk in services else f"It is behind {row}. {problem}"})


def _targets_at_odds(concerned: dict[Kind, dict[int, Change]]) -> Iterator[tuple[Change, ValidationError]]:
    """Targets that cannot serve their hostname."""
    hostnames, servers, pools, services = (
        concerned[kind] for kind in (HOSTNAME, SERVER, FRONT_END_POOL, VIRTUAL_SERVICE)
    )
    if not any(concerned.values()):
        return
    near = "hostname__trusted_application_pool__front_end_pool"
    targets = FailoverTarget.objects.filter(
        Q(hostname__in=list(hostnames))
        | Q(server__in=list(servers))
        | Q(virtual_service__in=list(services))
        | Q(virtual_service__real_servers__server__in=list(servers))
        | Q(**{f"{near}__in": list(pools)})
    )
    for target in targets.distinct().select_related(near).with_aims().order_by("hostname_id", "order"):
        try:
            target.clean()
        except ValidationError as error:
            pool = target.hostname.trusted_application_pool.front_end_pool_id
            blamed = hostnames.get(target.hostname_id) or services.get(target.virtual_service_id or 0)
            blamed = blamed or next((servers[s.pk] for s in target.servers if s.pk in servers), None) or pools.get(pool)
            if blamed:
                yield blamed, error
