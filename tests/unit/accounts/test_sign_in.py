"""Signing in and out, and being locked out."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from a365admin.accounts.models import Role, User
from a365admin.accounts.views import UNKNOWN_NAME
from a365admin.audit.models import AuditEntry
from tests.factories import PASSWORD, UserFactory

pytestmark = pytest.mark.django_db
URL = "/sign-in/"


def sign_in(client: Client, name: str, password: str = PASSWORD, **more: Any) -> Any:
    return client.post(reverse("accounts:sign-in"), {"username": name, "password": password, **more})


def actions() -> list[tuple[str, str, str]]:
    rows = AuditEntry.objects.order_by("pk").values_list("action", "outcome", "object_name")
    return list(rows)


def test_it_signs_in_and_records_who_from_where(client: Client) -> None:
    user = UserFactory.create()
    response = sign_in(client, user.username)
    assert response.status_code == 302
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.actor_id, entry.actor_name) == ("session.signed_in", user.pk, user.username)
    assert entry.address == "127.0.0.1"


def test_it_goes_on_to_the_page_that_was_asked_for_but_never_to_another_site(client: Client) -> None:
    user = UserFactory.create()
    assert sign_in(client, user.username, next="/operations/").url == "/operations/"
    client.logout()
    assert sign_in(client, user.username, next="https://evil.example/").url == "/"


def test_a_wrong_password_and_an_unknown_name_read_the_same_and_are_recorded(client: Client) -> None:
    user = UserFactory.create()
    wrong = sign_in(client, user.username, "wrong").content.decode()
    unknown = sign_in(client, "my-password-in-the-wrong-box", "x").content.decode()
    sentence = "do not belong together"
    assert sentence in wrong
    assert sentence in unknown
    assert actions() == [("session.failed", "denied", user.username), ("session.failed", "denied", UNKNOWN_NAME)]


def test_somebody_deactivated_cannot_sign_in(client: Client) -> None:
    user = UserFactory.create(is_active=False)
    assert "do not belong together" in sign_in(client, user.username).content.decode()


def test_five_failures_lock_out_and_say_until_when(client: Client) -> None:
    user = UserFactory.create()
    for _ in range(4):
        assert sign_in(client, user.username, "wrong").status_code == 200
    response = sign_in(client, user.username, "wrong")
    assert response.status_code == 429
    assert response["Retry-After"] == "900"
    assert "locked for 15 minutes" in response.content.decode()
    assert sign_in(client, user.username).status_code == 429, "the right password does not help now"
    assert [action for action, _, _ in actions()] == ["session.failed"] * 4 + ["session.locked_out"]


def test_a_lockout_ends_by_itself(client: Client) -> None:
    user = UserFactory.create()
    for _ in range(5):
        sign_in(client, user.username, "wrong")
    with time_machine.travel(timezone.now() + timedelta(minutes=15, seconds=2), tick=True):
        assert sign_in(client, user.username).status_code == 302


def test_a_lockout_is_for_one_name_from_one_address(client: Client) -> None:
    user, other = UserFactory.create(), UserFactory.create()
    for _ in range(5):
        sign_in(client, user.username, "wrong")
    assert sign_in(Client(REMOTE_ADDR="10.0.0.2"), user.username).status_code == 302
    assert sign_in(client, other.username).status_code == 302


def test_it_counts_addresses_as_our_own_proxy_reports_them(client: Client, settings: Any) -> None:
    settings.TRUSTED_PROXIES = 1
    user = UserFactory.create()
    for number in range(5):
        forged = {"X-Forwarded-For": f"1.2.3.{number}, 10.0.0.7"}
        data = {"username": user.username, "password": "x"}
        response = client.post(reverse("accounts:sign-in"), data, headers=forged)
    assert response.status_code == 429
    assert AuditEntry.objects.latest("pk").address == "10.0.0.7"


def test_signing_out_needs_a_post_and_is_recorded(client: Client) -> None:
    user = UserFactory.create()
    client.force_login(user)
    assert client.get(reverse("accounts:sign-out")).status_code == 405
    assert client.post(reverse("accounts:sign-out"))["Location"] == reverse("accounts:sign-in")
    assert client.get("/profile/").status_code == 302
    assert actions() == [("session.signed_out", "ok", user.username)]
    assert AuditEntry.objects.get().actor_name == user.username


def test_the_demos_hint_is_shown_in_the_demo_only(client: Client, settings: Any) -> None:
    assert "This is the demo" not in client.get(URL).content.decode()
    settings.LAB_CONFIG = settings.VAR / "lab.json"
    assert "This is the demo" in client.get(URL).content.decode()


def test_nothing_is_public_but_signing_in(client: Client) -> None:
    for name in ("accounts:profile", "accounts:people", "audit:log", "pools:estate", "pools:overview"):
        response = client.get(reverse(name))
        assert response.status_code == 302
        assert response["Location"].startswith(URL)


def test_a_profile_sets_the_zone_and_the_password(client: Client) -> None:
    user = UserFactory.create()
    client.force_login(user)
    url = reverse("accounts:profile")
    assert client.post(url, {"what": "zone", "time_zone": "Europe/Lisbon"}).status_code == 302
    assert client.post(url, {"what": "zone", "time_zone": "Mars/Base"}).status_code == 422
    new = {"old_password": PASSWORD, "new_password1": "quite-another-1", "new_password2": "quite-another-1"}
    assert client.post(url, {"what": "password", **new, "old_password": "wrong"}).status_code == 422
    assert client.post(url, {"what": "password", **new}).status_code == 302
    assert client.get(url).status_code == 200, "still signed in here"
    user = User.objects.get(pk=user.pk)
    assert user.time_zone == "Europe/Lisbon"
    assert user.check_password("quite-another-1")
    text = "".join(str(entry.before) + str(entry.after) for entry in AuditEntry.objects.all())
    assert "quite-another-1" not in text


def test_a_profile_cannot_raise_somebodys_role(client: Client) -> None:
    user = UserFactory.create()
    client.force_login(user)
    client.post(reverse("accounts:profile"), {"what": "zone", "time_zone": "", "role": Role.ADMINISTRATOR})
    assert User.objects.get(pk=user.pk).role == Role.HELPDESK
