"""The Celery application. Workers: ``-Q probes`` (prefork) and ``-Q operations`` (threads); see ``deploy/``."""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "a365admin.settings")

app = Celery("a365admin")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
