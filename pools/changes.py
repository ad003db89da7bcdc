"""Changing the estate: one at a time, each with its entry in the audit log, and the checks read anew afterwards."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import connection, models, transaction
from django.db.models.deletion import Collector, ProtectedError, RestrictedError

from a365admin.audit.models import Outcome
from a365admin.audit.services import record, record_apart
from pools.services import estate_changed

_LOCK_NUMBER = 365_001
"""PostgreSQL's advisory lock that all changes of the estate take."""


class StaleEditError(Exception):
    """What is being saved was changed, or deleted, by somebody else since the form was opened."""


class InUseError(Exception):
    """What shall be deleted is used; ``uses`` are the objects that use it."""

    def __init__(self, uses: Sequence[models.Model]) -> None:
        super().__init__(f"used by {len(uses)}")
        self.uses = list(uses)


@contextmanager
def estate_lock() -> Iterator[None]:
    """A transaction in which nobody else changes the estate, so that what was validated is still true when written.

    SQLite needs nothing more: its transactions are IMMEDIATE, one writer at a time.
    """
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK_NUMBER])
        yield


def digest(described: dict[str, Any]) -> str:
    """Return what a form carries along to notice that its object was changed in the meantime."""
    return hashlib.sha256(json.dumps(described, sort_keys=True, default=str).encode()).hexdigest()[:16]


def save_changes(
    *,
    word: str,
    before: dict[str, Any],
    write: Callable[[], models.Model],
    describe: Callable[[models.Model], dict[str, Any]],
) -> models.Model:
    """Write, and record it. ``before`` is empty for something new. Call it inside ``estate_lock()``."""
    with transaction.atomic():
        written = write()
        after = describe(written)
        if after != before:
            verb = "changed" if before else "added"
            record(action=_action(word, verb), object=written, object_type=word, before=before, after=after)
        transaction.on_commit(estate_changed)
    return written


def uses_of(instance: models.Model) -> list[models.Model]:
    """What would stop ``instance`` from being deleted; empty where nothing does."""
    try:
        Collector(using=connection.alias, origin=instance).collect([instance])
    except ProtectedError as error:
        return _sorted(error.protected_objects)
    except RestrictedError as error:
        return _sorted(error.restricted_objects)
    return []


def delete(
    *, instance: models.Model, word: str, before: dict[str, Any], more_uses: Callable[[Any], list[models.Model]]
) -> None:
    """Delete, and record it. Raises InUseError, which is recorded too, where something uses it."""
    name, pk = str(instance), str(instance.pk)
    try:
        with estate_lock():
            uses = uses_of(instance) + more_uses(instance)
            if uses:
                raise InUseError(uses)
            instance.delete()
            record(action=_action(word, "deleted"), object_type=word, object_id=pk, object_name=name, before=before)
            transaction.on_commit(estate_changed)
    except InUseError as error:
        record_apart(
            action=_action(word, "deleted"),
            outcome=Outcome.REFUSED,
            object_type=word,
            object_id=pk,
            object_name=name,
            reason=f"In use by {', '.join(str(use) for use in error.uses[:10])}.",
        )
        raise


def _action(word: str, verb: str) -> str:
    return f"{word.lower().replace(' ', '_').replace('-', '_')}.{verb}"


def _sorted(found: Any) -> list[models.Model]:
    return sorted(found, key=lambda use: (use._meta.label, str(use)))
