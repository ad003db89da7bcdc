"""Roles -> capabilities: the one place that says who may do what."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from a365admin.accounts.models import Role


class Capability(StrEnum):
    """Something that a person may be allowed to do."""

    VIEW = "see pages"
    VIEW_AUDIT = "read the audit log"
    FAILOVER = "fail over and fail back"
    FORCE = "force a failover against a safety rule"
    EDIT_ESTATE = "change the estate"
    MANAGE_USERS = "manage people"
    BREAK_LAB = "break the demo estate"


ROLE_CAPABILITIES: dict[Role, frozenset[Capability]] = {
    Role.HELPDESK: frozenset({Capability.VIEW}),
    Role.AUDITOR: frozenset({Capability.VIEW, Capability.VIEW_AUDIT}),
    Role.OPERATOR: frozenset({Capability.VIEW, Capability.FAILOVER, Capability.BREAK_LAB}),
    Role.ADMINISTRATOR: frozenset(Capability),
}


class HasRole(Protocol):
    """A user, signed in or not."""

    @property
    def is_authenticated(self) -> bool:
        """False for somebody who has not signed in."""
        ...


def may(user: HasRole, capability: Capability) -> bool:
    """Say whether ``user`` may do ``capability``; always False for somebody who has not signed in."""
    if not user.is_authenticated:
        return False
    role = getattr(user, "role", None)
    return role in Role.values and capability in ROLE_CAPABILITIES[Role(role)]
