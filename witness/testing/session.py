"""The tests of one process under witness: what each of them may, what it found, and the summary of the run.

Owns the pytest hooks. A finding fails the test in the phase in which it is noticed: what fixtures do on the way in
counts for the test's call, what they do on the way out for its teardown. Tests are told of by their own process; the
first process of the run tells the rest, writes the files, and sets the status.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from witness.checker import listeners
from witness.testing.application import Application
from witness.testing.findings import Reports, judged, report_number
from witness.testing.marker import wishes_of
from witness.testing.settings import Settings
from witness.testing.sharing import Sharing
from witness.testing.summary import Ledger, Summary

__all__ = ["Session"]


class Session:
    """Registered with pytest for a run under witness, in the controller and in each worker."""

    def __init__(self, config: pytest.Config, settings: Settings, sharing: Sharing) -> None:
        self.config = config
        self.settings = settings
        self.sharing = sharing
        self.reports = Reports(sharing)
        self.application = Application(sharing, settings)
        self.ledger = Ledger()
        self.summary: Summary | None = None
        self.texts: list[str] = []  # of arenas that are armed in tests: each has a graph of its own
        listeners.append(self.texts.append)
        config.add_cleanup(lambda: listeners.remove(self.texts.append))

    # ------------------------------------------------------------------------------------------------ tests

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """What was found since the test before belongs to no test."""
        self.reports.fresh()
        self.texts.clear()
        self.application.begin()
        try:
            return (yield)
        finally:
            self.application.end()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """The marker's arguments are looked at before anything of the test runs."""
        try:
            self.application.wish(wishes_of(item.iter_markers("witness")))
        except ValueError as error:
            pytest.fail(str(error), pytrace=False)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Fail the test for what it and its fixtures found."""
        try:
            self.application.declare()
        except ValueError as error:
            pytest.fail(str(error), pytrace=False)
        try:
            result = yield
        except pytest.skip.Exception:
            raise  # what was found fails the teardown
        except Exception:
            if text := self.found(item):
                item.add_report_section("call", "witness", text)
            raise
        self.fail(item)
        return result

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, object, object]:
        """Fail the teardown for what it found."""
        try:
            result = yield
        except Exception:
            if text := self.found(item):
                item.add_report_section("teardown", "witness", text)
            raise
        self.fail(item)
        return result

    def fail(self, item: pytest.Item) -> None:
        """End the phase of this test if something was found in it."""
        if text := self.found(item):
            pytest.fail(text, pytrace=False)

    def found(self, item: pytest.Item) -> str:
        """The text of what was found since the last call and counts for this test; "" when there is nothing."""
        numbers, texts = self.reports.fresh(), list(self.texts)
        self.texts.clear()
        ignore = self.application.wishes.ignore
        if not numbers and not texts:
            return ""
        if ignore is not None:
            self.ledger.ignored.update({number: [item.nodeid, ignore] for number in numbers})
            return ""
        parts = [f"{text.rstrip()}\n(in the graph of an arena of its own)" for text in texts]
        if numbers:
            parts += self._of_graph(item, numbers)
        return "\n\n".join(parts)

    def _of_graph(self, item: pytest.Item, numbers: set[int]) -> list[str]:
        from witness.testing.text import brief

        verdict = judged(self.sharing, self.settings, {})
        new = [one for one in verdict.new if report_number(one) in numbers and one.level != "unlikely"]
        self.ledger.told.update(dict.fromkeys((report_number(one) for one in new), item.nodeid))
        parts = [brief(one, verdict.analysis.order, self.config.rootpath) for one in new]
        return [*parts, self._more()] if parts else []

    def _more(self) -> str:
        record = self.record()
        if record is None:
            return "more: run with --witness-record FILE, then `witness report FILE`"
        return f"more: witness report {record}"

    def record(self) -> Path | None:
        """Where the graph is written: as the settings say, else in pytest's cache; None: there is none."""
        if self.settings.record is not None:
            return self.settings.record
        cache = getattr(self.config, "cache", None)
        return None if cache is None else Path(cache.mkdir("witness")) / "graph.json"

    # ------------------------------------------------------------------------------------------------ the run

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """A worker of pytest-xdist is done: what its tests were told is told."""
        self.ledger.add(getattr(node, "workeroutput", {}).get("witness"))

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """A worker hands its part over; the first process writes the files, and fails a run for what no test did."""
        output = getattr(self.config, "workeroutput", None)
        if output is not None:
            output["witness"] = self.ledger.plain()
            return
        verdict = judged(self.sharing, self.settings, self.ledger.reasons())
        self.summary = Summary(verdict, self.ledger, self.sharing.owned)
        self.summary.write(self.settings, self.record())
        if self.summary.unclaimed and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """The last words."""
        if self.summary is not None:
            self.summary.print(terminalreporter, self.config.rootpath)
