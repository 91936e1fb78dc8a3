"""`workloads bench`. Owns the command's options and exit codes: 0 measured (a missed target is a finding for people,
not a failure: machines are noisy), 2 usage."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from workloads.bench.records import save, to_json
from workloads.bench.suite import NothingSelected, run_suite
from workloads.bench.table import render


def bench(
    quick: Annotated[bool, typer.Option("--quick", help="Fewer and shorter runs: a look, not a measurement.")] = False,
    only: Annotated[str | None, typer.Option(metavar="GLOB", help='Cases to run, such as "c.*" or "py.pair".')] = None,
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the report as JSON; - prints it instead of the table.")
    ] = None,
    repeat: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Runs of each subject; default 11, with --quick 3.")
    ] = None,
) -> None:
    """Measure shmalloc against its peers in one run: C level, Python level, messages between processes."""
    errors = Console(stderr=True)
    try:
        with errors.status("starting") as status:
            report = run_suite(only=only, quick=quick, repeat=repeat, progress=lambda step: status.update(escape(step)))
    except NothingSelected as why:
        errors.print(str(why), style="red", markup=False)
        raise typer.Exit(2) from None
    if json is not None and str(json) == "-":
        sys.stdout.buffer.write(to_json(report))
        return
    Console().print(render(report))
    if json is not None:
        save(report, json)
        errors.print(f"report: {json}", markup=False)
