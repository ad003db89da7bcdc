"""What was: the rows that history is kept in. How they are packed is in ``history/packing.py``.

Times are whole numbers since 1970 in UTC (seconds, hours, days): small, fast to read in thousands, and the same on
SQLite and PostgreSQL.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import models


class CheckRoster(models.Model):
    """The keys of the checks in the order of a packed row's columns; a new one only when the estate changes."""

    digest = models.CharField(max_length=32, unique=True)
    checks = models.PositiveIntegerField()
    packed = models.BinaryField()

    def __str__(self) -> str:
        return f"{self.checks} checks"


class Grain(models.IntegerChoices):
    """How long a row of history is, in seconds."""

    MINUTE = 60, "minute"
    HOUR = 3600, "hour"
    DAY = 86_400, "day"


class CheckHistory(models.Model):
    """All checks of one shard in one minute, hour or day."""

    grain_s = models.PositiveIntegerField(choices=Grain.choices)
    start = models.PositiveBigIntegerField(help_text="When it begins: seconds since 1970 (UTC).")
    shard = models.PositiveSmallIntegerField()
    roster = models.ForeignKey(CheckRoster, models.PROTECT, related_name="+")
    covered_s = models.FloatField(help_text="For how many seconds of it the shard was probed.")
    packed = models.BinaryField()

    class Meta:
        ordering: ClassVar = ["grain_s", "start", "shard"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["grain_s", "start", "shard", "roster"], name="check_history_once"),
            models.CheckConstraint(condition=models.Q(grain_s__in=Grain.values), name="check_history_grain_known"),
        ]

    def __str__(self) -> str:
        return f"{self.get_grain_s_display()} from {self.start}, shard {self.shard}"


class HostnameHour(models.Model):
    """One hour of a hostname: seconds in each health, and twelve slots of five minutes. The rest is not known."""

    hostname = models.ForeignKey("pools.DedicatedHostname", models.CASCADE, related_name="hours", db_index=False)
    hour = models.PositiveIntegerField(help_text="Hours since 1970 (UTC).")
    up_s = models.FloatField(default=0.0)
    degraded_s = models.FloatField(default=0.0)
    down_s = models.FloatField(default=0.0)
    slots = models.BinaryField(default=bytes, help_text="The state of each five minutes, a byte each.")
    latencies = models.BinaryField(default=bytes, help_text="The latency of each five minutes, a byte each.")

    class Meta:
        ordering: ClassVar = ["hostname", "hour"]
        indexes: ClassVar = [models.Index(fields=["hour"], name="hostname_hour_hour")]
        constraints: ClassVar = [models.UniqueConstraint(fields=["hostname", "hour"], name="hostname_hour_once")]

    def __str__(self) -> str:
        return f"{self.hostname_id}, hour {self.hour}"


class HostnameDay(models.Model):
    """One day of a hostname (UTC): seconds in each health. The rest is not known."""

    hostname = models.ForeignKey("pools.DedicatedHostname", models.CASCADE, related_name="days", db_index=False)
    day = models.PositiveIntegerField(help_text="Days since 1970 (UTC).")
    up_s = models.FloatField(default=0.0)
    degraded_s = models.FloatField(default=0.0)
    down_s = models.FloatField(default=0.0)

    class Meta:
        ordering: ClassVar = ["hostname", "day"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["hostname", "day"], name="hostname_day_once")]

    def __str__(self) -> str:
        return f"{self.hostname_id}, day {self.day}"


class HistoryProgress(models.Model):
    """Until when history was added up, for each kind of sum; also the lock of whoever adds up."""

    name = models.CharField(max_length=16, primary_key=True)
    until = models.PositiveBigIntegerField(help_text="Seconds since 1970 (UTC).")

    def __str__(self) -> str:
        return f"{self.name} until {self.until}"
