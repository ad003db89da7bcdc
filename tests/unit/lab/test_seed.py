"""The demo estate in the database."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.apps import apps
from django.core.exceptions import ValidationError

from a365admin.lab.config import LabConfig, create_config
from a365admin.lab.seed import seed_estate
from dnsops.models import NameServer, UpdateKey, Zone
from pools.models import DedicatedHostname, FailoverTarget, FrontEndPool, Server, TrustedApplication

pytestmark = [pytest.mark.django_db, pytest.mark.enable_socket]


@pytest.fixture
def config(tmp_path: Path) -> LabConfig:
    return create_config(tmp_path)


def test_the_estate_is_entered_as_the_specification_draws_it(config: LabConfig) -> None:
    seed_estate(config)

    hostname = DedicatedHostname.objects.get(fqdn="a365web1.lab.example")
    assert [target.name for target in hostname.targets.order_by("order")] == ["SRV1", "SRV2", "SRV3", "SRV4"]
    assert hostname.trusted_application_pool.fqdn == "a365pool1.lab.example"
    assert hostname.trusted_application_pool.front_end_pool.paired_with is not None
    assert hostname.trusted_application_pool.front_end_pool.paired_with.fqdn == "fepool2.lab.example"
    across = DedicatedHostname.objects.get(fqdn="a365web4.lab.example")
    assert {target.servers[0].trusted_application_pool.fqdn for target in across.targets.all()} == {
        "a365pool4.lab.example",
        "a365pool5.lab.example",
    }
    assert FrontEndPool.objects.get(fqdn="fepool3.lab.example").paired_with is None


def test_servers_and_ports_are_where_the_demo_listens(config: LabConfig) -> None:
    seed_estate(config)

    for server in config.servers:
        row = Server.objects.get(name=server.name)
        ports = row.trusted_application_pool.trusted_applications.values_list("port", flat=True)
        assert (row.address, row.web_port, sorted(ports)) == (server.address, server.web_port, [*server.ucc_ports])
    assert [(ns.name, ns.port, ns.is_writer) for ns in NameServer.objects.order_by("name")] == [
        ("dns1", config.dns_ports[0], True),
        ("dns2", config.dns_ports[1], False),
    ]


def test_the_secret_itself_is_not_in_the_database(config: LabConfig) -> None:
    seed_estate(config)

    assert UpdateKey.objects.get().secret_reference == f"file:{config.tsig.secret_file}"
    assert Zone.objects.get().key is not None


def test_everything_that_is_entered_passes_the_validation_of_its_form(config: LabConfig) -> None:
    seed_estate(config)

    for label in ("pools", "dnsops"):
        for model in apps.get_app_config(label).get_models():
            for row in model._default_manager.all():
                try:
                    row.full_clean()
                except ValidationError as error:
                    pytest.fail(f"{row!r}: {error}")


def test_entering_it_again_changes_nothing(config: LabConfig) -> None:
    seed_estate(config)
    before = {*FailoverTarget.objects.values_list("pk", flat=True)}, TrustedApplication.objects.count()

    seed_estate(config)

    assert ({*FailoverTarget.objects.values_list("pk", flat=True)}, TrustedApplication.objects.count()) == before


def test_entering_it_again_puts_right_what_was_changed(config: LabConfig) -> None:
    seed_estate(config)
    FailoverTarget.objects.filter(hostname__fqdn="a365web1.lab.example", order=2).delete()
    Server.objects.filter(name="SRV1").update(address="10.0.0.1")

    seed_estate(config)

    assert FailoverTarget.objects.filter(hostname__fqdn="a365web1.lab.example").count() == 4
    assert Server.objects.get(name="SRV1").address == config.server("SRV1").address
