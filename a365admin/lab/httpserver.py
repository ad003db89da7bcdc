"""A small HTTP/1.1 server side on h11, for the fake web services and for the control."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus

import h11

IDLE_S = 30.0
MAX_BODY = 64 * 1024
READ_SIZE = 16 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """A request whose body has been read. `path` is without its query; header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Response:
    """An answer with its whole body."""

    status: int
    body: bytes
    content_type: str = "text/html; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()


Handler = Callable[[Request], Awaitable[Response]]


async def serve_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handler: Handler) -> None:
    """Serve requests on one connection until the client ends it, is idle for too long, or sends nonsense."""
    connection = h11.Connection(h11.SERVER)
    try:
        while True:
            async with asyncio.timeout(IDLE_S):
                request = await _read_request(connection, reader)
                if request is None:
                    return
                response = await handler(request)
                writer.write(_render(connection, request, response))
                await writer.drain()
            if connection.our_state is not h11.DONE:
                return
            connection.start_next_cycle()
    except h11.RemoteProtocolError as error:
        if connection.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            plain = Response(error.error_status_hint, b"Bad request\n", "text/plain; charset=utf-8")
            writer.write(_render(connection, None, plain))
    except (OSError, EOFError, TimeoutError):
        pass  # the client has gone, or says nothing more


async def _read_request(connection: h11.Connection, reader: asyncio.StreamReader) -> Request | None:
    head: h11.Request | None = None
    body = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(READ_SIZE))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > MAX_BODY:
                raise h11.RemoteProtocolError("The body is too long.", error_status_hint=413)
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers}
            path = head.target.decode("latin-1").partition("?")[0]
            return Request(head.method.decode("ascii"), path, headers, bytes(body))
        else:  # ConnectionClosed, or PAUSED: there is no further request
            return None


def _render(connection: h11.Connection, request: Request | None, response: Response) -> bytes:
    headers = [("Content-Type", response.content_type), ("Content-Length", str(len(response.body)))]
    if request is None:
        headers.append(("Connection", "close"))
    reason = HTTPStatus(response.status).phrase
    head = connection.send(
        h11.Response(status_code=response.status, reason=reason, headers=[*headers, *response.headers])
    )
    body = b""
    if request is None or request.method != "HEAD":
        body = connection.send(h11.Data(data=response.body)) or b""
    return (head or b"") + body + (connection.send(h11.EndOfMessage()) or b"")
