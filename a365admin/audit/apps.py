"""Who did what, when and why."""

from django.apps import AppConfig


class AuditConfig(AppConfig):
    """The audit log's app."""

    name = "a365admin.audit"
    verbose_name = "Audit log"
