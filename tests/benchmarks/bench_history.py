"""``bench history``: what a day of 10,000 checks takes, what keeping a sweep costs, how fast a bar is read."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from a365admin.benchmarks import BenchError, Figure, limit, p50
from tests.product import ROOT

CHECKS, HOSTNAMES = 10_000, 500
INTERVAL_S = 10
BARS = 400


def run() -> list[Figure]:
    """Measure in a process with a database of its own: SQLite, or PostgreSQL where ``DATABASE_URL`` names one."""
    with tempfile.TemporaryDirectory(prefix="a365-bench-") as folder:
        environment = os.environ | {
            "A365_VAR": folder,
            "A365_ENV": "test",
            "DJANGO_SETTINGS_MODULE": "a365admin.settings",
        }
        done = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.bench_history"],
            cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
    if done.returncode != 0:
        raise BenchError(f"history could not be measured: {done.stderr[-2000:]}")
    megabytes, sweep_ms, five_minutes_ms, bar_ms = (float(word) for word in done.stdout.split()[-4:])
    name = f"{CHECKS} checks, {HOSTNAMES} hostnames"
    return [
        limit(bench="history", name=f"a day of history, {name}", unit="MB", ours=megabytes, goal=60),
        limit(bench="history", name=f"keeping a sweep of {CHECKS} results", unit="ms", ours=sweep_ms, goal=5),
        limit(bench="history", name="adding five minutes of it up", unit="ms", ours=five_minutes_ms, goal=1000),
        limit(bench="history", name="24-hour bar of a hostname, read and drawn, p50", unit="ms", ours=bar_ms, goal=2),
    ]


def _measure() -> tuple[float, float, float, float]:
    """A whole day, minute by minute, through the product's own functions; latencies that jitter, and failures."""
    from django.db import connection, transaction

    from pools.history import reading, summing
    from pools.history.minutes import MinuteBook
    from pools.history_models import HistoryProgress
    from pools.models import DedicatedHostname

    _make_hostnames()
    connection.ensure_connection()
    before = _size()
    start = int(time.time() // 86_400 * 86_400)
    HistoryProgress.objects.bulk_create(HistoryProgress(name=name, until=start) for name in ("slots", "hours", "days"))
    recorder, book = _Recorder(), MinuteBook(start)
    written_s, added_ms = 0.0, []
    for minute in range(1440):
        recorder.sweep(minute)
        book.covered_s, book.last = 60.0, start + minute * 60 + 59.9
        began = time.process_time()
        book.close(recorder)
        written_s += time.process_time() - began
        if minute % 5 == 4:
            began_at = time.perf_counter()
            with transaction.atomic():
                summing.add_history_up(start + (minute + 1) * 60 + 10)
            added_ms.append((time.perf_counter() - began_at) * 1000)
    megabytes = (_size() - before) / 1e6
    ids, until, bars = list(DedicatedHostname.objects.values_list("pk", flat=True)), start + 86_400, []
    for number in range(BARS):
        began_at = time.perf_counter()
        reading.hostname_bar(ids[number % len(ids)], until)
        bars.append((time.perf_counter() - began_at) * 1000)
    return megabytes, written_s * 1000 / (1440 * 60 / INTERVAL_S), p50(added_ms), p50(bars)


class _Recorder:
    """10,000 checks as their recorder has them: 1 in 200 down, latencies around a mean of each check's own."""

    def __init__(self) -> None:
        from pools.health import CheckKind
        from pools.specs import Check

        self.shard = 0
        self.random = random.Random(365)
        keys = [f"web:{n}:{n % HOSTNAMES + 1}" if n % 20 == 0 else f"ucc:{n // 20}:{n}" for n in range(CHECKS)]
        self.checks = {key: Check(key, CheckKind.UCC, key, "10.0.0.1", 1, interval_s=INTERVAL_S) for key in keys}
        self.means = {key: self.random.lognormvariate(1.5, 0.8) for key in keys}
        self.seen: dict[str, tuple[float, str, int, float | None]] = {}

    def sweep(self, minute: int) -> None:
        """Let every check have a new result."""
        at = time.time() // 86_400 * 86_400 + minute * 60 + 55
        jitter, down = self.random.lognormvariate, self.random.random
        self.seen = {
            key: (at, "down", 0, None) if down() < 0.005 else (at, "up", 0, mean * jitter(0, 0.25))
            for key, mean in self.means.items()
        }

    def latest(self) -> dict[str, tuple[float, str, int, float | None]]:
        """As the product's recorder."""
        return dict(self.seen)


def _make_hostnames() -> None:
    from django.core.management import call_command
    from django.db import connection

    from pools.models import DedicatedHostname, FrontEndPool, HostnameStatus, Site, TrustedApplicationPool

    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("CREATE SCHEMA a365_bench_history; SET search_path TO a365_bench_history")
    call_command("migrate", verbosity=0, stdout=sys.stderr)
    site = Site.objects.create(name="Amsterdam")
    pool = TrustedApplicationPool.objects.create(
        fqdn="a365pool.bench.example",
        front_end_pool=FrontEndPool.objects.create(fqdn="fepool.bench.example", site=site),
    )
    for number in range(HOSTNAMES):
        hostname = DedicatedHostname.objects.create(
            fqdn=f"many{number}.bench.example", service_name=f"Service {number}", trusted_application_pool=pool
        )
        HostnameStatus.objects.create(hostname=hostname, health="up")


def _size() -> int:
    """Bytes that the database takes, after what was written is in its file."""
    from django.db import connection

    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0) FROM pg_class c JOIN pg_namespace n "
                "ON n.oid = c.relnamespace WHERE n.nspname = 'a365_bench_history' AND c.relkind = 'r'"
            )
            return int(cursor.fetchone()[0])
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return Path(str(connection.settings_dict["NAME"])).stat().st_size


if __name__ == "__main__":
    import django

    django.setup()
    sys.stdout.write(" ".join(f"{figure:.4f}" for figure in _measure()) + "\n")
    if os.environ.get("DATABASE_URL", "").startswith("postgres"):
        from django.db import connection

        with connection.cursor() as last:
            last.execute("DROP SCHEMA a365_bench_history CASCADE")
