"""What can be broken in the demo estate, and started or stopped in it. PURE."""

from enum import StrEnum


class ServerFault(StrEnum):
    """A fault of an A365 server."""

    UCC_DOWN = "ucc_down"
    WEB_DOWN = "web_down"
    DEAD = "dead"
    SILENT = "silent"
    SLOW = "slow"
    WRONG_CERTIFICATE = "wrong_certificate"


class DnsFault(StrEnum):
    """A fault of a DNS server."""

    REFUSING = "refusing"
    SILENT = "silent"
    STUCK = "stuck"
    REPLY_LOST = "reply_lost"
    VANISHING = "vanishing"
    DOWN = "down"


class ResolverFault(StrEnum):
    """A fault of a resolver."""

    STRETCHING = "stretching"
    SILENT = "silent"
    DOWN = "down"


FORGET = "forget"  # not a fault: clearing a resolver's cache


class UccAction(StrEnum):
    """Not a fault: starting and stopping the UCC service, as an administrator does on a cold standby."""

    START = "start_ucc"
    STOP = "stop_ucc"
