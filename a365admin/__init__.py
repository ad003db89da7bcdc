"""a365admin: failover and failback of Anywhere365 web services, on premises."""

from a365admin.celery import app as celery_app

__all__ = ["celery_app"]
__version__ = "0.1.0"
