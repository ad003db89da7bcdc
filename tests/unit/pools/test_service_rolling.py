"""What a load balancer did by itself is noticed, timed and written down."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from a365admin.audit.models import AuditEntry
from pools.estate import estate_checks
from pools.health import Health
from pools.models import DedicatedHostname, HealthTransition, Server, VirtualService, VirtualServiceStatus
from pools.probing.result import Cause, ProbeResult
from pools.recording import Recorder
from pools.specs import Check
from tests.factories import make_balanced

pytestmark = pytest.mark.django_db


@dataclass(slots=True)
class Scene:
    """A hostname behind a load balancer, and results as the prober would deliver them."""

    hostname: DedicatedHostname
    service: VirtualService
    one: Server
    two: Server
    checks: list[Check]
    recorder: Recorder = field(default_factory=lambda: Recorder(0, 1))
    at: float = field(default_factory=time.time)

    def deliver(self, *, down: Iterator[str] | tuple[str, ...] = (), times: int = 1, **balancer: Any) -> None:
        """Each check's result ``times`` over, a second apart; those whose key starts with one of ``down`` are bad."""
        bad = tuple(down)
        for _ in range(times):
            self.at += 1
            self.recorder.record([self._result(check, bad, balancer) for check in self.checks], fence=1)

    def _result(self, check: Check, bad: tuple[str, ...], balancer: dict[str, Any]) -> ProbeResult:
        if check.key.startswith("balancer:") and balancer:
            return ProbeResult(check.key, self.at, True, False, Cause.OK, "uses", 1.0, balancer)
        if bad and check.key.startswith(bad):
            return ProbeResult(check.key, self.at, False, False, Cause.REFUSED, "refused: nothing listens", None)
        return ProbeResult(check.key, self.at, True, False, Cause.OK, "answers", 1.0)

    def ucc(self, server: Server) -> str:
        return f"ucc:{server.pk}:"

    @property
    def status(self) -> VirtualServiceStatus:
        return VirtualServiceStatus.objects.get(virtual_service=self.service)


def make_scene(**own: Any) -> Scene:
    hostname = make_balanced(**own)
    service = hostname.targets.get().virtual_service
    assert service is not None
    one, two = service.servers
    scene = Scene(hostname, service, one, two, estate_checks())
    scene.recorder.load(scene.checks, fence=1)
    return scene


def moves() -> list[HealthTransition]:
    return list(HealthTransition.objects.filter(label__startswith="Load balancer of", label__contains=" moved from "))


def test_the_first_look_says_who_serves_and_is_no_move() -> None:
    scene = make_scene(statistics_source="tcp:127.0.0.1:9999")
    scene.deliver(in_use=[scene.one.name], since=scene.at - 60, down=(scene.ucc(scene.two),))
    assert scene.status.in_use == scene.one
    assert scene.status.in_use_since.timestamp() == pytest.approx(scene.at - 61)  # type: ignore[union-attr]
    assert moves() == []


def test_a_move_is_timed_from_our_seeing_the_old_server_down_and_is_in_timeline_and_audit_log() -> None:
    scene = make_scene(statistics_source="tcp:127.0.0.1:9999")
    scene.deliver(in_use=[scene.one.name], since=scene.at - 60, down=(scene.ucc(scene.two),))
    scene.deliver(times=3, in_use=[scene.one.name], since=scene.at - 60, down=(scene.ucc(scene.one),))
    closed = scene.at
    scene.deliver(in_use=[scene.two.name], since=closed + 6.5, down=(scene.ucc(scene.one),))
    status = scene.status
    assert (status.in_use, status.moved_from, status.took_s) == (scene.two, scene.one.name, 6.5)
    (move,) = moves()
    assert move.title == f"Load balancer of {scene.service} moved from {scene.one} to {scene.two}"
    assert move.sentence == "It took 6.5 s from our finding port 6001 of SRV closed.".replace("SRV", scene.one.name)
    entry = AuditEntry.objects.get(action="virtual-service.moved")
    assert (entry.before, entry.after["in_use"]) == ({"in_use": scene.one.name}, scene.two.name)
    assert float(entry.after["took_s"]) == 6.5


def test_one_that_is_quicker_than_our_own_check_is_said_to_be() -> None:
    scene = make_scene(statistics_source="tcp:127.0.0.1:9999")
    scene.deliver(in_use=[scene.one.name], since=scene.at - 60, down=(scene.ucc(scene.two),))
    early = scene.at
    scene.deliver(times=3, in_use=[scene.one.name], since=scene.at - 60, down=(scene.ucc(scene.one),))
    scene.deliver(in_use=[scene.two.name], since=early, down=(scene.ucc(scene.one),))
    assert scene.status.took_s == 0.0
    assert moves()[0].sentence.startswith("It was quicker than our own check")


def test_going_back_is_told_and_not_timed() -> None:
    scene = make_scene(statistics_source="tcp:127.0.0.1:9999")
    for name in (scene.one.name, scene.two.name, scene.one.name):
        scene.deliver(in_use=[name], since=scene.at)
    assert next(move.sentence for move in moves()) == (
        f"{scene.one} answers again, so the load balancer went back to it by itself."
    )
    assert scene.status.took_s is None


def test_a_moment_without_any_server_does_not_hide_where_it_came_from() -> None:
    scene = make_scene(statistics_source="tcp:127.0.0.1:9999")
    scene.deliver(in_use=[scene.one.name], since=scene.at)
    scene.deliver(in_use=[], since=scene.at)
    assert scene.status.in_use is None
    scene.deliver(in_use=[scene.two.name], since=scene.at)
    assert [move.label for move in moves()] == [
        f"Load balancer of {scene.service} moved from {scene.one} to {scene.two}"
    ]


def test_statistics_that_cannot_be_read_conclude_nothing() -> None:
    scene = make_scene(statistics_source="tcp:127.0.0.1:9999")
    scene.deliver(in_use=[scene.one.name], since=scene.at)
    scene.deliver(times=3, down=("balancer:", scene.ucc(scene.one)))
    assert scene.status.in_use == scene.one
    assert moves() == []


def test_without_statistics_the_health_checks_port_tells_and_nothing_is_timed() -> None:
    scene = make_scene()
    scene.deliver(down=(scene.ucc(scene.two),))
    assert scene.status.in_use == scene.one
    scene.deliver(times=3, down=(scene.ucc(scene.one),))
    assert scene.status.in_use == scene.two
    assert "Its statistics are not read, so it is not timed." in moves()[0].sentence


def test_its_health_is_the_worst_that_any_hostname_meets() -> None:
    scene = make_scene()
    scene.deliver(down=(scene.ucc(scene.two),))
    assert scene.status.health == Health.UP
    scene.deliver(times=3, down=("vip:", "web:v", scene.ucc(scene.one), scene.ucc(scene.two)))
    assert scene.status.health == Health.DOWN
    assert "no real server is left" in scene.status.phrase


def test_what_did_not_change_writes_nothing(django_assert_max_num_queries: Any) -> None:
    scene = make_scene(statistics_source="tcp:127.0.0.1:9999")
    scene.deliver(times=2, in_use=[scene.one.name], since=1000.0, down=(scene.ucc(scene.two),))
    scene.deliver(times=3, in_use=[scene.one.name], since=1000.0, down=(scene.ucc(scene.two),))
    with django_assert_max_num_queries(0):
        scene.deliver(in_use=[scene.one.name], since=1000.0, down=(scene.ucc(scene.two),))
