"""`witness why`: who waits for whom right now, across processes."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console

from shmalloc.cli.screen import say, show_json
from witness.cli.screen import usage
from witness.live import Situation, Unwatched
from witness.live import why as look
from witness.report.waiting import as_plain_situation, situation_trees, summary

__all__ = ["why"]

_WIDE = 10_000  # columns of an output that is no terminal: no line of it is broken


def why(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="ARENA|PID",
            help="An arena under witness, or a process; all of this user if not given.",
            show_default=False,
        ),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Also waits that come and go, and threads that only hold.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, times in nanoseconds.")] = False,
) -> None:
    """Show who waits for whom now, with stacks, and say DEADLOCK when nobody of them can go on.

    The status is 1 when there is a deadlock.
    """
    try:
        situation = look(int(target) if target is not None and target.isdecimal() else target)
    except Unwatched as error:
        usage(str(error))
    if as_json:
        show_json(as_plain_situation(situation, every=every))
    else:
        _show(situation, every=every)
    raise typer.Exit(1 if situation.deadlocks else 0)


def _show(situation: Situation, *, every: bool) -> None:
    console = Console() if sys.stdout.isatty() else Console(width=_WIDE)
    for tree in situation_trees(situation, every=every):
        console.print(tree)
        console.print()
    say(summary(situation))
