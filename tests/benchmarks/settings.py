"""The product's settings, plus one empty view to compare with."""

from a365admin.settings import *  # noqa: F403

ROOT_URLCONF = "tests.benchmarks.urls"
