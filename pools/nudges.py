"""Word for the probing process that there is something to be done at once: heard when it is said, not when polled.

A nudge carries nothing. What is to be done is where it always is (``lease.flush``), and is found within a second also
without one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import closing

from pools import redis_store
from pools.redis_store import BrokerLost

CHANNEL = "a365:nudge"
LISTEN_S = 30.0
AGAIN_AFTER_S = 1.0


class Listener(threading.Thread):
    """Calls ``heard`` in a thread of its own for each nudge. A lost broker is tried again each second."""

    def __init__(self, heard: Callable[[], object]) -> None:
        super().__init__(name="a365-nudges", daemon=True)
        self._heard = heard

    def run(self) -> None:
        """Listen for ever."""
        while True:
            try:
                self._listen()
            except BrokerLost:
                time.sleep(AGAIN_AFTER_S)

    def _listen(self) -> None:
        with redis_store.broker() as redis, closing(redis.pubsub(ignore_subscribe_messages=True)) as channel:  # type: ignore[no-untyped-call]
            channel.subscribe(CHANNEL)
            while True:
                if channel.get_message(timeout=LISTEN_S) is not None:
                    self._heard()
