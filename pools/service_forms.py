"""The form by which a virtual service is edited."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.db import models

from pools.forms import EstateForm
from pools.models import RealServer, RecordType, Server, TrustedApplication, VirtualService
from pools.ordered_choices import server_fields
from pools.virtual_services import health_check_problem

REAL_SERVERS_MIN, REAL_SERVERS_MAX = 3, 8


if TYPE_CHECKING:
    _ModelChoiceField = forms.ModelChoiceField[TrustedApplication]
else:
    _ModelChoiceField = forms.ModelChoiceField


class HealthCheckField(_ModelChoiceField):
    """A trusted application, said with the pool that it is in."""

    def label_from_instance(self, obj: TrustedApplication) -> str:
        """Port, UCC and pool."""
        return f"{obj.port}: {obj.ucc} in {obj.trusted_application_pool}"


class VirtualServiceForm(EstateForm):
    """A virtual service with its real servers in their order, and the health check."""

    unique_name = "name"

    class Meta:
        model = VirtualService
        fields: ClassVar = [
            "name", "fqdn", "address", "port", "site", "kind", "health_check", "statistics_source", "statistics_backend"
        ]  # fmt: skip

    health_check = HealthCheckField(
        TrustedApplication.objects.select_related("ucc", "trusted_application_pool"),
        label="Health check: the UCC port that the load balancer checks",
        empty_label="Choose …",
        help_text="A UCC that runs on each of the real servers, and that is going to stay. Changing it here does not "
        "change the load balancer: its page here has the new configuration to paste.",
    )

    ordered_legend = "Real servers, the active one first"
    ordered_help = "The load balancer uses the first whose health check answers. Saving here does not change it."

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        now = self.instance.servers if self.instance.pk else []
        self.places = min(max(REAL_SERVERS_MIN, len(now) + 1), REAL_SERVERS_MAX)
        for place, field in enumerate(server_fields(self.places, now)):
            self.fields[f"target_{place}"] = field

    @property
    def target_fields(self) -> list[forms.BoundField]:
        """The fields of the real servers, for the template."""
        return [self[f"target_{place}"] for place in range(self.places)]

    @classmethod
    def described(cls, instance: Any) -> dict[str, Any]:
        """With the real servers, in their order."""
        real = instance.real_servers.select_related("server").order_by("order")
        return {**super().described(instance), "real servers": [str(one.server) for one in real]}

    def clean(self) -> dict[str, Any]:
        """Require real servers, a health check that can be done on each, and hostnames that stay served."""
        cleaned = super().clean()
        servers: list[Server] = []
        for place in range(self.places):
            server = cleaned.get(f"target_{place}")
            if server is not None and server in servers:
                self.add_error(f"target_{place}", f"{server} is chosen above already.")
            elif server is not None:
                servers.append(server)
        if not cleaned.get("target_0") and "target_0" not in self.errors:
            self.add_error("target_0", "Choose the server that the load balancer normally uses.")
        check = cleaned.get("health_check")
        if check is not None and (problem := health_check_problem(check, servers)):
            self.add_error("health_check", problem)
        if self.instance.pk:
            self._check_hostnames(cleaned, servers)
        return cleaned

    def _check_hostnames(self, cleaned: dict[str, Any], servers: list[Server]) -> None:
        """Refuse what would leave a hostname that leads here without what it needs."""
        home = "hostname__trusted_application_pool__front_end_pool"
        for target in self.instance.targets.select_related(home):
            hostname = target.hostname
            if problem := hostname.cannot_be_served_by(servers, behind=self.instance):
                self.add_error("target_0", f"{hostname} has this virtual service as a target. {problem}")
            if hostname.record_type == RecordType.CNAME and not cleaned.get("fqdn") and "fqdn" not in self.errors:
                self.add_error("fqdn", f"{hostname} is a CNAME that may lead to this name, so it must have one.")
            if hostname.record_type == RecordType.A and ":" in str(cleaned.get("address", "")):
                self.add_error("address", f"{hostname} is an A record and cannot hold an IPv6 address.")

    def add_error(self, field: str | None, error: Any) -> None:
        """One sentence for each field: several hostnames often say the same."""
        if field is not None and not isinstance(error, ValidationError) and error in self.errors.get(field, []):
            return
        super().add_error(field, error)

    def write(self) -> models.Model:
        """Save the virtual service, and its real servers where they differ."""
        service: VirtualService = self.save()
        chosen = [self.cleaned_data[f"target_{place}"] for place in range(self.places)]
        wanted = [server for server in chosen if server]
        if [real.server for real in service.real_servers.select_related("server").order_by("order")] != wanted:
            service.real_servers.all().delete()
            RealServer.objects.bulk_create(
                RealServer(virtual_service=service, server=server, order=order)
                for order, server in enumerate(wanted, start=1)
            )
        return service
