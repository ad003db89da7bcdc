"""A load balancer of the demo: a VIP in front of two A365 servers. Real HAProxy where it is installed, else our own.

Both are configured, and answer about themselves, in the same way: a virtual service with a TCP health check on one
UCC's port, and HAProxy's statistics as CSV.
"""

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Set as AbstractSet
from pathlib import Path

from a365admin.lab.config import BalancerConfig, LabConfig
from a365admin.lab.errors import LabError
from a365admin.lab.faults import BalancerFault
from a365admin.lab.plain_balancer import PlainBalancer
from a365admin.supervisor import guard
from a365admin.testing.system_packages import find_command
from pools.balancer_config import RealServerConfig, ServiceConfig, haproxy

log = logging.getLogger(__name__)

START_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 3.0
POLL_S = 0.02
HEAD = "global\n    maxconn 200\n    quiet\n\n"


def service_config(balancer: BalancerConfig, config: LabConfig) -> ServiceConfig:
    """What is to be configured: the same as a365admin's page writes for this virtual service."""
    return ServiceConfig(
        name=balancer.name,
        address=balancer.address,
        port=balancer.port,
        check_name="",
        check_port=balancer.check_port,
        servers=tuple(
            RealServerConfig(server.name, server.fqdn, server.address, server.web_port)
            for server in map(config.server, balancer.servers)
        ),
        statistics=balancer.statistics,
    )


class Balancer:
    """One load balancer. `faults` says how it is; `set_faults` changes it."""

    def __init__(self, config: BalancerConfig, lab: LabConfig, *, haproxy_command: str | None = None) -> None:
        self.config = config
        self.faults: set[BalancerFault] = set()
        command = find_command("haproxy") if haproxy_command is None else haproxy_command
        service = service_config(config, lab)
        self._running: HaproxyProcess | PlainBalancer = (
            HaproxyProcess(command, service, config, lab.directory) if command else PlainBalancer(service, config)
        )

    @property
    def program(self) -> str:
        """What it is: HAProxy, or our own."""
        return "HAProxy" if isinstance(self._running, HaproxyProcess) else "a small load balancer of the demo"

    async def start(self) -> None:
        """Listen, unless it is dead. Raises LabError when a port is taken."""
        await self.set_faults(self.faults)

    async def stop(self) -> None:
        """Close everything at once."""
        await self._running.stop()

    async def set_faults(self, faults: AbstractSet[BalancerFault]) -> None:
        """Have exactly these faults from now on."""
        self.faults = set(faults)
        if BalancerFault.DEAD in self.faults:
            await self._running.stop()
        else:
            await self._running.start()


class HaproxyProcess:
    """A HAProxy of our own, in the foreground, with a guard beside it that ends it with us."""

    def __init__(self, command: str, service: ServiceConfig, config: BalancerConfig, directory: Path) -> None:
        self._command = command
        self._config = config
        self._file = directory / f"{config.name.lower()}.cfg"
        self._text = HEAD + haproxy(service, interval_ms=config.check_interval_ms)
        self._process: subprocess.Popen[bytes] | None = None
        self._lifeline: tuple[int, int] | None = None

    async def start(self) -> None:
        """Start it and wait until it listens. Raises LabError with what HAProxy said."""
        if self._process is not None:
            return
        self._process = self._launch()
        for _ in range(int(START_TIMEOUT_S / POLL_S)):
            if _listens(self._config.address, self._config.port):
                return
            if self._process.poll() is not None:
                break
            await asyncio.sleep(POLL_S)
        said = self._file.with_suffix(".log").read_text(encoding="utf-8", errors="replace").strip()[-300:]
        await self.stop()
        raise LabError(f"HAProxy of the demo does not start on {self._config.address} port {self._config.port}: {said}")

    def _launch(self) -> subprocess.Popen[bytes]:
        self._file.write_text(self._text, encoding="utf-8")
        self._lifeline = os.pipe()
        reading = self._lifeline[0]
        with self._file.with_suffix(".log").open("wb") as said:
            return subprocess.Popen(
                [sys.executable, "-I", "-S", guard.__file__, str(reading), "-", self._command, "-db", "-f", self._file],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
                pass_fds=[reading],
                start_new_session=True,
            )

    async def stop(self) -> None:
        """End it and its guard, and wait for it."""
        process, self._process = self._process, None
        if process is None:
            return
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        for _ in range(int(STOP_TIMEOUT_S / POLL_S)):
            if process.poll() is not None:
                break
            await asyncio.sleep(POLL_S)
        for descriptor in self._lifeline or ():
            os.close(descriptor)
        self._lifeline = None


def _listens(address: str, port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(0.2)
        return probe.connect_ex((address, port)) == 0
