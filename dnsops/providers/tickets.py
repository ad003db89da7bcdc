"""Kerberos tickets, fetched from a keytab without ``kinit`` and kept warm: a dead KDC then costs nothing.

The process that signs never talks to a KDC: it uses a ticket that lies in a file. Tickets are fetched by a process of
their own (``fetch_ticket.py``), from one KDC at a time that was seen to listen, each with a ``krb5.conf`` that names
only that one: a silent KDC that is merely listed before a good one would cost some twenty seconds.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dnsops.addresses import parse_address
from dnsops.providers.base import CannotSignError, OutcomeKind

KDC_CONNECT_S = 0.5
KDC_ANSWER_S = 5.0
STILL_GOOD_S = 60.0
REFRESH_AFTER_S = 1800.0
FETCHER = Path(__file__).with_name("fetch_ticket.py")

_OTHER_KEY = (
    "The key in the keytab {keytab} is not the one of {principal}. Its password was changed since: write the keytab "
    "anew."
)
# RFC 4120 section 7.5.9; MIT's library counts the protocol's own numbers from _BASE.
_BASE = -1765328384
_REFUSALS: dict[int, tuple[OutcomeKind, str]] = {
    1: (OutcomeKind.AUTH, "The account {principal} has expired. Extend it in the directory."),
    6: (OutcomeKind.AUTH, "The realm {realm} does not know account {principal}. Compare its name with the directory."),
    7: (
        OutcomeKind.CONFIG,
        "The realm {realm} knows no {spn}. Enter the name server's own full host name, and look with setspn -L.",
    ),
    14: (OutcomeKind.AUTH, "The KDC {kdc} takes no encryption type of the keytab {keytab}. Write it with AES keys."),
    18: (OutcomeKind.AUTH, "The account {principal} is disabled or locked. Enable it in the directory."),
    23: (OutcomeKind.AUTH, "The password of {principal} has expired. Set a new one and write the keytab anew."),
    24: (OutcomeKind.AUTH, _OTHER_KEY),
    31: (OutcomeKind.AUTH, _OTHER_KEY),
    37: (
        OutcomeKind.CLOCK,
        "The clocks of this machine and the KDC {kdc} differ by more than 5 minutes. Set both by NTP.",
    ),
}
_REFUSED = (OutcomeKind.AUTH, "The KDC {kdc} gives {principal} no ticket for {spn}: {words}.")


@dataclass(frozen=True, slots=True)
class Account:
    """A Kerberos account: its name with realm, its keytab, and the KDCs that give it tickets (address:port)."""

    principal: str
    realm: str
    keytab: Path
    kdcs: tuple[str, ...]
    folder: Path


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket in a file; times are ``time.time()``."""

    ccache: Path
    fetched_at: float
    expires_at: float


class Tickets:
    """The tickets of one account, shared by all processes of this machine through files that only we may read."""

    def __init__(self, account: Account) -> None:
        self.account = account
        label = hashlib.sha256(f"{account.principal}\0{account.keytab}".encode()).hexdigest()[:16]
        self._folder = account.folder / label

    def kept(self, spn: str) -> Ticket | None:
        """The ticket that is there and still good, or None. Asks nobody."""
        state = self._path(spn, "json")
        try:
            stored = json.loads(state.read_text())
            ticket = Ticket(self._path(spn, "ccache"), float(stored["fetched_at"]), float(stored["expires_at"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        good = ticket.expires_at - time.time() > STILL_GOOD_S and ticket.ccache.exists()
        return ticket if good else None

    def get(self, spn: str, *, deadline: float) -> Ticket:
        """A ticket: the one that is kept, else a new one. Raises CannotSignError."""
        ticket = self.kept(spn)
        if ticket is not None:
            return ticket
        with self._lock(deadline):
            return self.kept(spn) or self._fetch(spn, deadline)

    def renew(self, spn: str, *, deadline: float) -> Ticket:
        """A new ticket in place of one that the server does not accept. Where none is given, the old one stays."""
        with self._lock(deadline):
            return self._fetch(spn, deadline)

    def keep_warm(self, spn: str, *, deadline: float) -> None:
        """Fetch a new one where the kept one is older than half an hour. Where that fails, the old one stays."""
        ticket = self.kept(spn)
        if ticket is not None and self._fresh(ticket):
            return
        with self._lock(deadline):
            ticket = self.kept(spn)
            if ticket is None or not self._fresh(ticket):
                self._fetch(spn, deadline)

    def _fresh(self, ticket: Ticket) -> bool:
        with contextlib.suppress(OSError):
            if self.account.keytab.stat().st_mtime > ticket.fetched_at:
                return False
        age_s, left_s = time.time() - ticket.fetched_at, ticket.expires_at - time.time()
        return 0 <= age_s < REFRESH_AFTER_S and left_s > age_s

    def _path(self, spn: str, suffix: str) -> Path:
        return self._folder / f"{hashlib.sha256(spn.encode()).hexdigest()[:16]}.{suffix}"

    @contextmanager
    def _lock(self, deadline: float) -> Iterator[None]:
        """One process at a time fetches for an account."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = (self._folder / "lock").open("a")
        except OSError as error:
            raise CannotSignError(
                OutcomeKind.CONFIG, f"Tickets cannot be kept in {self._folder} ({error.strerror}). Make it writable."
            ) from None
        with lock:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise CannotSignError(
                            OutcomeKind.UNREACHABLE, f"No ticket for {self.account.principal} came in time."
                        ) from None
                    time.sleep(0.01)
            yield

    def _fetch(self, spn: str, deadline: float) -> Ticket:
        """Ask one KDC after the other, of those that listen. Raises CannotSignError."""
        account = self.account
        silent = []
        there = listening(account.kdcs, deadline=deadline)
        for number, kdc in enumerate(there):
            # One that takes the connection and falls silent must leave time for the next.
            share_s = (deadline - time.monotonic()) / (len(there) - number)
            answer = self._ask(kdc, spn, min(share_s, KDC_ANSWER_S))
            if answer is None:
                silent.append(kdc)
            elif "error" in answer:
                raise self._refused(answer, spn, kdc)
            else:
                return self._keep(spn, int(answer["lifetime_s"]))
        asked = ", ".join(silent) or ", ".join(account.kdcs)
        why = f"{asked} takes connections and does not answer" if silent else f"nothing listens at {asked}"
        raise CannotSignError(
            OutcomeKind.UNREACHABLE,
            f"No ticket for {spn} is kept here, and no KDC of {account.realm} gives one: {why}. Bring one back, or "
            "enter another.",
        )

    def _ask(self, kdc: str, spn: str, timeout_s: float) -> dict[str, Any] | None:
        """Let a process fetch it from this KDC. None: no answer in time."""
        new = self._path(spn, "new")
        new.unlink(missing_ok=True)
        conf = self._path(spn, "krb5.conf")
        conf.write_text(krb5_conf(self.account.realm, kdc))
        order = {
            "principal": self.account.principal,
            "keytab": str(self.account.keytab),
            "spn": spn,
            "ccache": str(new),
        }
        env = {name: value for name, value in os.environ.items() if not name.startswith("KRB5")}
        env |= {"KRB5_CONFIG": str(conf), "KRB5RCACHENAME": "none:"}
        try:
            done = subprocess.run(
                [sys.executable, "-I", str(FETCHER)],
                input=json.dumps(order),
                capture_output=True,
                text=True,
                env=env,
                timeout=max(timeout_s, 0.01),
                check=False,
            )
        except subprocess.TimeoutExpired:
            return None
        if done.returncode != 0 or not done.stdout.strip():
            raise CannotSignError(*_broken(done.stderr))
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def _keep(self, spn: str, lifetime_s: int) -> Ticket:
        ccache, state = self._path(spn, "ccache"), self._path(spn, "json")
        now = time.time()
        self._path(spn, "new").replace(ccache)
        written = state.with_suffix(".written")
        written.write_text(json.dumps({"spn": spn, "fetched_at": now, "expires_at": now + lifetime_s}))
        written.replace(state)
        return Ticket(ccache, now, now + lifetime_s)

    def _refused(self, answer: dict[str, Any], spn: str, kdc: str) -> CannotSignError:
        account = self.account
        kind, template = _REFUSALS.get(int(answer["code"]) - _BASE, _REFUSED)
        words = str(answer["error"]).rpartition("):")[2].strip().rstrip(".") or str(answer["error"])
        return CannotSignError(
            kind,
            template.format(
                principal=account.principal, realm=account.realm, keytab=account.keytab, spn=spn, kdc=kdc, words=words
            ),
        )


def _broken(stderr: str) -> tuple[OutcomeKind, str]:
    """The fetching process itself failed."""
    last = (stderr.strip().splitlines() or ["it said nothing"])[-1][:200]
    if "No module named 'gssapi'" in last:
        return OutcomeKind.CONFIG, (
            "The optional package gssapi is not installed here, and Kerberos accounts need it. Install "
            "requirements/gssapi.txt (docs/dns.md says how)."
        )
    return OutcomeKind.CONFIG, f"Tickets cannot be fetched on this machine: {last}."


def krb5_conf(realm: str, kdc: str) -> str:
    """A configuration that names one KDC and looks nothing up in DNS, which may be what has failed."""
    address, port = parse_address(kdc)
    where = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    return (
        f"[libdefaults]\n default_realm = {realm}\n dns_lookup_kdc = false\n dns_lookup_realm = false\n"
        " dns_canonicalize_hostname = false\n rdns = false\n udp_preference_limit = 1\n kdc_timesync = 0\n"
        f" forwardable = false\n[realms]\n {realm} = {{\n  kdc = {where}\n }}\n"
    )


def listening(kdcs: Sequence[str], *, deadline: float) -> list[str]:
    """Those that take a TCP connection within half a second, all tried at once; in the order in which they did."""
    found: list[str] = []
    with selectors.DefaultSelector() as selector, ExitStack() as sockets:
        for kdc in kdcs:
            address, port = parse_address(kdc)
            tcp = sockets.enter_context(socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET))
            tcp.setblocking(False)
            with contextlib.suppress(OSError):
                if tcp.connect_ex((address, port)) in {0, 115, 36}:  # EINPROGRESS on Linux and macOS
                    selector.register(tcp, selectors.EVENT_WRITE, kdc)
        until = min(deadline, time.monotonic() + KDC_CONNECT_S)
        while selector.get_map() and (left := until - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                tcp = key.fileobj  # type: ignore[assignment]
                selector.unregister(tcp)
                if tcp.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                    found.append(key.data)
    return found
