"""`faultinj report`: the result of a sweep or a campaign, as text and in the forms that people and programs ask for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from faultinj.cli.screen import complain, read_result, write_json, write_text
from faultinj.report.junit import as_junit
from faultinj.report.page import coverage_page
from faultinj.report.sarif import as_sarif
from faultinj.report.tables import cells_table, findings_table, matrix_table, summary
from faultinj.report.verdict import Gate, Verdict
from shmalloc.cli.screen import say, show

__all__ = ["report"]


def report(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What sweep --json wrote, or a campaign's database.")],
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the result as JSON; - is stdout.")
    ] = None,
    junit: Annotated[Path | None, typer.Option("--junit", metavar="FILE", help="Write it as JUnit XML.")] = None,
    sarif: Annotated[Path | None, typer.Option("--sarif", metavar="FILE", help="Write it as SARIF 2.1.0.")] = None,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write one self-contained page.")] = None,
    min_coverage: Annotated[
        float, typer.Option("--min-coverage", metavar="PERCENT", min=0, max=100, help="Points that must be injected.")
    ] = 100.0,
    max_findings: Annotated[int, typer.Option("--max-findings", metavar="N", min=0, help="Findings let pass.")] = 0,
    sweeps: Annotated[bool, typer.Option("--sweeps", help="Print a line for every scenario and kind too.")] = False,
) -> None:
    """Report what a fault run found: point against outcome, the findings, and whether it is enough.

    The status is 1 when there are more findings than let pass, when fewer points were injected than asked for, or when
    nothing was ever injected in a scenario.
    """
    verdict = Verdict(read_result(file), Gate(min_coverage, max_findings))
    if "-" not in (str(json_file), str(junit), str(sarif), str(html)):
        show(matrix_table(verdict))
        if sweeps:
            say("")
            show(cells_table(verdict))
        if verdict.found:
            say("")
            show(findings_table(verdict), title=True)
        say("")
        say(summary(verdict))
    for failure in verdict.failures:
        complain(failure)
    if json_file is not None:
        write_json(json_file, verdict.result)
    if junit is not None:
        write_text(junit, as_junit(verdict))
    if sarif is not None:
        write_json(sarif, as_sarif(verdict))
    if html is not None:
        write_text(html, coverage_page(verdict))
    raise typer.Exit(1 if verdict.failed else 0)
