"""The table shows every figure, verdict and skip, and takes no text for markup."""

from __future__ import annotations

import io

from rich.console import Console

from workloads.bench.catalogue import case
from workloads.bench.records import FORMAT, BenchReport, Machine, Sample, Skip
from workloads.bench.table import render
from workloads.bench.targets import Target, judge


def shown(report: BenchReport) -> str:
    out = io.StringIO()
    Console(width=300, file=out).print(render(report))
    return out.getvalue()


def test_figures_verdicts_and_reasons_are_printed_as_they_are() -> None:
    samples = tuple(
        Sample(case="py.slice", subject=subject, unit="ns", best=best, median=best, runs=2)
        for subject, best in (("Item", 30.0), ("bytearray", 45.0))
    )
    skips = (Skip(case="c.pair", subject="DPDK [x]", reason="not installed: apt package [libdpdk-dev]"),)
    targets = (
        Target("py.slice", "Item", "bytearray", "ratio_at_most", 2.0),
        Target("py.slice", "Item", "bytearray", "ratio_at_most", 0.5),
    )
    text = shown(
        BenchReport(
            format=FORMAT,
            created="",
            quick=True,
            repeat=2,
            machine=Machine(cpu="a cpu", cores=2, kernel="Linux 6.1", python="CPython 3.11.7", compiler="cc 12"),
            samples=samples,
            skips=skips,
            verdicts=judge(samples, skips, targets),
        )
    )
    assert case("py.slice").title in text
    for part in ("item[a:b]", "1.50", "0.67x", "met", "missed", "DPDK [x]", "[libdpdk-dev]", "a cpu, 2 cores"):
        assert part in text
