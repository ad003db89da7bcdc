"""What is going on behind a virtual service, decided from facts alone."""

from __future__ import annotations

from dataclasses import replace

from pools.facts import CheckFact, DnsFact, HostnameFacts, ServerFacts, UccFact, VirtualServiceFacts
from pools.health import Health, Situation
from pools.rollup import HostnameVerdict, roll_up_hostname, roll_up_target

UP = CheckFact(Health.UP, "ok", "answers", 3.0)
WEB_UP = CheckFact(Health.UP, "ok", "HTTP 200", 12.5)
REFUSED = CheckFact(Health.DOWN, "refused", "refused: the server is there, but nothing listens on this port")
ERROR = CheckFact(Health.DOWN, "http_status", "HTTP 500: an error of the web services")
CERT = CheckFact(Health.UP, "ok", "valid for 200 days")


def server(
    number: int, *uccs: CheckFact, web: CheckFact = WEB_UP, cert: CheckFact = CERT, hot: bool = False
) -> ServerFacts:
    checks = uccs or (UP, UP)
    return ServerFacts(
        server_id=number,
        name=f"SRV{number}",
        fqdn=f"srv{number}.x",
        address=f"10.0.0.{number}",
        uccs=tuple(UccFact(n, f"Desk {n}", 6000 + n, check) for n, check in enumerate(checks, start=1)),
        web=web,
        cert=cert,
        standby_runs_ucc=hot,
    )


COLD = (REFUSED, REFUSED)


def service(
    *real: ServerFacts, number: int = 1, in_use: tuple[str, ...] | None = None, **changed: CheckFact
) -> VirtualServiceFacts:
    facts = VirtualServiceFacts(
        virtual_service_id=number,
        name=f"VIP{number}",
        fqdn=f"vip{number}.x",
        address=f"10.1.0.{number}",
        port=443,
        check_ucc_id=1,
        check_name="Desk 1",
        check_port=6001,
        real_servers=real or (server(1), server(2, *COLD)),
        vip=changed.pop("vip", UP),
        web=changed.pop("web", WEB_UP),
        cert=changed.pop("cert", CERT),
        balancer=UP if in_use is not None else None,
        in_use=in_use or (),
    )
    assert not changed
    return facts


def hostname(*targets: VirtualServiceFacts, points_at: str = "10.1.0.1") -> HostnameVerdict:
    return roll_up_hostname(HostnameFacts("a365web.x", targets, (DnsFact("dns1", UP, (points_at,)),)))


def test_one_active_and_one_cold_server_behind_a_vip_is_normal() -> None:
    found = hostname(service())
    assert (found.health, found.situation, found.phrase) == (Health.UP, Situation.WORKING, "")
    assert (found.active_virtual_service_id, found.active_server_id) == (1, None)
    assert (found.standby_virtual_service_id, found.standby_ready) == (None, False)
    assert found.latency_ms == 12.5


def test_after_the_load_balancers_own_failover_the_hostname_is_up_and_says_who_serves() -> None:
    found = hostname(service(server(1, *COLD), server(2)))
    assert found.health is Health.UP
    assert found.phrase == "the load balancer of VIP1 uses SRV2; nothing has to be done"
    assert found.on_primary


def test_the_load_balancers_own_words_decide_who_serves() -> None:
    found = roll_up_target(service(server(1), server(2, hot=True), in_use=("SRV2",)))
    assert found.phrase == "the load balancer of VIP1 uses SRV2; nothing has to be done"


def test_dead_web_services_behind_a_green_health_check_are_seen() -> None:
    found = hostname(service(server(1, web=ERROR), server(2, *COLD), web=ERROR))
    assert (found.health, found.situation) == (Health.DOWN, Situation.BEHIND_GREEN)
    assert found.phrase.startswith("web services of SRV1 are dead behind a green health check (HTTP 500)")
    assert "checks only UCC port 6001" in found.phrase


def test_dead_web_services_are_degraded_while_clients_through_the_vip_are_served_by_another() -> None:
    found = hostname(service(server(1, web=ERROR), server(2, hot=True)))
    assert (found.health, found.situation) == (Health.DEGRADED, Situation.BEHIND_GREEN)


def test_the_checks_port_closed_on_both_while_others_are_open_means_that_the_ucc_was_removed() -> None:
    found = hostname(service(server(1, REFUSED, UP), server(2, *COLD)))
    assert (found.health, found.situation) == (Health.DEGRADED, Situation.CHECK_UCC_GONE)
    assert "is closed on SRV1 and SRV2 while other UCCs answer" in found.phrase
    assert "this UCC seems to have been removed; the load balancer will take both servers out" in found.phrase


def test_when_it_has_taken_them_out_the_removed_ucc_is_still_what_is_said() -> None:
    found = hostname(service(server(1, REFUSED, UP), server(2, *COLD), vip=REFUSED, web=REFUSED))
    assert (found.health, found.situation) == (Health.DOWN, Situation.CHECK_UCC_GONE)
    assert "takes both servers out" in found.phrase


def test_all_ports_closed_on_both_is_an_outage_and_not_a_removed_ucc() -> None:
    found = hostname(service(server(1, *COLD), server(2, *COLD), vip=REFUSED, web=REFUSED))
    assert (found.health, found.situation) == (Health.DOWN, Situation.SERVER_DOWN)
    assert found.phrase == (
        "VIP of VIP1 (10.1.0.1:443): refused; UCC port 6001 is closed on SRV1 and SRV2: no real server is left"
    )


def test_haproxy_accepts_and_closes_when_no_server_is_left_and_that_is_the_same_outage() -> None:
    cut = CheckFact(Health.DOWN, "reset", "the connection was cut off")
    found = hostname(service(server(1, *COLD), server(2, *COLD), web=cut))
    assert found.situation is Situation.SERVER_DOWN
    assert found.phrase.endswith("no real server is left")


def test_a_dead_vip_with_fit_servers_is_the_load_balancers_own_fault() -> None:
    found = hostname(service(vip=REFUSED, web=REFUSED))
    assert found.health is Health.DOWN
    assert "SRV1 would be fit: the load balancer itself seems to be down" in found.phrase


def test_web_services_dead_only_through_the_vip_say_that_the_server_itself_answers() -> None:
    found = hostname(service(web=ERROR))
    assert (found.health, found.situation) == (Health.DOWN, Situation.SCREENS_DEAD)
    assert found.phrase.endswith("SRV1 itself answers")


def test_other_uccs_down_on_the_serving_server_are_not_hidden_by_the_green_check() -> None:
    found = hostname(service(server(1, UP, REFUSED), server(2, *COLD)))
    assert (found.health, found.situation) == (Health.DEGRADED, Situation.SOME_UCCS_DOWN)
    assert found.phrase.startswith("SRV1 behind VIP1: UCC 6002 refused")


def test_a_load_balancer_that_uses_a_server_whose_port_we_find_closed_disagrees() -> None:
    facts = service(server(1, REFUSED, UP), server(2, UP, UP, hot=True), in_use=("SRV1",))
    found = roll_up_target(facts)
    assert (found.health, found.situation) == (Health.DEGRADED, Situation.BALANCER_DISAGREES)
    assert found.phrase == "the load balancer of VIP1 uses SRV1, whose UCC port 6001 we find refused"


def test_a_load_balancer_without_a_server_whose_vip_answers_disagrees() -> None:
    found = roll_up_target(service(in_use=()))
    assert (found.health, found.situation) == (Health.DEGRADED, Situation.BALANCER_DISAGREES)
    assert "says that no real server is up, but the web services answer through it" in found.phrase


def test_a_passive_server_with_dead_web_services_could_not_take_over() -> None:
    found = hostname(service(server(1), server(2, *COLD, web=ERROR)))
    assert (found.health, found.situation) == (Health.DEGRADED, Situation.STANDBY_NOT_READY)
    assert (
        found.phrase == "real server SRV2 could not take over: its web services: HTTP 500: an error of the web services"
    )


def test_what_was_never_asked_is_unknown_and_not_green() -> None:
    assert hostname(service(vip=CheckFact(), web=CheckFact())).health is Health.UNKNOWN


def test_another_datacentre_that_answers_is_a_ready_standby() -> None:
    found = hostname(service(), service(server(3, hot=True), server(4, hot=True), number=2), points_at="vip1.x.")
    assert found.standby_virtual_service_id == 2
    assert found.standby_ready


def test_another_datacentre_without_a_running_ucc_is_a_cold_standby_and_no_fault() -> None:
    far = service(server(3, *COLD), server(4, *COLD), number=2, vip=REFUSED, web=REFUSED)
    found = hostname(service(), far, points_at="vip1.x.")
    assert found.health is Health.UP
    assert not found.standby_ready
    assert found.standby_phrase == ("UCC service not running on any of its real servers (cold standby: start it first)")


def test_after_a_datacentre_failover_the_hostname_is_on_the_other_datacentre() -> None:
    near = service(vip=REFUSED, web=REFUSED)
    found = hostname(near, service(server(3), server(4, *COLD), number=2), points_at="vip2.x.")
    assert found.active_virtual_service_id == 2
    assert not found.on_primary
    assert (found.standby_virtual_service_id, found.standby_ready) == (1, False)


def test_both_real_servers_running_the_ucc_service_is_said_unless_it_is_normal_there() -> None:
    assert hostname(service(server(1), server(2))).situation is Situation.BOTH_ACTIVE
    assert hostname(service(server(1, hot=True), server(2, hot=True))).situation is Situation.WORKING


def test_a_passive_server_in_maintenance_raises_no_alarm() -> None:
    tired = replace(server(2, *COLD, web=ERROR), in_maintenance=True)
    assert hostname(service(server(1), tired)).health is Health.UP
