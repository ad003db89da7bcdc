"""Forms of the accounts' pages."""

from __future__ import annotations

import zoneinfo
from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.conf import settings
from django.contrib.auth import forms as auth_forms

from a365admin.accounts.formstyle import StyledForm
from a365admin.accounts.models import Role, User
from a365admin.accounts.permissions import ROLE_CAPABILITIES, Capability

if TYPE_CHECKING:
    _PersonModelForm = forms.ModelForm[User]
else:
    _PersonModelForm = forms.ModelForm


def role_choices() -> list[tuple[str, str]]:
    """Each role with what it may do, in words."""
    return [
        (role.value, f"{role.label}: may {', '.join(c.value for c in Capability if c in ROLE_CAPABILITIES[role])}")
        for role in Role
    ]


class SignInForm(StyledForm, auth_forms.AuthenticationForm):
    """Name and password. One sentence for every failure, so that it gives away no names."""

    error_messages = {  # noqa: RUF012 (Django's own declaration)
        "invalid_login": "This name and password do not belong together. Check both; capitals count.",
        "inactive": "This name and password do not belong together. Check both; capitals count.",
    }


class PersonForm(StyledForm, _PersonModelForm):
    """Somebody's names, role, and whether they may sign in."""

    role = forms.ChoiceField(choices=role_choices, widget=forms.RadioSelect)

    class Meta:
        model = User
        fields: ClassVar = ["first_name", "last_name", "email", "role", "is_active"]
        labels: ClassVar = {"is_active": "May sign in"}
        help_texts: ClassVar = {"is_active": "Untick to deactivate: their sessions end at once, their history stays."}


class NewPersonForm(PersonForm):
    """Somebody new. The password is made for them and shown once."""

    class Meta(PersonForm.Meta):
        fields: ClassVar = ["username", "first_name", "last_name", "email", "role"]
        labels: ClassVar = {"username": "Name to sign in with"}
        help_texts: ClassVar = {"username": "Letters, digits and @ . + - _ only."}

    def clean_username(self) -> str:
        """Refuse a name that differs from another in capitals only."""
        username: str = self.cleaned_data["username"]
        if User.objects.filter(username__iexact=username).exists():
            raise forms.ValidationError("Somebody has this name already. Choose another.")
        return username


class TimeZoneForm(StyledForm, forms.Form):
    """In which zone somebody reads times."""

    time_zone = forms.ChoiceField(label="Time zone", required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        default = f"The installation's own: {settings.DEFAULT_USER_TIME_ZONE}"
        zones = sorted(zone for zone in zoneinfo.available_timezones() if "/" in zone or zone == "UTC")
        field = self.fields["time_zone"]
        if isinstance(field, forms.ChoiceField):
            field.choices = [("", default), *((zone, zone.replace("_", " ")) for zone in zones)]


class OwnPasswordForm(StyledForm, auth_forms.PasswordChangeForm):
    """The old password, and a new one twice."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["old_password"].widget.attrs.pop("autofocus", None)  # it is not the page's first form
