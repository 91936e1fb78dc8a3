"""What a run under witness came to: the ledger of what its tests were told, the files, the lines at the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from witness.analysis.findings import Finding
from witness.record import write_graph
from witness.report.plain import as_plain
from witness.report.verdict import Verdict
from witness.testing.findings import report_number
from witness.testing.settings import Settings
from witness.testing.text import brief

__all__ = ["Ledger", "Summary"]


@dataclass
class Ledger:
    """Reports by number: `told` to which test, `ignored` by which test and for which reason."""

    told: dict[int, str] = field(default_factory=dict)
    ignored: dict[int, list[str]] = field(default_factory=dict)

    def plain(self) -> list[list[Any]]:
        """As pytest-xdist can carry it from a worker."""
        return [[list(item) for item in self.told.items()], [list(item) for item in self.ignored.items()]]

    def add(self, plain: Any) -> None:
        """Take in a worker's; None: it had none, because it died."""
        if plain is not None:
            self.told.update(plain[0])
            self.ignored.update(plain[1])

    def reasons(self) -> dict[int, str]:
        """The reasons of the ignored."""
        return {number: reason for number, (_, reason) in self.ignored.items()}


class Summary:
    """The end of a run. `unclaimed` are findings that count and that no test was failed for."""

    def __init__(self, verdict: Verdict, ledger: Ledger, owned: bool) -> None:
        self.verdict = verdict
        self.ledger = ledger
        self.written: list[Path] = []
        feared = (one for one in verdict.new if one.level != "unlikely")
        # In somebody else's graph, what this run's tests did not do is somebody else's to tell.
        self.unclaimed: tuple[Finding, ...] = tuple(
            one for one in feared if owned and report_number(one) not in ledger.told
        )

    def write(self, settings: Settings, record: Path | None) -> None:
        """Write the files that the settings name; the record also when there is something to look up in it."""
        if record is not None and (settings.record is not None or self.verdict.new):
            write_graph(record, self.verdict.analysis.graph)
            self.written.append(record)
        if settings.json is not None:
            plain = msgspec.json.format(msgspec.json.encode(as_plain(self.verdict)), indent=2)
            settings.json.write_bytes(plain + b"\n")
            self.written.append(settings.json)

    def print(self, reporter: pytest.TerminalReporter, root: Path) -> None:
        """The section at the end."""
        verdict, graph = self.verdict, self.verdict.analysis.graph
        reporter.section("witness")
        for one in self.unclaimed:
            reporter.line(f"found outside of tests: {brief(one, verdict.analysis.order, root)}")
        for one in verdict.new:
            if test := self.ledger.told.get(report_number(one)):
                reporter.line(f"{test}: {one.title}")
            elif one not in self.unclaimed:
                reporter.line(f"unlikely: {one.title} ({one.why})")
        for one, rule in verdict.suppressed:
            reporter.line(f"suppressed: {one.title} ({rule.reason})")
        for one in verdict.known:
            reporter.line(f"known: {one.title}")
        reporter.line(
            f"{len(graph.classes)} lock classes, {len(graph.edges)} orders, {len(graph.processes)} processes: "
            f"{len(verdict.new)} found, {len(verdict.known)} known, {len(verdict.suppressed)} suppressed"
        )
        if graph.off_reason is not None:
            reporter.line(f"the checker stopped before the end: {graph.off_reason}; what came later was not checked")
        for rule in verdict.expired:
            reporter.line(f"the suppression of line {rule.line} expired on {rule.expires}: repair it or renew it")
        for path in self.written:
            reporter.line(f"written: {path}")
