"""Keys are nowhere but where they belong: the secret is searched for in all that the product writes, shows and sends.

A real failover, a failed one, every page about keys, and every mistake that a person could make with a key; then the
database, the pages, the log, the broker and the exports are read for the secret, in each of its forms.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from django.apps import apps
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from a365admin.accounts.models import Role
from a365admin.celery import app
from a365admin.lab.embedded import RunningLab, running_lab
from a365admin.lab.seed import seed_estate
from dnsops import executor, services
from dnsops.lifecycle import OperationKind
from dnsops.models import FailoverOperation, UpdateKey, Zone
from pools.importing.export import export_estate
from pools.models import DedicatedHostname, Server
from tests.factories import UserFactory
from tests.keytabs import KEY, record, written

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]
FQDN = "a365web1.lab.example"
WRONG = base64.b64encode(b"a wrong secret of thirty-two byt").decode()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLab]:
    with running_lab(tmp_path_factory.mktemp("lab")) as lab:
        lab.client.set_fault("SRV2", "start_ucc")
        yield lab


def forms_of(secret: str) -> list[str]:
    """A secret as it could turn up: BASE64, hexadecimal, and as Python shows its bytes."""
    raw = base64.b64decode(secret)
    return [secret, raw.hex(), repr(raw)[2:-1], base64.urlsafe_b64encode(raw).decode()]


@pytest.fixture(autouse=True)
def _quick(settings: Settings) -> None:
    settings.DNSOPS = {**getattr(settings, "DNSOPS", {}), "max_ttl_wait_s": 0.2, "verify_max_s": 3.0}


@pytest.fixture
def messages(broker: redis.Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> redis.Redis:
    """The broker, with Celery's messages in it: nobody takes them out."""
    monkeypatch.setattr(app.conf, "broker_write_url", redis_url)
    monkeypatch.setattr(app.amqp, "_producer_pool", None)
    return broker


class Seen:
    """All text that came out somewhere, and where."""

    def __init__(self) -> None:
        self.texts: list[tuple[str, str]] = []

    def add(self, where: str, text: str | bytes) -> None:
        """Keep what came out."""
        self.texts.append((where, text if isinstance(text, str) else text.decode("latin-1")))

    def page(self, response: Any, where: str) -> None:
        """Keep a page."""
        content = b"".join(response.streaming_content) if response.streaming else response.content
        self.add(f"page {where} ({response.status_code})", content)

    def places_of(self, secret: str) -> list[str]:
        """Where the secret came out, in whatever form."""
        return [where for where, text in self.texts for form in forms_of(secret) if form in text]


def fail_over(user: Any, kind: OperationKind, to: str, seen: Seen) -> FailoverOperation:
    hostname, server = DedicatedHostname.objects.get(fqdn=FQDN), Server.objects.get(name=to)
    found = services.preflight(hostname=hostname, kind=kind, to_server=server)
    seen.add("preflight", repr(found))
    operation = services.request_failover(
        user=user, hostname=hostname, kind=kind, to_server_id=server.pk, digest=found.digest, reason="secrets",
        idempotency_key=f"{kind}{to}", forced=found.blocked, typed_hostname=FQDN,
    )  # fmt: skip
    executor.run_to_end(operation.pk, owner="test")
    operation.refresh_from_db()
    return operation


def test_the_secret_is_in_no_row_page_log_message_or_export(
    lab: RunningLab,
    messages: redis.Redis,
    client: Client,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    caplog.set_level(logging.DEBUG)
    secret, seen = lab.config.tsig_secret(), Seen()
    seed_estate(lab.config)
    admin = UserFactory.create(role=Role.ADMINISTRATOR)
    client.force_login(admin)
    _mistakes_with_keys(client, secret, tmp_path, seen)
    _pages(client, seen)

    operation = fail_over(admin, OperationKind.FAILOVER, "SRV2", seen)
    assert operation.state == "succeeded", operation.result
    (tmp_path / "wrong.key").write_text(WRONG)
    UpdateKey.objects.filter(zones__name=lab.config.domain).update(secret_reference=f"file:{tmp_path / 'wrong.key'}")
    failed = fail_over(admin, OperationKind.FAILBACK, "SRV1", seen)
    assert failed.state == "failed", failed.result
    for shown in (operation, failed):
        seen.page(client.get(shown.get_absolute_url()), "operation")
    _pages(client, seen)

    _everything_kept(messages, seen)
    seen.add("estate export", export_estate(to="test"))
    seen.add("log", "\n".join([*(r.getMessage() for r in caplog.records), caplog.text]))
    assert len(seen.texts) > 30
    assert any("a365admin" in text for where, text in seen.texts if where.startswith("table dnsops"))
    assert any(str(operation.pk) in text for where, text in seen.texts if where.startswith("broker"))
    for hidden in (secret, WRONG, base64.b64encode(KEY).decode()):
        assert seen.places_of(hidden) == []


def _mistakes_with_keys(client: Client, secret: str, tmp_path: Path, seen: Seen) -> None:
    """The secret pasted where it does not belong, files that hold it in the wrong form, a keytab of somebody else."""
    (tmp_path / "odd.key").write_text(f'key "other" {{ algorithm hmac-sha256; secret "{secret}"; }};')
    (tmp_path / "broken.key").write_text(f"!{secret}!")
    keytab = written(tmp_path, record("other"))
    url = reverse("dnsops:dns-add", args=["key"])
    tries: list[dict[str, str]] = [
        {"name": "one", "secret_reference": secret},
        {"name": "two", "secret_reference": f"file:{tmp_path / 'odd.key'}"},
        {"name": "three", "secret_reference": f"file:{tmp_path / 'broken.key'}"},
        {"name": "four", "kind": "gss", "principal": "svc@AD.EXAMPLE", "secret_reference": f"file:{keytab}"},
        {"name": "five", "kind": "gss", "principal": "svc@AD.EXAMPLE", "secret_reference": secret},
        {"name": "six", "kind": "gss", "principal": "other@AD.EXAMPLE", "secret_reference": f"file:{keytab}"},
    ]
    for data in tries:
        response = client.post(url, {"algorithm": "hmac-sha256", **data})
        assert response.status_code == (302 if data["name"] == "six" else 422), data
        seen.page(response, f"add key {data['name']}")


def _pages(client: Client, seen: Seen) -> None:
    """Every page that has to do with keys and changes, and the audit log in each of its forms."""
    addresses = [
        reverse("dnsops:dns-list"),
        *(reverse("dnsops:dns-edit", args=["key", key.pk]) for key in UpdateKey.objects.all()),
        *(reverse("dnsops:dns-edit", args=["zone", zone.pk]) for zone in Zone.objects.all()),
        reverse("dnsops:operations"),
        reverse("dnsops:preflight", args=[FQDN]),
        reverse("dnsops:readiness", args=[FQDN]),
        reverse("dnsops:timeline", args=[FQDN]),
        reverse("audit:log"),
        *(reverse("audit:export") + f"?format={kind}" for kind in ("csv", "jsonl")),
    ]
    for address in addresses:
        seen.page(client.get(address), address)
    for zone in Zone.objects.all():
        seen.page(client.post(reverse("dnsops:dns-test", args=[zone.pk])), "test zone")


def _everything_kept(broker: redis.Redis, seen: Seen) -> None:
    """Every row of every table, and everything in the broker."""
    for model in apps.get_models():
        for row in model._meta.default_manager.all().values():  # type: ignore[union-attr]
            seen.add(f"table {model._meta.label_lower}", repr(row))
    for key in broker.keys("*"):
        seen.add(f"broker {key!r}", broker.dump(key) or b"")
        kept = broker.lrange(key, 0, -1) if broker.type(key) == b"list" else []
        kept += broker.hvals(key) if broker.type(key) == b"hash" else []
        for message in kept:
            seen.add(f"broker {key!r}", message)
            with suppress(ValueError, KeyError, TypeError):
                seen.add(f"broker {key!r}", base64.b64decode(json.loads(message)["body"]))
