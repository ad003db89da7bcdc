"""Fields in which servers and virtual services are put in an order, best first."""

from __future__ import annotations

from collections.abc import Sequence

from django import forms

from a365admin.accounts.formstyle import style
from pools.models import DedicatedHostname, FailoverTarget, Server, VirtualService

Aim = Server | VirtualService


def value_of(aim: Aim) -> str:
    """How a choice is sent: a server's id, or ``v`` and a virtual service's."""
    return str(aim.pk) if isinstance(aim, Server) else f"v{aim.pk}"


def target_of(hostname: DedicatedHostname, aim: Aim, order: int) -> FailoverTarget:
    """A target, not saved yet, that leads to ``aim``."""
    if isinstance(aim, Server):
        return FailoverTarget(hostname=hostname, server=aim, order=order)
    return FailoverTarget(hostname=hostname, virtual_service=aim, order=order)


def aim_fields(count: int, now: Sequence[Aim]) -> list[forms.Field]:
    """``count`` fields for targets, the primary first; ``now``: what is chosen at present."""
    servers = list(Server.objects.select_related("trusted_application_pool"))
    services = list(VirtualService.objects.select_related("site").prefetch_related("real_servers__server"))
    labels = ["Primary", *(f"Standby {place}" for place in range(1, count))]
    return [_field(label, servers, services, now[place : place + 1]) for place, label in enumerate(labels)]


def server_fields(count: int, now: Sequence[Server]) -> list[forms.Field]:
    """``count`` fields for real servers, the active one first; ``now``: what is chosen at present."""
    servers = list(Server.objects.select_related("trusted_application_pool"))
    labels = ["Active", *(f"Passive {place}" if count > 2 else "Passive" for place in range(1, count))]
    return [_field(label, servers, [], now[place : place + 1]) for place, label in enumerate(labels)]


def _field(
    label: str, servers: Sequence[Server], services: Sequence[VirtualService], now: Sequence[Aim]
) -> forms.Field:
    """One choice among all of them."""
    known: dict[str, Aim] = {value_of(server): server for server in servers}
    known |= {value_of(service): service for service in services}
    named = [(value_of(server), f"{server.name} ({server.trusted_application_pool})") for server in servers]
    choices: list[tuple[str, str | list[tuple[str, str]]]] = [("", "None")]
    if services:
        behind = [(value_of(one), f"{one.name} ({', '.join(map(str, one.servers))}; {one.site})") for one in services]
        choices += [("Servers", named), ("Virtual services of load balancers", behind)]
    else:
        choices += named
    field = forms.TypedChoiceField(
        label=label,
        required=False,
        choices=choices,
        coerce=lambda value: known[value],
        empty_value=None,
        initial=value_of(now[0]) if now else "",
        error_messages={"invalid_choice": "This is not there any more. Choose another."},
    )
    style(field)
    return field
