"""People, roles and sign-in."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """The accounts' app."""

    name = "a365admin.accounts"
    verbose_name = "Accounts"
