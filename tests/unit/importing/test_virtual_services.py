"""Virtual services in our own YAML: in, out, and back; what does not fit is said with its line."""

from __future__ import annotations

import pytest

from pools.importing.export import export_estate
from pools.importing.reading import SourceFile
from pools.models import DedicatedHostname, Server, VirtualService
from tests.unit.importing.test_apply import rows, run, sentences, whole, yaml

pytestmark = pytest.mark.django_db

SERVICES = """\
a365admin: 1
virtual_services:
- name: AMS-VIP
  fqdn: ams.corp.example
  address: 10.1.0.1
  site: {site}
  kind: haproxy
  real_servers: [{servers}]
  health_check: {ucc}
  statistics_source: tcp:10.1.0.2:9999
dedicated_hostnames:
- fqdn: a365vip.corp.example
  service_name: Behind a load balancer
  trusted_application_pool: {pool}
  record_type: A
  targets: [{target}]
"""


def services(**changed: str) -> list[SourceFile]:
    server = Server.objects.get(name="SRV1")
    pool = server.trusted_application_pool
    stated = {
        "site": str(pool.front_end_pool.site),
        "servers": "SRV1, srv2.corp.example",
        "ucc": str(pool.trusted_applications.first().ucc),  # type: ignore[union-attr]
        "pool": str(pool),
        "target": "ams-vip",
        **changed,
    }
    return yaml(SERVICES.format(**stated))


def test_a_virtual_service_comes_in_with_its_real_servers_health_check_and_hostname() -> None:
    run(whole())
    assert run(services()).applied
    service = VirtualService.objects.get()
    assert [server.name for server in service.servers] == ["SRV1", "SRV2"]
    assert service.health_check.trusted_application_pool == service.servers[0].trusted_application_pool
    assert DedicatedHostname.objects.get(fqdn="a365vip.corp.example").targets.get().aim == service


def test_a_second_time_changes_nothing_and_an_export_comes_back_as_the_same_estate() -> None:
    run(whole())
    run(services(target="ams.corp.example"))
    before = rows()
    assert not run(services()).difference.changes
    exported = [SourceFile("estate.yaml", export_estate(to="a test").encode())]
    assert not run(exported).difference.changes
    assert rows() == before
    VirtualService.objects.all()
    DedicatedHostname.objects.get(fqdn="a365vip.corp.example").delete()
    VirtualService.objects.get().delete()
    run(exported)
    assert [server.name for server in VirtualService.objects.get().servers] == ["SRV1", "SRV2"]


def test_order_health_check_and_targets_can_be_changed() -> None:
    run(whole())
    run(services())
    pool = Server.objects.get(name="SRV1").trusted_application_pool
    other = str(pool.trusted_applications.order_by("-port")[0].ucc)
    assert run(services(servers="SRV2, SRV1", ucc=other)).applied
    service = VirtualService.objects.get()
    assert [server.name for server in service.servers] == ["SRV2", "SRV1"]
    assert str(service.health_check.ucc) == other


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"servers": "SRV1, SRV99"}, "found “srv99”; expected a server that is in the files or here already"),
        ({"target": "nobody"}, "found “nobody”; expected a server or virtual service that is"),
        ({"ucc": "No such UCC"}, "found “No such UCC”; expected a UCC"),
        ({"servers": "SRV1, SRV4"}, "is not a trusted application of"),
        ({"servers": "SRV1, SRV1"}, "twice; expected each one once"),
        ({"site": "Nowhere"}, "found “Nowhere”; expected a site"),
    ],
)
def test_what_does_not_fit_is_said_and_nothing_is_written(changed: dict[str, str], said: str) -> None:
    run(whole())
    if "SRV4" in changed.get("servers", ""):
        Server.objects.get(name="SRV4").trusted_application_pool.trusted_applications.all().delete()
    before = rows()
    found = sentences(services(**changed))
    assert any(said in sentence for sentence in found), found
    assert rows() == before
    assert not VirtualService.objects.exists()


def test_moving_the_port_that_a_health_check_relies_on_is_refused() -> None:
    run(whole())
    run(services())
    application = VirtualService.objects.get().health_check
    text = (
        "a365admin: 1\ntrusted_applications:\n"
        f"- trusted_application_pool: {application.trusted_application_pool}\n"
        f"  application_id: {application.application_id}\n  port: 7777\n"
    )
    assert "Move the health check to another trusted application first" in sentences(yaml(text))[0]
