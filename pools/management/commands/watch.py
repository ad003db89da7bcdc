"""``manage.py watch``: hold watch connections to the UCC ports of the pools for which that is stated."""

from __future__ import annotations

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand

from pools import watcher


class Command(BaseCommand):
    """Watches until it is asked to stop (SIGTERM, Ctrl-C)."""

    help = "Hold an idle connection to each UCC port that is to be watched, and probe at once when one ends."

    def handle(self, *args: Any, **options: Any) -> None:
        """Run."""
        stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
        watcher.run(stopping.is_set)
