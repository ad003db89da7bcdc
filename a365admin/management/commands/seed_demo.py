"""``manage.py seed_demo``: enter the demo estate into the database. ``up`` runs it once; it needs ``A365_LAB``."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from a365admin.lab.config import load_config
from a365admin.lab.errors import LabError
from a365admin.lab.seed import seed_estate


class Command(BaseCommand):
    """Fills an empty database with the demo estate, whole or not at all."""

    help = "Enter the demo estate of A365_LAB into the database (used by up)."

    def handle(self, *args: Any, **options: Any) -> None:
        """Seed."""
        if settings.LAB_CONFIG is None:
            raise CommandError("There is no demo estate here: set A365_LAB to its lab.json, as up does.")
        try:
            seed_estate(load_config(settings.LAB_CONFIG))
        except LabError as error:
            raise CommandError(str(error)) from error
