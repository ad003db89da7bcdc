"""Zones, name servers, keys; operations, their steps and the DNS changes that they sent."""

from __future__ import annotations

import re
import uuid
from typing import Any, ClassVar

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import cached_property

from dnsops.addresses import parse_address
from dnsops.drill_models import Drill
from dnsops.endpoint_models import EndpointsMoved
from dnsops.lifecycle import ACTIVE, OperationKind, OperationState, StepKind, StepState
from dnsops.move_models import SiteMove, SiteMoveMember
from dnsops.providers import registry
from pools.fields import PORT_VALIDATORS
from pools.models import DedicatedHostname, FqdnField, Server, VirtualService

# The account's parts hold no @ and no space; a realm is a DNS name, nearly always in capitals.
_PRINCIPAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/$-]*@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")

__all__ = [
    "Algorithm",
    "DnsChange",
    "Drill",
    "EndpointsMoved",
    "FailoverOperation",
    "NameServer",
    "OperationStep",
    "SiteMove",
    "SiteMoveMember",
    "UpdateKey",
    "Zone",
    "validate_secret_reference",
]


def _choices(values: Any) -> list[tuple[str, str]]:
    return [(v.value, v.value.replace("_", " ")) for v in values]


class Algorithm(models.TextChoices):
    """TSIG algorithms that we use (RFC 8945 section 6); nothing weaker than SHA-256."""

    HMAC_SHA256 = "hmac-sha256", "HMAC-SHA256"
    HMAC_SHA384 = "hmac-sha384", "HMAC-SHA384"
    HMAC_SHA512 = "hmac-sha512", "HMAC-SHA512"


def validate_secret_reference(text: str) -> None:
    """Raise ValidationError unless ``text`` says where a secret is, rather than what it is."""
    if not text.startswith(("file:/", "env:")) or text in {"file:/", "env:"}:
        raise ValidationError(
            "Say where the secret is: file:/path/to/file or env:VARIABLE. The secret itself is never stored here."
        )


def validate_principal(text: str) -> None:
    """Raise ValidationError unless ``text`` names a Kerberos account with its realm (RFC 1964 section 2.1.1)."""
    if not _PRINCIPAL.fullmatch(text):
        raise ValidationError(
            f"Enter the account with its realm, such as svc-a365admin@AD.EXAMPLE.COM; found “{text}”. In Active "
            "Directory the realm is the domain's DNS name in capitals."
        )


def validate_kdcs(text: str) -> None:
    """Raise ValidationError unless ``text`` is a list of addresses, each with or without a port."""
    for part in text.replace(",", " ").split():
        try:
            parse_address(part)
        except ValueError:
            raise ValidationError(
                f"“{part}” is neither an address nor address:port. Enter for example 192.0.2.10, 192.0.2.11:88."
            ) from None


class UpdateKey(models.Model):
    """A TSIG key or a Kerberos account. What is secret stays in a file or the environment; here is only where."""

    class Kind(models.TextChoices):
        """What a change is signed with."""

        TSIG = "tsig", "TSIG key"
        GSS = "gss", "Kerberos account (GSS-TSIG)"

    kind = models.CharField(max_length=8, choices=Kind.choices, default=Kind.TSIG)
    name = FqdnField(
        "key name",
        unique=True,
        validators=[],
        help_text="A TSIG key's name as the DNS server knows it; for an account, any short name.",
    )
    algorithm = models.CharField(max_length=12, choices=Algorithm.choices, default=Algorithm.HMAC_SHA256)
    secret_reference = models.CharField(
        "where the secret is",
        max_length=300,
        validators=[validate_secret_reference],
        help_text="file:/etc/a365admin/tsig.key (BASE64 or a tsig-keygen file) or env:VARIABLE; for an account, "
        "file:/etc/a365admin/svc.keytab.",
    )
    principal = models.CharField(
        "account",
        max_length=255,
        blank=True,
        validators=[validate_principal],
        help_text="Kerberos only: the account with its realm, such as svc-a365admin@AD.EXAMPLE.COM.",
    )
    kdcs = models.CharField(
        "KDC addresses",
        max_length=500,
        blank=True,
        validators=[validate_kdcs],
        help_text="Kerberos only: addresses of domain controllers that give tickets, such as 192.0.2.10, "
        "192.0.2.11:88. Empty: the zone's name servers, port 88.",
    )

    class Meta:
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(kind__in=["gss", "tsig"]), name="update_key_kind_known"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_account(self) -> bool:
        """Whether it is a Kerberos account."""
        return self.kind == self.Kind.GSS


class Zone(models.Model):
    """A DNS zone that holds dedicated hostnames, and how we may change it."""

    name = FqdnField(unique=True)
    provider = models.CharField("how it is changed", max_length=12, choices=registry.choices, default="rfc2136")
    key = models.ForeignKey(UpdateKey, models.PROTECT, null=True, blank=True, related_name="zones")
    next_key = models.ForeignKey(
        UpdateKey,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="next_zones",
        help_text="While a key is being replaced: tried where the server does not accept the first one.",
    )
    accepted_key = models.ForeignKey(UpdateKey, models.SET_NULL, null=True, editable=False, related_name="+")
    accepted_at = models.DateTimeField(null=True, editable=False, help_text="When the server last accepted a key.")

    class PermissionTest(models.TextChoices):
        """Where the standing readiness test may change a record for itself."""

        AUTO = "auto", "where it leaves no trace (with TSIG)"
        ALWAYS = "always", "always"
        NEVER = "never", "never"

    permission_test = models.CharField(
        "permission test", max_length=6, choices=PermissionTest.choices, default=PermissionTest.AUTO
    )

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name

    @cached_property
    def servers(self) -> list[NameServer]:
        """Its name servers, the writer first; read once."""
        return list(self.name_servers.all())

    @property
    def provider_label(self) -> str:
        """How it is changed, in words; also where that way is no longer there."""
        kind = registry.kinds().get(self.provider)
        return kind.label if kind else f"unknown ({self.provider})"

    @property
    def tests_permission(self) -> bool:
        """Whether a record may be changed for itself, to see whether we may write it."""
        if self.permission_test == self.PermissionTest.AUTO:
            return self.provider == "rfc2136"
        return self.permission_test == self.PermissionTest.ALWAYS

    @property
    def needs_key(self) -> bool:
        """Whether it cannot be changed for want of a key."""
        kind = registry.kinds().get(self.provider)
        return kind is not None and bool(kind.key_kind) and self.key_id is None


class NameServer(models.Model):
    """An authoritative server of a zone. Exactly one is the writer: the one server that we update."""

    zone = models.ForeignKey(Zone, models.CASCADE, related_name="name_servers")
    name = models.CharField(max_length=80, help_text="Short name, such as dns1.")
    address = models.GenericIPAddressField("IP address")
    port = models.PositiveIntegerField(default=53, validators=PORT_VALIDATORS)
    host_name = FqdnField(
        "full host name",
        blank=True,
        unique=False,
        help_text="Needed for a Kerberos account: the domain controller's own full name, such as dc1.ad.example.com.",
    )
    is_writer = models.BooleanField("the writer", default=False, help_text="Changes are sent to this one server.")
    expected_lag_s = models.PositiveIntegerField(
        "expected lag (s)",
        default=15,
        validators=[MinValueValidator(0)],
        help_text="How long after a change this server may normally still give the old answer.",
    )

    IN_ZONE = ("-is_writer", "name")

    class Meta:
        ordering: ClassVar = ["zone", "-is_writer", "name"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["zone", "name"],
                name="name_server_name_unique",
                violation_error_message="This zone already has a name server of this name.",
            ),
            models.UniqueConstraint(
                fields=["zone", "address", "port"],
                name="name_server_address_unique",
                violation_error_message="This zone already has a name server at this address and port.",
            ),
            models.UniqueConstraint(
                fields=["zone"],
                condition=Q(is_writer=True),
                name="one_writer_per_zone",
                violation_error_message="This zone has a writer already; a change goes to one server only.",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class FailoverOperation(models.Model):
    """One failover or failback, from the click to its true end. The row is the truth; a queue message is a nudge."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    hostname = models.ForeignKey(DedicatedHostname, models.PROTECT, related_name="operations")
    hostname_fqdn = models.CharField(max_length=253)
    kind = models.CharField(max_length=8, choices=_choices(OperationKind))
    state = models.CharField(max_length=10, choices=_choices(OperationState), default=OperationState.PENDING.value)
    from_server = models.ForeignKey(Server, models.SET_NULL, null=True, related_name="+")
    from_virtual_service = models.ForeignKey(VirtualService, models.SET_NULL, null=True, related_name="+")
    from_text = models.CharField(max_length=255)
    to_server = models.ForeignKey(Server, models.SET_NULL, null=True, related_name="+")
    to_virtual_service = models.ForeignKey(VirtualService, models.SET_NULL, null=True, related_name="+")
    to_text = models.CharField(max_length=255)
    plan: models.JSONField[Any, Any] = models.JSONField(help_text="dnsops.plan.Plan, as it was shown")
    digest = models.CharField(max_length=64)
    findings: models.JSONField[Any, Any] = models.JSONField(default=list, help_text="Safety findings at the click")
    reason = models.TextField()
    ticket = models.CharField(max_length=60, blank=True)
    forced = models.BooleanField(default=False)
    overridden: models.JSONField[Any, Any] = models.JSONField(default=list, help_text="Names of the rules overridden")
    together = models.BooleanField(default=False, help_text="All or nothing with others: only they write it.")
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    requested_by_name = models.CharField(max_length=150)
    request_id = models.CharField(max_length=36, blank=True)
    idempotency_key = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True)
    written_at = models.DateTimeField(null=True, help_text="When the writer was seen to have the new answer.")
    ended_at = models.DateTimeField(null=True)
    result = models.TextField(blank=True, help_text="The sentence that the operation's page ends with")
    lease_owner = models.CharField(max_length=64, blank=True)
    lease_until = models.DateTimeField(null=True)
    fence = models.PositiveIntegerField(default=0, help_text="Counts claims; a worker with an older one may not write.")
    by_hand = models.BooleanField(default=False, help_text="A person makes the change; we look whether it is done.")
    hand_done_at = models.DateTimeField(null=True, help_text="When somebody last said that it is done by hand.")
    hand_done_by = models.CharField(max_length=150, blank=True)

    class Meta:
        ordering: ClassVar = ["-created_at"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["hostname"],
                condition=Q(state__in=sorted(s.value for s in ACTIVE)),  # a set has another order each time
                name="one_active_operation_per_hostname",
                violation_error_message="Another operation is running for this hostname.",
            ),
            models.CheckConstraint(
                condition=Q(state__in=[s.value for s in OperationState]), name="operation_state_known"
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["hostname", "-created_at"], name="operation_hostname")]

    def __str__(self) -> str:
        return f"{self.kind} of {self.hostname_fqdn} to {self.to_text}: {self.state}"

    def get_absolute_url(self) -> str:
        """The operation's permanent page."""
        return reverse("dnsops:operation", args=[self.pk])

    @property
    def to_target(self) -> Server | VirtualService | None:
        """Where it leads, while that is still in the estate."""
        return self.to_server or self.to_virtual_service

    @property
    def waits_for_hand(self) -> bool:
        """Whether the commands are shown, and the writer was not yet seen to give the new answer."""
        return self.by_hand and self.state == OperationState.RUNNING and self.written_at is None


class OperationStep(models.Model):
    """One step of an operation, with its evidence."""

    operation = models.ForeignKey(FailoverOperation, models.CASCADE, related_name="steps")
    order = models.PositiveSmallIntegerField()
    kind = models.CharField(max_length=12, choices=_choices(StepKind))
    state = models.CharField(max_length=8, choices=_choices(StepState), default=StepState.WAITING.value)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    sentence = models.TextField(blank=True)
    evidence: models.JSONField[Any, Any] = models.JSONField(default=dict)

    class Meta:
        ordering: ClassVar = ["operation", "order"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["operation", "kind"], name="step_once_per_operation"),
            models.CheckConstraint(condition=Q(state__in=[s.value for s in StepState]), name="step_state_known"),
        ]

    def __str__(self) -> str:
        return f"{self.kind}: {self.state}"


class DnsChange(models.Model):
    """One update message that was, or may have been, sent. Written before sending, completed after."""

    operation = models.ForeignKey(FailoverOperation, models.PROTECT, related_name="dns_changes")
    attempt = models.PositiveSmallIntegerField(default=1)
    writer = models.CharField(max_length=120, help_text="name (address:port)")
    zone = models.CharField(max_length=253)
    name = models.CharField(max_length=253)
    before: models.JSONField[Any, Any] = models.JSONField()
    after: models.JSONField[Any, Any] = models.JSONField()
    sent_at = models.DateTimeField(default=timezone.now)
    answered_at = models.DateTimeField(null=True)
    outcome = models.CharField(
        max_length=12, blank=True, help_text="dnsops.providers.base.OutcomeKind; empty: no answer yet"
    )
    rcode = models.CharField(max_length=24, blank=True)
    sentence = models.TextField(blank=True)

    class Meta:
        ordering: ClassVar = ["operation", "attempt"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["operation", "attempt"], name="attempt_once")]

    def __str__(self) -> str:
        return f"{self.name} at {self.writer}: {self.outcome or 'sent'}"


# Models of the same app that live in modules of their own.
from dnsops.drift_models import AnswerSource, Drift, ExpectedAnswer  # noqa: E402
from dnsops.readiness_models import Readiness  # noqa: E402
from dnsops.resolver_models import Resolver  # noqa: E402

__all__ = [
    "Algorithm",
    "AnswerSource",
    "DnsChange",
    "Drift",
    "Drill",
    "EndpointsMoved",
    "ExpectedAnswer",
    "FailoverOperation",
    "NameServer",
    "OperationStep",
    "Readiness",
    "Resolver",
    "UpdateKey",
    "Zone",
    "validate_secret_reference",
]
