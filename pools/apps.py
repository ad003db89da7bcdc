"""See the package's docstring."""

from django.apps import AppConfig


class PoolsConfig(AppConfig):
    """The app's registration."""

    name = "pools"
