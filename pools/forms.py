"""The forms by which the estate is edited. What is true of a model is said by the model; its words reach the field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import models
from django.db.models import Q

from a365admin.accounts.formstyle import StyledForm
from pools.changes import digest
from pools.models import (
    TTL_MAX_S,
    TTL_MIN_S,
    DedicatedHostname,
    FailoverTarget,
    FrontEndPool,
    Server,
    Site,
    TrustedApplication,
    TrustedApplicationPool,
    Ucc,
    VirtualService,
)
from pools.ordered_choices import aim_fields, target_of
from pools.services import pair_front_end_pools
from pools.virtual_services import problem_behind

if TYPE_CHECKING:
    _ModelForm = forms.ModelForm[Any]
else:
    _ModelForm = forms.ModelForm

TARGETS_MIN, TARGETS_MAX = 4, 12


CHECK_FIELDS = [
    "check_ucc_interval_s",
    "check_ucc_timeout_s",
    "check_web_interval_s",
    "check_web_timeout_s",
    "check_fall",
    "check_rise",
    "check_expected_text",
]


class EstateForm(StyledForm, _ModelForm):
    """What the forms of all kinds have in common.

    ``seen`` carries a digest of what was shown, so that nobody overwrites what somebody else has changed since.
    """

    seen = forms.CharField(required=False, max_length=16, widget=forms.HiddenInput)
    unique_name: ClassVar[str] = ""  # a field that may differ from another's in more than capitals
    unrecorded: ClassVar[set[str]] = {"id"}  # columns that the audit log does not repeat
    settled: ClassVar[set[str]] = set()  # names of constraints that write() sees to itself

    @property
    def check_fields(self) -> list[forms.BoundField]:
        """The fields about its checks, for the template: they fold up."""
        return [self[name] for name in self.fields if name.startswith("check_")]

    @property
    def states_checks(self) -> bool:
        """Whether anything is stated about its checks, or wrong with it."""
        return any(field.value() or field.errors for field in self.check_fields)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            if isinstance(field, forms.ModelChoiceField) and field.required:
                field.empty_label = "Choose …"
        if self.instance.pk:
            self.fields["seen"].initial = digest(self.described(self.instance))

    @classmethod
    def described(cls, instance: Any) -> dict[str, Any]:
        """The object as the audit log tells it: the fields' names in words, and their values as people see them."""
        said = {}
        for field in instance._meta.concrete_fields:
            if field.name in cls.unrecorded:
                continue
            display = getattr(instance, f"get_{field.name}_display", None)
            value = display() if display else getattr(instance, field.name)
            said[str(field.verbose_name)] = str(value) if isinstance(value, models.Model) else value
        return said

    def write(self) -> models.Model:
        """Save what the form says; more than one row where the kind needs it."""
        saved: models.Model = self.save()
        return saved

    def clean(self) -> dict[str, Any]:
        """Refuse a name that differs from another one in capitals only."""
        cleaned = super().clean() or self.cleaned_data
        name = self.unique_name
        if name and cleaned.get(name):
            others = type(self.instance).objects.exclude(pk=self.instance.pk)
            other = others.filter(**{f"{name}__iexact": cleaned[name]}).first()
            if other:
                self.add_error(name, f"{other} has this {name} already; capitals make no difference.")
        return dict(cleaned)

    def add_error(self, field: str | None, error: Any) -> None:
        """Put a constraint's sentence beside the field that it is about, rather than above the form."""
        found = getattr(error, "error_dict", {}).get(NON_FIELD_ERRORS) if field is None else None
        if not found:
            super().add_error(field, error)
            return
        moved = {name: list(errors) for name, errors in error.error_dict.items() if name != NON_FIELD_ERRORS}
        places = _places(type(self.instance))
        settled = {c.violation_error_message for c in self.instance._meta.constraints if c.name in self.settled}
        for one in found:
            if one.message in settled:
                continue
            place = places.get(one.message, NON_FIELD_ERRORS)
            moved.setdefault(place if place in self.fields else NON_FIELD_ERRORS, []).append(one)
        if moved:
            super().add_error(None, ValidationError(moved))


def _places(model: type[models.Model]) -> dict[str, str]:
    """A constraint's sentence -> the last of its fields, which is the one that people can change."""
    return {
        str(constraint.violation_error_message): constraint.fields[-1]
        for constraint in model._meta.constraints
        if isinstance(constraint, models.UniqueConstraint) and constraint.fields
    }


class SiteForm(EstateForm):
    """A site."""

    unique_name = "name"

    class Meta:
        model = Site
        fields: ClassVar = ["name", "standby_runs_ucc"]
        help_texts: ClassVar = {"name": "The datacentre, in words that everybody here knows."}


class FrontEndPoolForm(EstateForm):
    """A front-end pool and its pair."""

    unrecorded: ClassVar[set[str]] = {"id", "paired_with"}  # pairing has an entry of its own

    class Meta:
        model = FrontEndPool
        fields: ClassVar = ["fqdn", "site"]

    partner = forms.ModelChoiceField(
        FrontEndPool.objects.none(),
        label="Paired with",
        required=False,
        empty_label="No other front-end pool",
        help_text="Pairing is mutual: the other one shows this one too.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["partner"]
        if isinstance(field, forms.ModelChoiceField):
            field.queryset = FrontEndPool.objects.exclude(pk=self.instance.pk)
        field.initial = self.instance.paired_with_id

    def clean_partner(self) -> FrontEndPool | None:
        """Refuse a pairing that takes another pool's partner, or that leaves targets which cannot serve any more."""
        partner: FrontEndPool | None = self.cleaned_data["partner"]
        if partner and partner.paired_with_id and partner.paired_with_id != self.instance.pk:
            raise ValidationError(f"{partner} is paired with {partner.paired_with}. Take that pairing away first.")
        before = self.instance.paired_with_id
        if self.instance.pk and before and before != (partner.pk if partner else None):
            across = _targets_across(self.instance.pk, before)
            if across:
                raise ValidationError(
                    f"{across[0].hostname} may point at {across[0].name} only because of this pairing"
                    f"{f' (and {len(across) - 1} more)' if len(across) > 1 else ''}. Take that target away first."
                )
        return partner

    def write(self) -> models.Model:
        """Save, and pair or unpair."""
        pool: FrontEndPool = self.save()
        partner = self.cleaned_data["partner"]
        if pool.paired_with_id != (partner.pk if partner else None):
            pair_front_end_pools(first=pool, second=partner)
        return FrontEndPool.objects.get(pk=pool.pk)


def _targets_across(one: int, other: int) -> list[FailoverTarget]:
    """The targets that cross from one front-end pool to the other."""
    path_of_hostname = "hostname__trusted_application_pool__front_end_pool"
    found = Q()
    for path in ("server", "virtual_service__real_servers__server"):
        path_of_server = f"{path}__trusted_application_pool__front_end_pool"
        found |= Q(**{path_of_hostname: one, path_of_server: other})
        found |= Q(**{path_of_hostname: other, path_of_server: one})
    return list(FailoverTarget.objects.filter(found).select_related("hostname").with_aims().distinct())


class TrustedApplicationPoolForm(EstateForm):
    """A trusted application pool. Its next hop is chosen once."""

    class Meta:
        model = TrustedApplicationPool
        fields: ClassVar = [
            "fqdn",
            "front_end_pool",
            "standby_runs_ucc",
            "watch_connections",
            *CHECK_FIELDS,
            "check_path",
        ]


class ServerForm(EstateForm):
    """A server. Taking it out for maintenance is done on its own page."""

    unique_name = "name"

    class Meta:
        model = Server
        fields: ClassVar = [
            "name", "fqdn", "address", "trusted_application_pool", "web_port", "web_path", *CHECK_FIELDS
        ]  # fmt: skip

    def clean_trusted_application_pool(self) -> TrustedApplicationPool:
        """Refuse a move that leaves hostnames pointing at a server which cannot serve them."""
        pool: TrustedApplicationPool = self.cleaned_data["trusted_application_pool"]
        if self.instance.pk:
            moved = Server.objects.get(pk=self.instance.pk)
            moved.trusted_application_pool = pool
            for target in moved.targets.select_related("hostname__trusted_application_pool__front_end_pool"):
                target.server = moved
                _refuse_unless_it_can_serve(target)
            if problem := problem_behind(moved):
                raise ValidationError(problem)
        return pool

    def clean_address(self) -> str:
        """Refuse an IPv6 address for a server that an A record has to be able to hold."""
        address: str = self.cleaned_data["address"]
        if self.instance.pk and ":" in address:
            for target in self.instance.targets.filter(hostname__record_type="A").select_related("hostname"):
                raise ValidationError(f"{target.hostname} is an A record and cannot hold an IPv6 address.")
        return address


def _refuse_unless_it_can_serve(target: FailoverTarget) -> None:
    try:
        target.clean()
    except ValidationError as error:
        raise ValidationError(f"{target.hostname} has this server as a target. {' '.join(error.messages)}") from error


class UccForm(EstateForm):
    """A UCC."""

    unique_name = "name"

    class Meta:
        model = Ucc
        fields: ClassVar = ["name", "description", "home_pool", "sip_uri"]


class TrustedApplicationForm(EstateForm):
    """A UCC in a trusted application pool: an existing UCC, or a new one by its name."""

    new_ucc = forms.CharField(
        label="or a new UCC called", max_length=80, required=False, help_text="Leave empty if you chose one above."
    )

    class Meta:
        model = TrustedApplication
        fields: ClassVar = ["trusted_application_pool", "ucc", "application_id", "port"]

    field_order = [  # noqa: RUF012 (Django's own declaration)
        "trusted_application_pool",
        "ucc",
        "new_ucc",
        "application_id",
        "port",
    ]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            del self.fields["new_ucc"]
            return
        field = self.fields["ucc"]
        field.required = False
        if isinstance(field, forms.ModelChoiceField):
            field.empty_label = "None of these"

    def clean(self) -> dict[str, Any]:
        """Require exactly one of: an existing UCC, a new name."""
        cleaned = super().clean()
        name = cleaned.get("new_ucc", "").strip()
        if name and cleaned.get("ucc"):
            self.add_error("new_ucc", "Choose a UCC above or enter a new name here, not both.")
        elif name and Ucc.objects.filter(name__iexact=name).exists():
            self.add_error("new_ucc", f"There is a UCC called {name} already: choose it above.")
        elif not name and not cleaned.get("ucc") and "ucc" not in self.errors:
            self.add_error("ucc", "Choose a UCC, or enter the name of a new one below.")
        return cleaned

    def write(self) -> models.Model:
        """Make the new UCC first, if there is one."""
        name = self.cleaned_data.get("new_ucc", "").strip()
        if name:
            self.instance.ucc = Ucc.objects.create(name=name)
        return super().write()


class HostnameForm(EstateForm):
    """A dedicated hostname with its targets in their order: the primary first, then the standbys, best first."""

    class Meta:
        model = DedicatedHostname
        fields: ClassVar = [
            "fqdn", "service_name", "trusted_application_pool", "record_type", "ttl_s", "shares_primary",
            "attendant_path", "dashboard_path",
        ]  # fmt: skip
        error_messages: ClassVar = {
            "ttl_s": dict.fromkeys(
                ("min_value", "max_value"),
                f"A TTL is {TTL_MIN_S} to {TTL_MAX_S} seconds here; 20 to 60 is the shortest practical.",
            )
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        now = list(self.instance.targets.with_aims().order_by("order")) if self.instance.pk else []
        self.places = min(max(TARGETS_MIN, len(now) + 2), TARGETS_MAX)
        for place, field in enumerate(aim_fields(self.places, [target.aim for target in now])):
            self.fields[f"target_{place}"] = field

    ordered_legend = "What it may point at, best first"
    ordered_help = (
        "A server of the same trusted application pool, or of one behind the paired front-end pool, or a virtual "
        "service with such real servers. Saving here does not change DNS."
    )

    @property
    def target_fields(self) -> list[forms.BoundField]:
        """The fields of the targets, for the template."""
        return [self[f"target_{place}"] for place in range(self.places)]

    @classmethod
    def described(cls, instance: Any) -> dict[str, Any]:
        """With the targets, in their order."""
        targets = instance.targets.with_aims().order_by("order")
        return {**super().described(instance), "targets": [target.name for target in targets]}

    def clean(self) -> dict[str, Any]:
        """Require a primary, each target once, and targets that can serve the hostname."""
        cleaned = super().clean()
        chosen = set()
        places = [(f"target_{place}", cleaned.get(f"target_{place}")) for place in range(self.places)]
        aims = [(name, aim) for name, aim in places if aim is not None]
        if not cleaned.get("target_0") and "target_0" not in self.errors:
            self.add_error("target_0", "Choose what the hostname normally points at.")
        for order, (name, aim) in enumerate(aims, start=1):
            if aim in chosen:
                self.add_error(name, f"{aim} is chosen above already.")
            chosen.add(aim)
            self._check_target(name, aim, order)
        return cleaned

    def _check_target(self, name: str, aim: Server | VirtualService, order: int) -> None:
        """Ask the model whether this may be a target of the hostname as it is being entered."""
        wanted = ("fqdn", "trusted_application_pool", "record_type")
        if any(field not in self.cleaned_data for field in wanted):
            return
        hostname = DedicatedHostname(
            pk=self.instance.pk,
            shares_primary=self.cleaned_data.get("shares_primary", False),
            **{field: self.cleaned_data[field] for field in wanted},
        )
        try:
            target_of(hostname, aim, order).clean()
        except ValidationError as error:
            self.add_error(name, " ".join(error.messages))

    def write(self) -> models.Model:
        """Save the hostname, and its targets where they differ."""
        hostname: DedicatedHostname = self.save()
        chosen = [self.cleaned_data[f"target_{place}"] for place in range(self.places)]
        wanted = [aim for aim in chosen if aim]
        if [target.aim for target in hostname.targets.with_aims().order_by("order")] != wanted:
            hostname.targets.all().delete()
            FailoverTarget.objects.bulk_create(
                target_of(hostname, aim, order) for order, aim in enumerate(wanted, start=1)
            )
        return hostname
