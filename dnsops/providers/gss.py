"""Dynamic update (RFC 2136) signed with GSS-TSIG (RFC 3645): Active Directory's secure dynamic updates.

The same messages as with TSIG, and the same judgement of what comes back; only the key is agreed on by Kerberos each
time, with a ticket that is kept warm.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import dns.tsig

from dnsops import keytab
from dnsops.providers.base import (
    CannotSignError,
    Capabilities,
    Endpoint,
    KeySetup,
    Outcome,
    OutcomeKind,
    ProviderKind,
    Setup,
)
from dnsops.providers.rfc2136 import Rfc2136
from dnsops.providers.tickets import Account, Ticket, Tickets
from dnsops.providers.tkey import RejectedTicketError, negotiate


class GssTsig(Rfc2136):
    """Changes records on one writer, as a Kerberos account. ``accounts`` give the account, or raise SecretError."""

    def __init__(self, writer: Endpoint, *accounts: Callable[[], Account], endpoints: Sequence[Endpoint] = ()) -> None:
        super().__init__(writer, endpoints=endpoints)
        self._accounts = accounts

    @property
    def capabilities(self) -> Capabilities:
        """The server compares and swaps; tickets are kept warm."""
        return Capabilities(tickets=True)

    def _signers(self, deadline: float) -> Sequence[Callable[[], dns.tsig.Key]]:
        return [partial(self._agree, account, deadline) for account in self._accounts]

    def _agree(self, account_of: Callable[[], Account], deadline: float) -> dns.tsig.Key:
        """A key for one message. Where the server does not accept the kept ticket, a new one is tried, once."""
        account = account_of()
        tickets, spn = Tickets(account), spn_of(self._writer, account)
        kept = tickets.kept(spn)
        ticket = kept or tickets.get(spn, deadline=deadline)
        try:
            return negotiate(self._writer, spn, ticket.ccache, account=account.principal, deadline=deadline)
        except RejectedTicketError:
            if kept is None:
                raise
        ticket = tickets.renew(spn, deadline=deadline)
        return negotiate(self._writer, spn, ticket.ccache, account=account.principal, deadline=deadline)

    def _accepted(self, outcome: Outcome) -> bool:
        """Agreeing on the key has shown it already; Samba sends our own signature back where a prerequisite fails."""
        return outcome.authenticated or bool(outcome.evidence.get("echoed"))

    def keep_warm(self, *, deadline: float) -> Mapping[Endpoint, str]:
        """Renew the tickets for every name server where they are getting old. Returns what went wrong, by server."""
        problems = {}
        for account_of in self._accounts:
            account = account_of()
            tickets = Tickets(account)
            for endpoint in self._endpoints:
                try:
                    tickets.keep_warm(spn_of(endpoint, account), deadline=deadline)
                except CannotSignError as error:
                    problems[endpoint] = str(error)
        return problems

    def kept_until(self, endpoint: Endpoint) -> float | None:
        """Until when the ticket that is kept for this name server is good, of the first account. Asks nobody."""
        ticket = self.ticket_for(endpoint)
        return ticket.expires_at if ticket else None

    def ticket_for(self, endpoint: Endpoint) -> Ticket | None:
        """The ticket of the first account that is kept for this name server; None where there is none."""
        if not self._accounts or not endpoint.host_name:
            return None
        account = self._accounts[0]()
        return Tickets(account).kept(spn_of(endpoint, account))


def spn_of(endpoint: Endpoint, account: Account) -> str:
    """The service principal name of a DNS server (RFC 3645 section 3.1.1). Raises CannotSignError."""
    if not endpoint.host_name:
        raise CannotSignError(
            OutcomeKind.CONFIG,
            f"The full host name of {endpoint.name} is not entered, and Kerberos knows it by that only. Enter it with "
            "the name server, such as dc1.ad.example.com.",
        )
    return f"DNS/{endpoint.host_name}@{account.realm}"


def account_of(setup: KeySetup, zone: Setup) -> Account:
    """The account that is entered; its keytab is looked at anew at each use. Raises SecretError.

    Where no KDC is entered, the name servers are asked: in Active Directory each of them is one.
    """
    keytab.check(setup.reference, setup.principal)
    kdcs = setup.kdcs or tuple(dict.fromkeys(_with_port(endpoint.address) for endpoint in zone.endpoints))
    return Account(setup.principal, setup.realm, keytab.path_of(setup.reference), kdcs, zone.folder)


def _with_port(address: str) -> str:
    return f"[{address}]:88" if ":" in address else f"{address}:88"


def _build(setup: Setup) -> GssTsig:
    accounts = [partial(account_of, key, setup) for key in setup.keys]
    return GssTsig(setup.endpoints[0], *accounts, endpoints=setup.endpoints)


KIND = ProviderKind("gss", "Secure dynamic update (Active Directory, GSS-TSIG)", "gss", _build)
