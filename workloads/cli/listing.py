"""`workloads list`: which workloads there are."""

from __future__ import annotations

from typing import Annotated

import typer

from shmalloc.cli import screen
from shmalloc.report.table import Column, Table
from workloads.registry import WORKLOADS


def list_workloads(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array.")] = False,
) -> None:
    """List the workloads."""
    if as_json:
        screen.show_json([{"name": name, "summary": kind.summary} for name, kind in WORKLOADS.items()])
        return
    rows = tuple((name, kind.summary) for name, kind in WORKLOADS.items())
    columns = (Column("WORKLOAD", number=False), Column("WHAT IT DOES", number=False, give="wrap"))
    screen.show(Table("Workloads", columns, rows))
