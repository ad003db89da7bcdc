"""The installation's defaults for changing DNS; ``settings.DNSOPS`` overrides them. Durations in seconds."""

from __future__ import annotations

from dataclasses import dataclass, fields

from django.conf import settings

from dnsops.safety import Limits


@dataclass(frozen=True, slots=True)
class Conf:
    """How long things may take, and the safety rules' limits."""

    ask_timeout_s: float = 1.0
    probe_timeout_s: float = 3.0
    write_timeout_s: float = 5.0
    read_back_timeout_s: float = 5.0
    verify_min_s: float = 10.0
    verify_max_s: float = 90.0
    lease_s: float = 12.0
    by_hand_max_s: float = 1800.0
    max_ttl_wait_s: float = 300.0
    follow_for_s: float = 6 * 3600.0
    client_cache_s: float = 40.0
    readiness_interval_s: float = 180.0
    pending_max_age_s: float = 600.0
    probe_again_after_s: float = 5.0
    good_for_s: float = 10.0
    dns_check_interval_s: float = 5.0
    stale_warn_s: float = 15.0
    stale_block_s: float = 60.0
    cool_down_s: float = 300.0
    stability_s: float = 300.0
    ttl_warn_s: int = 300
    at_once_warn: int = 5
    at_once_block: int = 25
    drill_days: int = 45

    @property
    def limits(self) -> Limits:
        """The part that the safety rules look at."""
        return Limits(**{field.name: getattr(self, field.name) for field in fields(Limits)})


def conf() -> Conf:
    """Return the defaults with ``settings.DNSOPS`` over them; unknown names are a mistake and raise TypeError."""
    return Conf(**getattr(settings, "DNSOPS", {}))
