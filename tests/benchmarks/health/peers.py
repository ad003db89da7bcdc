"""The peers, from Debian, each as its own documentation sets it up; None where it is not installed."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from a365admin.testing.system_packages import find_command
from tests.product import free_port

HAPROXY = find_command("haproxy")
PROMETHEUS = find_command("prometheus")
BLACKBOX = find_command("prometheus-blackbox-exporter")
Place = tuple[str, int]


class Running:
    """Processes of a peer."""

    def __init__(self, folder: Path, processes: list[subprocess.Popen[bytes]]) -> None:
        self.folder = folder
        self.pids = [process.pid for process in processes]


@contextmanager
def _running(folder: Path, *commands: Sequence[str]) -> Iterator[Running]:
    processes: list[subprocess.Popen[bytes]] = []
    with (folder / "log").open("ab") as log:
        try:
            processes += [subprocess.Popen(command, cwd=folder, stdout=log, stderr=log) for command in commands]
            yield Running(folder, processes)
        finally:
            for process in processes:
                process.kill()
                process.wait()


@contextmanager
def haproxy(folder: Path, places: Sequence[Place], *, check: str) -> Iterator[Running]:
    """HAProxy that checks every place; ``check``: the options of each check, such as ``inter 10s``."""
    if HAPROXY is None:
        raise AssertionError("haproxy is not installed")
    folder.mkdir()
    lines = [
        "global",
        f"  stats socket {folder}/socket",
        "  maxconn 100",
        "defaults",
        "  mode tcp",
        "  timeout connect 2s",
        "  timeout client 2s",
        "  timeout server 2s",
        "listen all",
        f"  bind 127.0.0.1:{free_port()}",
        f"  default-server {check}",
        *(f"  server s{number} {address}:{port} check" for number, (address, port) in enumerate(places)),
    ]
    (folder / "haproxy.cfg").write_text("\n".join(lines) + "\n")
    with _running(folder, [HAPROXY, "-db", "-q", "-f", "haproxy.cfg"]) as running:
        yield running


def haproxy_says(folder: Path, server: int) -> str:
    """The state of one server, such as ``UP`` or ``DOWN``, from HAProxy's own socket."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(folder / "socket"))
        sock.sendall(b"show stat -1 4 -1\n")
        text = b""
        while part := sock.recv(65536):
            text += part
    for line in text.decode().splitlines():
        fields = line.split(",")
        if len(fields) > 17 and fields[1] == f"s{server}":
            return fields[17].split()[0]
    return ""


@contextmanager
def prometheus(folder: Path, places: Sequence[Place], *, interval_s: int) -> Iterator[Running]:
    """Prometheus that scrapes blackbox_exporter for a TCP connect to every place."""
    if PROMETHEUS is None or BLACKBOX is None:
        raise AssertionError("prometheus or prometheus-blackbox-exporter is not installed")
    folder.mkdir()
    blackbox, port = free_port(), free_port()
    (folder / "blackbox.yml").write_text("modules: {tcp_connect: {prober: tcp, timeout: 2s}}\n")
    (folder / "targets.json").write_text(json.dumps([{"targets": [f"{address}:{port}" for address, port in places]}]))
    config = {
        "global": {"scrape_interval": f"{interval_s}s", "scrape_timeout": "5s"},
        "scrape_configs": [
            {
                "job_name": "ucc",
                "metrics_path": "/probe",
                "params": {"module": ["tcp_connect"]},
                "file_sd_configs": [{"files": ["targets.json"]}],
                "relabel_configs": [
                    {"source_labels": ["__address__"], "target_label": "__param_target"},
                    {"source_labels": ["__param_target"], "target_label": "instance"},
                    {"target_label": "__address__", "replacement": f"127.0.0.1:{blackbox}"},
                ],
            }
        ],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
    with _running(
        folder,
        [BLACKBOX, "--config.file=blackbox.yml", f"--web.listen-address=127.0.0.1:{blackbox}", "--log.level=error"],
        [
            PROMETHEUS,
            "--config.file=prometheus.yml",
            f"--web.listen-address=127.0.0.1:{port}",
            f"--storage.tsdb.path={folder}/data",
            "--log.level=error",
        ],
    ) as running:
        yield running
