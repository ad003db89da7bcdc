"""The kinds of things that the estate consists of, as far as editing them goes: one registry, few views."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from django.db import models
from django.urls import reverse

from pools.forms import EstateForm
from pools.models import FailoverTarget, RealServer


def _nothing(_: Any) -> list[Any]:
    return []


def _no_words(_: Any) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of thing that is edited on a page of its own."""

    slug: str
    word: str
    form: type[EstateForm]
    icon: str
    about: str
    namespace: str = "pools:estate"
    more_uses: Callable[[Any], list[models.Model]] = _nothing
    """What uses an object besides what the database knows; it must be given up before the object is deleted."""
    goes_along: Callable[[Any], list[str]] = _nothing
    """What is deleted together with an object, in words."""
    way_out: Callable[[Any], str] = _no_words
    """What to do about what uses an object, where that is more than to change or delete it."""

    @property
    def one(self) -> str:
        """The word with its article: a zone, an update key."""
        return f"{'an' if self.word[0] in 'aeio' or self.word.startswith('update') else 'a'} {self.word}"

    @property
    def model(self) -> type[models.Model]:
        """The model behind it."""
        model: type[models.Model] = self.form._meta.model
        return model

    def all(self) -> models.QuerySet[Any]:
        """All of them."""
        return self.model._meta.default_manager.all()  # type: ignore[union-attr]

    @property
    def add_url(self) -> str:
        """Where one is added."""
        return reverse(f"{self.namespace}-add", args=[self.slug])

    def edit_url(self, pk: Any) -> str:
        """Where one is edited."""
        return reverse(f"{self.namespace}-edit", args=[self.slug, pk])

    def delete_url(self, pk: Any) -> str:
        """Where one is deleted."""
        return reverse(f"{self.namespace}-delete", args=[self.slug, pk])

    @property
    def home_url(self) -> str:
        """The page that lists what there is."""
        return reverse(self.namespace if self.namespace == "pools:estate" else f"{self.namespace}-list")


_by_model: dict[type[models.Model], Kind] = {}


def register(kinds: Iterable[Kind]) -> dict[str, Kind]:
    """Make kinds known, and return them by their slug."""
    found = {kind.slug: kind for kind in kinds}
    _by_model.update({kind.model: kind for kind in found.values()})
    return found


def kind_of(model: type[models.Model]) -> Kind | None:
    """The kind of a model; None for what is not edited on a page of its own."""
    return _by_model.get(model)


@dataclass(frozen=True, slots=True)
class Use:
    """Something that uses what shall be deleted, with the page where that can be changed ("" where there is none)."""

    word: str
    name: str
    url: str


def use_of(used_by: models.Model) -> Use:
    """Say what ``used_by`` is and where its page is."""
    subject, word = used_by, ""
    if isinstance(used_by, FailoverTarget):
        subject, word = used_by.hostname, "dedicated hostname, as a target"
    elif isinstance(used_by, RealServer):
        subject, word = used_by.virtual_service, "virtual service, as a real server"
    kind = kind_of(type(subject))
    if kind:
        return Use(word or kind.word, str(subject), kind.edit_url(subject.pk))
    page = getattr(subject, "get_absolute_url", None)
    return Use(word or str(subject._meta.verbose_name), str(subject), page() if page else "")
