"""`witness order`: the canonical order, ready to paste into a program."""

from __future__ import annotations

from typing import Annotated

import typer

from shmalloc.cli.screen import show_json, show_lines
from witness.cli.records import FilesArgument, analysed
from witness.report.text import order_lines
from witness.report.words import where

__all__ = ["order"]


def order(
    files: FilesArgument,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print one order of all lock classes, the outermost first, and name the orders that have to be broken for it.

    The status is 1 when some have to.
    """
    analysis = analysed(files)
    broken = analysis.canonical.broken
    names = analysis.order.names
    if as_json:
        show_json(
            {
                "classes": names(analysis.canonical.classes),
                "broken": [
                    {
                        "first": names((link.first,))[0],
                        "second": names((link.second,))[0],
                        "count": link.count,
                        "refused": link.attempted,
                        "at": where(link.sides[1]),
                        "cycle": names(analysis.order.shortest_cycle(link.first, link.second)),
                    }
                    for link in broken
                ],
            }
        )
    else:
        show_lines(order_lines(analysis))
    raise typer.Exit(1 if broken else 0)
