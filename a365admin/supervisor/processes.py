"""The command lines of an installation's processes: the same ones as the units in ``deploy/``."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from a365admin.supervisor.broker import Broker
from a365admin.supervisor.child import ProcessSpec

CELERY = (sys.executable, "-m", "celery", "--quiet", "-A", "a365admin")
# What Redis, Valkey and Celery always say at their start and end, at any log level.
BROKER_SMALL_TALK = re.compile(
    r"^\d+:(C|signal-handler) |# Server initialized|# WARNING Memory overcommit|# User requested shutdown|ready to exit"
)
WORKER_SMALL_TALK = re.compile(r"^$|^worker: (Warm|Cold) shutdown")
# An operation writes each step to the database before it does it, so a worker that is killed after this loses nothing.
WORKER_STOP_TIMEOUT_S = 20.0


def children_env(
    base: Mapping[str, str], *, root: Path, var: Path, redis_url: str, lab: Path | None, host: str
) -> dict[str, str]:
    """The environment of every child. The broker's address, password included, lives here and nowhere else."""
    env = dict(base)
    path = [str(root), *filter(None, [base.get("PYTHONPATH", "")])]
    env.update(
        A365_VAR=str(var),
        A365_NO_BOOTSTRAP="1",
        DJANGO_SETTINGS_MODULE="a365admin.settings",
        PYTHONPATH=os.pathsep.join(path),
        PYTHONUNBUFFERED="1",
        REDIS_URL=redis_url,
    )
    # In a container everybody is root, and Celery would say at every start that this is not recommended.
    env.setdefault("PYTHONWARNINGS", "ignore:You're running the worker with superuser privileges")
    env.pop("A365_LAB", None)
    if lab is not None:
        env["A365_LAB"] = str(lab)
    if "A365_ALLOWED_HOSTS" not in env and host not in {"127.0.0.1", "localhost", "::1"}:
        wildcard = host in {"0.0.0.0", "::"}  # noqa: S104 (compared, not bound)
        env["A365_ALLOWED_HOSTS"] = "*" if wildcard else f"localhost,127.0.0.1,[::1],{host}"
    return env


def broker_spec(broker: Broker, *, env: Mapping[str, str], var: Path) -> ProcessSpec:
    """The embedded broker; configured through its standard input."""
    return ProcessSpec(
        name="broker", argv=(broker.binary, "-"), env=env, stdin=broker.config(var), hush=BROKER_SMALL_TALK
    )


def lab_spec(config: Path, *, env: Mapping[str, str]) -> ProcessSpec:
    """The demo estate: fake servers and two DNS servers on loopback."""
    return ProcessSpec(name="lab", argv=(sys.executable, "-m", "a365admin.lab", "--config", str(config)), env=env)


def seed_spec(*, env: Mapping[str, str]) -> ProcessSpec:
    """Fills the empty database with the demo estate, once."""
    return ProcessSpec(name="seed", argv=(sys.executable, "-m", "django", "seed_demo"), env=env)


def worker_specs(*, env: Mapping[str, str]) -> list[ProcessSpec]:
    """The two workers: probes, and operations apart from them so that a click never queues behind a sweep."""
    quiet = ("--without-mingle", "--without-gossip", "--without-heartbeat", "--loglevel", "WARNING")
    kinds = {"probes": ("-P", "threads", "-c", "1"), "operations": ("-P", "threads", "-c", "8")}
    return [
        ProcessSpec(
            name=name,
            argv=(*CELERY, "worker", "-Q", name, "-n", f"{name}@%h", *pool, *quiet),
            env=env,
            stop_timeout_s=WORKER_STOP_TIMEOUT_S,
            hush=WORKER_SMALL_TALK,
        )
        for name, pool in kinds.items()
    ]


def watch_spec(*, env: Mapping[str, str]) -> ProcessSpec:
    """Holds watch connections, where a pool asks for them."""
    return ProcessSpec(name="watch", argv=(sys.executable, "-m", "django", "watch"), env=env)


def beat_spec(*, env: Mapping[str, str], var: Path) -> ProcessSpec:
    """The clock that hands out work."""
    argv = (*CELERY, "beat", "--pidfile=", "-s", str(var / "beat-schedule"), "--loglevel", "WARNING")
    return ProcessSpec(name="beat", argv=argv, env=env)


def web_spec(*, env: Mapping[str, str], host: str, port: int) -> ProcessSpec:
    """Pages and live streams."""
    argv = (sys.executable, "-m", "uvicorn", "a365admin.asgi:application", "--host", host, "--port", str(port))
    options = ("--lifespan", "off", "--no-access-log", "--log-level", "warning", "--timeout-graceful-shutdown", "3")
    return ProcessSpec(name="web", argv=(*argv, *options), env=env)
