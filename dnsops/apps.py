"""See the package's docstring."""

from django.apps import AppConfig


class DnsopsConfig(AppConfig):
    """The app's registration."""

    name = "dnsops"
