"""What a start does to the data: migrations, the first administrator, and whether there is an estate yet."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from django.core.management import call_command
from django.db import transaction
from django.db.utils import DatabaseError, OperationalError

from a365admin.accounts import services
from a365admin.accounts.models import Role, User
from a365admin.audit.context import Acting, act_as
from a365admin.lab.config import create_config, load_config
from a365admin.lab.errors import LabError
from pools.models import FrontEndPool, Server, Site

ADMINISTRATOR = "admin"
PASSWORD_FILE = "admin-password.txt"  # noqa: S105 (a file's name)
# Without characters that are mistaken for one another when they are copied from a screen.
PASSWORD_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # noqa: S105


class EstateError(Exception):
    """The data cannot be used; the text tells the user what to do."""


def migrate() -> None:
    """Bring the database up to date. Raises ``EstateError`` when it cannot be reached or written."""
    try:
        call_command("migrate", verbosity=0, interactive=False)
    except OperationalError as error:
        raise EstateError(
            f"The database cannot be used: {str(error).strip()}. Check DATABASE_URL, or that A365_VAR is writable."
        ) from error
    except DatabaseError as error:
        raise EstateError(f"The database could not be brought up to date: {str(error).strip()}.") from error


def ensure_administrator(var: Path) -> str | None:
    """Make the first user where there is none; return the password, or None when there are users already.

    The password is written to ``VAR/admin-password.txt`` (owner only) before the user exists, so that no interruption
    leaves an account whose password nobody knows.
    """
    with transaction.atomic():
        if User.objects.exists():
            return None
        password = random_password()
        _write_private(var / PASSWORD_FILE, password + "\n")
        with act_as(Acting(actor_name="manage.py up")):
            services.add_person(username=ADMINISTRATOR, role=Role.ADMINISTRATOR, password=password)
    return password


def random_password() -> str:
    """A password of about 99 bits that can be read aloud and typed."""
    return "-".join("".join(secrets.choice(PASSWORD_LETTERS) for _ in range(5)) for _ in range(4))


def is_empty() -> bool:
    """Say whether no estate has been entered yet."""
    return not (Site.objects.exists() or FrontEndPool.objects.exists() or Server.objects.exists())


def make_demo(var: Path) -> Path:
    """Choose addresses, keys and certificates for the demo estate; return its configuration. Raises ``EstateError``."""
    try:
        return create_config(var).path
    except LabError as error:
        raise EstateError(str(error)) from error


def dig_lines(lab: Path) -> list[str]:
    """One command for each dedicated hostname of the demo: what its DNS says now. Raises ``EstateError``."""
    try:
        config = load_config(lab)
    except LabError as error:
        raise EstateError(str(error)) from error
    server = config.dns[0]
    return [f"dig @{server.address} -p {server.port} +short {hostname.fqdn}" for hostname in config.hostnames]


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
