"""Prints a benchmark report. Owns the layout on the terminal; decides nothing."""

from __future__ import annotations

import statistics

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from workloads.bench.catalogue import CASES, case, figure
from workloads.bench.records import BenchReport, Sample, Verdict, is_ours


def ours_first(samples: list[Sample]) -> Sample | None:
    """What the case's ratios are relative to: the first subject of shmalloc's own."""
    for sample in samples:
        if is_ours(sample.subject):
            return sample
    return None


def over(sample: Sample, ours: Sample) -> float:
    """A subject's figure over ours: of the best runs, or of neighbouring ones in a paired case."""
    if case(sample.case).paired and len(sample.turns) == len(ours.turns) > 0:
        return statistics.median(a / b for a, b in zip(sample.turns, ours.turns, strict=True))
    return sample.best / ours.best


def verdict_text(verdict: Verdict) -> Text:
    """The outcome in a word; why something was not measured is in the table of skips."""
    if verdict.met is None:
        return Text("not measured", style="yellow")
    return Text("met", style="green") if verdict.met else Text("missed", style="bold red")


def sample_table(report: BenchReport) -> Table:
    """Every figure, case by case; `/ ours` is the subject over shmalloc: above 1 it is slower than shmalloc."""
    table = Table(title=f"best of {report.repeat} runs", title_justify="left")
    for heading in ("case", "subject"):
        table.add_column(heading, overflow="fold")
    for heading in ("best", "median", "/ ours"):
        table.add_column(heading, justify="right", no_wrap=True)
    for each in CASES:
        samples = [sample for sample in report.samples if sample.case == each.name]
        ours = ours_first(samples)
        for place, sample in enumerate(samples):
            table.add_row(
                escape(each.title) if place == 0 else "",
                escape(f"{sample.subject} ({sample.note})" if sample.note else sample.subject),
                figure(sample.best, sample.unit),
                figure(sample.median, sample.unit),
                f"{over(sample, ours):.2f}" if ours else "",
                end_section=place == len(samples) - 1,
            )
    return table


def verdict_table(report: BenchReport) -> Table:
    """Every target of the cases that were run."""
    table = Table(title="targets", title_justify="left")
    for heading in ("case", "shmalloc", "target"):
        table.add_column(heading, overflow="fold")
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("", overflow="fold")
    units = {each.name: each.unit for each in CASES}
    for verdict in report.verdicts:
        if verdict.value is None:
            value = ""
        elif verdict.sense in ("at_most", "at_least"):
            value = figure(verdict.value, units[verdict.case])
        else:
            value = f"{verdict.value:.2f}x"
        table.add_row(verdict.case, escape(verdict.ours), escape(verdict.text), value, verdict_text(verdict))
    return table


def render(report: BenchReport) -> RenderableType:
    """The whole report."""
    machine = report.machine
    parts: list[RenderableType] = [
        Text(
            f"{machine.cpu}, {machine.cores} cores, {machine.kernel}, {machine.python}, {machine.compiler}", style="dim"
        ),
        sample_table(report),
    ]
    if report.verdicts:
        parts.append(verdict_table(report))
    if report.skips:
        table = Table(title="not measured", title_justify="left")
        for heading in ("case", "subject", "why"):
            table.add_column(heading, overflow="fold")
        for skip in report.skips:
            table.add_row(skip.case, escape(skip.subject), escape(skip.reason))
        parts.append(table)
    return Group(*parts)
