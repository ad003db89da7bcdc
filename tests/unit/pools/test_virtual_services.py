"""Virtual services as rows: what they and the targets that lead to them demand."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError

from pools.estate import estate_checks
from pools.health import CheckKind
from pools.models import (
    FailoverTarget,
    RecordType,
    TrustedApplication,
    VirtualService,
)
from pools.reach import hostnames_of_servers, read_reach
from pools.virtual_services import health_check_problem
from tests.factories import (
    DedicatedHostnameFactory,
    ServerFactory,
    TrustedApplicationFactory,
    TrustedApplicationPoolFactory,
    VirtualServiceFactory,
    make_balanced,
    make_global,
    make_pair,
    make_virtual_service,
)

pytestmark = pytest.mark.django_db


def test_a_target_is_a_server_or_a_virtual_service_and_never_both_or_neither() -> None:
    hostname, service = make_pair(), make_virtual_service()
    server = ServerFactory.create()
    for wrong in ({}, {"server": server, "virtual_service": service}):
        with pytest.raises(IntegrityError), transaction.atomic():
            FailoverTarget.objects.create(hostname=hostname, order=7, **wrong)


def test_a_target_says_name_fqdn_and_address_of_whatever_it_leads_to() -> None:
    plain, behind = make_pair().targets.get(order=1), make_balanced().targets.get()
    assert (plain.name, plain.fqdn, plain.address) == (plain.aim.name, plain.aim.fqdn, plain.aim.address)
    service = behind.aim
    assert isinstance(service, VirtualService)
    assert (behind.name, behind.fqdn, behind.address) == (service.name, service.fqdn, service.address)
    assert behind.servers == service.servers
    assert behind.site == service.site


def test_a_cname_cannot_lead_to_a_virtual_service_without_a_name_and_an_a_record_can() -> None:
    target = make_balanced(fqdn="").targets.get()
    target.clean()
    target.hostname.record_type = RecordType.CNAME
    with pytest.raises(ValidationError, match="has no name in DNS that a CNAME could lead to"):
        target.clean()


def test_a_virtual_service_whose_real_servers_cannot_serve_the_hostname_is_refused() -> None:
    stranger = FailoverTarget(hostname=make_pair(), virtual_service=make_virtual_service(), order=3)
    with pytest.raises(ValidationError, match=r"SRV\d+ \(behind VIP\d+\) is in .* which cannot serve"):
        stranger.clean()


def test_a_real_server_of_the_paired_datacentre_can_serve() -> None:
    for target in make_global().targets.all():
        target.clean()


@pytest.mark.parametrize("name", ["", "a/b", "..", "SRV-TAKEN"])
def test_names_that_cannot_be_told_apart_or_written_are_refused(name: str) -> None:
    ServerFactory.create(name="srv-taken")
    with pytest.raises(ValidationError) as error:
        VirtualServiceFactory.build(name=name, fqdn="").clean()
    assert "name" in error.value.error_dict


def test_it_does_not_take_the_name_of_a_server_or_of_a_hostname() -> None:
    server, hostname = ServerFactory.create(), DedicatedHostnameFactory.create()
    for taken in (server.fqdn, hostname.fqdn):
        with pytest.raises(ValidationError) as error:
            VirtualServiceFactory.build(fqdn=taken).clean()
        assert "fqdn" in error.value.error_dict


def test_the_ucc_of_a_health_check_can_not_be_deleted() -> None:
    service = make_virtual_service()
    with pytest.raises(ProtectedError):
        service.health_check.delete()


@pytest.mark.parametrize("field", ["port", "ucc", "trusted_application_pool"])
def test_moving_the_ucc_of_a_health_check_is_refused_with_the_way_out(field: str) -> None:
    service = make_virtual_service()
    application = TrustedApplication.objects.get(pk=service.health_check_id)
    other = TrustedApplicationFactory.create()
    setattr(application, field, getattr(other, field))
    with pytest.raises(ValidationError, match="Move the health check to another trusted application first") as error:
        application.clean()
    assert list(error.value.error_dict) == [field]


def test_after_the_health_check_has_been_moved_the_ucc_may_go() -> None:
    service = make_virtual_service()
    old, new = service.health_check.trusted_application_pool.trusted_applications.order_by("port")
    service.health_check = new
    service.save()
    old.port = 7777
    old.clean()
    old.delete()


def test_the_same_ucc_in_the_other_pool_is_held_too_where_real_servers_are_there() -> None:
    service = make_virtual_service(servers=1)
    there = TrustedApplicationFactory.create(ucc=service.health_check.ucc, port=service.health_check.port)
    far = ServerFactory.create(trusted_application_pool=there.trusted_application_pool)
    there.port = 7001
    there.clean()
    service.real_servers.create(server=far, order=2)
    with pytest.raises(ValidationError, match="checks the port"):
        there.clean()


def test_a_health_check_must_be_there_with_the_same_port_on_every_real_server() -> None:
    service = make_virtual_service()
    far = ServerFactory.create()
    assert health_check_problem(service.health_check, service.servers) == ""
    problem = health_check_problem(service.health_check, [*service.servers, far])
    assert "is not a trusted application of" in problem
    there = TrustedApplicationFactory.create(
        ucc=service.health_check.ucc, trusted_application_pool=far.trusted_application_pool, port=6999
    )
    assert "checks one port on all real servers" in health_check_problem(service.health_check, [*service.servers, far])
    TrustedApplication.objects.filter(pk=there.pk).update(port=service.health_check.port)
    assert health_check_problem(service.health_check, [*service.servers, far]) == ""
    assert "none of the real servers" in health_check_problem(service.health_check, [far])
    assert "is not a trusted" in health_check_problem(
        service.health_check, [ServerFactory.create(trusted_application_pool=TrustedApplicationPoolFactory.create())]
    )


def test_its_checks_follow_from_it_vip_through_the_vip_and_on_each_real_server() -> None:
    hostname = make_balanced(statistics_source="tcp:127.0.0.1:9999")
    service = hostname.targets.get().aim
    checks = {check.key: check for check in estate_checks()}
    one, two = service.servers  # type: ignore[union-attr]
    assert {
        f"vip:{service.pk}",
        f"balancer:{service.pk}",
        f"web:v{service.pk}:{hostname.pk}",
        f"cert:v{service.pk}:{hostname.pk}",
        *(f"{kind}:{server.pk}:{hostname.pk}" for kind in ("web", "cert") for server in (one, two)),
    } <= set(checks)
    through = checks[f"web:v{service.pk}:{hostname.pk}"]
    assert (through.address, through.port, through.host) == (service.address, 443, hostname.fqdn)
    assert checks[f"vip:{service.pk}"].kind is CheckKind.VIP


def test_a_server_behind_a_virtual_service_tells_something_about_its_hostname() -> None:
    hostname = make_balanced()
    service = hostname.targets.get().aim
    reach = read_reach()
    assert reach.of_virtual_service == {service.pk: frozenset({hostname.pk})}
    assert all(reach.of_server[server.pk] == {hostname.pk} for server in service.servers)  # type: ignore[union-attr]
    assert hostnames_of_servers([service.servers[1].pk]) == {hostname.pk}  # type: ignore[union-attr]
