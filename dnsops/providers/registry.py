"""Which ways of changing DNS there are: every module of this package that declares a ``KIND``."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from dnsops import providers
from dnsops.providers.base import ProviderKind


@cache
def kinds() -> dict[str, ProviderKind]:
    """Slug -> kind, in the order of their labels. Adding a file with a ``KIND`` is all that a new one takes."""
    names = [f"{providers.__name__}.{module.name}" for module in pkgutil.iter_modules(providers.__path__)]
    modules = map(importlib.import_module, names)
    found = [module.KIND for module in modules if isinstance(getattr(module, "KIND", None), ProviderKind)]
    return {kind.slug: kind for kind in sorted(found, key=lambda kind: kind.label)}


def choices() -> list[tuple[str, str]]:
    """For a form: what is stored, and what is shown."""
    return [(kind.slug, kind.label) for kind in kinds().values()]
