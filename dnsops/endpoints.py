"""Failing over between paired pools: the endpoints of the UCCs have to be moved too, by hand, with PowerShell.

``Invoke-CsPoolFailOver`` does not move them. This is a step that the operator confirms; it never holds DNS up.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db import IntegrityError, transaction
from django.db.models import Q

from a365admin.accounts.models import User
from a365admin.accounts.permissions import Capability, may
from a365admin.audit import services as audit
from dnsops.endpoint_models import EndpointsMoved
from dnsops.lifecycle import OperationState
from dnsops.models import FailoverOperation
from dnsops.requesting import RequestRefused
from pools.balancer_config import quoted
from pools.models import Server, TrustedApplication, TrustedApplicationPool, VirtualService

NOTHING_CHANGED = frozenset({OperationState.FAILED.value, OperationState.CANCELLED.value})


@dataclass(frozen=True, slots=True)
class UccEndpoint:
    """A UCC that runs in the pool that is left. ``in_target``: whether it is a trusted application of the other."""

    name: str
    sip_uri: str
    in_target: bool


@dataclass(frozen=True, slots=True)
class Checklist:
    """What has to be moved, as commands, and whether somebody has confirmed it."""

    from_pool: str
    to_pool: str
    commands: tuple[str, ...]
    without_uri: tuple[str, ...]
    not_in_target: tuple[str, ...]
    confirmed: EndpointsMoved | None = None

    @property
    def script(self) -> str:
        """All commands, one a line."""
        return "\n".join(self.commands)


def commands_for(endpoints: Iterable[UccEndpoint], to_pool: str) -> tuple[str, ...]:
    """One ``Move-CsApplicationEndpoint`` for each endpoint that is known and can run in ``to_pool``."""
    return tuple(
        f"Move-CsApplicationEndpoint -Identity {quoted(e.sip_uri)} -TargetApplicationPool {quoted(to_pool)}"
        for e in endpoints
        if e.sip_uri and e.in_target
    )


def checklist_of(operation: FailoverOperation) -> Checklist | None:
    """The checklist of an operation that leads to another trusted application pool; None where there is nothing."""
    if operation.state in NOTHING_CHANGED:
        return None
    pools = _pools([operation.from_text, operation.to_text])
    source, target = pools.get(operation.from_text), pools.get(operation.to_text)
    if source is None or target is None or source == target:
        return None
    there = set(target.trusted_applications.values_list("ucc_id", flat=True))
    endpoints = [
        UccEndpoint(application.ucc.name, application.ucc.sip_uri, application.ucc_id in there)
        for application in _of_hostname(operation, source)
    ]
    if not endpoints:
        return None
    return Checklist(
        from_pool=source.fqdn,
        to_pool=target.fqdn,
        commands=commands_for(endpoints, target.fqdn),
        without_uri=tuple(e.name for e in endpoints if e.in_target and not e.sip_uri),
        not_in_target=tuple(e.name for e in endpoints if not e.in_target),
        confirmed=EndpointsMoved.objects.filter(operation=operation).first(),
    )


def _pools(names: Sequence[str]) -> dict[str, TrustedApplicationPool]:
    servers = Server.objects.filter(name__in=names).select_related("trusted_application_pool")
    found = {server.name: server.trusted_application_pool for server in servers}
    for service in VirtualService.objects.filter(name__in=[n for n in names if n not in found]):
        if service.servers:
            found[service.name] = service.servers[0].trusted_application_pool
    return found


def _of_hostname(operation: FailoverOperation, source: TrustedApplicationPool) -> list[TrustedApplication]:
    """The UCCs that clients of this hostname use: those at home in its pool, as they run in the pool that is left."""
    home = operation.hostname.trusted_application_pool
    own = Q(ucc__in=home.trusted_applications.values("ucc")) & (Q(ucc__home_pool=home) | Q(ucc__home_pool=None))
    return list(source.trusted_applications.filter(own).select_related("ucc").order_by("ucc__name"))


def confirm(*, operation: FailoverOperation, user: User, note: str = "") -> None:
    """Record that the endpoints have been moved, by the word of ``user``. Raises RequestRefused."""
    if not may(user, Capability.FAILOVER):
        raise RequestRefused("not_permitted", "You may not confirm this. Ask an operator.")
    checklist = checklist_of(operation)
    if checklist is None:
        raise RequestRefused("too_late", "This operation has no endpoints to move.")
    if checklist.confirmed is not None:
        raise RequestRefused("too_late", f"{checklist.confirmed.by_name} has confirmed it already.")
    try:
        with transaction.atomic():
            EndpointsMoved.objects.create(
                operation=operation,
                by=user,
                by_name=str(user)[:150],
                commands=list(checklist.commands),
                note=note.strip()[:300],
            )
            audit.record(
                action="operation.endpoints_moved",
                object=operation,
                object_name=operation.hostname_fqdn,
                reason=note.strip() or f"{user} states that the endpoints were moved to {checklist.to_pool}.",
                after={"commands": list(checklist.commands), "without_uri": list(checklist.without_uri)},
            )
    except IntegrityError as error:
        raise RequestRefused("too_late", "Somebody else has confirmed it at this moment.") from error
