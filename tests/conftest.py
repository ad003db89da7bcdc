"""What every test gets; the environment itself is set by ``tests/plugins/environment.py``."""

from __future__ import annotations

from typing import Any

import hypothesis
import pytest
from hypothesis import settings

settings.register_profile("a365admin", deadline=None)  # a busy machine is no fault of the code
settings.load_profile("a365admin")

# How long one example takes says something about the machine, which is shared, and nothing about what is tested.
hypothesis.settings.register_profile(
    "shared machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("shared machine")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The browser's tests come last: Playwright keeps an event loop running in the main thread until the end."""
    items.sort(key=lambda item: item.get_closest_marker("e2e") is not None)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """Let the test database be emptied between tests: only there are the audit log's triggers taken away."""
    from django.db import connection

    from a365admin.audit import triggers

    with django_db_blocker.unblock():
        triggers.remove(connection)
