"""What was found since the last look, and by whom. Owns the question which test a report belongs to.

A report belongs to the test that ran when it was made, in the process that made it or in the one of its ancestors that
runs tests. Tests stand for threads: two orders that contradict each other are a finding even when one thread made both,
because tests take turns in it by chance, and with -n they do not.
"""

from __future__ import annotations

import datetime
import os
from dataclasses import replace

import msgspec

from witness._witness import Watch
from witness.analysis.baseline import compare
from witness.analysis.findings import Analysis, Finding, analyse
from witness.analysis.suppressions import Suppression, sift
from witness.graph import read_graph
from witness.record import Graph
from witness.report.verdict import Verdict
from witness.testing.settings import Settings
from witness.testing.sharing import Sharing

__all__ = ["Reports", "judged", "report_number"]


class Reports:
    """The reports of this process and of those below it, each told once."""

    def __init__(self, sharing: Sharing) -> None:
        self._watch: Watch = sharing.watch
        self._alone = sharing.owned  # whoever made the graph and runs tests has no other process of tests beside it
        self._next = 0

    def fresh(self) -> set[int]:
        """The numbers of the reports that came since the last call and are ours; empty at nearly every call."""
        found: set[int] = set()
        while True:
            try:
                row = self._watch.report(self._next)
            except IndexError:
                return found
            self._next += 1
            if self._alone or self._ours(row[3] >> 32):
                found.add(self._next)

    def _ours(self, pid: int) -> bool:
        parents = self._watch.parents()
        seen = set()
        while pid not in seen:
            if pid == os.getpid():
                return True
            seen.add(pid)
            pid = parents.get(pid, pid)
        return False


def report_number(finding: Finding) -> int:
    """The number of the report that a finding stands on; 0: on none."""
    return finding.record.id if finding.record is not None else 0


def judged(sharing: Sharing, settings: Settings, ignored: dict[int, str]) -> Verdict:
    """The graph as it is now, after suppressions and baseline.

    Parameters: ignored: numbers of reports that a marker leaves alone, with its reason.
    """
    graph = read_graph(sharing.arena, program="pytest")
    # What is told of edges is what was seen; what is feared does not depend on which thread a test ran in.
    analysis: Analysis = replace(analyse(_any_thread(graph)), graph=graph)
    sifted = sift(analysis.findings, analysis.order, settings.suppressions, today=datetime.date.today())
    new = sifted.kept
    known: tuple[Finding, ...] = ()
    if settings.baseline is not None:
        difference = compare(new, settings.baseline)
        new, known = difference.new, difference.known
    left = tuple((one, Suppression(reason=ignored[report_number(one)])) for one in new if report_number(one) in ignored)
    new = tuple(one for one in new if report_number(one) not in ignored)
    return Verdict(analysis, new, known, (), (*sifted.suppressed, *left), sifted.expired, sifted.unused)


def _any_thread(graph: Graph) -> Graph:
    return msgspec.structs.replace(
        graph,
        edges=tuple(msgspec.structs.replace(edge, threads=()) for edge in graph.edges),
        reversals=tuple(msgspec.structs.replace(one, threads=()) for one in graph.reversals),
    )
