"""A load balancer's statistics, read only: over HAProxy's runtime socket, or from its statistics page as CSV."""

from __future__ import annotations

import asyncio
import ssl
import time

import h11

from pools.haproxy_stats import TEXT_LIMIT, NotStatisticsError, Usage, parse, usage
from pools.probing.result import Cause, ProbeResult, cause_of_errno, failed, plain
from pools.specs import Check
from pools.statistics_source import Source, Via, parse_source

READ_SIZE = 16 * 1024
STEADY_S = 3.0  # HAProxy counts whole seconds: a beginning that differs by less is the same one

_begun: dict[str, tuple[tuple[str, ...], float]] = {}


class _StatusError(Exception):
    """The page answered with something else than 200."""


async def ask_balancer(check: Check, timeout_s: float) -> ProbeResult:
    """Read once which real server the load balancer uses; never raises for what the other side does.

    ``check.path`` is the source, ``check.host`` the backend's name ("": found by the real servers). The evidence has
    ``in_use``, ``since`` (epoch seconds) and ``said`` (per real server).
    """
    started = time.perf_counter()
    try:
        async with asyncio.timeout(timeout_s):
            text = await _read(parse_source(check.path))
        found = usage(parse(text), backend=check.host, real_servers=check.real_servers)
    except TimeoutError:
        return failed(check.key, time.time(), Cause.TIMEOUT, f"its statistics did not come within {timeout_s:g} s")
    except (_StatusError, ValueError, h11.RemoteProtocolError, OSError) as error:
        cause, sentence = _why(error)
        return failed(check.key, time.time(), cause, plain(sentence, 280))
    return _result(check, found, (time.perf_counter() - started) * 1000)


def _why(error: Exception) -> tuple[Cause, str]:
    if isinstance(error, _StatusError):
        return Cause.HTTP_STATUS, str(error)
    if isinstance(error, h11.RemoteProtocolError):
        return Cause.WRONG_ANSWER, f"its statistics page does not speak HTTP: {error}"
    if isinstance(error, ssl.SSLError):
        return Cause.TLS, f"TLS failed: {(error.reason or str(error)).lower()}"
    if isinstance(error, OSError):
        cause, sentence = cause_of_errno(error.errno or 0)
        return cause, f"its statistics cannot be read: {sentence}"
    return Cause.WRONG_ANSWER, str(error)


def _result(check: Check, found: Usage, latency_ms: float) -> ProbeResult:
    at = time.time()
    evidence = {
        "in_use": list(found.in_use),
        "since": _steady(check.key, found, at),
        "said": dict(found.said),
    }
    sentence = f"uses {' and '.join(found.in_use)}" if found.in_use else "says that no real server is up"
    return ProbeResult(check.key, at, True, False, Cause.OK, sentence, latency_ms, evidence)


def _steady(key: str, found: Usage, at: float) -> float | None:
    """When the present use began; the same number again and again while it is the same use."""
    if found.used_for_s is None:
        return None
    since = round(at - found.used_for_s, 1)
    before = _begun.get(key)
    if before is not None and before[0] == found.in_use and abs(before[1] - since) < STEADY_S:
        return before[1]
    _begun[key] = (found.in_use, since)
    return since


async def _read(source: Source) -> str:
    tls = None
    if source.via is Via.HTTPS:
        tls = ssl.create_default_context()
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE  # read only, and by address: no secret is sent
    if source.via is Via.UNIX:
        reader, writer = await asyncio.open_unix_connection(source.path)
    else:
        reader, writer = await asyncio.open_connection(source.host, source.port, ssl=tls)
    try:
        if source.via in {Via.UNIX, Via.TCP}:
            writer.write(b"show stat\n")
            await writer.drain()
            return await _to_the_end(reader)
        return await _page(source, reader, writer)
    finally:
        writer.transport.abort()


async def _to_the_end(reader: asyncio.StreamReader) -> str:
    parts, size = [], 0
    while part := await reader.read(READ_SIZE):
        size += len(part)
        _bounded(size)
        parts.append(part)
    return b"".join(parts).decode("utf-8", "replace")


def _bounded(size: int) -> None:
    if size > TEXT_LIMIT:
        raise NotStatisticsError(f"its statistics are longer than {TEXT_LIMIT // 1024} KiB")


async def _page(source: Source, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
    http = h11.Connection(h11.CLIENT, max_incomplete_event_size=READ_SIZE)
    host = f"[{source.host}]" if ":" in source.host else source.host
    headers = [("Host", f"{host}:{source.port}"), ("Connection", "close"), ("Accept", "text/csv, text/plain")]
    request = http.send(h11.Request(method="GET", target=source.path, headers=headers))
    writer.write((request or b"") + (http.send(h11.EndOfMessage()) or b""))
    await writer.drain()
    parts, size = [], 0
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            http.receive_data(await reader.read(READ_SIZE))
        elif isinstance(event, h11.Response):
            if event.status_code != 200:
                hint = " (a sign-in is not supported: allow this machine’s address)" if event.status_code == 401 else ""
                raise _StatusError(f"its statistics page answers {event.status_code}{hint}")
        elif isinstance(event, h11.Data):
            size += len(event.data)
            _bounded(size)
            parts.append(bytes(event.data))
        elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
            return b"".join(parts).decode("utf-8", "replace")
