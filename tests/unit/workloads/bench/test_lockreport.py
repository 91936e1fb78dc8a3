"""The made-up program of the lock report: its orders come out of the block, and the report is of all of them."""

from __future__ import annotations

import pytest

from witness.analysis import analyse
from witness.graph import graph_of_block
from witness.record import to_json
from workloads.bench import lockreport
from workloads.bench.lockreport import CASE, READING, large_block, measure_lock_report, report_of
from workloads.bench.round import Tableau
from workloads.bench.targets import REPORTED


def test_a_block_of_two_threads_has_every_order_and_cycles_among_them() -> None:
    graph = graph_of_block(large_block(40, 700), program="test")
    assert len(graph.classes) == 40
    # What is taken against an order that is known already is a reversal, and no order.
    assert 690 <= len(graph.edges) + len(graph.reversals) <= 700
    assert len({thread for edge in graph.edges for thread in edge.threads}) == 2
    analysis = analyse(graph)
    assert len(analysis.canonical.classes) == 40
    assert analysis.findings
    text, plain, page = report_of(to_json(graph))
    assert min(text, plain, page) > 40 * len("class 1")


def test_reading_and_reporting_are_two_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lockreport, "large_block", lambda: large_block(12, 30))
    tableau = Tableau()
    measure_lock_report(tableau, only="witness.*", repeat=2, progress=lambda _: None)
    assert {(sample.case, sample.subject, sample.runs) for sample in tableau.samples()} == {
        (CASE, REPORTED, 2),
        (CASE, READING, 2),
    }
    nothing = Tableau()
    measure_lock_report(nothing, only="c.*", repeat=2, progress=lambda _: None)
    assert nothing.samples() == ()
