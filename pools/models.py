"""The estate as it is. The current state of its health is in ``state_models.py``, and taken from here by everybody.

Reads are named QuerySet methods; writes are functions in ``services.py``. The field's words are in ``docs/words.md``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower
from django.urls import reverse
from django.utils.functional import cached_property

from pools.check_overrides import CheckOverrides
from pools.clients.models import ClientInstallation
from pools.fields import PORT_VALIDATORS, FqdnField, validate_path, validate_sip_uri
from pools.history_models import CheckHistory, CheckRoster, HistoryProgress, HostnameDay, HostnameHour
from pools.maintenance.covering import NOT_COVERED, Covering
from pools.maintenance.models import Maintenance
from pools.state_models import CheckState, HealthTransition, HostnameStatus, ProbeShard
from pools.virtual_services import RealServer, VirtualService, VirtualServiceStatus, relying_on, way_out

# Defined elsewhere, and taken from here by everybody.
__all__ = [
    "CheckHistory",
    "CheckRoster",
    "CheckState",
    "ClientInstallation",
    "FqdnField",
    "HealthTransition",
    "HistoryProgress",
    "HostnameDay",
    "HostnameHour",
    "HostnameStatus",
    "Maintenance",
    "ProbeShard",
    "RealServer",
    "VirtualService",
    "VirtualServiceStatus",
]

TTL_MIN_S, TTL_MAX_S = 1, 3600


class Site(models.Model):
    """A datacentre."""

    name = models.CharField(max_length=80, unique=True)
    standby_runs_ucc = models.BooleanField(
        "standbys run the UCC service too",
        default=False,
        help_text="Both servers of a pair running it is normal in this site, in each of its pools.",
    )

    class Meta:
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [models.UniqueConstraint(Lower("name"), name="site_name_unique")]

    def __str__(self) -> str:
        return self.name


class FrontEndPool(models.Model):
    """A Skype for Business front-end pool. Two may be paired, mutually: ``services.pair_front_end_pools()``."""

    fqdn = FqdnField("FQDN", unique=True)
    site = models.ForeignKey(Site, models.PROTECT, related_name="front_end_pools")
    paired_with = models.OneToOneField("self", models.SET_NULL, null=True, blank=True, related_name="+")

    class Meta:
        ordering: ClassVar = ["fqdn"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(paired_with__isnull=True) | ~Q(paired_with=F("id")),
                name="front_end_pool_not_paired_with_itself",
                violation_error_message="A front-end pool cannot be paired with itself.",
            )
        ]

    def __str__(self) -> str:
        return self.fqdn


class TrustedApplicationPool(CheckOverrides):
    """Where A365 servers live. Its next hop is one front-end pool and cannot be repointed."""

    fqdn = FqdnField("FQDN", unique=True)
    front_end_pool = models.ForeignKey(
        FrontEndPool, models.PROTECT, related_name="trusted_application_pools", verbose_name="front-end pool (next hop)"
    )
    standby_runs_ucc = models.BooleanField(
        "the standby runs the UCC service too",
        default=False,
        help_text="Normal in some enterprise pools; of a whole site it is said on the site. Elsewhere two servers that "
        "answer on a UCC's port are a loud warning.",
    )
    watch_connections = models.BooleanField(
        "hold a watch connection to each UCC port",
        default=False,
        help_text="An idle connection; when it ends the port is asked at once. A stopped UCC is then noticed in a "
        "fraction of a second, at the price of one open connection for each port and server.",
    )
    check_path = models.CharField(
        "path to ask of its servers",
        max_length=200,
        blank=True,
        validators=[validate_path],
        help_text="Such as /Attendant. A server's own path, where it has one, comes first.",
    )

    class Meta:
        ordering: ClassVar = ["fqdn"]

    def __str__(self) -> str:
        return self.fqdn

    def clean(self) -> None:
        """Refuse a new next hop for an existing pool, and checks that cannot be."""
        self.clean_overrides()
        if self.pk and self.front_end_pool_id:
            before = (
                TrustedApplicationPool.objects.filter(pk=self.pk).values_list("front_end_pool_id", flat=True).first()
            )
            if before is not None and before != self.front_end_pool_id:
                raise ValidationError(
                    {
                        "front_end_pool": "A trusted application pool cannot be repointed. "
                        "Create a new pool and move its servers."
                    }
                )


class Server(CheckOverrides):
    """An A365 server: a Windows server that runs the UCC service and the web services (IIS)."""

    name = models.CharField(max_length=63, unique=True, help_text="Short name, such as SRV1.")
    fqdn = FqdnField("FQDN", unique=True)
    address = models.GenericIPAddressField("IP address")
    trusted_application_pool = models.ForeignKey(TrustedApplicationPool, models.PROTECT, related_name="servers")
    web_port = models.PositiveIntegerField("HTTPS port of the web services", default=443, validators=PORT_VALIDATORS)
    web_path = models.CharField(
        "path to ask", max_length=200, default="/", help_text="A page of the web services, such as /Attendant."
    )

    class Meta:
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["address", "web_port"],
                name="server_address_unique",
                violation_error_message="Another server has this address and port.",
            ),
            models.UniqueConstraint(Lower("name"), name="server_name_unique"),
            models.CheckConstraint(condition=Q(web_port__range=(1, 65535)), name="server_web_port_valid"),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Require a path, and checks that can be."""
        try:
            validate_path(self.web_path)
        except ValidationError as error:
            raise ValidationError({"web_path": error.messages}) from error
        pool = getattr(self, "trusted_application_pool", None)
        self.clean_overrides(*([pool.overrides] if pool else []))

    @cached_property
    def covering(self) -> Covering:
        """The maintenances that it is in now: its own, its pool's, its front-end pool's, its site's.

        For many servers at once: ``pools.maintenance.reads.attach_covering()``.
        """
        from pools.maintenance.reads import coverings_of

        return coverings_of({self.pk}).get(self.pk, NOT_COVERED) if self.pk else NOT_COVERED

    @property
    def in_maintenance(self) -> bool:
        """Whether it, its pool, its front-end pool or its site is in maintenance."""
        return bool(self.covering)

    @property
    def maintenance_reason(self) -> str:
        """Why it is in maintenance; "" where it is not."""
        return self.covering.sentence


class Ucc(models.Model):
    """A Unified Contact Center: a queue of interactions, handled by agents."""

    name = models.CharField(max_length=80, unique=True)
    description = models.CharField("what callers know it as", max_length=120, blank=True)
    home_pool = models.ForeignKey(
        TrustedApplicationPool,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="home pool",
        help_text="The trusted application pool whose hostname its clients use. Needed only where it is in several.",
    )
    sip_uri = models.CharField(
        "endpoint (SIP URI)",
        max_length=200,
        blank=True,
        validators=[validate_sip_uri],
        help_text="Such as sip:servicedesk@example.com. For the checklist of endpoints to move between paired pools.",
    )

    class Meta:
        ordering: ClassVar = ["name"]
        verbose_name = "UCC"
        constraints: ClassVar = [models.UniqueConstraint(Lower("name"), name="ucc_name_unique")]

    def __str__(self) -> str:
        return self.name


class TrustedApplication(models.Model):
    """A UCC in one trusted application pool, with the TCP port that it has there."""

    ucc = models.ForeignKey(Ucc, models.PROTECT, related_name="trusted_applications", verbose_name="UCC")
    trusted_application_pool = models.ForeignKey(
        TrustedApplicationPool, models.PROTECT, related_name="trusted_applications"
    )
    application_id = models.CharField("application id", max_length=120, help_text="Such as urn:application:reception.")
    port = models.PositiveIntegerField("TCP port", validators=PORT_VALIDATORS)

    class Meta:
        ordering: ClassVar = ["trusted_application_pool", "port"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["trusted_application_pool", "port"],
                name="port_unique_in_pool",
                violation_error_message="This port is taken by another UCC of this trusted application pool.",
            ),
            models.UniqueConstraint(
                fields=["trusted_application_pool", "application_id"],
                name="application_id_unique_in_pool",
                violation_error_message="This application id is taken by another UCC of this trusted application pool.",
            ),
            models.UniqueConstraint(
                fields=["trusted_application_pool", "ucc"],
                name="ucc_once_in_pool",
                violation_error_message="This UCC is already in this trusted application pool.",
            ),
            models.CheckConstraint(condition=Q(port__range=(1, 65535)), name="trusted_application_port_valid"),
        ]

    def __str__(self) -> str:
        return f"{self.ucc} ({self.port})"

    def clean(self) -> None:
        """Refuse to move a port that a load balancer's health check relies on."""
        before = TrustedApplication.objects.filter(pk=self.pk).first() if self.pk else None
        if before is None:
            return
        moved = [name for name in ("port", "ucc_id", "trusted_application_pool_id")
                 if getattr(before, name) != getattr(self, name)]  # fmt: skip
        if moved and (relying := relying_on(before)):
            raise ValidationError({moved[0].removesuffix("_id"): way_out(before, relying)})


class RecordType(models.TextChoices):
    """What kind of record a dedicated hostname is; a failover never changes it."""

    CNAME = "CNAME", "CNAME: the server's name"
    A = "A", "A: the server's IPv4 address"


class HostnameQuerySet(models.QuerySet["DedicatedHostname"]):
    """Named reads of dedicated hostnames."""

    def with_estate(self) -> HostnameQuerySet:
        """Everything that a page or a plan says about a hostname, in a constant number of queries."""
        return self.select_related("trusted_application_pool__front_end_pool__site", "status").prefetch_related(
            models.Prefetch("targets", FailoverTarget.objects.with_aims().order_by("order"))
        )


class DedicatedHostname(models.Model):
    """The name that clients use in place of a server's own name."""

    fqdn = FqdnField("FQDN", unique=True)
    service_name = models.CharField(max_length=120, help_text="In helpdesk's words: “Service Desk Amsterdam”.")
    trusted_application_pool = models.ForeignKey(
        TrustedApplicationPool, models.PROTECT, related_name="dedicated_hostnames"
    )
    record_type = models.CharField(max_length=5, choices=RecordType.choices, default=RecordType.CNAME)
    ttl_s = models.PositiveIntegerField(
        "TTL (s)",
        default=60,
        validators=[MinValueValidator(TTL_MIN_S), MaxValueValidator(TTL_MAX_S)],
        help_text="Seconds that clients may keep an answer. The shortest practical: 20 to 60.",
    )
    shares_primary = models.BooleanField(
        "its primary may be another hostname's primary too", default=False, help_text="State this if it is meant."
    )
    attendant_path = models.CharField(
        "path of the Attendant service",
        max_length=200,
        blank=True,
        validators=[validate_path],
        help_text="Only where it differs from the installation’s. It goes into the URL that a Web Wallboard is told.",
    )
    dashboard_path = models.CharField(
        "path of the Dashboard service",
        max_length=200,
        blank=True,
        validators=[validate_path],
        help_text="Only where it differs from the installation’s.",
    )

    objects = HostnameQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["fqdn"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(record_type__in=RecordType.values), name="hostname_record_type_known"),
            models.CheckConstraint(
                condition=Q(ttl_s__range=(TTL_MIN_S, TTL_MAX_S)),
                name="hostname_ttl_within_policy",
                violation_error_message=f"The TTL must be {TTL_MIN_S} to {TTL_MAX_S} seconds.",
            ),
        ]

    def __str__(self) -> str:
        return self.fqdn

    def get_absolute_url(self) -> str:
        """The hostname's page."""
        return reverse("pools:hostname", args=[self.fqdn])

    def cannot_be_served_by(self, servers: Iterable[Server], *, behind: VirtualService | None = None) -> str:
        """Why one of these servers cannot serve this hostname; "" where all can."""
        own = self.trusted_application_pool
        paired = own.front_end_pool.paired_with_id
        for server in servers:
            theirs = server.trusted_application_pool
            if theirs.pk != own.pk and (paired is None or theirs.front_end_pool_id != paired):
                return (
                    f"{server}{f' (behind {behind})' if behind else ''} is in {theirs}, which cannot serve {self}: "
                    f"choose a server of {own}, or of a trusted application pool behind the paired front-end pool."
                )
        return ""


class TargetQuerySet(models.QuerySet["FailoverTarget"]):
    """Named reads of targets."""

    BEHIND = (
        "virtual_service__site",
        "virtual_service__health_check__ucc",
        "virtual_service__real_servers__server__trusted_application_pool",
    )
    """What a virtual service needs of other tables."""

    def with_aims(self) -> TargetQuerySet:
        """What each target leads to, in a constant number of queries; in one where there are no virtual services."""
        return self.select_related("server__trusted_application_pool").prefetch_related(*self.BEHIND)


class FailoverTarget(models.Model):
    """A server or a virtual service that a hostname may point at. Order 1 is the primary; then standbys, best first."""

    hostname = models.ForeignKey(DedicatedHostname, models.CASCADE, related_name="targets")
    server = models.ForeignKey(Server, models.PROTECT, null=True, blank=True, related_name="targets")
    virtual_service = models.ForeignKey(
        VirtualService, models.PROTECT, null=True, blank=True, related_name="targets", verbose_name="virtual service"
    )
    order = models.PositiveSmallIntegerField(default=1, validators=[MinValueValidator(1)])

    objects = TargetQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["hostname", "order"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["hostname", "server"],
                name="target_once_per_hostname",
                violation_error_message="This server is already a target of this hostname.",
            ),
            models.UniqueConstraint(
                fields=["hostname", "virtual_service"],
                name="virtual_service_once_per_hostname",
                violation_error_message="This virtual service is already a target of this hostname.",
            ),
            models.UniqueConstraint(
                fields=["hostname", "order"],
                name="target_order_unique",
                violation_error_message="Another target of this hostname has this place in the order.",
            ),
            models.CheckConstraint(condition=Q(order__gte=1), name="target_order_from_one"),
            models.CheckConstraint(
                condition=Q(server__isnull=False, virtual_service__isnull=True)
                | Q(server__isnull=True, virtual_service__isnull=False),
                name="target_is_server_or_virtual_service",
                violation_error_message="A target is either a server or a virtual service.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.order}. {self.aim}"

    @property
    def aim(self) -> Server | VirtualService:
        """The server or virtual service that it leads to."""
        aim = self.server or self.virtual_service
        assert aim is not None  # the database's own rule
        return aim

    @property
    def servers(self) -> list[Server]:
        """The servers that clients may end up on by it: the server, or the virtual service's real servers."""
        return [self.server] if self.server else self.aim.servers if isinstance(self.aim, VirtualService) else []

    @property
    def name(self) -> str:
        """The short name of what it leads to."""
        return self.aim.name

    @property
    def fqdn(self) -> str:
        """What a CNAME to it says; "" for a virtual service without a name in DNS."""
        return self.aim.fqdn

    @property
    def address(self) -> str:
        """What an A record to it says."""
        return str(self.aim.address)

    @property
    def in_maintenance(self) -> bool:
        """Whether it must not be chosen."""
        return self.aim.in_maintenance

    @property
    def site(self) -> Site:
        """The datacentre that it leads to."""
        if self.virtual_service:
            return self.virtual_service.site
        return self.servers[0].trusted_application_pool.front_end_pool.site

    def clean(self) -> None:
        """Refuse what cannot serve the hostname, and a primary that is another's without saying so."""
        if not hasattr(self, "hostname") or (self.server is None and self.virtual_service is None):
            return
        field = "server" if self.server else "virtual_service"
        for problem in (self._cannot_serve(), self._cannot_be_held(), self._is_anothers()):
            if problem:
                raise ValidationError({field: problem})

    def _cannot_serve(self) -> str:
        return self.hostname.cannot_be_served_by(self.servers, behind=self.virtual_service)

    def _cannot_be_held(self) -> str:
        if self.hostname.record_type == RecordType.A:
            if ":" in self.address:
                return f"{self.aim} has an IPv6 address, which an A record cannot hold. Choose CNAME."
        elif not self.fqdn:
            return (
                f"{self.aim} has no name in DNS that a CNAME could lead to. Enter its FQDN, or make {self.hostname} "
                "an A record."
            )
        return ""

    def _is_anothers(self) -> str:
        if self.order != 1 or self.hostname.shares_primary:
            return ""
        other = (
            FailoverTarget.objects.filter(
                server=self.server_id,
                virtual_service=self.virtual_service_id,
                order=1,
                hostname__shares_primary=False,
            )
            .exclude(hostname_id=self.hostname_id)
            .select_related("hostname")
            .first()
        )
        if other is None:
            return ""
        return (
            f"{self.aim} is already the primary of {other.hostname}. If that is meant, tick "
            "“its primary may be another hostname's primary too” on one of the two (in a file: shares_primary)."
        )
