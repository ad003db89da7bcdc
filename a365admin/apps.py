"""The roof: settings, URLs, management commands."""

from django.apps import AppConfig


class InstallationConfig(AppConfig):
    """The installation itself; it has no models."""

    name = "a365admin"
    label = "installation"
    verbose_name = "Installation"
