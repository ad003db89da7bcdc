"""``-p tests.plugins.forbid_skips``: a skipped test fails the run. For CI, where every real part has to be there."""

from __future__ import annotations

from collections.abc import Generator

import pytest

SKIPPED = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Begin with an empty list."""
    config.stash[SKIPPED] = []


class _Collector:
    """Sees each report, with the list to write to."""

    def __init__(self, found: list[str]) -> None:
        self.found = found

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test or its set-up."""
        if report.skipped and not hasattr(report, "wasxfail"):
            self.found.append(_describe(report))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A whole module."""
        if report.skipped:
            self.found.append(_describe(report))


def _describe(report: pytest.TestReport | pytest.CollectReport) -> str:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return f"{report.nodeid}: {reason}"


def pytest_sessionstart(session: pytest.Session) -> None:
    """Watch the reports."""
    session.config.pluginmanager.register(_Collector(session.config.stash[SKIPPED]))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, None, None]:
    """Turn success into failure where something was skipped; before the summary is written."""
    if session.config.stash[SKIPPED] and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    yield


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say which."""
    skipped = config.stash[SKIPPED]
    if skipped:
        terminalreporter.section("skips are forbidden here")
        for line in skipped:
            terminalreporter.line(line)
