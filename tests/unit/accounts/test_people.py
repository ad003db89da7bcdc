"""Managing people."""

from __future__ import annotations

import re
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from a365admin.accounts import services
from a365admin.accounts.models import Role, User
from a365admin.audit.models import AuditEntry
from tests.factories import PASSWORD, UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def me(client: Client) -> User:
    user: User = UserFactory.create(username="me", role=Role.ADMINISTRATOR)
    client.force_login(user)
    return user


def form(user: User, **changes: Any) -> dict[str, Any]:
    data = {"first_name": "", "last_name": "", "email": "", "role": user.role, "is_active": "on", **changes}
    return {name: value for name, value in data.items() if value is not None}


def test_somebody_is_added_with_a_password_that_is_shown_once(client: Client, me: User) -> None:
    data = {"username": "anna", "role": Role.OPERATOR, "first_name": "", "last_name": "", "email": ""}
    response = client.post(reverse("accounts:people-add"), data)
    found = re.search(r'class="once"[^>]*>([^<]+)<', response.content.decode())
    assert found
    assert User.objects.get(username="anna").check_password(found[1])
    assert "no-store" in response["Cache-Control"]
    entry = AuditEntry.objects.get(action="person.added")
    assert (entry.actor_name, entry.object_name, entry.after["role"]) == ("me", "anna", "Operator")
    assert found[1] not in str(entry.after)


def test_a_name_that_differs_in_capitals_only_is_refused(client: Client, me: User) -> None:
    response = client.post(reverse("accounts:people-add"), {"username": "ME", "role": Role.HELPDESK})
    assert "Somebody has this name already" in response.content.decode()


def test_a_role_is_changed_with_before_and_after(client: Client, me: User) -> None:
    user = UserFactory.create()
    response = client.post(reverse("accounts:people-edit", args=[user.pk]), form(user, role=Role.AUDITOR))
    assert response.status_code == 302
    entry = AuditEntry.objects.get(action="person.role_changed")
    assert (entry.before["role"], entry.after["role"]) == ("Helpdesk", "Auditor")


def test_saving_without_a_change_records_nothing(client: Client, me: User) -> None:
    user = UserFactory.create()
    client.post(reverse("accounts:people-edit", args=[user.pk]), form(user))
    assert not AuditEntry.objects.exists()


def test_somebody_deactivated_is_signed_out_at_once(client: Client, me: User) -> None:
    user = UserFactory.create()
    theirs = Client()
    theirs.force_login(user)
    client.post(reverse("accounts:people-edit", args=[user.pk]), form(user, is_active=None))
    assert theirs.get(reverse("accounts:profile")).status_code == 302
    assert AuditEntry.objects.filter(action="person.deactivated").exists()


@pytest.mark.parametrize("change", [{"role": Role.OPERATOR}, {"is_active": None}])
def test_the_last_active_administrator_stays_one(client: Client, me: User, change: dict[str, Any]) -> None:
    UserFactory.create(role=Role.ADMINISTRATOR, is_active=False)
    response = client.post(reverse("accounts:people-edit", args=[me.pk]), form(me, **change))
    assert response.status_code == 422
    assert "the last active administrator" in response.content.decode()
    me.refresh_from_db()
    assert (me.role, me.is_active) == (Role.ADMINISTRATOR, True)
    UserFactory.create(role=Role.ADMINISTRATOR)
    assert client.post(reverse("accounts:people-edit", args=[me.pk]), form(me, **change)).status_code == 302


def test_a_new_password_ends_the_old_one_and_every_session(client: Client, me: User) -> None:
    user = UserFactory.create()
    theirs = Client()
    theirs.force_login(user)
    url = reverse("accounts:people-password", args=[user.pk])
    assert client.get(url).status_code == 405
    assert client.post(url).status_code == 200
    assert theirs.get(reverse("accounts:profile")).status_code == 302
    assert not User.objects.get(pk=user.pk).check_password(PASSWORD)
    assert AuditEntry.objects.get().action == "person.password_reset"


def test_ones_own_password_is_changed_on_the_profile(client: Client, me: User) -> None:
    assert client.post(reverse("accounts:people-password", args=[me.pk]))["Location"] == reverse("accounts:profile")
    assert User.objects.get(pk=me.pk).check_password(PASSWORD)


def test_a_service_refuses_fields_that_it_does_not_know() -> None:
    with pytest.raises(TypeError):
        services.change_person(user=UserFactory.create(), is_superuser=True)


def test_the_command_adds_an_administrator_and_prints_the_password_once() -> None:
    out = StringIO()
    call_command("add_user", "root", role="administrator", generate=True, stdout=out)
    user = User.objects.get()
    assert user.role == Role.ADMINISTRATOR
    assert user.check_password(out.getvalue().split()[-1])
    assert AuditEntry.objects.get().actor_name.startswith("add_user")
    with pytest.raises(CommandError, match="already"):
        call_command("add_user", "Root", generate=True, stdout=out)
    with pytest.raises(CommandError, match="valid username"):
        call_command("add_user", "no spaces", generate=True, stdout=out)
