"""Starts a child with a guard beside it: when the supervisor is gone, however it ended, the child's group goes too.

Run by path with ``python -I -S guard.py LIFELINE_FD LOCK_FD|- COMMAND …``; standard library only, so that it costs few
megabytes. The process itself becomes the command, so its id is the one that the supervisor knows; the guard is a small
process in the same group. The lifeline is the reading end of a pipe whose writing end only the supervisor holds: it
reads end-of-file at the supervisor's death, a ``kill -9`` included, on every Unix. Worker pools that the child forks
are in the group, and so they are caught as well.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from typing import NoReturn

GRACE_S = 5.0
POLL_S = 0.05
PR_SET_PDEATHSIG = 1


def main(argv: list[str]) -> NoReturn:
    """Fork the guard, then become the command."""
    kept = [int(fd) for fd in argv[1:3] if fd != "-"]
    for fd in kept:
        os.set_inheritable(fd, False)  # for the guard; not for the command
    leader = os.getpid()
    middle = os.fork()
    if middle == 0:
        # Twice: the guard must not be the command's child, which would see it in its own wait().
        if os.fork() == 0:
            guard(leader, kept)
        os._exit(0)
    os.waitpid(middle, 0)
    if sys.platform == "linux":
        # A second string, should the guard be killed together with the supervisor.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    command = argv[3:]
    os.execvp(command[0], command)  # noqa: S606 (no shell is the point)


def guard(leader: int, kept: list[int]) -> NoReturn:
    """Wait for the supervisor's end; then ask the command to stop, and end the whole group, ourselves included.

    Where only the command ends, the supervisor ends what is left of the group, and with it this process.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    lifeline = kept[0]  # kept[1], the run lock, stays held for as long as we live
    while os.read(lifeline, 1):
        pass
    deadline = time.monotonic() + GRACE_S
    try:
        # The id cannot be somebody else's: it stays taken while its group, in which we are, exists.
        os.kill(leader, signal.SIGTERM)
        while time.monotonic() < deadline:
            time.sleep(POLL_S)
            os.kill(leader, 0)
    except ProcessLookupError:
        pass
    os.killpg(0, signal.SIGKILL)
    os._exit(1)


if __name__ == "__main__":
    main(sys.argv)
