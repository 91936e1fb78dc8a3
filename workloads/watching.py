"""A run under witness: the arena is armed before its workers start, and the graph is read when they have ended.

Owns the reading and which findings count against the run. What witness judges is `witness.analysis`'s; imported only by
runs that are watched, because that takes its time.
"""

from __future__ import annotations

from collections.abc import Iterable

import shmalloc
import witness
from witness.analysis import Analysis, Finding, analyse
from witness.record import Graph, Reversal, Sleep
from witness.report.text import finding_lines
from workloads.intended import Intended, IntendedReversal, IntendedSleep
from workloads.records import Violation, WatchedFinding, WatchRecord


class Watch:
    """An arena of a run under witness, from before its workers start until they have ended."""

    def __init__(self, arena: shmalloc.Arena) -> None:
        self._arena = arena
        # What is found is told at the end, once, by the runner; workers print theirs where only failures are read.
        self._checker = witness.arm(arena, output=None)

    def record(self, program: str, intended: Iterable[Intended] = ()) -> WatchRecord:
        """What was seen. After the last worker's end: those that died with a lock held are told of here."""
        self._checker.sweep()
        return watch_record(witness.read_graph(self._arena, program=program), intended)


def watch_record(graph: Graph, intended: Iterable[Intended] = ()) -> WatchRecord:
    """A graph as the result of a run has it."""
    analysis = analyse(graph)
    meant = tuple(intended)
    return WatchRecord(
        classes=len(graph.classes),
        orders=sum(edge.count > 0 for edge in graph.edges),
        reversals=sum(not reversal.blessed for reversal in graph.reversals),
        sleeps=len(graph.sleeps),
        misuses=len(graph.misuses),
        off_reason=graph.off_reason,
        findings=[
            WatchedFinding(
                rule=finding.rule,
                level=finding.level,
                title=finding.title,
                count=finding.count,
                processes=list(finding.processes),
                intended=_is_meant(finding, analysis, meant),
                text="\n".join(finding_lines(finding, analysis.order)),
            )
            for finding in analysis.findings
        ],
        graph=graph,
    )


def counted_against(record: WatchRecord) -> list[Violation]:
    """What of it is a violation of the run: every finding that is not intended, and a checker that gave up."""
    found = [
        Violation(kind=finding.rule, detail=f"{finding.title} ({finding.level}, seen: {finding.count})")
        for finding in record.findings
        if not finding.intended
    ]
    if record.off_reason is not None:
        found.append(Violation(kind="witness-off", detail=f"{record.off_reason}: what came later was not checked"))
    return found


def _is_meant(finding: Finding, analysis: Analysis, intended: tuple[Intended, ...]) -> bool:
    locks = analysis.order.names(finding.classes)
    match finding.record:
        case Sleep(zone=zone):
            return any(
                isinstance(meant, IntendedSleep) and (zone, locks) == (meant.zone, (meant.lock,)) for meant in intended
            )
        case Reversal():
            return any(isinstance(meant, IntendedReversal) and meant.locks == set(locks) for meant in intended)
    return False
