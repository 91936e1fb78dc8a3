"""`witness run`: a Python program and its children under witness, and the report at the end."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from shmalloc.cli.screen import printable
from shmalloc.report.amounts import counted
from witness.analysis import analyse
from witness.cli.screen import complain, usage, write_json
from witness.record import write_graph
from witness.report.plain import as_plain
from witness.report.text import finding_lines
from witness.report.verdict import Verdict
from witness.run.program import of_program
from witness.run.tree import run_watched

__all__ = ["run"]


def run(
    context: typer.Context,
    module: Annotated[
        str | None, typer.Option("-m", metavar="MODULE", help="Run a module, as python -m does.", show_default=False)
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the report as JSON; - is stdout.")
    ] = None,
    record: Annotated[
        Path | None, typer.Option("--record", metavar="FILE", help="Write the graph, for the other commands.")
    ] = None,
    blocking: Annotated[
        bool, typer.Option("--blocking", help="Report calls that block (sleep, sockets, queues) under a lock.")
    ] = False,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            "--allow", metavar="FILE[:FUNCTION]", help="Callers that may block; patterns.", show_default=False
        ),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Cycles that are unlikely to block fail too.")] = False,
    keep_status: Annotated[bool, typer.Option("--keep-status", help="Leave with the program's status always.")] = False,
) -> None:
    """Run `SCRIPT ARGS...` or `-m MODULE ARGS...` with its locks watched, in all its Python processes.

    The report goes to stderr. The status is the program's; 1 when that is 0 and something was found.
    """
    arguments = list(context.args)
    if module is not None:
        arguments = ["-m", module, *arguments]
    if not arguments:
        usage("what shall run? `witness run script.py ...` or `witness run -m module ...`")
    status, graph = run_watched(
        arguments, program=module or Path(arguments[0]).name, blocking=(allow or []) if blocking else None
    )
    graph = of_program(graph, checker=os.getpid())
    analysis = analyse(graph)
    verdict = Verdict(analysis, analysis.findings)
    for finding in verdict.new:
        sys.stderr.writelines(f"{printable(line)}\n" for line in [*finding_lines(finding, analysis.order), ""])
    complain(
        f"{counted(len(graph.classes), 'lock class', 'lock classes')}, {counted(len(graph.edges), 'order')}, "
        f"{counted(len(graph.processes), 'process', 'processes')}: "
        f"{len(verdict.new)} found"
    )
    if graph.off_reason is not None:
        complain(f"the checker stopped before the end: {graph.off_reason}; what came later was not checked")
    if json_file is not None:
        write_json(json_file, as_plain(verdict))
    if record is not None:
        write_graph(record, graph)
    found = verdict.failed(strict=strict) and not keep_status
    raise typer.Exit(status or int(found))
