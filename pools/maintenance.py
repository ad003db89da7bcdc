"""The form on a server's page that takes it out, or puts it back."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.utils import timezone

DURATIONS = [
    ("60", "1 hour"),
    ("240", "4 hours"),
    ("720", "12 hours"),
    ("1440", "1 day"),
    ("10080", "1 week"),
    ("", "until ended by hand"),
]


class MaintenanceForm(forms.Form):
    """Why, and for how long, a server is taken out of service."""

    reason = forms.CharField(
        max_length=200, label="Reason", error_messages={"required": "Say why; others will read it."}
    )
    duration_min = forms.ChoiceField(label="Ends by itself after", choices=DURATIONS, required=False)

    def until(self) -> datetime | None:
        """When maintenance ends by itself (UTC); None: not by itself."""
        minutes: Any = self.cleaned_data["duration_min"]
        return timezone.now() + timedelta(minutes=int(minutes)) if minutes else None
