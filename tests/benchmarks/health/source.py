"""The checks of the made estate: its UCC ports. ``BENCH_INTERVAL_S``: at this interval in place of the default."""

from __future__ import annotations

import os
from dataclasses import replace

from pools.estate import estate_checks
from pools.health import CheckKind
from pools.specs import Check


def ucc_checks() -> list[Check]:
    """Return the TCP checks only: a peer's TCP check is compared with ours, not with TLS and DNS."""
    checks = [check for check in estate_checks() if check.kind is CheckKind.UCC]
    interval_s = os.environ.get("BENCH_INTERVAL_S")
    return [replace(check, interval_s=float(interval_s)) for check in checks] if interval_s else checks
