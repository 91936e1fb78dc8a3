"""`witness graph`: the order graph as a drawing, or for another program."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from witness.analysis.findings import Analysis
from witness.analysis.neighbourhood import neighbourhood
from witness.cli.records import FilesArgument, analysed
from witness.cli.screen import complain, usage, write_text
from witness.report.drawing import as_dot, as_graphml, as_svg

__all__ = ["graph"]

_MOST_DRAWN = 60  # Graphviz's time grows much faster than the graph, and nobody reads a drawing of hundreds


def graph(
    files: FilesArgument,
    dot: Annotated[Path | None, typer.Option("--dot", metavar="FILE", help="Write DOT; - is stdout.")] = None,
    graphml: Annotated[Path | None, typer.Option("--graphml", metavar="FILE", help="Write GraphML.")] = None,
    svg: Annotated[Path | None, typer.Option("--svg", metavar="FILE", help="Write a drawing.")] = None,
    around: Annotated[
        list[str] | None, typer.Option("--around", metavar="CLASS", help="Draw this class and what is next to it.")
    ] = None,
    most: Annotated[
        int, typer.Option("--most", min=2, metavar="N", help="Draw at most N classes; findings come first.")
    ] = _MOST_DRAWN,
) -> None:
    """Write the order graph; without options, DOT on stdout. GraphML is always whole, the others are cut to --most."""
    analysis = analysed(files)
    shown = neighbourhood(analysis, most=most, around=_named(analysis, around or []))
    if len(shown) < len(analysis.order.classes) and (dot or svg or not graphml):
        complain(f"{len(shown)} of {len(analysis.order.classes)} classes are drawn; --most and --around choose others")
    if graphml is not None:
        write_text(graphml, as_graphml(analysis))
    if svg is not None:
        write_text(svg, as_svg(analysis, shown))
    if dot is not None or (graphml is None and svg is None):
        write_text(dot or Path("-"), as_dot(analysis, shown))


def _named(analysis: Analysis, names: list[str]) -> list[int]:
    known = {record.name: one for one, record in analysis.order.classes.items()}
    for name in names:
        if name not in known:
            usage(f"there is no lock class {name!r}; `witness stat` lists them")
    return [known[name] for name in names]
