"""The demo estate inside a test's own process: `with running_lab(tmp_path) as lab:`."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

from a365admin.lab.client import LabClient
from a365admin.lab.config import LabConfig, create_config, load_config
from a365admin.lab.control import Control
from a365admin.lab.errors import LabError
from a365admin.lab.running import Estate

START_TIMEOUT_S = 15.0
ATTEMPTS = 3


class RunningLab:
    """A demo estate on a thread and an event loop of its own.

    `config` says where everything listens, `client` breaks and mends, `dns_ports` are the DNS servers' ports on
    127.0.0.1, the writer first. `stop()` and `start()` again keep addresses, records and faults.
    """

    def __init__(self, config: LabConfig) -> None:
        self.config = config
        self.client = LabClient(config)
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped: asyncio.Event | None = None

    @property
    def dns_ports(self) -> tuple[int, ...]:
        """The DNS servers' ports on 127.0.0.1, the writer first."""
        return self.config.dns_ports

    def start(self) -> None:
        """Return when every port listens. Raises LabError when one is taken."""
        ready: Future[None] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(ready)), name="lab", daemon=True)
        self._thread.start()
        ready.result(START_TIMEOUT_S)

    def stop(self) -> None:
        """Close everything; a second time does nothing."""
        if self._thread is None:
            return
        if self._loop is not None and self._stopped is not None:
            self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(START_TIMEOUT_S)
        self._thread = self._loop = self._stopped = None

    async def _run(self, ready: Future[None]) -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        estate = Estate(self.config)
        control = Control(self.config.control, estate)
        try:
            await estate.start()
            await control.start()
        except Exception as error:  # noqa: BLE001 - it is raised again, in the thread that waits
            await estate.stop()
            ready.set_exception(error)
            return
        ready.set_result(None)
        await self._stopped.wait()
        await control.stop()
        await estate.stop()


@contextmanager
def running_lab(var: Path, *, block: str | None = None) -> Iterator[RunningLab]:
    """In: a folder for its data, where an earlier lab.json is used again. Out: the running demo estate.

    Two test runs may choose the same free addresses at the same moment: the one that loses chooses again.
    """
    for attempt in range(ATTEMPTS):
        path = var / "lab.json"
        kept = path.exists()
        lab = RunningLab(load_config(path) if kept else create_config(var, block=block))
        try:
            lab.start()
            break
        except LabError:
            lab.stop()
            if kept or attempt == ATTEMPTS - 1:
                raise
            path.unlink()
    try:
        yield lab
    finally:
        lab.stop()
