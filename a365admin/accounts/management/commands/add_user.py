"""``manage.py add_user NAME --role ROLE``: the first administrator of an installation, or anybody else."""

from __future__ import annotations

import getpass
import sys
from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import IntegrityError

from a365admin.accounts import services
from a365admin.accounts.models import Role, User
from a365admin.audit.context import Acting, act_as


class Command(BaseCommand):
    """Adds somebody who may sign in."""

    help = "Add somebody who may sign in. Asks for the password, or makes one with --generate and prints it once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("name", help="name to sign in with")
        parser.add_argument("--role", choices=Role.values, default=Role.HELPDESK.value, help="default: helpdesk")
        parser.add_argument("--email", default="")
        parser.add_argument(
            "--generate", action="store_true", help="make a password (so does running without a terminal)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Check, add, say so."""
        name = options["name"]
        candidate = User(username=name, email=options["email"], role=options["role"])
        try:
            candidate.full_clean(exclude=["password"])
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        if User.objects.filter(username__iexact=name).exists():
            raise CommandError(f"Somebody has the name {name} already. Choose another.")
        generate = options["generate"] or not sys.stdin.isatty()
        password = services.random_password() if generate else self._ask(candidate)
        try:
            with act_as(Acting(actor_name=f"add_user ({getpass.getuser()})")):
                services.add_person(
                    username=name, role=Role(options["role"]), password=password, email=options["email"]
                )
        except IntegrityError as error:
            raise CommandError(f"Somebody has just been given the name {name}. Choose another.") from error
        self.stdout.write(f"{name} may sign in now, as {Role(options['role']).label.lower()}.")
        if generate:
            self.stdout.write(f"Password (shown once): {password}")

    def _ask(self, candidate: User) -> str:
        password = getpass.getpass("Password: ")
        if password != getpass.getpass("Once more: "):
            raise CommandError("The two passwords differ. Run the command again.")
        try:
            validate_password(password, candidate)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        return password
