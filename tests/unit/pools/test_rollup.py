"""Every situation of a hostname, and its sentence."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given, strategies as st

from pools.facts import CheckFact, DnsFact, HostnameFacts, ServerFacts, UccFact
from pools.health import Health, Situation
from pools.rollup import HostnameVerdict, roll_up_hostname, roll_up_server

UP = CheckFact(Health.UP, "ok", "answers")
WEB = CheckFact(Health.UP, "ok", "HTTP 200", 12.5)
REFUSED = CheckFact(Health.DOWN, "refused", "refused: nothing listens on this port")
SILENT = CheckFact(Health.DOWN, "timeout", "no answer within 2 s")
ERROR = CheckFact(Health.DOWN, "http_status", "HTTP 503: an error of the web services")
NO_RECORD = CheckFact(Health.DOWN, "wrong_answer", "the name server says: no such name")
BAD_CERT = CheckFact(Health.DEGRADED, "wrong_name", "does not name a365web1.x: it names old.x")
NEW = CheckFact()
CUT_OFF = CheckFact(Health.UNKNOWN, "cut_off", "the prober itself may be cut off")


def server(number: int, *uccs: CheckFact, web: CheckFact = WEB, cert: CheckFact = UP, warm: bool = True) -> ServerFacts:
    facts = tuple(UccFact(i, f"Desk {i}", 6001 + i, check) for i, check in enumerate(uccs or (UP, UP)))
    return ServerFacts(
        number, f"SRV{number}", f"srv{number}.x", f"10.0.0.{number}", facts, web, cert, standby_runs_ucc=warm
    )


def says(name: str, *values: str, check: CheckFact = UP) -> DnsFact:
    return DnsFact(name, check, values)


ON_1 = (says("dns1", "srv1.x."), says("dns2", "srv1.x."))
ON_2 = (says("dns1", "srv2.x."), says("dns2", "srv2.x."))


def verdict(*targets: ServerFacts, dns: tuple[DnsFact, ...] = ON_1) -> HostnameVerdict:
    return roll_up_hostname(HostnameFacts("a365web1.x", targets or (server(1), server(2)), dns))


def through_the_name(check: CheckFact, *targets: ServerFacts, dns: tuple[DnsFact, ...] = ON_1) -> HostnameVerdict:
    return roll_up_hostname(HostnameFacts("a365web1.x", targets or (server(1), server(2)), dns, check))


def test_a_service_that_works_everywhere_but_under_its_name_is_down() -> None:
    found = through_the_name(SILENT)
    assert (found.health, found.situation) == (Health.DOWN, Situation.THROUGH_NAME)
    assert found.phrase == "through its name it does not work: no answer within 2 s"


@pytest.mark.parametrize("check", [UP, NEW, CUT_OFF, CheckFact(Health.DEGRADED, "ok", "flapping")])
def test_a_service_of_which_nothing_bad_is_known_changes_nothing(check: CheckFact) -> None:
    assert through_the_name(check) == verdict()


def test_what_answers_again_but_has_not_settled_is_not_said_to_fail() -> None:
    again = CheckFact(Health.DOWN, "ok", "HTTP 200")
    assert through_the_name(again, server(1, UP)).phrase.startswith("through its name it answers again")
    assert "web answers again" in verdict(server(1, UP, web=again)).phrase


def test_what_is_wrong_with_the_server_itself_is_not_said_twice() -> None:
    found = through_the_name(REFUSED, server(1, web=ERROR), server(2))
    assert (found.situation, "through its name" in found.phrase) == (Situation.SCREENS_DEAD, False)


def test_while_name_servers_disagree_one_address_says_nothing_of_all_clients() -> None:
    split = (says("dns1", "srv1.x."), says("dns2", "srv2.x."))
    assert through_the_name(REFUSED, dns=split).situation is Situation.DNS_SPLIT


def test_all_is_well() -> None:
    assert verdict() == HostnameVerdict(
        Health.UP, Situation.WORKING, "", 1, "srv1.x", 2, True, "", on_primary=True, latency_ms=12.5
    )


def test_web_up_and_ucc_down_means_that_clients_get_no_data() -> None:
    found = verdict(server(1, REFUSED, REFUSED), server(2))
    assert (found.health, found.situation) == (Health.DOWN, Situation.NO_DATA)
    assert found.phrase == "UCC 6001, 6002 refused; web still answers: clients get no data"
    assert found.standby_ready


def test_ucc_up_and_web_down_means_that_calls_flow_and_screens_are_dead() -> None:
    found = verdict(server(1, web=ERROR), server(2))
    assert (found.health, found.situation) == (Health.DOWN, Situation.SCREENS_DEAD)
    assert found.phrase == ("web: HTTP 503: an error of the web services; UCC answers: calls flow, screens dead")


def test_one_ucc_of_several_degrades() -> None:
    found = verdict(server(1, UP, REFUSED, UP), server(2, UP, UP, UP))
    assert (found.health, found.situation) == (Health.DEGRADED, Situation.SOME_UCCS_DOWN)
    assert found.phrase == "UCC 6002 refused; 2 of 3 UCCs answer"


def test_uccs_are_grouped_by_how_they_fail_and_many_are_counted() -> None:
    found = roll_up_server(server(1, *[REFUSED] * 6, SILENT))
    assert found.phrase.startswith("UCC 6001, 6002, 6003, 6004 and 2 more refused; 6007 timed out; web still answers")


def test_a_server_on_which_nothing_answers_is_down() -> None:
    found = verdict(server(1, SILENT, SILENT, web=SILENT), server(2))
    assert (found.health, found.situation) == (Health.DOWN, Situation.SERVER_DOWN)
    assert found.phrase == "SRV1 does not work: UCC 6001, 6002 timed out, web timed out"


def test_web_down_on_a_server_without_uccs_is_a_server_down() -> None:
    bare = replace(server(1, web=REFUSED), uccs=())
    assert roll_up_server(bare).situation is Situation.SERVER_DOWN


def test_web_down_with_one_ucc_down_and_with_uccs_not_known() -> None:
    assert roll_up_server(server(1, REFUSED, UP, web=SILENT)).phrase == "web timed out, UCC 6001 refused: screens dead"
    assert roll_up_server(server(1, NEW, UP, web=SILENT)).phrase == "web timed out: screens dead; UCC not known"


def test_uccs_down_with_the_web_not_known_is_down_without_claiming_that_web_answers() -> None:
    found = roll_up_server(server(1, REFUSED, REFUSED, web=NEW))
    assert (found.health, found.situation) == (Health.DOWN, Situation.SERVER_DOWN)
    assert "web not known" in found.phrase


def test_what_was_never_asked_is_unknown_and_says_so() -> None:
    found = verdict(server(1, NEW, NEW, web=NEW), server(2))
    assert (found.health, found.situation, found.phrase) == (
        Health.UNKNOWN, Situation.UNKNOWN, "SRV1 is not checked yet",
    )  # fmt: skip


def test_a_prober_in_doubt_is_named() -> None:
    assert verdict(server(1, CUT_OFF, UP), server(2)).phrase == "the prober itself may be cut off"


def test_a_wrong_certificate_degrades_and_never_more() -> None:
    found = verdict(server(1, cert=BAD_CERT), server(2))
    assert (found.health, found.situation) == (Health.DEGRADED, Situation.CERTIFICATE)
    assert found.phrase == "certificate of SRV1: does not name a365web1.x: it names old.x"


def test_an_unknown_certificate_changes_nothing() -> None:
    assert verdict(server(1, cert=NEW), server(2)).health is Health.UP


# ----------------------------------------------------------------------------------------------------------------- DNS


def test_on_the_standby_it_works_and_says_what_is_ready_to_go_back_to() -> None:
    found = verdict(dns=ON_2)
    assert (found.health, found.situation, found.on_primary) == (Health.UP, Situation.ON_STANDBY, False)
    assert found.phrase == "on the standby server SRV2; SRV1 is ready to fail back to"
    assert (found.active_server_id, found.standby_server_id) == (2, 1)


def test_an_address_record_is_matched_by_the_servers_address() -> None:
    assert verdict(dns=(says("dns1", "10.0.0.2"),)).active_server_id == 2


def test_name_servers_that_disagree_are_named_with_what_each_says() -> None:
    found = verdict(dns=(says("dns1", "srv2.x."), says("dns2", "srv1.x.")))
    assert (found.health, found.situation) == (Health.DEGRADED, Situation.DNS_SPLIT)
    assert found.phrase == "name servers disagree: dns1 says SRV2; dns2 says SRV1. Clients may be split"
    assert (found.active_server_id, found.active_text) == (2, "dns1 says SRV2; dns2 says SRV1")


def test_a_split_between_a_dead_and_a_working_server_is_degraded_as_some_clients_are_served() -> None:
    found = verdict(server(1, REFUSED, REFUSED), server(2), dns=(says("dns1", "srv2.x."), says("dns2", "srv1.x.")))
    assert (found.health, found.situation) == (Health.DEGRADED, Situation.DNS_SPLIT)
    assert "SRV1: UCC 6001, 6002 refused" in found.phrase


def test_a_split_between_two_dead_servers_is_down() -> None:
    dead = (server(1, REFUSED, REFUSED), server(2, REFUSED, REFUSED))
    found = verdict(*dead, dns=(says("dns1", "srv2.x."), says("dns2", "srv1.x.")))
    assert (found.health, found.situation) == (Health.DOWN, Situation.NO_DATA)


def test_a_name_missing_on_one_server_only_is_a_split() -> None:
    found = verdict(dns=(says("dns1", "srv1.x."), says("dns2", check=NO_RECORD)))
    assert found.situation is Situation.DNS_SPLIT
    assert "dns2 says that there is no such name" in found.phrase


def test_a_split_with_an_unknown_target_names_it() -> None:
    found = verdict(dns=(says("dns1", "odd.x."), says("dns2", "srv1.x.")))
    assert (found.health, found.situation, found.active_server_id) == (Health.DEGRADED, Situation.DNS_SPLIT, None)
    assert "dns1 says odd.x; dns2 says SRV1" in found.phrase


@pytest.mark.parametrize("values", [("odd.x.",), ("10.0.0.1", "10.0.0.2")])
def test_a_target_that_is_not_ours_is_foreign(values: tuple[str, ...]) -> None:
    found = verdict(dns=(says("dns1", *values),))
    assert (found.health, found.situation) == (Health.DEGRADED, Situation.DNS_FOREIGN)
    assert found.active_text == ", ".join(value.rstrip(".") for value in values)
    assert (found.active_server_id, found.standby_server_id) == (None, 1)


def test_a_missing_name_is_down() -> None:
    found = verdict(dns=(says("dns1", check=NO_RECORD), says("dns2", check=NO_RECORD)))
    assert (found.health, found.situation) == (Health.DOWN, Situation.DNS_MISSING)
    assert found.phrase == "dns1, dns2: there is no such name in DNS; clients find nothing"


def test_one_silent_name_server_degrades() -> None:
    found = verdict(dns=(says("dns1", "srv1.x."), says("dns2", "srv1.x.", check=SILENT)))
    assert (found.health, found.situation, found.active_server_id) == (Health.DEGRADED, Situation.DNS_SILENT, 1)
    assert found.phrase == "name server dns2 does not answer: no answer within 2 s"


def test_if_no_name_server_answers_nothing_is_known_of_where_clients_are_sent() -> None:
    found = verdict(dns=(says("dns1", "srv1.x.", check=SILENT), says("dns2", check=SILENT)))
    assert (found.health, found.situation) == (Health.UNKNOWN, Situation.DNS_SILENT)
    assert (found.active_server_id, found.standby_server_id) == (None, None)
    assert found.phrase == "no name server answers (dns1, dns2): where clients are sent is not known"


def test_name_servers_that_were_never_asked_or_not_entered_are_told_apart() -> None:
    assert verdict(dns=(says("dns1", check=NEW),)).phrase == "DNS is not checked yet"
    assert verdict(dns=(says("dns1", check=CUT_OFF),)).phrase == "the prober itself may be cut off"
    assert verdict(dns=()).phrase.startswith("no name server is entered")


# ------------------------------------------------------------------------------------------------------------- standby


def test_a_cold_standby_is_not_ready_but_that_alone_degrades_nothing() -> None:
    found = verdict(server(1, warm=False), server(2, REFUSED, REFUSED, warm=False))
    assert (found.health, found.situation, found.standby_ready) == (Health.UP, Situation.WORKING, False)
    assert found.standby_phrase == "UCC service not running (cold standby: start it first)"


def test_a_cold_standby_with_dead_web_services_is_a_fault() -> None:
    found = verdict(server(1, warm=False), server(2, REFUSED, REFUSED, web=REFUSED, warm=False))
    assert (found.health, found.situation) == (Health.DEGRADED, Situation.STANDBY_NOT_READY)


def test_both_running_where_one_should_is_loud() -> None:
    found = verdict(server(1, warm=False), server(2, warm=False))
    assert (found.health, found.situation) == (Health.DEGRADED, Situation.BOTH_ACTIVE)
    assert found.phrase == "SRV1 and SRV2 both run the UCC service (6001, 6002): only one of them should"


def test_both_running_is_loud_also_where_only_one_of_their_pools_means_it() -> None:
    assert verdict(server(1, warm=True), server(2, warm=False)).situation is Situation.BOTH_ACTIVE
    assert verdict(server(1, warm=True), server(2, warm=True)).situation is Situation.WORKING


@pytest.mark.parametrize(("count", "said"), [(4, "UCC 6001, 6002, 6003, 6004 refused"), (5, "6004 and 1 more refused")])
def test_four_ports_are_named_and_no_more(count: int, said: str) -> None:
    assert said in roll_up_server(server(1, *[REFUSED] * count, UP)).phrase


def test_other_uccs_on_a_target_of_the_paired_pool_are_not_both_active() -> None:
    other = replace(server(3, warm=False), uccs=(UccFact(77, "Other", 6001, UP),))
    found = verdict(server(1, warm=False), server(2, REFUSED, REFUSED, warm=False), other)
    assert found.situation is Situation.WORKING


def test_a_standby_whose_pool_lacks_a_ucc_is_not_ready_but_no_fault() -> None:
    other = replace(server(2), uccs=(UccFact(0, "Desk 0", 6001, UP),))
    found = verdict(server(1), other)
    assert (found.health, found.standby_ready) == (Health.UP, False)
    assert found.standby_phrase == "its pool has no trusted application for Desk 1"


@pytest.mark.parametrize(
    ("standby", "phrase"),
    [
        (server(2, UP, REFUSED), "UCC 6002 refused"),
        (server(2, REFUSED, REFUSED), "UCC 6001, 6002 refused"),
        (server(2, web=ERROR), "web: HTTP 503: an error of the web services"),
        (server(2, cert=BAD_CERT), "certificate: does not name a365web1.x: it names old.x"),
    ],
)
def test_a_standby_that_could_not_take_over_degrades_and_says_why(standby: ServerFacts, phrase: str) -> None:
    found = verdict(server(1), standby)
    assert (found.health, found.situation) == (Health.DEGRADED, Situation.STANDBY_NOT_READY)
    assert (found.standby_ready, found.standby_phrase) == (False, phrase)
    assert found.phrase == f"standby SRV2 is not ready: {phrase}"


def test_a_standby_in_maintenance_is_not_ready_and_nobodys_fault() -> None:
    found = verdict(server(1), replace(server(2, web=REFUSED), in_maintenance=True))
    assert (found.health, found.standby_ready) == (Health.UP, False)
    assert found.standby_phrase == "in maintenance; web refused"


def resting(target: ServerFacts, why: str = "patches") -> ServerFacts:
    return replace(target, in_maintenance=True, maintenance=why)


@pytest.mark.parametrize(
    ("why", "said"), [("patches", "SRV1 is in maintenance (patches)"), ("", "SRV1 is in maintenance")]
)
def test_what_is_wrong_on_a_server_in_maintenance_is_planned_and_its_reason_is_told(why: str, said: str) -> None:
    found = verdict(resting(server(1, REFUSED, REFUSED), why), server(2))
    assert (found.health, found.planned, found.maintenance) == (Health.DOWN, True, said)
    assert not verdict(server(1, REFUSED, REFUSED), resting(server(2))).planned


def test_what_is_not_known_of_a_server_in_maintenance_is_nobodys_plan() -> None:
    found = verdict(resting(server(1, NEW, NEW, web=NEW, cert=NEW)), server(2))
    assert (found.health, found.planned) == (Health.UNKNOWN, False)


@pytest.mark.parametrize("number", [1, 2])
def test_both_running_while_either_is_in_maintenance_is_planned(number: int) -> None:
    targets = [server(n, warm=False) for n in (1, 2)]
    targets[number - 1] = resting(targets[number - 1])
    found = verdict(*targets)
    assert (found.situation, found.planned) == (Situation.BOTH_ACTIVE, True)
    assert not verdict(server(1, warm=False), server(2, warm=False)).planned


def test_the_standby_is_the_first_that_is_not_in_maintenance() -> None:
    assert verdict(server(1), resting(server(2)), server(3)).standby_server_id == 3
    assert verdict(server(1), server(2), resting(server(3))).standby_server_id == 2
    assert verdict(server(1), resting(server(2)), resting(server(3))).standby_server_id == 2


def test_on_the_standby_a_primary_that_is_not_ready_is_not_offered() -> None:
    found = verdict(resting(server(1)), server(2), dns=ON_2)
    assert (found.situation, "fail back" in found.phrase) == (Situation.ON_STANDBY, False)
    assert "fail back" in verdict(dns=ON_2).phrase


def test_a_standby_that_is_not_known_is_not_ready() -> None:
    found = verdict(server(1), server(2, NEW, UP))
    assert (found.health, found.standby_ready, found.standby_phrase) == (Health.UP, False, "not checked yet")


def test_a_hostname_with_a_single_target_says_that_there_is_no_other() -> None:
    found = verdict(server(1))
    assert (found.standby_server_id, found.standby_phrase) == (None, "there is no other server to fail over to")


def test_the_worst_comes_first_and_the_next_is_told_too() -> None:
    found = verdict(server(1, REFUSED, REFUSED), server(2, web=REFUSED))
    assert found.health is Health.DOWN
    assert found.phrase.endswith("clients get no data; also standby SRV2 is not ready: web refused")


CHECKS = (UP, REFUSED, NEW, BAD_CERT)
DNS = (ON_1, ON_2, (says("dns1", "srv1.x."), says("dns2", "srv2.x.")), (says("dns1", check=SILENT),), (), ON_1[:1])


def test_every_combination_gives_a_true_and_complete_verdict() -> None:
    for one, two, web, other_web, warm, dns in product(CHECKS, CHECKS, CHECKS, CHECKS, (True, False), DNS):
        found = verdict(server(1, one, UP, web=web, warm=warm), server(2, two, two, web=other_web, warm=warm), dns=dns)
        if found.health is Health.UP:
            assert found.active_server_id is not None
            active = (one, UP, web) if found.active_server_id == 1 else (two, other_web)
            assert all(check.health is Health.UP for check in active)
        else:
            assert found.phrase
        if found.standby_ready:
            standby = (two, other_web) if found.standby_server_id == 2 else (one, web)
            assert all(check.answers for check in standby)


@given(st.lists(st.sampled_from(["srv1.x.", "srv2.x.", "odd.x.", ""]), max_size=4), st.sampled_from(CHECKS))
def test_whatever_dns_says_there_is_a_verdict_of_bounded_length(values: list[str], check: CheckFact) -> None:
    dns = tuple(says(f"dns{i}", *([value] if value else []), check=check) for i, value in enumerate(values))
    found = verdict(dns=dns)
    assert len(found.phrase) <= 300
    assert len(found.active_text) <= 255
