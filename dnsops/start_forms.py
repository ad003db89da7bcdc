"""The form of the guided entry: what one topology needs, and nothing else."""

from __future__ import annotations

import ipaddress
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from a365admin.accounts.formstyle import style
from dnsops.models import Algorithm, validate_secret_reference
from dnsops.secrets import SecretError, load_key
from dnsops.start_plan import LineError, Topology, read_dns_servers, read_uccs
from pools.fields import normalise_fqdn, validate_fqdn
from pools.models import TTL_MAX_S, TTL_MIN_S

DNS_FIELDS = ("zone", "dns_servers", "key_name", "algorithm", "secret_reference")


class _Fqdn(forms.CharField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=253, validators=[validate_fqdn], **kwargs)

    def to_python(self, value: Any) -> str:
        return normalise_fqdn(super().to_python(value) or "")


class StartForm(forms.Form):
    """The answers. ``groups`` are the fields in the order and under the headings in which they are asked."""

    def __init__(self, topology: Topology, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.topology = topology
        self._groups: list[tuple[str, list[str]]] = []
        for place, side in enumerate(topology.sides, 1):
            self._add_side(place, side.label, side.servers)
        for place, side in enumerate(topology.sides, 1):
            if side.hostname:
                self._add_home(place, side.label)
        self._add_rest()
        for field in self.fields.values():
            style(field)

    @property
    def groups(self) -> list[tuple[str, list[forms.BoundField]]]:
        """Headings with their fields, for the template."""
        return [(title, [self[name] for name in names]) for title, names in self._groups]

    def _group(self, title: str, fields: dict[str, forms.Field]) -> None:
        self.fields.update(fields)
        self._groups.append((title, list(fields)))

    def _add_side(self, place: int, label: str, servers: int) -> None:
        example = "ab"[place - 1]
        fields: dict[str, forms.Field] = {
            f"site_{place}": forms.CharField(label="Site", max_length=80, help_text="The datacentre: Amsterdam."),
            f"front_end_{place}": _Fqdn(label="Front-end pool", help_text=f"FQDN: fepool-{example}.example.com."),
            f"pool_{place}": _Fqdn(label="Trusted application pool", help_text="The pool of A365 servers: its FQDN."),
        }  # fmt: skip
        for number in range(1, servers + 1):
            role = "" if servers == 1 else " (active)" if number == 1 else " (passive)"
            fields[f"server_{place}_{number}"] = _Fqdn(label=f"Server {number}{role}", help_text="FQDN.")
            fields[f"address_{place}_{number}"] = forms.CharField(label=f"Address of server {number}", max_length=45)
        self._group(label, fields)

    def _add_home(self, place: int, label: str) -> None:
        paired = self.topology.paired
        example = "Service Desk, 6001, 6101" if paired else "Service Desk, 6001"
        ports = "its port in this pool and, after it, in the paired pool" if paired else "its port"
        where = f" of {label[0].lower()}{label[1:]}" if len(self.topology.sides) > 1 else ""
        self._group(
            f"UCCs and hostname{where}",
            {
                f"uccs_{place}": forms.CharField(
                    label="UCCs", max_length=100_000,
                    widget=forms.Textarea(attrs={"rows": 4, "placeholder": example, "spellcheck": "false"}),
                    help_text=f"One a line: name, {ports}.",
                ),
                f"hostname_{place}": _Fqdn(label="Dedicated hostname", help_text="The name that clients use."),
                f"service_{place}": forms.CharField(
                    label="What helpdesk calls it", max_length=120, help_text="Such as Service Desk Amsterdam."
                ),
            },
        )  # fmt: skip

    def _add_rest(self) -> None:
        self._group(
            "How it runs",
            {
                "standby_runs_ucc": forms.BooleanField(
                    label="The standby runs the UCC service too", required=False,
                    help_text="Leave it unticked where the UCC service is started by hand on the passive server.",
                ),
                "ttl_s": forms.IntegerField(
                    label="TTL (s)", initial=30, min_value=TTL_MIN_S, max_value=TTL_MAX_S,
                    help_text="For how long clients may keep an answer: 20 to 60 is the shortest practical.",
                ),
                "balanced": forms.ChoiceField(
                    label="Is there a load balancer?", initial="no", widget=forms.RadioSelect,
                    choices=[("no", "No: the hostname points at a server"),
                             ("yes", "Yes: virtual services are entered next, and become the hostname’s targets")],
                ),
            },
        )  # fmt: skip
        self._group(
            "DNS (can be entered later)",
            {
                "zone": _Fqdn(label="Zone", required=False, help_text="The zone that holds the dedicated hostnames."),
                "dns_servers": forms.CharField(
                    label="DNS servers", required=False, max_length=10_000,
                    widget=forms.Textarea(attrs={"rows": 3, "placeholder": "dns1 10.0.0.53", "spellcheck": "false"}),
                    help_text="Every authoritative server, one a line: name and address. The first is the writer.",
                ),
                "key_name": forms.CharField(label="TSIG key", required=False, max_length=253),
                "algorithm": forms.ChoiceField(label="Algorithm", choices=Algorithm.choices, required=False),
                "secret_reference": forms.CharField(
                    label="Where its secret is", required=False, max_length=300,
                    help_text="file:/etc/a365admin/tsig.key or env:VARIABLE. For Kerberos (Active Directory), leave "
                    "these three empty and enter the account afterwards.",
                ),
            },
        )  # fmt: skip

    def clean(self) -> dict[str, Any]:
        """Read the lists; say of each which line is wrong."""
        cleaned = super().clean() or {}
        for name in [name for name in self.fields if name.startswith("uccs_") and name in cleaned]:
            self._read(cleaned, name, lambda text: read_uccs(text, paired=self.topology.paired))
        for name in [name for name in self.fields if name.startswith("address_") and name in cleaned]:
            try:
                ipaddress.ip_address(cleaned[name])
            except ValueError:
                self.add_error(name, f"An IP address looks like 10.0.0.1; found “{cleaned[name]}”.")
        if cleaned.get("zone"):
            self._clean_dns(cleaned)
        elif any(cleaned.get(name) for name in ("dns_servers", "key_name", "secret_reference")):
            self.add_error("zone", "Enter the zone as well, or leave all of DNS for later.")
        return cleaned

    def _read(self, cleaned: dict[str, Any], name: str, read: Any) -> None:
        try:
            cleaned[name] = read(cleaned[name])
        except LineError as error:
            self.add_error(name, str(error))

    def _clean_dns(self, cleaned: dict[str, Any]) -> None:
        self._read(cleaned, "dns_servers", read_dns_servers)
        for line in cleaned.get("dns_servers") or ():
            try:
                ipaddress.ip_address(line.address)
            except (ValueError, AttributeError):
                self.add_error("dns_servers", f"An IP address looks like 10.0.0.53; found “{line.address}”.")
                break
        if not cleaned.get("key_name"):
            return
        reference = cleaned.get("secret_reference", "")
        try:
            validate_secret_reference(reference)
            load_key(name=cleaned["key_name"], algorithm=cleaned["algorithm"], reference=reference)
        except ValidationError as error:
            self.add_error("secret_reference", error)
        except SecretError as error:
            self.add_error("secret_reference", str(error))
