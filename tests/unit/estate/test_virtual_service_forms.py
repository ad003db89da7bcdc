"""Entering virtual services, and hostnames that lead to them; what is in use says so, with the way out."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from a365admin.accounts.models import Role
from a365admin.audit.models import AuditEntry
from pools.models import DedicatedHostname, Server, TrustedApplication, VirtualService
from tests.factories import (
    ServerFactory,
    TrustedApplicationFactory,
    TrustedApplicationPoolFactory,
    UserFactory,
    make_balanced,
    make_global,
    make_virtual_service,
)
from tests.unit.estate.test_forms import add, edit, errors

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin(client: Client) -> Client:
    client.force_login(UserFactory.create(role=Role.ADMINISTRATOR))
    return client


def a_pool_with_two_servers() -> tuple[TrustedApplication, Server, Server]:
    application = TrustedApplicationFactory.create()
    one, two = (ServerFactory.create(trusted_application_pool=application.trusted_application_pool) for _ in range(2))
    return application, one, two


def service_data(application: TrustedApplication, *servers: Server, **more: Any) -> dict[str, Any]:
    real = {f"target_{place}": server.pk for place, server in enumerate(servers)}
    site = application.trusted_application_pool.front_end_pool.site
    return {
        "name": "AMS-VIP", "fqdn": "ams.corp.example", "address": "10.1.0.1", "port": 443, "site": site.pk,
        "kind": "haproxy", "health_check": application.pk, "statistics_source": "tcp:10.1.0.2:9999", **real, **more,
    }  # fmt: skip


def test_a_virtual_service_is_entered_with_its_real_servers_in_order(admin: Client) -> None:
    application, one, two = a_pool_with_two_servers()
    assert add(admin, "virtual-service", **service_data(application, two, one)).status_code == 302
    service = VirtualService.objects.get()
    assert service.servers == [two, one]
    entry = AuditEntry.objects.latest("pk")
    assert (entry.action, entry.after["real servers"]) == ("virtual_service.added", [two.name, one.name])
    assert "AMS-VIP" in admin.get(reverse("pools:estate")).content.decode()


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("target_0", "", "Choose the server that the load balancer normally uses."),
        ("target_1", "same", "is chosen above already"),
        ("target_1", "9999999", "This is not there any more"),
        ("statistics_source", "https://me:secret@lb/", "kept where everybody can read it"),
        ("port", "70000", "from 1 to 65535"),
        ("address", "ams", "IP"),
        ("fqdn", "ams", "full name"),
    ],
)
def test_what_is_wrong_is_said_beside_its_field(admin: Client, field: str, value: str, said: str) -> None:
    application, one, two = a_pool_with_two_servers()
    data = service_data(application, one, two, **{field: value})
    if value == "same":
        data[field] = one.pk
    assert said in errors(add(admin, "virtual-service", **data), field)
    assert not VirtualService.objects.exists()


def test_a_health_check_whose_ucc_does_not_run_on_the_real_servers_is_refused(admin: Client) -> None:
    application, one, two = a_pool_with_two_servers()
    data = service_data(application, one, two, health_check=TrustedApplicationFactory.create().pk)
    assert "is not a trusted application of" in errors(add(admin, "virtual-service", **data), "health_check")


def test_a_hostname_may_lead_to_a_virtual_service(admin: Client) -> None:
    service = make_virtual_service()
    pool = service.health_check.trusted_application_pool
    data = {
        "fqdn": "a365web.corp.example", "service_name": "Desk", "trusted_application_pool": pool.pk,
        "record_type": "A", "ttl_s": 60, "target_0": f"v{service.pk}",
    }  # fmt: skip
    assert add(admin, "dedicated-hostname", **data).status_code == 302
    assert DedicatedHostname.objects.get().targets.get().aim == service
    hostname = DedicatedHostname.objects.get()
    assert edit(admin, "dedicated-hostname", hostname, target_1=service.servers[0].pk).status_code == 302
    assert [target.name for target in hostname.targets.order_by("order")] == [service.name, service.servers[0].name]


def test_a_cname_to_a_virtual_service_without_a_name_is_refused_beside_its_field(admin: Client) -> None:
    service = make_virtual_service(fqdn="")
    data = {
        "fqdn": "a365web.corp.example", "service_name": "Desk", "record_type": "CNAME", "ttl_s": 60,
        "trusted_application_pool": service.health_check.trusted_application_pool_id, "target_0": f"v{service.pk}",
    }  # fmt: skip
    assert "has no name in DNS" in errors(add(admin, "dedicated-hostname", **data), "target_0")


def test_a_virtual_service_keeps_what_its_hostnames_need(admin: Client) -> None:
    far = make_global().targets.get(order=2).aim
    assert "is a CNAME that may lead to this name" in errors(edit(admin, "virtual-service", far, fqdn=""), "fqdn")
    a_record = make_balanced().targets.get().aim
    assert "cannot hold an IPv6" in errors(edit(admin, "virtual-service", a_record, address="2001:db8::1"), "address")
    foreign, one, _ = a_pool_with_two_servers()
    wrong = edit(admin, "virtual-service", a_record, target_0=one.pk, target_1="", health_check=foreign.pk)
    assert "which cannot serve" in errors(wrong, "target_0")


def test_a_real_server_may_not_move_to_a_pool_where_the_health_checks_ucc_does_not_run(admin: Client) -> None:
    service = make_virtual_service()
    elsewhere = TrustedApplicationPoolFactory.create()
    moved = edit(admin, "server", service.servers[1], trusted_application_pool=elsewhere.pk)
    assert f"It is behind {service}." in errors(moved, "trusted_application_pool")


@pytest.mark.parametrize("field", ["port", "ucc"])
def test_moving_the_health_checks_ucc_is_refused_beside_its_field(admin: Client, field: str) -> None:
    service = make_virtual_service()
    other = TrustedApplicationFactory.create()
    changed = {"port": 7999} if field == "port" else {"ucc": other.ucc_id}
    said = errors(edit(admin, "trusted-application", service.health_check, **changed), field)
    assert f"The load balancer of {service} checks the port of" in said
    assert "Move the health check to another trusted application first" in said


def test_deleting_what_a_virtual_service_uses_says_so_with_the_way_out(admin: Client) -> None:
    service = make_virtual_service()
    url = reverse("pools:estate-delete", args=["trusted-application", service.health_check_id])
    for response in (admin.get(url), admin.post(url)):
        page = response.content.decode()
        assert f"{service}</a> (virtual service)" in page
        assert "Move the health check to another trusted application first" in page
    server = service.servers[0]
    page = admin.get(reverse("pools:estate-delete", args=["server", server.pk])).content.decode()
    assert f"{service}</a> (virtual service, as a real server)" in page
    hostname = make_balanced()
    used = hostname.targets.get().virtual_service_id
    page = admin.get(reverse("pools:estate-delete", args=["virtual-service", used])).content.decode()
    assert f"{hostname}</a> (dedicated hostname, as a target)" in page


def test_a_virtual_service_that_nothing_leads_to_is_deleted_with_its_list_of_real_servers(admin: Client) -> None:
    service = make_virtual_service()
    url = reverse("pools:estate-delete", args=["virtual-service", service.pk])
    assert "its list of real servers" in admin.get(url).content.decode()
    assert admin.post(url).status_code == 302
    assert Server.objects.count() == 2
