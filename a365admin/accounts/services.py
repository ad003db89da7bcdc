"""Writes about people; each with its entry in the audit log, in the same transaction."""

from __future__ import annotations

import secrets
from typing import Any

from django.db import transaction

from a365admin.accounts.models import Role, User
from a365admin.audit.services import record

# Without characters that are mistaken for one another when they are copied from a screen.
_PASSWORD_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # noqa: S105
EDITABLE = ("first_name", "last_name", "email", "role", "is_active")


class PersonError(Exception):
    """A change to a person that is refused; the text tells the user what to do."""


def random_password() -> str:
    """A password of about 99 bits that can be read aloud and typed."""
    return "-".join("".join(secrets.choice(_PASSWORD_LETTERS) for _ in range(5)) for _ in range(4))


def add_person(
    *, username: str, role: Role, password: str, first_name: str = "", last_name: str = "", email: str = ""
) -> User:
    """Make somebody who may sign in. Raises IntegrityError when the name was taken at this very moment."""
    with transaction.atomic():
        user = User(username=username, role=role, first_name=first_name, last_name=last_name, email=email)
        user.set_password(password)
        user.save()
        record(action="person.added", object=user, object_name=username, after=snapshot(user))
    return user


def change_person(*, user: User, **changes: Any) -> User:
    """Change any of ``EDITABLE``. Raises PersonError where nobody would be left who can manage people."""
    unknown = set(changes) - set(EDITABLE)
    if unknown:
        raise TypeError(f"change_person() cannot change {', '.join(sorted(unknown))}")
    with transaction.atomic():
        administrators = set(_locked_administrators())
        user = User.objects.select_for_update().get(pk=user.pk)
        before = snapshot(user)
        for name, value in changes.items():
            setattr(user, name, value)
        still = user.is_active and user.role == Role.ADMINISTRATOR
        if not still and administrators == {user.pk}:
            raise PersonError(
                f"{user.username} is the last active administrator. Make somebody else an administrator first."
            )
        after = snapshot(user)
        if after != before:
            user.save(update_fields=list(changes))
            record(action=_action(before, after), object=user, object_name=user.username, before=before, after=after)
    return user


def reset_password(*, user: User) -> str:
    """Give somebody a new random password and return it: it is shown once and kept nowhere. Ends their sessions."""
    password = random_password()
    with transaction.atomic():
        user.set_password(password)
        user.save(update_fields=["password"])
        record(action="person.password_reset", object=user, object_name=user.username)
    return password


def change_own_password(*, user: User, password: str) -> None:
    """Set the password that somebody chose for themselves. Ends their other sessions."""
    with transaction.atomic():
        user.set_password(password)
        user.save(update_fields=["password"])
        record(action="person.password_changed", object=user, object_name=user.username)


def set_time_zone(*, user: User, time_zone: str) -> None:
    """Set in which zone somebody reads times; empty: the installation's own."""
    with transaction.atomic():
        before = {"time zone": user.time_zone}
        user.time_zone = time_zone
        user.save(update_fields=["time_zone"])
        if before["time zone"] != time_zone:
            after = {"time zone": time_zone}
            record(action="person.changed", object=user, object_name=user.username, before=before, after=after)


def snapshot(user: User) -> dict[str, Any]:
    """What the audit log says about a person."""
    return {
        "name": user.username,
        "first name": user.first_name,
        "last name": user.last_name,
        "email": user.email,
        "role": Role(user.role).label,
        "may sign in": user.is_active,
    }


def _locked_administrators() -> list[int]:
    locked = User.objects.select_for_update().filter(role=Role.ADMINISTRATOR, is_active=True)
    return list(locked.order_by("pk").values_list("pk", flat=True))


def _action(before: dict[str, Any], after: dict[str, Any]) -> str:
    if before["may sign in"] != after["may sign in"]:
        return "person.reactivated" if after["may sign in"] else "person.deactivated"
    return "person.role_changed" if before["role"] != after["role"] else "person.changed"
