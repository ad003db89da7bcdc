"""The demo estate as data, its configuration, its certificates, and the page's words. Sockets are only for config."""

import json
import socket
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from cryptography import x509

from a365admin.lab import config as lab_config, estate, pki, words
from a365admin.lab.config import create_config, load_config
from a365admin.lab.errors import LabError
from a365admin.lab.faults import BalancerFault, DnsFault, ServerFault
from a365admin.lab.state import KeptState, ServerState, from_json, to_json
from a365admin.lab.zone import parse_zone, zone_text


def test_the_specifications_sample_is_in_it_exactly() -> None:
    pools = {pool.name: (pool.front_end_pool, pool.servers) for pool in estate.POOLS}
    targets = {hostname.name: (hostname.pool, hostname.targets) for hostname in estate.HOSTNAMES}
    paired = {pool.name: pool.paired_with for pool in estate.FRONT_END_POOLS}

    assert pools["a365pool1"] == ("fepool1", ("SRV1", "SRV2"))
    assert pools["a365pool2"] == ("fepool2", ("SRV3", "SRV4"))
    assert targets["a365web1"] == ("a365pool1", ("SRV1", "SRV2", "SRV3", "SRV4"))
    assert targets["a365web2"] == ("a365pool2", ("SRV3", "SRV4", "SRV1", "SRV2"))
    assert (paired["fepool1"], paired["fepool2"]) == ("fepool2", "fepool1")


def test_pairing_is_mutual_and_a_hostnames_targets_may_serve_it() -> None:
    paired = {pool.name: pool.paired_with for pool in estate.FRONT_END_POOLS}
    behind = {pool.name: pool.front_end_pool for pool in estate.POOLS}

    assert all(other is None or paired[other] == name for name, other in paired.items())
    for hostname in estate.HOSTNAMES:
        for server in (server for target in hostname.targets for server in estate.servers_of(target)):
            pool = estate.pool_of(server).name
            assert pool == hostname.pool or behind[pool] == paired[behind[hostname.pool]]


def test_a_uccs_port_belongs_to_the_ucc_in_a_pool() -> None:
    ports = {(name, pool.name): port for pool in estate.POOLS for name, port in pool.uccs}

    assert ports["Customer Care", "a365pool4"] != ports["Customer Care", "a365pool5"]
    assert all(len(set(pool.ucc_ports)) == len(pool.ucc_ports) for pool in estate.POOLS)


def test_only_the_cold_standby_starts_without_its_ucc_service() -> None:
    servers = [name for pool in estate.POOLS for name in pool.servers]

    assert [name for name in servers if not estate.runs_ucc_at_start(name)] == ["SRV6"]


@pytest.mark.enable_socket
def test_a_configuration_survives_being_written_and_read(tmp_path: Path) -> None:
    config = create_config(tmp_path)

    assert load_config(tmp_path / "lab.json") == config
    document = json.loads((tmp_path / "lab.json").read_text())
    assert set(document) >= {"domain", "block", "dns", "control", "tsig", "ca_file", "servers"}
    assert [server.name for server in config.servers] == [f"SRV{number}" for number in range(1, 13)]
    assert config.server("SRV1").address == f"{config.block}.11"
    assert len({*config.dns_ports, config.control.port}) == 3
    assert config.control.token not in repr(config)


@pytest.mark.enable_socket
def test_a_block_whose_ports_are_taken_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.19.0.13", 6001))
        other.listen()
        with pytest.raises(LabError, match="another program holds its ports"):
            create_config(tmp_path, block="127.19.0")


def test_a_machine_with_one_loopback_address_is_told_what_to_do(tmp_path: Path) -> None:
    with mock.patch.object(lab_config, "_can_bind", return_value=False), pytest.raises(LabError, match="up --empty"):
        create_config(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"domain": "lab.example"}', "\0"])
def test_a_file_that_is_no_configuration_is_refused_with_what_to_do(tmp_path: Path, text: str) -> None:
    path = tmp_path / "lab.json"
    path.write_text(text)

    with pytest.raises(LabError, match="Remove it and start again"):
        load_config(path)


def test_a_missing_file_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="--create"):
        load_config(tmp_path / "lab.json")


@pytest.mark.enable_socket
def test_the_untouched_zone_points_each_hostname_at_its_primary(tmp_path: Path) -> None:
    zone = parse_zone(zone_text(create_config(tmp_path)))

    for hostname in estate.HOSTNAMES:
        record = zone.get_rdataset(estate.fqdn(hostname.name) + ".", hostname.record_type)
        primary = estate.fqdn(hostname.targets[0]) + "."
        address = zone.get_rdataset(primary, "A")
        assert record is not None
        assert address is not None
        points_at = primary if hostname.record_type == "CNAME" else address[0].to_text()
        assert (record.ttl, record[0].to_text()) == (estate.RECORD_TTL_S, points_at)


def test_a_certificate_names_what_it_should_and_the_authority_only_its_domain(tmp_path: Path) -> None:
    pki.create_authority(tmp_path, domain="lab.example")
    path = pki.create_certificate(tmp_path, file_name="x.pem", names=("srv1.lab.example", "a365web1.lab.example"))

    leaf = x509.load_pem_x509_certificate(path.read_bytes())
    authority = x509.load_pem_x509_certificate((tmp_path / pki.CA_CERTIFICATE).read_bytes())
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    constraint = authority.extensions.get_extension_for_class(x509.NameConstraints).value
    assert names.get_values_for_type(x509.DNSName) == ["srv1.lab.example", "a365web1.lab.example"]
    assert constraint.permitted_subtrees == [x509.DNSName("lab.example")]
    leaf.verify_directly_issued_by(authority)
    assert path.stat().st_mode & 0o077 == 0


def test_the_state_survives_being_written_and_read() -> None:
    state = KeptState(
        {"SRV1": ServerState(ucc_running=False, faults=frozenset({ServerFault.SLOW, ServerFault.WEB_DOWN}))},
        {"dns1": frozenset({DnsFault.REFUSING}), "dns2": frozenset()},
        {"AMS-VIP": frozenset({BalancerFault.DEAD})},
    )

    assert from_json(to_json(state)) == state


def server_state(name: str = "SRV1", *faults: str, ucc_running: bool = True) -> dict[str, Any]:
    return {
        "name": name,
        "address": "127.77.0.11",
        "web_port": 8443,
        "ucc_ports": [6001, 6002],
        "ucc_running": ucc_running,
        "faults": list(faults),
        "possible_faults": [fault.value for fault in ServerFault],
    }


def test_every_fault_has_its_words() -> None:
    assert set(words.SERVER_WORDS) == set(ServerFault)
    assert set(words.DNS_WORDS) == set(DnsFault)
    assert set(words.BALANCER_WORDS) == set(BalancerFault)


def test_a_sound_server_has_a_button_to_break_it_in_each_way() -> None:
    card = words.server_card(server_state())

    assert (card.health, card.word, card.sentences) == ("up", "Up", ())
    assert [(button.fault, button.on) for button in card.buttons] == [(fault, True) for fault in ServerFault]


@pytest.mark.parametrize(
    ("fault", "health"),
    [
        (ServerFault.UCC_DOWN, "down"),
        (ServerFault.WEB_DOWN, "down"),
        (ServerFault.FIRST_REMOVED, "degraded"),
        (ServerFault.DEAD, "down"),
        (ServerFault.SILENT, "down"),
        (ServerFault.SLOW, "degraded"),
        (ServerFault.WRONG_CERTIFICATE, "degraded"),
    ],
)
def test_a_broken_server_says_what_is_wrong_and_has_a_button_to_mend_it(fault: ServerFault, health: str) -> None:
    card = words.server_card(server_state("SRV1", fault))

    assert card.health == health
    assert card.sentences == (words.SERVER_WORDS[fault].sentence,)
    assert [button.label for button in card.buttons if not button.on] == [words.SERVER_WORDS[fault].mend_it]


def test_a_cold_standby_has_one_button_for_its_ucc_service() -> None:
    stopped = words.server_card(server_state("SRV6", ucc_running=False))
    running = words.server_card(server_state("SRV6"))

    assert stopped.word == "Standby (not ready)"
    assert [button.fault for button in stopped.buttons if "ucc" in button.fault] == ["start_ucc"]
    assert [button.fault for button in running.buttons if "ucc" in button.fault] == ["stop_ucc"]
    assert running.word == "Up"


def test_a_hostname_has_a_button_for_each_edit_by_hand_that_would_change_its_record() -> None:
    plan = estate.HOSTNAMES[0]

    def labels(record: str) -> list[str]:
        return [edit.label for edit in words.edits(plan, "lab.example", record)]

    always = ["Give it a TTL of one hour", "Delete it"]
    assert labels("CNAME srv1.lab.example.") == ["Point it at SRV2 by hand", "Point it at a stranger by hand", *always]
    assert labels("CNAME elsewhere.lab.example.") == ["Point it at SRV1 by hand", "Point it at SRV2 by hand", *always]
    assert len(labels("")) == 3
    long = words.edits(plan, "lab.example", "CNAME srv2.lab.example.")[2]
    assert (long.target, long.ttl_s) == ("srv2.lab.example", 3600)
    assert words.edits(plan, "lab.example", "")[2] == words.Edit(
        "Point it at a stranger by hand", "a365web1.lab.example", "elsewhere.lab.example"
    )


def test_a_dns_server_that_will_fall_silent_still_works() -> None:
    card = words.dns_card(dns_state(is_writer=True, faults=["vanishing"], possible_faults=["vanishing"]))

    assert (card.health, card.word) == ("degraded", "Degraded")
    assert card.sentences == (words.DNS_WORDS[DnsFault.VANISHING].sentence,)


def dns_state(**given: Any) -> dict[str, Any]:
    return {
        "name": "dns2",
        "address": "127.0.0.1",
        "port": 20053,
        "is_writer": False,
        "serial": 8,
        "answers": {"a365web1.lab.example": "CNAME srv1.lab.example."},
    } | given


def test_a_dns_server_shows_how_to_ask_it() -> None:
    card = words.dns_card(dns_state(faults=["stuck"], possible_faults=["stuck", "silent", "down"]))

    assert card.command == "dig @127.0.0.1 -p 20053 +noall +answer"
    assert card.health == "down"
    assert [button.on for button in card.buttons] == [False, True, True]
