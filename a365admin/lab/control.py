"""The control of the demo estate: HTTP and JSON on loopback, for whoever holds the token of lab.json.

GET /state; POST /fault {"target": "SRV1", "fault": "ucc_down", "on": true}; POST /reset {"start_over": false};
POST /edit {"hostname": "a365web1.lab.example", "target": "srv2.lab.example", "ttl_s": 20} (the TTL may be left out);
POST /remove {"hostname": "a365web1.lab.example"}.
Each POST answers with the state after it. Errors answer {"error": "a sentence"}.
"""

import asyncio
import hmac
import json
from typing import Any

from a365admin.lab.config import ControlConfig
from a365admin.lab.errors import LabError
from a365admin.lab.estate import RECORD_TTL_S
from a365admin.lab.httpserver import Request, Response, serve_connection
from a365admin.lab.ports import Mode, Port
from a365admin.lab.running import Estate


class Control:
    """The control's HTTP server."""

    def __init__(self, config: ControlConfig, estate: Estate) -> None:
        self._estate = estate
        self._expected = f"Bearer {config.token}".encode()
        self._port = Port(config.address, config.port, self._serve)

    async def start(self) -> None:
        """Listen. Raises LabError when the port is taken."""
        await self._port.set_mode(Mode.OPEN)

    async def stop(self) -> None:
        """Close everything at once."""
        await self._port.set_mode(Mode.REFUSED)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await serve_connection(reader, writer, self.answer)

    async def answer(self, request: Request) -> Response:
        """In: a request from anybody who can reach loopback. Out: the answer."""
        given = request.headers.get("authorization", "").encode("latin-1")
        if not hmac.compare_digest(given, self._expected):
            return _json(401, {"error": "The control of the demo wants the token that is in lab.json."})
        try:
            match request.method, request.path:
                case "GET", "/state":
                    pass
                case "POST", "/fault":
                    target, fault, on = _fault(_body(request))
                    await self._estate.set_fault(target, fault, on=on)
                case "POST", "/edit":
                    hostname, target, ttl_s = _edit(_body(request))
                    await self._estate.edit(hostname, target, ttl_s=ttl_s)
                case "POST", "/remove":
                    await self._estate.remove(_hostname(_body(request)))
                case "POST", "/reset":
                    await self._estate.reset(start_over=_body(request).get("start_over") is True)
                case _:
                    return _json(
                        404,
                        {"error": "The control knows GET /state, and POST /fault, /edit, /remove and /reset."},
                    )
        except LabError as error:
            return _json(400, {"error": str(error)})
        return _json(200, self._estate.state())


def _body(request: Request) -> dict[str, Any]:
    try:
        document = json.loads(request.body or b"{}")
    except (ValueError, RecursionError) as error:
        raise LabError("The body is not JSON.") from error
    if not isinstance(document, dict):
        raise LabError("The body is not a JSON object.")
    return document


def _fault(document: dict[str, Any]) -> tuple[str, str, bool]:
    match document:
        case {"target": str(target), "fault": str(fault), "on": bool(on)}:
            return target, fault, on
    raise LabError('A fault is stated as {"target": "SRV1", "fault": "ucc_down", "on": true}.')


def _edit(document: dict[str, Any]) -> tuple[str, str, int]:
    match {"ttl_s": RECORD_TTL_S, **document}:
        case {"hostname": str(hostname), "target": str(target), "ttl_s": int(ttl_s)}:
            return hostname, target, ttl_s
    raise LabError('An edit is stated as {"hostname": "a365web1.lab.example", "target": "srv2.lab.example"}.')


def _hostname(document: dict[str, Any]) -> str:
    match document:
        case {"hostname": str(hostname)}:
            return hostname
    raise LabError('A removal is stated as {"hostname": "a365web1.lab.example"}.')


def _json(status: int, document: dict[str, Any]) -> Response:
    return Response(status, json.dumps(document).encode() + b"\n", "application/json")
