"""Writes of pools. Views, tasks and commands call these; the work is in the modules below."""

from __future__ import annotations

from pools.asking import Probing, ask_now
from pools.estate import all_checks, estate_changed, estate_checks, estate_version
from pools.live import why_nothing_automatic
from pools.maintenance.writes import begin_maintenance, end_maintenance, keep_maintenance_time, move_end
from pools.people import pair_front_end_pools
from pools.recording import Recorder, StaleFence, mark_hostname_dirty, record_results
from pools.rolling import refresh_hostnames

__all__ = [
    "Probing",
    "Recorder",
    "StaleFence",
    "all_checks",
    "ask_now",
    "begin_maintenance",
    "end_maintenance",
    "estate_changed",
    "estate_checks",
    "estate_version",
    "keep_maintenance_time",
    "mark_hostname_dirty",
    "move_end",
    "pair_front_end_pools",
    "record_results",
    "refresh_hostnames",
    "why_nothing_automatic",
]
