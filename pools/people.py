"""Pairing front-end pools, with its entry in the audit log."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import transaction

from a365admin.audit.services import record
from pools.estate import estate_changed
from pools.models import FailoverTarget, FrontEndPool


def pair_front_end_pools(*, first: FrontEndPool, second: FrontEndPool | None) -> None:
    """Pair two front-end pools mutually, or unpair ``first`` (``second`` is None); former partners are unpaired.

    Raises ValidationError where a pool would be paired with itself, or where a hostname needs a pairing that would end.
    """
    if second is not None and first.pk == second.pk:
        raise ValidationError({"paired_with": "A front-end pool cannot be paired with itself."})
    wanted = {first.pk} | ({second.pk} if second else set())
    with transaction.atomic():
        before = {
            pool.pk: pool for pool in FrontEndPool.objects.select_for_update(of=("self",)).select_related("paired_with")
        }
        ends = {pk for pk in wanted if before[pk].paired_with_id}
        ends |= {pool.pk for pool in before.values() if pool.paired_with_id in wanted}
        if second is not None and {first.pk: second.pk, second.pk: first.pk} == {
            pk: before[pk].paired_with_id for pk in wanted
        }:
            return
        _refuse_if_needed(ends, first, second)
        FrontEndPool.objects.filter(pk__in=ends | wanted).update(paired_with=None)
        if second is not None:
            FrontEndPool.objects.filter(pk=first.pk).update(paired_with=second)
            FrontEndPool.objects.filter(pk=second.pk).update(paired_with=first)
        old = before[first.pk].paired_with
        record(
            action="front-end-pool.pair" if second else "front-end-pool.unpair",
            object=first,
            before={"paired_with": str(old) if old else None},
            after={"paired_with": str(second) if second else None},
        )
        transaction.on_commit(estate_changed)
    first.refresh_from_db(fields=["paired_with"])
    if second is not None:
        second.refresh_from_db(fields=["paired_with"])


def _refuse_if_needed(ends: set[int], first: FrontEndPool, second: FrontEndPool | None) -> None:
    """Refuse to end a pairing that a hostname's targets rely on."""
    kept = {first.pk, second.pk} if second else set()
    relying = FailoverTarget.objects.filter(hostname__trusted_application_pool__front_end_pool__in=ends)
    for target in relying.select_related("hostname__trusted_application_pool").with_aims():
        own = target.hostname.trusted_application_pool.front_end_pool_id
        theirs = {server.trusted_application_pool.front_end_pool_id for server in target.servers}
        if any(own != pool and {own, pool} != kept for pool in theirs):
            raise ValidationError(
                {
                    "paired_with": f"{target.hostname} may be failed over to {target.name} in the paired pool. "
                    "Remove that target first."
                }
            )
