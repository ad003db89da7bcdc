"""The product's settings; only what is asked is narrowed, to the UCC ports of the made estate.

Beat hands out what checks need. What it does besides (operations, drift, tickets, history of other things) is not the
price of a check.
"""

from a365admin.settings import *  # noqa: F403
from a365admin.settings import CELERY_BEAT_SCHEDULE as _EVERYTHING

CHECK_SOURCES = ["tests.benchmarks.health.source.ucc_checks"]
CELERY_BEAT_SCHEDULE = {name: entry for name, entry in _EVERYTHING.items() if str(entry["task"]).startswith("pools.")}
