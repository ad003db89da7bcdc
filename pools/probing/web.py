"""The web services of one server, asked over HTTPS at its own address under the dedicated hostname."""

from __future__ import annotations

import asyncio
import ssl
import time
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import urlsplit

import h11

from pools.probing.result import Cause, ProbeResult, cause_of_errno, failed, plain
from pools.probing.tls import Contexts, judge_certificate
from pools.specs import Check

HEAD_LIMIT = 16 * 1024
READ_SIZE = 8 * 1024
BODY_LIMIT = 64 * 1024  # so much of a page is looked through for its expected text
# What says "somebody is there who understands HTTP and this host", besides 2xx: a sign-in is alive.
ALIVE = frozenset({401, 403})


@dataclass(slots=True)
class _Seen:
    """What a connection has shown so far, also if it fails later."""

    certificate: bytes | None = None
    handshaken: bool = False
    untrusted: str = ""


class Answer(NamedTuple):
    """The head of an HTTP answer, and whether its page holds the expected text (None: not looked for)."""

    status: int
    location: str
    as_expected: bool | None = None


async def ask_web(web: Check | None, cert: Check | None, contexts: Contexts, timeout_s: float) -> list[ProbeResult]:
    """Ask one server once; return the results for the web check and for the certificate check, where given.

    Never raises for what the other side does or fails to do.
    """
    check = web or cert
    assert check is not None
    seen = _Seen()
    started = time.perf_counter()
    outcome: Answer | tuple[Cause, str]
    try:
        async with asyncio.timeout(timeout_s):
            outcome = await _ask(check, contexts, seen)
    except TimeoutError:
        step = "connected, but no web answer" if seen.handshaken else "no answer"
        outcome = (Cause.TIMEOUT, f"{step} within {timeout_s:g} s")
    except ssl.SSLError as error:
        outcome = (Cause.TLS, f"TLS failed: {plain(error.reason or str(error)).replace('_', ' ').lower()}")
    except h11.RemoteProtocolError as error:
        outcome = (Cause.WRONG_ANSWER, f"the answer is not HTTP: {plain(str(error))}")
    except OSError as error:
        outcome = cause_of_errno(error.errno or 0) if error.errno else (Cause.RESET, "the connection was cut off")
    at, latency_ms = time.time(), (time.perf_counter() - started) * 1000
    results = []
    if web is not None:
        results.append(judge_answer(web, at, outcome, latency_ms))
    if cert is not None:
        results.append(_certificate(cert, at, seen, outcome))
    return results


def _certificate(cert: Check, at: float, seen: _Seen, outcome: Answer | tuple[Cause, str]) -> ProbeResult:
    if seen.handshaken:
        return judge_certificate(cert.key, at, seen.certificate, cert.host, untrusted=seen.untrusted)
    if not isinstance(outcome, Answer) and outcome[0] is Cause.TLS:
        return ProbeResult(cert.key, at, False, True, Cause.TLS, outcome[1])
    return failed(cert.key, at, Cause.NOT_SEEN, "not seen: the web services could not be reached")


async def _ask(check: Check, contexts: Contexts, seen: _Seen) -> Answer | tuple[Cause, str]:
    if contexts.verifying is not None:
        try:
            return await _over(check, contexts.verifying, seen)
        except ssl.SSLCertVerificationError as error:
            seen.untrusted = error.verify_message or "its chain does not lead to an authority that we trust"
    return await _over(check, contexts.plain, seen)


async def _over(check: Check, context: ssl.SSLContext, seen: _Seen) -> Answer | tuple[Cause, str]:
    """Connect to the server's own address, with the dedicated hostname as SNI and Host; read the answer's head."""
    reader, writer = await asyncio.open_connection(
        check.address, check.port, ssl=context, server_hostname=check.host, limit=HEAD_LIMIT
    )
    try:
        tls = writer.get_extra_info("ssl_object")
        seen.certificate = tls.getpeercert(binary_form=True)
        seen.handshaken = True
        http = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_LIMIT)
        request = h11.Request(
            method="GET",
            target=check.path or "/",
            headers=[
                ("Host", check.host),
                ("User-Agent", "a365admin-probe"),
                ("Accept", "*/*"),
                ("Connection", "close"),
            ],
        )
        writer.write((http.send(request) or b"") + (http.send(h11.EndOfMessage()) or b""))
        while True:
            event = http.next_event()
            if event is h11.NEED_DATA:
                data = await reader.read(READ_SIZE)
                if not data and http.their_state is h11.SEND_RESPONSE:
                    return (Cause.RESET, "the web server closed the connection without an answer")
                http.receive_data(data)
            elif isinstance(event, h11.Response):
                locations = [value for name, value in event.headers if name == b"location"]
                answer = Answer(event.status_code, locations[0].decode("latin-1")[:2000] if locations else "")
                if not check.expected_text or not 200 <= answer.status < 300:
                    return answer
                return answer._replace(as_expected=await _holds(check.expected_text, http, reader))
            elif not isinstance(event, h11.InformationalResponse):
                return (Cause.WRONG_ANSWER, "the web server closed the connection without an answer")
    finally:
        writer.transport.abort()


async def _holds(text: str, http: h11.Connection, reader: asyncio.StreamReader) -> bool:
    """Whether the page's first 64 KB hold ``text``, as UTF-8 or as Latin-1."""
    wanted = {text.encode(), text.encode("latin-1", "replace")}
    body = b""
    while len(body) < BODY_LIMIT:
        event = http.next_event()
        if event is h11.NEED_DATA:
            http.receive_data(await reader.read(READ_SIZE))
        elif isinstance(event, h11.Data):
            body = (body + bytes(event.data))[:BODY_LIMIT]
            if any(one in body for one in wanted):
                return True
        else:
            break
    return False


def judge_answer(check: Check, at: float, outcome: Answer | tuple[Cause, str], latency_ms: float) -> ProbeResult:
    """Return the result for the head of an answer, or for why there was none.

    Alive: 2xx, 401, 403, a redirect within the host. Not alive: a redirect off the host, any other status, a page that
    does not hold the expected text.
    """
    if not isinstance(outcome, Answer):
        cause, sentence = outcome
        return failed(check.key, at, cause, sentence)
    status, evidence = outcome.status, {"status": outcome.status}
    if outcome.as_expected is False:
        sentence = f"HTTP {status}, but the page does not hold “{plain(check.expected_text)}”"
        return failed(check.key, at, Cause.WRONG_ANSWER, sentence, evidence)
    if 200 <= status < 300 or status in ALIVE:
        return ProbeResult(check.key, at, True, False, Cause.OK, f"HTTP {status}", latency_ms, evidence)
    if 300 <= status < 400 and outcome.location:
        if stays_on_host(outcome.location, check.host):
            return ProbeResult(check.key, at, True, False, Cause.OK, f"HTTP {status}", latency_ms, evidence)
        elsewhere = plain(urlsplit_host(outcome.location) or outcome.location)
        sentence = f"HTTP {status}: sends clients away to {elsewhere}"
        return failed(check.key, at, Cause.REDIRECT, sentence, evidence)
    why = "an error of the web services" if status >= 500 else "not what the web services answer"
    if status == 404:
        why = f"there is no {plain(check.path, 60)} on this server"
    return failed(check.key, at, Cause.HTTP_STATUS, f"HTTP {status}: {why}", evidence)


def urlsplit_host(location: str) -> str:
    """Return the host that a Location header names; "" where it names none or is nonsense."""
    try:
        return (urlsplit(location).hostname or "").rstrip(".").lower()
    except ValueError:
        return ""


def stays_on_host(location: str, host: str) -> bool:
    """Whether a Location header (RFC 9110 section 10.2.2) leads to the same host."""
    try:
        parts = urlsplit(location)
    except ValueError:
        return False
    if parts.scheme not in {"", "http", "https"}:
        return False
    if not parts.netloc:
        return True
    return urlsplit_host(location) == host.rstrip(".").lower()
