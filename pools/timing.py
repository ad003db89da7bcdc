"""Pure: how often a check is asked and what turns its state: the estate's defaults, and what overrides them. No I/O."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

from pools.health import CheckKind, Policy

USUAL = Policy()
INTERVAL_MAX_S, TIMEOUT_MAX_S, COUNT_MAX = 3600, 60, 10


@dataclass(frozen=True, slots=True)
class Timing:
    """How often a kind of check is asked (seconds), and how many results in a row change its state."""

    interval_s: float
    timeout_s: float
    retry_s: float
    policy: Policy = USUAL


@dataclass(frozen=True, slots=True)
class Overrides:
    """What is stated for the estate, a trusted application pool or a server; None or "" where nothing is.

    ``rise`` and ``fall`` are those of UCC ports and web services. ``expected_text``: what the web services' page holds.
    """

    ucc_interval_s: float | None = None
    ucc_timeout_s: float | None = None
    web_interval_s: float | None = None
    web_timeout_s: float | None = None
    rise: int | None = None
    fall: int | None = None
    path: str = ""
    expected_text: str = ""


NOTHING = Overrides()


def layered(*layers: Overrides) -> Overrides:
    """Return what counts: of each value the first that is stated (a server's before its pool's before the estate's)."""
    found = {}
    for one in fields(Overrides):
        stated = (getattr(layer, one.name) for layer in layers)
        found[one.name] = next((value for value in stated if value not in {None, ""}), one.default)
    return Overrides(**found)  # type: ignore[arg-type]  # each value is of its own field


def timing_of(kind: CheckKind, default: Timing, own: Overrides) -> Timing:
    """Return the timing of a kind of check on a server: its default, but for what is stated otherwise.

    A certificate is looked at in its web check's connection, and keeps a policy of its own.
    """
    if kind not in {CheckKind.UCC, CheckKind.WEB, CheckKind.CERT}:
        return default
    is_ucc = kind is CheckKind.UCC
    interval_s = (own.ucc_interval_s if is_ucc else own.web_interval_s) or default.interval_s
    timeout_s = (own.ucc_timeout_s if is_ucc else own.web_timeout_s) or default.timeout_s
    policy = default.policy
    if kind is not CheckKind.CERT:
        policy = Policy(rise=own.rise or policy.rise, fall=own.fall or policy.fall)
    return replace(
        default,
        interval_s=interval_s,
        timeout_s=timeout_s,
        retry_s=min(default.retry_s, interval_s),
        policy=policy,
    )


def problem_of(own: Overrides, default_of: Callable[[CheckKind], Timing]) -> tuple[str, str] | None:
    """Return (field of ``Overrides``, sentence) for what cannot be; None where everything can.

    ``own``: what counts, all layers taken together. A timeout must end before the next asking.
    """
    for kind, name, what in (
        (CheckKind.UCC, "ucc", "UCC ports"),
        (CheckKind.WEB, "web", "the web services"),
    ):
        timing = timing_of(kind, default_of(kind), own)
        if timing.timeout_s > timing.interval_s:
            field = f"{name}_timeout_s" if getattr(own, f"{name}_timeout_s") else f"{name}_interval_s"
            return field, (
                f"The timeout of {what} would be {timing.timeout_s:g} s, longer than their interval of "
                f"{timing.interval_s:g} s. Choose a shorter timeout or a longer interval."
            )
    return None
