"""How far the installation is, asked from outside: the web server's own health page."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 (looked up, not bound)


class PortTakenError(Exception):
    """The port for the pages is not free; the text says what to do."""


def reachable_host(host: str) -> str:
    """The host part of an address at which a server bound to ``host`` can be opened from this machine."""
    plain = WILDCARDS.get(host, host)
    return f"[{plain}]" if ":" in plain else plain


def page_address(host: str, port: int) -> str:
    """The address of the front page, for people and for the readiness check."""
    return f"http://{reachable_host(host)}:{port}/"


def check_port_is_free(host: str, port: int) -> None:
    """Raise ``PortTakenError`` when the web server could not listen on ``host`` and ``port``."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise PortTakenError(f"--host {host}: this is no address of this machine ({error}).") from error
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
            probe.listen(1)  # macOS: with SO_REUSEADDR only listen() notices another listener
        except PermissionError as error:
            raise PortTakenError(
                f"Port {port} needs more rights than this user has. Choose one above 1023: --port 8000."
            ) from error
        except OSError as error:
            raise PortTakenError(
                f"Port {port} on {host} cannot be used ({error.strerror}). Choose another one: --port {port + 1}."
            ) from error


@dataclass(frozen=True)
class DeepHealth:
    """The answer of ``/healthz?deep=1``: for each part "ok", "waiting" or what is wrong with it."""

    parts: dict[str, str]

    @property
    def first_sweep_is_in(self) -> bool:
        """Whether the probes' worker has delivered."""
        return self.parts.get("probes") == "ok"

    def waiting_for(self) -> list[str]:
        """The parts that are not fine yet."""
        return [name for name, state in self.parts.items() if state != "ok"]


def page_answers(address: str, timeout_s: float = 2.0) -> bool:
    """Say whether the web server serves its pages."""
    return _get(f"{address}healthz", timeout_s) is not None


def deep_health(address: str, timeout_s: float = 3.0) -> DeepHealth | None:
    """Every part's state; None while the web server does not say."""
    body = _get(f"{address}healthz?deep=1", timeout_s)
    try:
        parsed = json.loads(body or b"")
    except ValueError:
        return None
    return DeepHealth({str(name): str(state) for name, state in parsed.items()}) if isinstance(parsed, dict) else None


def lab_answers(config: Path, timeout_s: float = 1.0) -> bool:
    """Say whether the demo estate's control server answers with the token of its own configuration."""
    try:
        control = json.loads(config.read_text())["control"]
        url = f"http://{control['address']}:{control['port']}/state"
        token = str(control["token"])
    except (OSError, ValueError, KeyError):
        return False
    return _get(url, timeout_s, headers={"Authorization": f"Bearer {token}"}) is not None


def _get(url: str, timeout_s: float, headers: dict[str, str] | None = None) -> bytes | None:
    request = urllib.request.Request(url, headers=headers or {})  # noqa: S310 (our own http address)
    # No proxy from the environment: these are our own addresses.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=timeout_s) as answer:
            return bytes(answer.read(65_536))
    except (OSError, urllib.error.URLError, ValueError):
        return None
