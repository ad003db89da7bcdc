"""Every role against every view of ours: who may, and what the others are told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.urls import reverse

from a365admin.accounts import decorators
from a365admin.accounts.decorators import require
from a365admin.accounts.models import Role
from a365admin.accounts.permissions import Capability
from a365admin.audit.models import AuditEntry
from a365admin.audit.services import record
from dnsops.models import UpdateKey, Zone
from pools.models import Site
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db
EVERYBODY = set(Role)
AUDIT = {Role.AUDITOR, Role.ADMINISTRATOR}
ADMINISTRATORS = {Role.ADMINISTRATOR}

VIEWS: list[tuple[str, str, str, set[Role]]] = [
    ("GET", "accounts:profile", "", EVERYBODY),
    ("GET", "accounts:people", "", ADMINISTRATORS),
    ("GET", "accounts:people-add", "", ADMINISTRATORS),
    ("POST", "accounts:people-add", "", ADMINISTRATORS),
    ("GET", "accounts:people-edit", "user", ADMINISTRATORS),
    ("POST", "accounts:people-edit", "user", ADMINISTRATORS),
    ("POST", "accounts:people-password", "user", ADMINISTRATORS),
    ("GET", "audit:log", "", AUDIT),
    ("GET", "audit:entry", "entry", AUDIT),
    ("GET", "audit:export", "", AUDIT),
    ("GET", "audit:verify", "", AUDIT),
    ("POST", "audit:verify", "", AUDIT),
    ("GET", "pools:estate", "", ADMINISTRATORS),
    ("GET", "pools:estate-add", "kind", ADMINISTRATORS),
    ("POST", "pools:estate-add", "kind", ADMINISTRATORS),
    ("GET", "pools:estate-edit", "site", ADMINISTRATORS),
    ("POST", "pools:estate-edit", "site", ADMINISTRATORS),
    ("GET", "pools:estate-delete", "site", ADMINISTRATORS),
    ("POST", "pools:estate-delete", "site", ADMINISTRATORS),
    ("GET", "dnsops:dns-list", "", ADMINISTRATORS),
    ("GET", "dnsops:dns-guide", "", ADMINISTRATORS),
    ("GET", "dnsops:dns-add", "dns-kind", ADMINISTRATORS),
    ("POST", "dnsops:dns-add", "dns-kind", ADMINISTRATORS),
    ("GET", "dnsops:dns-edit", "key", ADMINISTRATORS),
    ("GET", "dnsops:dns-delete", "key", ADMINISTRATORS),
    ("POST", "dnsops:dns-delete", "key", ADMINISTRATORS),
    ("POST", "dnsops:dns-test", "zone", ADMINISTRATORS),
]


def address(name: str, what: str) -> str:
    made: dict[str, Callable[[], list[object]]] = {
        "": list,
        "user": lambda: [UserFactory.create().pk],
        "entry": lambda: [record(action="x.y").pk],
        "kind": lambda: ["site"],
        "dns-kind": lambda: ["zone"],
        "site": lambda: ["site", Site.objects.create(name="Amsterdam").pk],
        "key": lambda: ["key", UpdateKey.objects.create(name="k.", secret_reference="env:K").pk],
        "zone": lambda: [Zone.objects.create(name="corp.example").pk],
    }
    return reverse(name, args=made[what]())


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("case", VIEWS, ids=[f"{case[0]} {case[1]}" for case in VIEWS])
def test_each_role_may_exactly_what_it_is_for(
    client: Client, role: Role, case: tuple[str, str, str, set[Role]]
) -> None:
    method, name, what, allowed = case
    client.force_login(UserFactory.create(role=role))
    response = client.generic(method, address(name, what))
    denied = AuditEntry.objects.filter(action="access.denied")
    if role in allowed:
        assert response.status_code in {200, 302, 422}
        assert not denied.exists()
    else:
        assert response.status_code == 403
        assert denied.get().outcome == "denied"
        assert denied.get().object_name.startswith(method)


def test_the_refusal_says_which_role_may_and_who_one_is(client: Client) -> None:
    user = UserFactory.create(role=Role.OPERATOR)
    client.force_login(user)
    text = client.get(reverse("audit:log")).content.decode()
    assert "read the audit log" in text
    assert "<strong>auditor</strong> or <strong>administrator</strong>" in text
    assert user.username in text
    assert "<strong>operator</strong>" in text


def test_a_role_is_in_force_at_once(client: Client) -> None:
    user = UserFactory.create(role=Role.ADMINISTRATOR)
    client.force_login(user)
    assert client.get(reverse("pools:estate")).status_code == 200
    type(user).objects.filter(pk=user.pk).update(role=Role.HELPDESK)
    assert client.get(reverse("pools:estate")).status_code == 403


def test_an_async_view_is_guarded_too(rf: RequestFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    denied: list[Capability] = []

    def refuse(request: HttpRequest, capability: Capability) -> HttpResponse:
        denied.append(capability)
        return HttpResponse(status=403)

    monkeypatch.setattr(decorators, "forbidden", refuse)

    @require(Capability.FAILOVER)
    async def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse("in")

    async def ask(role: Role) -> HttpResponse:
        request = rf.get("/x")

        async def auser() -> Any:
            return UserFactory.build(role=role)

        request.auser = auser
        return await view(request)

    assert asyncio.run(ask(Role.OPERATOR)).content == b"in"
    assert asyncio.run(ask(Role.AUDITOR)).status_code == 403
    assert denied == [Capability.FAILOVER]
