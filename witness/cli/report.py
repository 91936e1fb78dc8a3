"""`witness report`: the findings of graph records, as text and in the forms that programs and people ask for."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from shmalloc.cli.screen import say, show_lines
from shmalloc.report.amounts import counted
from witness.analysis.baseline import KnownFinding, compare, read_baseline, write_baseline
from witness.analysis.findings import Finding
from witness.analysis.suppressions import read_suppressions, sift
from witness.cli.records import FilesArgument, analysed
from witness.cli.screen import complain, write_json, write_text
from witness.report.page import lock_order_page
from witness.report.plain import as_plain
from witness.report.sarif import as_sarif
from witness.report.text import finding_lines
from witness.report.verdict import Verdict

__all__ = ["report"]


def report(
    files: FilesArgument,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the report as JSON; - is stdout.")
    ] = None,
    sarif: Annotated[Path | None, typer.Option("--sarif", metavar="FILE", help="Write it as SARIF 2.1.0.")] = None,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write one self-contained page.")] = None,
    baseline: Annotated[
        Path | None, typer.Option("--baseline", metavar="FILE", help="Findings that are known: only new ones fail.")
    ] = None,
    new_baseline: Annotated[
        Path | None, typer.Option("--write-baseline", metavar="FILE", help="Write all findings as known ones.")
    ] = None,
    suppressions: Annotated[
        Path | None, typer.Option("--suppressions", metavar="FILE", help="Rules for findings that may stay (TOML).")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Cycles that are unlikely to block fail too.")] = False,
) -> None:
    """Report what graph records say: reversals, cycles, deadlocks, sleeping under locks, misuse.

    The status is 1 when something was found that is neither known nor suppressed.
    """
    analysis = analysed(files)
    rules = read_suppressions(suppressions) if suppressions is not None else ()
    sifted = sift(analysis.findings, analysis.order, rules, today=datetime.date.today())
    new = sifted.kept
    known: tuple[Finding, ...] = ()
    gone: tuple[KnownFinding, ...] = ()
    if baseline is not None:
        difference = compare(analysis.findings, read_baseline(baseline))
        kept = {finding.key for finding in sifted.kept}
        new = tuple(finding for finding in difference.new if finding.key in kept)
        known = tuple(finding for finding in difference.known if finding.key in kept)
        gone = difference.gone
    verdict = Verdict(analysis, new, known, gone, sifted.suppressed, sifted.expired, sifted.unused)
    to_stdout = "-" in (str(json_file), str(sarif), str(html))
    if not to_stdout:
        show_lines(_told(verdict))
        say(_summary(verdict))
    for rule in verdict.expired:
        complain(f"{suppressions}:{rule.line}: expired on {rule.expires} and suppresses nothing: repair it or renew it")
    for rule in verdict.unused:
        complain(f"{suppressions}:{rule.line}: matched nothing: take it out ({rule.reason})")
    if analysis.graph.off_reason is not None:
        complain(f"the checker stopped before the end: {analysis.graph.off_reason}; what came later was not checked")
    if json_file is not None:
        write_json(json_file, as_plain(verdict))
    if sarif is not None:
        write_json(sarif, as_sarif(verdict))
    if html is not None:
        write_text(html, lock_order_page(verdict))
    if new_baseline is not None:
        write_baseline(new_baseline, analysis.findings)
    raise typer.Exit(1 if verdict.failed(strict=strict) else 0)


def _told(verdict: Verdict) -> Iterator[str]:
    order = verdict.analysis.order
    for finding in verdict.new:
        yield from finding_lines(finding, order)
        yield ""
    for finding in verdict.known:
        yield f"known: {finding.title}"
    for finding, rule in verdict.suppressed:
        yield f"suppressed: {finding.title} ({rule.reason})"
    for gone in verdict.gone:
        yield f"gone: {gone.title}; take it out of the baseline"


def _summary(verdict: Verdict) -> str:
    graph = verdict.analysis.graph
    unlikely = sum(finding.level == "unlikely" for finding in verdict.new)
    new = f"{len(verdict.new)} new" + (f" ({unlikely} of them unlikely)" if unlikely else "")
    more = f"; more cycles that are not told: {verdict.analysis.left_out}" if verdict.analysis.left_out else ""
    return (
        f"{counted(len(graph.classes), 'lock class', 'lock classes')}, {counted(len(graph.edges), 'order')}, "
        f"{counted(len(graph.processes), 'process', 'processes')}: {new}, "
        f"{len(verdict.known)} known, {len(verdict.suppressed)} suppressed, {len(verdict.gone)} gone{more}"
    )
