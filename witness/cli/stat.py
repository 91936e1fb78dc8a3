"""`witness stat`: how much lock classes are fought over, in lock_stat's columns; of records or of a living arena."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shmalloc.cli.screen import say, show, show_json
from shmalloc.cli.target import attach
from witness.analysis.merge import merge
from witness.checker import opened
from witness.cli.screen import complain, usage
from witness.graph import NoGraph
from witness.graph import read_graph as read_arena
from witness.record import Graph, read_graph
from witness.report.lockstat import SORTS, as_plain_stat, lock_rows, lock_table, point_table

__all__ = ["stat"]


def stat(
    sources: Annotated[
        list[str],
        typer.Argument(metavar="FILE...|ARENA", help="Graph records, which are joined; or an arena under witness."),
    ],
    sort: Annotated[str, typer.Option("--sort", "-s", help=f"One of {', '.join(SORTS)}.")] = "contentions",
    most: Annotated[
        int | None, typer.Option("--most", "-n", min=1, metavar="N", help="Show the first N only.", show_default=False)
    ] = None,
    contended: Annotated[
        bool, typer.Option("--contended", "-c", help="Only classes that somebody waited for.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, times in nanoseconds.")] = False,
    reset: Annotated[bool, typer.Option("--reset", help="Then let the arena's figures begin at zero.")] = False,
    timing: Annotated[
        bool | None,
        typer.Option("--timing/--no-timing", help="Then time holds in the arena, or no more.", show_default=False),
    ] = None,
) -> None:
    """Show contentions, waiting and holding times of each lock class, and the places on both sides."""
    if sort not in SORTS:
        usage(f"the classes cannot be sorted by {sort!r}: choose one of {', '.join(SORTS)}")
    files = [Path(source) for source in sources if Path(source).is_file()]
    if len(files) != len(sources) and len(sources) > 1:
        strange = next(source for source in sources if not Path(source).is_file())
        usage(f"{strange!r} is no file: give graph records, or the name of one arena alone")
    writes = reset or timing is not None
    if files and writes:
        usage("--reset and --timing are for a living arena: a record does not change")
    graph = merge([read_graph(path) for path in files]) if files else _of_arena(sources[0])
    _show(graph, sort=sort, most=most, contended=contended, as_json=as_json)
    if writes:
        _change(sources[0], reset=reset, timing=timing)


def _of_arena(name: str) -> Graph:
    with attach(name, read_only=True) as arena:
        try:
            return read_arena(arena)
        except NoGraph as error:
            usage(str(error))


def _change(name: str, *, reset: bool, timing: bool | None) -> None:
    with attach(name, read_only=False) as arena:
        checker = opened(arena)
        checker.output = None
        if timing is not None:
            checker.timing = timing
        if reset:
            checker.reset_statistics()
            complain("the figures begin at zero")


def _show(graph: Graph, *, sort: str, most: int | None, contended: bool, as_json: bool) -> None:
    records = [record for record in lock_rows(graph, sort) if record.contended or not contended][:most]
    if as_json:
        show_json([as_plain_stat(record) for record in records])
        return
    waited = "no lock was found taken by another: nobody had to wait" if graph.classes else "no lock class was seen"
    show(lock_table(records, empty=waited), title=True)
    if any(record.points or record.holders for record in records):
        say("")
        show(point_table(records), title=True)
