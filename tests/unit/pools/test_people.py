"""Pairing: what people decide, with its entry in the log."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError

from a365admin.audit.models import AuditEntry
from pools.services import pair_front_end_pools
from tests.factories import (
    DedicatedHostnameFactory,
    FailoverTargetFactory,
    FrontEndPoolFactory,
    ServerFactory,
    TrustedApplicationPoolFactory,
)

pytestmark = pytest.mark.django_db


def test_pairing_is_mutual_and_ends_former_pairings() -> None:
    one, two, three = FrontEndPoolFactory.create_batch(3)
    pair_front_end_pools(first=one, second=two)
    assert (one.paired_with, two.paired_with) == (two, one)
    pair_front_end_pools(first=three, second=one)
    two.refresh_from_db()
    assert (three.paired_with, one.paired_with, two.paired_with) == (one, three, None)
    pair_front_end_pools(first=one, second=None)
    three.refresh_from_db()
    assert (one.paired_with, three.paired_with) == (None, None)
    assert AuditEntry.objects.count() == 3


def test_pairing_again_what_is_paired_changes_nothing() -> None:
    one, two = FrontEndPoolFactory.create_batch(2)
    pair_front_end_pools(first=one, second=two)
    pair_front_end_pools(first=two, second=one)
    assert AuditEntry.objects.count() == 1


def test_a_pool_is_not_paired_with_itself() -> None:
    pool = FrontEndPoolFactory.create()
    with pytest.raises(ValidationError, match="itself"):
        pair_front_end_pools(first=pool, second=pool)


def test_a_pairing_that_a_hostname_relies_on_is_not_ended() -> None:
    one, two = FrontEndPoolFactory.create_batch(2)
    pair_front_end_pools(first=one, second=two)
    hostname = DedicatedHostnameFactory.create(
        trusted_application_pool=TrustedApplicationPoolFactory.create(front_end_pool=one)
    )
    other = ServerFactory.create(trusted_application_pool=TrustedApplicationPoolFactory.create(front_end_pool=two))
    FailoverTargetFactory.create(hostname=hostname, server=other)
    for second in (None, FrontEndPoolFactory.create()):
        with pytest.raises(ValidationError, match="Remove that target first"):
            pair_front_end_pools(first=one, second=second)
