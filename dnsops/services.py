"""Writes of dnsops, and the preflight that comes before one. Views, API and commands call these and nothing below.

This module is the face; ``gathering.py`` collects the facts, ``requesting.py`` accepts or refuses a request,
``asking_again.py`` looks after one that ended with something open.
"""

from __future__ import annotations

from dnsops.asking_again import retry_verification
from dnsops.gathering import Preflight, dns_checks, preflight
from dnsops.requesting import RequestRefused, cancel_operation, request_failover
from dnsops.safety import Finding, Level

__all__ = [
    "Finding",
    "Level",
    "Preflight",
    "RequestRefused",
    "cancel_operation",
    "dns_checks",
    "preflight",
    "request_failover",
    "retry_verification",
]
