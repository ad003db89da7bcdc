"""What is stated otherwise than the estate's defaults about the checks of a trusted application pool or a server."""

from __future__ import annotations

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from pools.specs import TIMINGS
from pools.timing import COUNT_MAX, INTERVAL_MAX_S, TIMEOUT_MAX_S, Overrides, layered, problem_of


def _count(label: str, most: int, help_text: str) -> models.PositiveSmallIntegerField[int | None, int | None]:
    limits = [MinValueValidator(1), MaxValueValidator(most)]
    return models.PositiveSmallIntegerField(label, null=True, blank=True, validators=limits, help_text=help_text)


class CheckOverrides(models.Model):
    """Nullable fields; empty means: as its trusted application pool has it, else as the estate has it."""

    check_ucc_interval_s = _count("UCC ports: asked every … seconds", INTERVAL_MAX_S, "1 to 3600; usually 1.5.")
    check_ucc_timeout_s = _count("UCC ports: no answer after … seconds", TIMEOUT_MAX_S, "1 to 60; usually 1.5.")
    check_web_interval_s = _count("web services: asked every … seconds", INTERVAL_MAX_S, "1 to 3600; usually 10.")
    check_web_timeout_s = _count("web services: no answer after … seconds", TIMEOUT_MAX_S, "1 to 60; usually 4.")
    check_fall = _count("down after … bad results in a row", COUNT_MAX, "1 to 10; usually 3.")
    check_rise = _count("up again after … good results in a row", COUNT_MAX, "1 to 10; usually 2.")
    check_expected_text = models.CharField(
        "text that the web services’ page must hold",
        max_length=100,
        blank=True,
        help_text="Looked for in the first 64 KB of the page, capitals and all; an answer without it is bad.",
    )

    class Meta:
        abstract = True

    @property
    def overrides(self) -> Overrides:
        """What is stated here, and only here."""
        return Overrides(
            self.check_ucc_interval_s,
            self.check_ucc_timeout_s,
            self.check_web_interval_s,
            self.check_web_timeout_s,
            self.check_rise,
            self.check_fall,
            "",
            self.check_expected_text,
        )

    def clean_overrides(self, *beneath: Overrides) -> None:
        """Raise ValidationError where this, on top of ``beneath``, cannot be. The field is the one to change here."""
        found = problem_of(layered(self.overrides, *beneath, estate_defaults()), TIMINGS.__getitem__)
        if found and self.overrides != Overrides():
            raise ValidationError({f"check_{found[0]}": found[1]})


def estate_defaults() -> Overrides:
    """What is stated for the whole estate (``settings.POOLS``)."""
    defaults: Overrides = settings.POOLS["checks"]
    return defaults
