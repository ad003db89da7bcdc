"""Writing to the audit log, and verifying it."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import models, transaction
from django.utils import timezone

from a365admin.audit.chain import GENESIS, ChainReport, Head, hash_of, verify
from a365admin.audit.context import acting
from a365admin.audit.models import AuditEntry, ChainHead, Outcome
from a365admin.audit.redaction import clean, clean_text
from a365admin.prepared import Prepared

HEAD_PK = 1


def record(
    *,
    action: str,
    outcome: Outcome = Outcome.OK,
    object: models.Model | None = None,  # noqa: A002 (the log's own word)
    object_type: str = "",
    object_id: str = "",
    object_name: str = "",
    reason: str = "",
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> AuditEntry:
    """Append what the present actor (``context.acting()``) did, and return the entry.

    Belongs in the transaction of the change that it tells of, as the last thing in it: the end of the log stays locked
    until that transaction ends, so that the chain has one order. Secrets are taken out (``redaction.py``).
    """
    content = _content(
        action=action, outcome=outcome, object=object, object_type=object_type, object_id=object_id,
        object_name=object_name, reason=reason, before=before, after=after,
    )  # fmt: skip
    return _append([content])[0]


def record_many(entries: Sequence[Mapping[str, Any]]) -> None:
    """Append several at once, in their order, in a few queries; each as ``record()`` takes it, with an ``action``.

    Belongs in the transaction of the changes that they tell of, like ``record()``.
    """
    if entries:
        _append([_content(**{"outcome": Outcome.OK, **entry}) for entry in entries])


def _append(contents: Sequence[dict[str, Any]]) -> list[AuditEntry]:
    with transaction.atomic(savepoint=False):
        head = next(iter(_head()), None) or _first_head()
        entries = []
        for content in contents:
            entry = AuditEntry(**content, previous_hash=head.last_hash, hash=hash_of(head.last_hash, content))
            head.last_hash, head.count = entry.hash, head.count + 1
            entries.append(entry)
        if len(entries) == 1:
            entries[0].save(force_insert=True)
        else:
            AuditEntry.objects.bulk_create(entries, batch_size=200)
        head.save(update_fields=["last_hash", "count"])
    return entries


_head = Prepared(lambda: ChainHead.objects.select_for_update().filter(pk=HEAD_PK))


def _first_head() -> ChainHead:
    head, _ = ChainHead.objects.select_for_update().get_or_create(pk=HEAD_PK, defaults={"last_hash": GENESIS})
    return head


def _content(
    *,
    action: str,
    outcome: Outcome,
    object: models.Model | None = None,  # noqa: A002
    object_type: str = "",
    object_id: str = "",
    object_name: str = "",
    reason: str = "",
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> dict[str, Any]:
    actor = acting()
    if object is not None:
        object_type = object_type or object._meta.verbose_name_raw
        object_id = object_id or str(object.pk)
        object_name = object_name or str(object)
    return {
        "at": timezone.now(),
        "actor_id": actor.actor_id,
        "actor_name": clean_text(actor.actor_name, 150),
        "action": clean_text(action, 60),
        "object_type": clean_text(object_type, 60),
        "object_id": clean_text(object_id, 64),
        "object_name": clean_text(object_name, 255),
        "outcome": Outcome(outcome).value,
        "reason": clean_text(reason),
        "address": _address(actor.address),
        "request_id": clean_text(actor.request_id, 36),
        "before": clean(before or {}),
        "after": clean(after or {}),
    }


def record_apart(*, action: str, outcome: Outcome, **rest: Any) -> AuditEntry:
    """Append in a transaction of its own, for what must never be rolled back: an attempt that was denied or refused.

    Raises RuntimeError inside another transaction, where the entry could be lost: leave that one first.
    """
    with transaction.atomic(durable=True):
        return record(action=action, outcome=outcome, **rest)


def verify_chain() -> ChainReport:
    """Read the whole log and say whether anything in it was changed, removed or added, and where."""
    found = ChainHead.objects.filter(pk=HEAD_PK).first()
    head = Head(found.count, found.last_hash) if found else Head(0, GENESIS)
    return verify(AuditEntry.objects.order_by("pk").iterator(chunk_size=2000), head)


def _address(text: str | None) -> str | None:
    """Return the address as every database gives it back; None for what is none."""
    try:
        address = ipaddress.ip_address((text or "").partition("%")[0])
    except ValueError:
        return None
    return str(getattr(address, "ipv4_mapped", None) or address)
