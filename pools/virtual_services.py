"""Virtual services of load balancers, their real servers, and what is known of them now.

A virtual service is a virtual IP (VIP) and port; the load balancer sends clients on to one of its real servers, by a
TCP check of one UCC's port. Imported by ``pools.models``, which is where everybody else takes these from.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from django.apps import apps
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.urls import reverse
from django.utils import timezone

from pools.fields import PORT_VALIDATORS, FqdnField
from pools.health import Health
from pools.statistics_source import parse_source

if TYPE_CHECKING:
    from pools.models import Server, TrustedApplication


class BalancerKind(models.TextChoices):
    """What kind of load balancer carries a virtual service."""

    HAPROXY = "haproxy", "HAProxy"
    KEMP = "kemp", "Kemp LoadMaster"
    OTHER = "other", "another load balancer"


def validate_statistics_source(text: str) -> None:
    """Raise ValidationError unless ``text`` says where statistics can be read."""
    try:
        parse_source(text)
    except ValueError as error:
        raise ValidationError(str(error)) from None


class VirtualServiceQuerySet(models.QuerySet["VirtualService"]):
    """Named reads of virtual services."""

    def with_estate(self) -> VirtualServiceQuerySet:
        """Everything that a page says about a virtual service, in a constant number of queries."""
        return self.select_related(
            "site", "health_check__ucc", "health_check__trusted_application_pool", "status__in_use"
        ).prefetch_related("real_servers__server__trusted_application_pool")


class VirtualService(models.Model):
    """A virtual IP and port on a load balancer, with real servers behind it; the active one is first in their order."""

    name = models.CharField(max_length=63, unique=True, help_text="Short name, such as AMS-VIP.")
    fqdn = FqdnField(
        "FQDN",
        blank=True,
        default="",
        help_text="Only where a CNAME shall lead to it: its own name in DNS, an A record for the VIP.",
    )
    address = models.GenericIPAddressField("virtual IP address (VIP)")
    port = models.PositiveIntegerField(default=443, validators=PORT_VALIDATORS)
    site = models.ForeignKey("pools.Site", models.PROTECT, related_name="virtual_services")
    kind = models.CharField("load balancer", max_length=8, choices=BalancerKind.choices, default=BalancerKind.HAPROXY)
    health_check = models.ForeignKey(
        "pools.TrustedApplication",
        models.PROTECT,
        related_name="health_checks",
        verbose_name="health check",
        help_text="The UCC whose TCP port the load balancer checks on each real server.",
    )
    statistics_source = models.CharField(
        max_length=300,
        blank=True,
        validators=[validate_statistics_source],
        help_text="Where HAProxy’s statistics can be read: unix:/run/haproxy/admin.sock, tcp:10.0.0.5:9999 or "
        "http://10.0.0.5:8404/stats;csv. It is only read. Empty: not read.",
    )
    statistics_backend = models.CharField(
        "backend in the statistics",
        max_length=120,
        blank=True,
        help_text="The name of HAProxy’s backend. Empty: found by the names of the real servers.",
    )

    objects = VirtualServiceQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["address", "port"],
                name="virtual_service_address_unique",
                violation_error_message="Another virtual service has this address and port.",
            ),
            models.UniqueConstraint(Lower("name"), name="virtual_service_name_unique"),
            models.UniqueConstraint(
                fields=["fqdn"],
                condition=~Q(fqdn=""),
                name="virtual_service_fqdn_unique",
                violation_error_message="Another virtual service has this name.",
            ),
            models.CheckConstraint(condition=Q(kind__in=BalancerKind.values), name="virtual_service_kind_known"),
            models.CheckConstraint(condition=Q(port__range=(1, 65535)), name="virtual_service_port_valid"),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """The virtual service's page."""
        return reverse("pools:virtual-service", args=[self.name])

    @property
    def in_maintenance(self) -> bool:
        """Whether none of its real servers is in service, so that it must not be chosen as a target."""
        servers = self.servers
        return bool(servers) and all(server.in_maintenance for server in servers)

    @property
    def maintenance_reason(self) -> str:
        """Why its real servers are in maintenance, where all of them are."""
        return next((server.maintenance_reason for server in self.servers), "") if self.in_maintenance else ""

    @property
    def servers(self) -> list[Server]:
        """Its real servers, the active one first."""
        return [real.server for real in sorted(self.real_servers.all(), key=lambda real: real.order)]

    def clean(self) -> None:
        """Refuse names that are a server's or a hostname's, or that cannot be part of an address of a page."""
        problems: dict[str, str] = {}
        if "/" in self.name or self.name.strip() in {"", ".", ".."}:
            problems["name"] = f"A short name without “/”, such as AMS-VIP; found “{self.name}”."
        elif _rows("Server").filter(name__iexact=self.name).exists():
            problems["name"] = f"A server is called {self.name} already: on the pages nobody could tell them apart."
        if self.fqdn and _rows("Server").filter(fqdn=self.fqdn).exists():
            problems["fqdn"] = (
                f"{self.fqdn} is a server’s own name. The virtual service has a name of its own, or none."
            )
        elif self.fqdn and _rows("DedicatedHostname").filter(fqdn=self.fqdn).exists():
            problems["fqdn"] = (
                f"{self.fqdn} is a dedicated hostname. If it is an A record for the VIP, leave this empty and make "
                "this virtual service its target."
            )
        if problems:
            raise ValidationError(problems)


class RealServer(models.Model):
    """A server behind a virtual service. Order 1 is the active one; the rest take over, best first."""

    virtual_service = models.ForeignKey(VirtualService, models.CASCADE, related_name="real_servers")
    server = models.ForeignKey("pools.Server", models.PROTECT, related_name="behind")
    order = models.PositiveSmallIntegerField(default=1, validators=[MinValueValidator(1)])

    class Meta:
        ordering: ClassVar = ["virtual_service", "order"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["virtual_service", "server"], name="real_server_once"),
            models.UniqueConstraint(fields=["virtual_service", "order"], name="real_server_order_unique"),
            models.CheckConstraint(condition=Q(order__gte=1), name="real_server_order_from_one"),
        ]

    def __str__(self) -> str:
        return f"{self.server} behind {self.virtual_service}"


class VirtualServiceStatus(models.Model):
    """What is known of a virtual service now; one row for each. ``in_use``: the real server that gets the clients."""

    virtual_service = models.OneToOneField(VirtualService, models.CASCADE, related_name="status", primary_key=True)
    health = models.CharField(max_length=9, choices=[(h.value, h.value) for h in Health], default=Health.UNKNOWN.value)
    situation = models.CharField(max_length=24, default="unknown")
    phrase = models.CharField(max_length=300, blank=True)
    since = models.DateTimeField(default=timezone.now)
    in_use = models.ForeignKey("pools.Server", models.SET_NULL, null=True, related_name="+")
    in_use_since = models.DateTimeField(null=True)
    moved_from = models.CharField(max_length=63, blank=True, help_text="Real server in use before.")
    took_s = models.FloatField(null=True, help_text="From our seeing the old one down to the change, in seconds.")

    def __str__(self) -> str:
        return f"{self.virtual_service}: {self.health}"


def _rows(name: str) -> models.QuerySet[models.Model]:
    rows: models.QuerySet[models.Model] = apps.get_model("pools", name)._meta.default_manager.all()
    return rows


def health_check_problem(health_check: TrustedApplication, servers: Iterable[Server]) -> str:
    """Why the port of this trusted application cannot be checked on each of ``servers``; "" where it can."""
    from pools.models import TrustedApplication

    pools = {server.trusted_application_pool for server in servers}
    for pool in sorted(pools, key=str):
        if pool.pk == health_check.trusted_application_pool_id:
            continue
        there = TrustedApplication.objects.filter(trusted_application_pool=pool, ucc_id=health_check.ucc_id).first()
        if there is None:
            return (
                f"{health_check.ucc} is not a trusted application of {pool}, so its port is closed on the real servers "
                f"there. Choose a UCC that runs in {' and in '.join(sorted(map(str, pools)))}."
            )
        if there.port != health_check.port:
            return (
                f"{health_check.ucc} has port {health_check.port} in {health_check.trusted_application_pool} but "
                f"{there.port} in {pool}; a load balancer checks one port on all real servers. Choose another UCC."
            )
    if pools and all(pool.pk != health_check.trusted_application_pool_id for pool in pools):
        return (
            f"{health_check.ucc} is chosen in {health_check.trusted_application_pool}, where none of the real servers "
            f"is. Choose the trusted application of {min(map(str, pools))}."
        )
    return ""


def problem_behind(server: Server) -> str:
    """Why a server, as it is in memory, cannot stay behind its virtual services; "" where it can."""
    for real in RealServer.objects.filter(server=server.pk).select_related("virtual_service__health_check__ucc"):
        service = real.virtual_service
        servers = [server if one.pk == server.pk else one for one in service.servers]
        problem = health_check_problem(service.health_check, servers)
        home = "hostname__trusted_application_pool__front_end_pool"
        for target in service.targets.select_related(home):
            problem = problem or target.hostname.cannot_be_served_by([server], behind=service)
        if problem:
            return f"It is behind {service}. {problem}"
    return ""


def relying_on(application: TrustedApplication) -> list[VirtualService]:
    """The virtual services whose load balancer checks this trusted application's port on some real server."""
    found = VirtualService.objects.filter(
        Q(health_check=application)
        | Q(
            health_check__ucc=application.ucc_id,
            real_servers__server__trusted_application_pool=application.trusted_application_pool_id,
        )
    )
    return list(found.distinct())


def way_out(application: TrustedApplication, relying: list[VirtualService]) -> str:
    """Why a trusted application must stay as it is, and what to do first."""
    named = ", ".join(map(str, relying))
    count = "The load balancer of" if len(relying) == 1 else "The load balancers of"
    return (
        f"{count} {named} checks the port of {application.ucc} ({application.port}); without it the load balancer "
        "would take all real servers out. Move the health check to another trusted application first: there, "
        "and on the load balancer itself."
    )
