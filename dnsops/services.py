"""Writes of dnsops, and the preflight that comes before one. Views, API and commands call these and nothing below.

This module is the face; ``gathering.py`` collects the facts, ``requesting.py`` accepts or refuses a request,
``asking_again.py`` looks after one that ended with something open; ``adopting.py`` takes a drift as it is.
"""

from __future__ import annotations

from dnsops.adopting import adopt_drift, drift_digest, open_drift, remedy_of
from dnsops.asking_again import ask_resolvers_again, retry_verification
from dnsops.gathering import Preflight, dns_checks, preflight
from dnsops.handwork import say_done
from dnsops.requesting import RequestRefused, cancel_operation, request_failover
from dnsops.safety import Finding, Level

__all__ = [
    "Finding",
    "Level",
    "Preflight",
    "RequestRefused",
    "adopt_drift",
    "ask_resolvers_again",
    "cancel_operation",
    "dns_checks",
    "drift_digest",
    "open_drift",
    "preflight",
    "remedy_of",
    "request_failover",
    "retry_verification",
    "say_done",
]
