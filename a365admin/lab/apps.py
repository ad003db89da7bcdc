"""The demo estate's pages as a Django app: installed only where settings.LAB_CONFIG is set."""

from django.apps import AppConfig


class LabPagesConfig(AppConfig):
    """It has pages and no models."""

    name = "a365admin.lab"
    verbose_name = "Demo estate"
