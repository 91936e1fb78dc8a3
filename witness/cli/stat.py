"""`witness stat`: how much lock classes are fought over, in the columns of lock_stat."""

from __future__ import annotations

from typing import Annotated

import typer

from shmalloc.cli.screen import say, show, show_json
from witness.cli.records import FilesArgument, joined
from witness.cli.screen import usage
from witness.report.lockstat import SORTS, as_plain_stat, lock_rows, lock_table, point_table

__all__ = ["stat"]


def stat(
    files: FilesArgument,
    sort: Annotated[str, typer.Option("--sort", "-s", help=f"One of {', '.join(SORTS)}.")] = "contentions",
    most: Annotated[
        int | None, typer.Option("--most", "-n", min=1, metavar="N", help="Show the first N only.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, times in nanoseconds.")] = False,
) -> None:
    """Show contentions, waiting and holding times of each lock class, and the places that had to wait."""
    if sort not in SORTS:
        usage(f"the classes cannot be sorted by {sort!r}: choose one of {', '.join(SORTS)}")
    records = lock_rows(joined(files), sort)[:most]
    if as_json:
        show_json([as_plain_stat(record) for record in records])
        return
    show(lock_table(records), title=True)
    if any(record.points for record in records):
        say("")
        show(point_table(records), title=True)
