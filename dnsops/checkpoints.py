"""Places between two lines that matter, where the kill test ends the process. In a running product they do nothing."""

from __future__ import annotations

import os
import signal

CHECKPOINTS: tuple[str, ...] = (
    "before_claim",
    "claimed",
    "asked_again",
    "check_recorded",
    "change_recorded",
    "message_sent",
    "answer_received",
    "read_at_once",
    "write_recorded",
    "read_back",
    "read_back_recorded",
    "verified",
    "verify_recorded",
    "resolvers_asked",
    "waiting_recorded",
    "wait_over",
    "probed",
    "before_end",
    "ended",
)

# Where a person makes the change, it comes by these instead of by those between the check and the reading back.
BY_HAND_CHECKPOINTS: tuple[str, ...] = ("claimed", "asked_again", "check_recorded", "looked", "waiting_for_hand")


def checkpoint(name: str) -> None:
    """Do nothing; in the test environment with ``A365_KILL_AT=name``, end this process with SIGKILL."""
    if os.environ.get("A365_KILL_AT") == name and os.environ.get("A365_ENV") == "test":
        os.kill(os.getpid(), signal.SIGKILL)
