"""The Celery application. Workers: ``-Q probes`` (prefork) and ``-Q operations`` (threads); see ``deploy/``."""

from __future__ import annotations

import gc
import os
from typing import Any

from celery import Celery, signals
from django.db import close_old_connections

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "a365admin.settings")

app = Celery("a365admin")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.autodiscover_tasks(related_name="drill_tasks")


@signals.task_prerun.connect
@signals.task_postrun.connect
def keep_good_connections(**_: Any) -> None:
    """As for a request: a database connection that works is used again, one that is too old or broken is closed.

    Celery itself would close it before and after every task; opening one anew is dear in the middle of a click.
    """
    close_old_connections()


@signals.worker_ready.connect
def settle(**_: Any) -> None:
    """What is loaded by now stays: the garbage collector need not look through it again in the middle of a click."""
    gc.collect()
    gc.freeze()
