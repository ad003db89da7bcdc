"""See the package's docstring."""

from django.apps import AppConfig


class PoolsConfig(AppConfig):
    """The app's registration."""

    name = "pools"

    def ready(self) -> None:
        """Hand probing what it has to know of the settings."""
        from django.conf import settings

        from pools.probing.tls import Expiry, set_expiry

        set_expiry(Expiry(settings.POOLS["certificate_warn_days"], settings.POOLS["certificate_alarm_days"]))
